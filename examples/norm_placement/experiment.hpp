#pragma once
// SPDX-License-Identifier: MIT

#include "model.hpp"
#include "train_language_model/text.hpp"

#include <eigenformer/train/adamw.hpp>
#include <eigenformer/train/cross_entropy.hpp>

#include <chrono>
#include <numbers>
#include <string>
#include <vector>

/// How all models are trained: without warm-up, decay and clipping, which norms and placements are meant to do without.
struct Setting {
  long steps = 400;
  long batch = 8;
  long length = 64;
  int judged = 64;  ///< batches of held-out text, at most
  std::uint64_t seed = 1;
  int threads = 2;
  Sizes sizes;
};

/// How one model fared.
struct Outcome {
  std::vector<double> training;  ///< bits per byte of each step's batch
  double held_out = 0;           ///< bits per byte of text that no model has seen
  double steps_per_second = 0;
};

/// Windows of text: what the model reads, and for each byte the one that follows.
struct Windows {
  explicit Windows(const Setting& setting)
      : tokens(setting.batch, setting.length), targets(setting.batch, setting.length) {}

  void read(long window, const std::string& text, std::size_t begin) {
    for (long i = 0; i < tokens.dimension(1); ++i) {
      const std::size_t at = begin + static_cast<std::size_t>(i);
      tokens(window, i) = static_cast<unsigned char>(text[at]);
      targets(window, i) = static_cast<unsigned char>(text[at + 1]);
    }
  }

  ef::Tensor<std::int32_t, 2> tokens;   ///< [batch, length]
  ef::Tensor<std::int32_t, 2> targets;  ///< [batch, length]
};

/// Mean bits per byte over the first batches of windows of the text.
template <class Model>
double bits_per_byte(const Model& model, const std::string& text, const Setting& setting, ef::Context& context) {
  Windows windows(setting);
  ef::Tensor<float, 3> logits(setting.batch, setting.length, 256);
  const auto window = static_cast<std::size_t>(setting.length);
  const auto batch = static_cast<std::size_t>(setting.batch);
  double sum = 0;
  int batches = 0;
  for (std::size_t begin = 0; batches < setting.judged && begin + batch * window < text.size(); ++batches) {
    for (std::size_t b = 0; b < batch; ++b) windows.read(static_cast<long>(b), text, begin + b * window);
    begin += batch * window;
    model.forward(windows.tokens, logits, context, nullptr);
    sum += ef::cross_entropy<float>(logits, windows.targets, context).mean;
  }
  return sum / batches / std::numbers::ln2;
}

/// Trains a new model, which sees the same windows in the same order as every other.
template <class Model>
Outcome trained(const Text& text, double learning_rate, const Setting& setting) {
  ef::Context context({.threads = setting.threads});
  Model model(setting.sizes, ef::Random(setting.seed));
  ef::AdamW<float> optimizer({.learning_rate = learning_rate, .weight_decay = 0});
  ef::Random order(setting.seed + 1);
  Windows windows(setting);
  ef::Tensor<float, 3> logits(setting.batch, setting.length, 256);
  typename Model::Cache cache;
  const auto starts = static_cast<ef::Index>(text.training.size()) - setting.length;
  Outcome outcome;
  const auto begin = std::chrono::steady_clock::now();
  for (long step = 0; step < setting.steps; ++step) {
    for (long b = 0; b < setting.batch; ++b) {
      windows.read(b, text.training, static_cast<std::size_t>(order.index(starts)));
    }
    model.forward(windows.tokens, logits, context, &cache);
    // The gradient takes the place of the logits.
    const double loss = ef::cross_entropy<float>(logits, windows.targets, logits, context).mean;
    outcome.training.push_back(loss / std::numbers::ln2);
    ef::zero_gradients(model);
    model.backward(logits, cache, context);
    optimizer.step(model, context);
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
  outcome.steps_per_second = static_cast<double>(setting.steps) / seconds.count();
  outcome.held_out = bits_per_byte(model, text.held_out, setting, context);
  return outcome;
}
