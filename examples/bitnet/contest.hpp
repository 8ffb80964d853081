#pragma once
// SPDX-License-Identifier: MIT

#include "byte_training.hpp"
#include "energy.hpp"
#include "train_language_model/text.hpp"

#include <eigenformer/model/bitnet_decoder.hpp>
#include <eigenformer/train/schedule.hpp>

#include <algorithm>
#include <chrono>

namespace ef = eigenformer;

struct Setting {
  long steps = 1500;
  std::vector<double> learning_rates = {2e-3, 8e-3};
  WindowSizes windows = {.batch = 8, .length = 64, .judged = 32};
  ef::DecoderOptions model = {.vocabulary = 256,
                              .dim = 128,
                              .layers = 4,
                              .heads = 4,
                              .hidden = 344,
                              .embedding_deviation = 0.09};  // 1 / sqrt(dim): logits start with a deviation of one
  long decoded = 64;                                         ///< tokens of each round
  int rounds = 9;                                            ///< of decoding; the median counts
  int threads = 2;
};

/// Sizes [out, in] of all projections of a model, and their sum over a kind of cost.
template <class Cost>
double over_projections(const ef::DecoderOptions& o, const Cost& cost) {
  const auto dim = static_cast<double>(o.dim), hidden = static_cast<double>(o.hidden);
  const auto keys = static_cast<double>(o.kv_heads * o.head_dim);
  const double layer = 2 * cost(dim, dim) + 2 * cost(keys, dim) + 2 * cost(hidden, dim) + cost(dim, hidden);
  return static_cast<double>(o.layers) * layer;
}

/// Held-out bits per byte in the course of training.
struct Learning {
  double learning_rate = 0;
  double held_out = 0;
  std::vector<double> losses;  ///< of each step's batch
};

/// Trains a model from the same seed, on the same windows in the same order.
template <class Model>
Model trained(const Text& text, const Setting& setting, double learning_rate, Learning& learning,
              ef::Context& context) {
  Model model(setting.model, ef::Random(1));
  const ef::WarmupCosine rate({.warmup_steps = (setting.steps + 9) / 10,
                               .total_steps = setting.steps,
                               .peak = learning_rate,
                               .floor = learning_rate / 20});
  learning.learning_rate = learning_rate;
  learning.losses = train_on(text.training, model, setting.steps, setting.windows, rate, ef::Random(2), context);
  learning.held_out = bits_per_byte(model, text.held_out, setting.windows, context);
  return model;
}

/// Tokens per second of decoding, one after another.
template <class Model>
double decoding_speed(const Model& model, const Setting& setting, ef::Context& context) {
  using Clock = std::chrono::steady_clock;
  auto caches = model.key_values(1, setting.decoded);
  ef::Matrix<float> logits = ef::Matrix<float>::Zero(1, 256);
  std::vector<double> seconds;
  for (int round = 0; round < setting.rounds; ++round) {
    for (auto& layer : caches) layer.clear();
    const auto begin = Clock::now();
    std::int32_t token = 'T';
    for (long i = 0; i < setting.decoded; ++i) {
      model.next_logits(ef::TokensView(&token, {1, 1}), logits, caches, context);
      ef::Index likeliest = 0;
      logits.row(0).maxCoeff(&likeliest);
      token = static_cast<std::int32_t>(likeliest);
    }
    seconds.push_back(std::chrono::duration<double>(Clock::now() - begin).count());
  }
  std::sort(seconds.begin(), seconds.end());
  return static_cast<double>(setting.decoded) / seconds[seconds.size() / 2];
}

/// Bytes of all projections, as they lie in memory for inference.
inline double bytes_of(const ef::Linear<float>& linear) { return static_cast<double>(linear.weight.size()) * 4; }
template <class... Of>
double bytes_of(const ef::PackedBitLinear<float, Of...>& linear) {
  return static_cast<double>(linear.bytes());
}
template <class Model>
double bytes_of_projections(const Model& model) {
  double bytes = 0;
  for (const auto& layer : model.layers.layers) {
    for (const auto* part :
         {&layer.attention.query, &layer.attention.key, &layer.attention.value, &layer.attention.output,
          &layer.feed_forward.gate, &layer.feed_forward.up, &layer.feed_forward.down}) {
      bytes += bytes_of(*part);
    }
  }
  return bytes;
}
