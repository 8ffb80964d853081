// SPDX-License-Identifier: MIT

#include "training.hpp"

#include "byte_training.hpp"
#include "progress.hpp"

#include <eigenformer/train/clip.hpp>
#include <eigenformer/train/cross_entropy.hpp>
#include <eigenformer/train/schedule.hpp>

#include <algorithm>

namespace ef = eigenformer;
using ef::Index;

TrainingSpeed train(Run& run, const Text& text, ef::Context& context, const volatile std::sig_atomic_t& interrupted) {
  const Options& options = run.options;
  const ef::WarmupCosine learning_rate({.warmup_steps = std::min(options.steps, std::max(1L, options.steps / 20)),
                                        .total_steps = std::max(1L, options.steps),
                                        .peak = options.learning_rate,
                                        .floor = options.learning_rate / 20});
  Windows windows(options.batch, options.length);
  const auto starts = static_cast<Index>(text.training.size()) - options.length;
  ef::Tensor<float, 3> logits = run.model.output_like(windows.tokens);
  Model::Cache cache;
  const long first = run.step;
  Progress progress(first, options.steps, options.batch * options.length);
  while (run.step < options.steps && interrupted == 0) {
    for (Index b = 0; b < options.batch; ++b) {
      windows.read(b, text.training, static_cast<std::size_t>(run.order.index(starts)));
    }
    run.model.forward(windows.tokens, logits, context, &cache);
    // The gradient takes the place of the logits.
    const double loss = ef::cross_entropy<float>(logits, windows.targets, logits, context).mean;
    ef::zero_gradients(run.model);
    run.model.backward(logits, cache, context);
    ef::clip_gradient_norm(run.model, 1.0, context);
    run.optimizer.options.learning_rate = learning_rate(run.step);
    run.optimizer.step(run.model, context);
    ++run.step;
    progress.show(run.step, loss);
  }
  return {run.step - first, progress.seconds(), progress.tokens_per_second(run.step)};
}

double bits_per_byte(const Model& model, const std::string& text, const Options& options, ef::Context& context) {
  return bits_per_byte_of_all(model, text, options.batch, options.length, context);
}

double operations_per_token(const Model& model, const Options& options) {
  return 6.0 * static_cast<double>(ef::parameter_count(model)) +
         12.0 * static_cast<double>(options.layers) * static_cast<double>(options.dim) *
             static_cast<double>(options.length);  // heads x head dimension = dim
}
