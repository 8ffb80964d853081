#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/model/decoder.hpp>

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

/// What a decoding model reads before it is timed, and how long it is timed.
struct DecodingSizes {
  long context = 4096;  ///< positions in the caches
  long tokens = 16;     ///< decoded in each round
  int rounds = 9;       ///< the median counts
};

/// Tokens per second of each model, one after another behind a context that is already read. The models take turns, so
/// that what else the machine does meets all of them.
template <class Model>
std::vector<double> decoding_speeds(const std::vector<Model>& models, const DecodingSizes& sizes,
                                    eigenformer::Context& context) {
  using Clock = std::chrono::steady_clock;
  std::vector<std::int32_t> prompt;
  for (long i = 0; i < sizes.context; ++i) prompt.push_back(static_cast<std::int32_t>('a' + i % 26));
  eigenformer::Matrix<float> logits(1, 256);
  std::vector<typename Model::KeyValues> caches;
  for (const Model& model : models) {
    caches.push_back(model.key_values(1, sizes.context + sizes.tokens));
    model.next_logits(prompt, logits, caches.back(), context);
  }
  std::vector<std::vector<double>> seconds(models.size());
  for (int round = 0; round < sizes.rounds; ++round) {
    for (std::size_t m = 0; m < models.size(); ++m) {
      for (auto& layer : caches[m]) layer.truncate(sizes.context);
      const auto begin = Clock::now();
      for (long i = 0; i < sizes.tokens; ++i) {
        eigenformer::Index likeliest = 0;
        logits.row(0).maxCoeff(&likeliest);
        models[m].next_logits(std::vector<std::int32_t>{static_cast<std::int32_t>(likeliest)}, logits, caches[m],
                              context);
      }
      seconds[m].push_back(std::chrono::duration<double>(Clock::now() - begin).count());
    }
  }
  std::vector<double> speeds;
  for (std::vector<double>& of : seconds) {
    std::sort(of.begin(), of.end());
    speeds.push_back(static_cast<double>(sizes.tokens) / of[of.size() / 2]);
  }
  return speeds;
}
