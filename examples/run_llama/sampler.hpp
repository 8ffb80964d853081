#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/random.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <stdexcept>
#include <vector>

struct SamplerOptions {
  double temperature = 0;  ///< 0 always takes the likeliest token, the lowest of equals
  double top_p = 1;  ///< the share of probability that the tokens to choose from have together, the likeliest first
  std::uint64_t seed = 1;
};

/// Chooses the next token by its logit: from softmax(logits / temperature), cut to the fewest tokens whose probability
/// reaches top_p (Holtzman et al. 2020, "The Curious Case of Neural Text Degeneration"). A logit that is NaN or -Inf is
/// never chosen. The random numbers are the same on every platform.
///   throws std::runtime_error if no logit is a number
class Sampler {
 public:
  explicit Sampler(const SamplerOptions& options) : options_(options), random_(options.seed) {}

  std::int32_t operator()(std::span<const float> logits) {
    const std::size_t likeliest = likeliest_of(logits);
    if (!(options_.temperature > 0)) return static_cast<std::int32_t>(likeliest);
    weigh(logits, static_cast<double>(logits[likeliest]));
    return options_.top_p < 1 ? draw_from_top() : draw(candidates_);
  }

 private:
  struct Candidate {
    double weight;  ///< probability, but for a common factor
    std::int32_t token;
  };

  static std::size_t likeliest_of(std::span<const float> logits) {
    std::size_t likeliest = logits.size();
    float largest = std::numeric_limits<float>::lowest();
    for (std::size_t i = 0; i < logits.size(); ++i) {
      if (logits[i] > largest || (likeliest == logits.size() && logits[i] >= largest)) {
        largest = logits[i];
        likeliest = i;
      }
    }
    if (likeliest == logits.size()) throw std::runtime_error("the model's logits are not numbers");
    return likeliest;
  }

  void weigh(std::span<const float> logits, double largest) {
    candidates_.clear();
    for (std::size_t i = 0; i < logits.size(); ++i) {
      const double weight = std::exp((static_cast<double>(logits[i]) - largest) / options_.temperature);
      if (weight > 0) candidates_.push_back({weight, static_cast<std::int32_t>(i)});
    }
  }
  std::int32_t draw_from_top() {
    std::sort(candidates_.begin(), candidates_.end(), [](const Candidate& a, const Candidate& b) {
      return a.weight != b.weight ? a.weight > b.weight : a.token < b.token;
    });
    const double enough = options_.top_p * sum(candidates_);
    double reached = 0;
    std::size_t count = 0;
    while (count < candidates_.size() && reached < enough) reached += candidates_[count++].weight;
    return draw(std::span(candidates_).first((std::max)(count, std::size_t{1})));
  }
  std::int32_t draw(std::span<const Candidate> from) {
    double rest = random_.uniform() * sum(from);
    for (const Candidate& candidate : from) {
      rest -= candidate.weight;
      if (rest < 0) return candidate.token;
    }
    return from.back().token;  // rounding
  }
  static double sum(std::span<const Candidate> candidates) {
    double sum = 0;
    for (const Candidate& candidate : candidates) sum += candidate.weight;
    return sum;
  }

  SamplerOptions options_;
  eigenformer::Random random_;
  std::vector<Candidate> candidates_;
};
