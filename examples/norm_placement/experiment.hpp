#pragma once
// SPDX-License-Identifier: MIT

#include "byte_training.hpp"
#include "model.hpp"
#include "train_language_model/text.hpp"

#include <chrono>
#include <string>
#include <vector>

/// How all models are trained: without warm-up, decay and clipping, which norms and placements are meant to do without.
struct Setting {
  long steps = 400;
  WindowSizes windows;
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

/// Trains a new model, which sees the same windows in the same order as every other.
template <class Model>
Outcome trained(const Text& text, double learning_rate, const Setting& setting) {
  ef::Context context({.threads = setting.threads});
  Model model(setting.sizes, ef::Random(setting.seed));
  Outcome outcome;
  const auto begin = std::chrono::steady_clock::now();
  outcome.training = train_on(
      text.training, model, setting.steps, setting.windows, [&](long) { return learning_rate; },
      ef::Random(setting.seed + 1), context);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
  outcome.steps_per_second = static_cast<double>(setting.steps) / seconds.count();
  outcome.held_out = bits_per_byte(model, text.held_out, setting.windows, context);
  return outcome;
}
