// SPDX-License-Identifier: MIT

#include "training.hpp"

#include "byte_training.hpp"
#include "progress.hpp"

#include <eigenformer/train/clip.hpp>
#include <eigenformer/train/cross_entropy.hpp>
#include <eigenformer/train/schedule.hpp>

#include <algorithm>
#include <numbers>

namespace ef = eigenformer;
using ef::Index;

namespace {

double loss_of(const Model& model, const Windows& windows, ef::Context& context) {
  ef::Tensor<float, 3> logits = model.output_like(windows.tokens);
  model.forward(windows.tokens, logits, context);
  return ef::cross_entropy<float>(logits, windows.targets, context).mean;
}

}  // namespace

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
  const auto length = static_cast<std::size_t>(options.length);
  const std::size_t predicted = text.size() - 1;
  double nats = 0;
  std::size_t begin = 0;
  while (begin < predicted) {
    // As many whole windows as a batch has; at the end fewer, and last of all one that is shorter.
    const std::size_t whole = (predicted - begin) / length;
    const std::size_t batch = whole == 0 ? 1 : std::min(whole, static_cast<std::size_t>(options.batch));
    const std::size_t width = whole == 0 ? predicted - begin : length;
    Windows windows(static_cast<Index>(batch), static_cast<Index>(width));
    for (std::size_t b = 0; b < batch; ++b) windows.read(static_cast<Index>(b), text, begin + b * width);
    nats += loss_of(model, windows, context) * static_cast<double>(batch * width);
    begin += batch * width;
  }
  return nats / static_cast<double>(predicted) / std::numbers::ln2;
}

double operations_per_token(const Model& model, const Options& options) {
  return 6.0 * static_cast<double>(ef::parameter_count(model)) +
         12.0 * static_cast<double>(options.layers) * static_cast<double>(options.dim) *
             static_cast<double>(options.length);  // heads x head dimension = dim
}
