// SPDX-License-Identifier: MIT

#include "../../../examples/run_llama/sampler.hpp"

#include <gtest/gtest.h>

#include <array>

namespace {

constexpr std::array logits = {0.5F, 2.0F, -1.0F, 1.0F, 2.0F, -30.0F};

/// How often each token is chosen in `draws` draws.
std::vector<int> counts(const SamplerOptions& options, int draws, std::span<const float> from = logits) {
  Sampler sampler(options);
  std::vector<int> counts(from.size());
  for (int i = 0; i < draws; ++i) ++counts.at(static_cast<std::size_t>(sampler(from)));
  return counts;
}

/// softmax(logits / temperature) in the test's own words.
std::vector<double> probabilities(double temperature) {
  std::vector<double> p;
  double sum = 0;
  for (const float logit : logits) sum += p.emplace_back(std::exp(static_cast<double>(logit) / temperature));
  for (double& each : p) each /= sum;
  return p;
}

/// Pearson's statistic over the tokens expected five times or more.
double chi_square(const std::vector<int>& counts, const std::vector<double>& p, int draws) {
  double sum = 0;
  for (std::size_t i = 0; i < p.size(); ++i) {
    const double expected = p[i] * draws;
    if (expected >= 5) sum += (counts[i] - expected) * (counts[i] - expected) / expected;
  }
  return sum;
}

TEST(Sampler, takes_the_first_of_the_likeliest_at_temperature_zero) {
  EXPECT_EQ(counts({.temperature = 0}, 100)[1], 100);
  EXPECT_EQ(counts({.temperature = 0, .top_p = 0.1}, 100)[1], 100);
}

TEST(Sampler, tends_to_the_likeliest_as_the_temperature_falls) {
  constexpr std::array distinct = {0.5F, 2.0F, 1.9F};
  EXPECT_EQ(counts({.temperature = 1e-3}, 1000, distinct)[1], 1000);
  EXPECT_EQ(counts({.temperature = 1e-300}, 1000, distinct)[1], 1000);
}

// 4 degrees of freedom: chi^2 exceeds 18.5 with probability 0.001; the seeds are fixed.
TEST(Sampler, draws_by_the_softmax) {
  constexpr int draws = 100'000;
  for (const double temperature : {0.7, 1.0, 3.0}) {
    const std::vector<int> seen = counts({.temperature = temperature, .seed = 5}, draws);
    EXPECT_LT(chi_square(seen, probabilities(temperature), draws), 18.5) << temperature;
    EXPECT_GT(chi_square(seen, probabilities(temperature * 1.2), draws), 100) << "a statistic that can fail";
  }
}

TEST(Sampler, keeps_to_the_fewest_tokens_that_reach_top_p) {
  constexpr int draws = 20'000;
  const std::vector<double> p = probabilities(1);  // tokens 1 and 4 have 0.37 each, 3 has 0.14, 0 has 0.08
  EXPECT_EQ(counts({.temperature = 1, .top_p = 0}, draws)[1], draws);
  EXPECT_EQ(counts({.temperature = 1, .top_p = p[1] - 0.01}, draws)[1], draws);
  const std::vector<int> two = counts({.temperature = 1, .top_p = p[1] + 0.01, .seed = 3}, draws);
  EXPECT_EQ(two[1] + two[4], draws);
  EXPECT_NEAR(two[1], draws / 2, 5 * std::sqrt(draws / 4.0));
  const std::vector<int> three = counts({.temperature = 1, .top_p = 2 * p[1] + 0.01, .seed = 4}, draws);
  EXPECT_EQ(three[1] + three[4] + three[3], draws);
  EXPECT_NEAR(three[3], draws * p[3] / (2 * p[1] + p[3]), 5 * std::sqrt(draws * 0.15));
  EXPECT_GT(counts({.temperature = 1, .top_p = 1}, draws)[2], 0);
}

TEST(Sampler, gives_the_same_tokens_for_the_same_seed) {
  const auto drawn = [](std::uint64_t seed) {
    Sampler sampler({.temperature = 1, .seed = seed});
    std::vector<std::int32_t> tokens;
    for (int i = 0; i < 20; ++i) tokens.push_back(sampler(logits));
    return tokens;
  };
  EXPECT_EQ(drawn(1), drawn(1));
  EXPECT_NE(drawn(1), drawn(2));
}

TEST(Sampler, is_not_confused_by_logits_that_are_not_finite) {
#ifndef __FAST_MATH__
  constexpr float infinity = std::numeric_limits<float>::infinity();
  constexpr float nan = std::numeric_limits<float>::quiet_NaN();
  constexpr std::array some = {nan, -infinity, 1.0F, nan, 0.0F};
  for (const double temperature : {0.0, 1.0}) {
    const std::vector<int> seen = counts({.temperature = temperature}, 1000, some);
    EXPECT_EQ(seen[2] + seen[4], 1000) << temperature;
  }
  constexpr std::array none = {nan, -infinity};
  EXPECT_THROW(counts({}, 1, none), std::runtime_error);
#endif
  EXPECT_THROW(counts({}, 1, std::span<const float>()), std::runtime_error);
  constexpr float lowest = std::numeric_limits<float>::lowest();
  constexpr std::array low = {lowest, lowest};
  EXPECT_EQ(counts({}, 1, low)[0], 1);
}

}  // namespace
