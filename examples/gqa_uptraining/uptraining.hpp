#pragma once
// SPDX-License-Identifier: MIT

#include "byte_training.hpp"
#include "train_language_model/text.hpp"

#include <eigenformer/model/decoder_from_multi_head.hpp>
#include <eigenformer/train/schedule.hpp>

namespace ef = eigenformer;

using Model = ef::LlamaDecoder<float>;

/// Steps of training, the largest learning rate among them, and the order of what they read.
struct Course {
  long steps = 0;
  double learning_rate = 0;
  std::uint64_t seed = 0;
};

struct Setting {
  Course training = {2000, 3e-3, 2};
  WindowSizes windows = {.batch = 8, .length = 128, .judged = 16};
  ef::DecoderOptions model = {.vocabulary = 256,
                              .dim = 128,
                              .layers = 4,
                              .heads = 8,
                              .hidden = 344,
                              .embedding_deviation = 0.09};  // 1 / sqrt(dim): logits start with a deviation of one
  int threads = 2;

  /// A twentieth of the steps (alpha = 0.05 of the paper), at a lower rate: what there is should be mended, not learnt
  /// anew.
  Course uptraining() const { return {std::max(1L, training.steps / 20), training.learning_rate / 3, 3}; }
};

/// The learning rate grows over a tenth of the steps, as the optimiser's means start anew in training and uptraining alike,
/// and falls along half a cosine over the rest.
inline void train(Model& model, const Text& text, const Course& course, const Setting& setting, ef::Context& context) {
  const ef::WarmupCosine rate({.warmup_steps = (course.steps + 9) / 10,
                               .total_steps = course.steps,
                               .peak = course.learning_rate,
                               .floor = course.learning_rate / 20});
  train_on(text.training, model, course.steps, setting.windows, rate, ef::Random(course.seed), context);
}

/// How a converted model fared, in bits per byte of text that no model has seen.
struct Outcome {
  double converted = 0;
  double uptrained = 0;
};

/// Converts the trained model and trains it on, each on the same windows in the same order.
inline Outcome converted_and_uptrained(const Model& trained, const ef::HeadPoolingOptions& pooling, const Text& text,
                                       const Setting& setting, ef::Context& context) {
  Model model = ef::from_multi_head(trained, pooling);
  Outcome outcome;
  outcome.converted = bits_per_byte(model, text.held_out, setting.windows, context);
  train(model, text, setting.uptraining(), setting, context);
  outcome.uptrained = bits_per_byte(model, text.held_out, setting.windows, context);
  return outcome;
}
