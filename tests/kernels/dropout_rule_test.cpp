// SPDX-License-Identifier: MIT
#include <eigenformer/kernels/dropout_rule.hpp>

#include <gtest/gtest.h>

#include "reference/dropout.hpp"

#include <functional>

namespace ef = eigenformer;
using ef::kernels::DropoutRule;
using ef::kernels::DropoutStream;

namespace {

TEST(DropoutStream, is_another_for_each_seed_and_index) {
  const std::array streams = {DropoutStream::of(1, 0, 0, 0), DropoutStream::of(0, 0, 0, 0),
                              DropoutStream::of(0, 1, 0, 0), DropoutStream::of(0, 0, 1, 0),
                              DropoutStream::of(0, 0, 0, 1)};
  for (std::size_t i = 0; i < streams.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      EXPECT_NE(streams[i].start, streams[j].start);
      EXPECT_NE(streams[i].key, streams[j].key);
    }
  }
}

TEST(DropoutRule, counts_the_rate_in_steps_of_two_to_the_minus_23) {
  EXPECT_FALSE(DropoutRule<float>().drops());
  EXPECT_FALSE(DropoutRule<float>(ef::Dropout{0, 1}).drops());
  EXPECT_FALSE(DropoutRule<float>(ef::Dropout{0x1p-25, 1}).drops());
  EXPECT_EQ(DropoutRule<float>(ef::Dropout{0x1p-25, 1}).factor, 1);
  EXPECT_EQ(DropoutRule<float>(ef::Dropout{0x1p-23, 1}).limit, 1 + 0x1p-23F);
  EXPECT_EQ(DropoutRule<double>(ef::Dropout{0.25, 1}).limit, 1.25);
  EXPECT_EQ(DropoutRule<double>(ef::Dropout{0.2, 1}).factor, 1.25);
  EXPECT_LT(DropoutRule<float>(ef::Dropout{1 - 0x1p-40, 1}).limit, 2);  // something may be kept
}

// ---- statistics of the draws, as the reference makes them, which the kernels equal ----

using Draw = std::function<std::uint32_t(std::uint64_t)>;

/// Standard deviations by which the number of patterns that `bits` draws in succession make is off chi^2. The pattern of
/// dropped and kept draws at that rate has the probability that independent draws would give it.
double off_chi_square(const Draw& draw, double rate, int bits, int patterns) {
  std::vector<double> seen(std::size_t(1) << bits);
  for (int i = 0; i < patterns; ++i) {
    std::size_t pattern = 0;
    for (int b = 0; b < bits; ++b) {
      const bool dropped = reference::dropout_factor(rate, draw(static_cast<std::uint64_t>(i * bits + b))) == 0;
      pattern |= std::size_t(dropped ? 1 : 0) << b;
    }
    ++seen[pattern];
  }
  double sum = 0;
  for (std::size_t pattern = 0; pattern < seen.size(); ++pattern) {
    double expected = patterns;
    for (int b = 0; b < bits; ++b) expected *= (pattern >> b & 1) != 0 ? rate : 1 - rate;
    sum += (seen[pattern] - expected) * (seen[pattern] - expected) / expected;
  }
  const double freedom = static_cast<double>(seen.size() - 1);
  return (sum - freedom) / std::sqrt(2 * freedom);
}

/// Neighbours along every index that a draw depends on, and blocks of them. Of 48 fixed trials one in a million would be
/// beyond 7 by chance, as chi^2 of 15 degrees of freedom has a longer tail than the normal distribution.
TEST(DropoutDraws, of_neighbours_are_independent) {
  using reference::dropout_draw;
  constexpr int patterns = 100'000;
  for (const std::uint64_t seed : {0U, 1U, 2U, 12345U}) {
    const std::array<Draw, 6> along = {
        [=](std::uint64_t i) { return dropout_draw(seed, 0, 0, i >> 12, i & 4095); },            // keys
        [=](std::uint64_t i) { return dropout_draw(seed, 0, 0, i & 4095, i >> 12); },            // queries
        [=](std::uint64_t i) { return dropout_draw(seed, 0, i & 15, i >> 16, i >> 4 & 4095); },  // heads
        [=](std::uint64_t i) { return dropout_draw(seed, i & 15, 0, i >> 16, i >> 4 & 4095); },  // batch
        [=](std::uint64_t i) { return dropout_draw(seed + (i & 1023), 0, 0, 0, i >> 10); },      // seeds
        [=](std::uint64_t i) {                                                                   // squares of 2 x 2
          return dropout_draw(seed, 0, 0, (i >> 10) * 2 + (i & 1), (i >> 2 & 255) * 2 + (i >> 1 & 1));
        }};
    for (std::size_t index = 0; index < along.size(); ++index) {
      for (const double rate : {0.1, 0.5}) {
        EXPECT_LT(std::abs(off_chi_square(along[index], rate, 4, patterns)), 7)
            << "seed " << seed << ", index " << index << ", rate " << rate;
      }
    }
  }
}

/// The upper 10 bits are equally often each of their values, and the share of dropped draws is the rate.
TEST(DropoutDraws, are_spread_evenly) {
  constexpr int count = 1 << 20;
  std::vector<double> seen(1024);
  std::array<int, 3> dropped = {};
  constexpr std::array rates = {0.01, 0.1, 0.7};
  for (int i = 0; i < count; ++i) {
    const std::uint32_t draw =
        reference::dropout_draw(7, 0, static_cast<std::uint64_t>(i >> 18), static_cast<std::uint64_t>(i >> 9 & 511),
                                static_cast<std::uint64_t>(i & 511));
    ++seen[draw >> 13];
    for (std::size_t r = 0; r < rates.size(); ++r) dropped[r] += reference::dropout_factor(rates[r], draw) == 0 ? 1 : 0;
  }
  double sum = 0;
  for (const double number : seen) sum += (number - 1024) * (number - 1024) / 1024;
  EXPECT_LT(std::abs(sum - 1023) / std::sqrt(2 * 1023.0), 5);
  for (std::size_t r = 0; r < rates.size(); ++r) {
    EXPECT_NEAR(dropped[r], count * rates[r], 5 * std::sqrt(count * rates[r] * (1 - rates[r])));
  }
}

/// No lag along the keys and no pair of queries is correlated: the largest of some thousand normal numbers is about 3.7.
TEST(DropoutDraws, have_no_correlations) {
  constexpr int keys = 2048, queries = 48;
  std::vector<double> numbers;
  for (std::uint64_t s = 0; s < queries; ++s) {
    for (std::uint64_t t = 0; t < keys; ++t) {
      numbers.push_back((reference::dropout_draw(3, 1, 1, s, t) + 0.5) / 8388608 - 0.5);
    }
  }
  const auto at = [&](int s, int t) { return numbers[static_cast<std::size_t>(s * keys + t)]; };
  for (int lag = 1; lag < 1024; ++lag) {
    double sum = 0;
    for (int s = 0; s < queries; ++s) {
      for (int t = 0; t + lag < keys; ++t) sum += at(s, t) * at(s, t + lag);
    }
    EXPECT_LT(std::abs(sum) * 12 / std::sqrt(queries * (keys - lag)), 5) << lag;
  }
  for (int a = 0; a < queries; ++a) {
    for (int b = 0; b < a; ++b) {
      double sum = 0;
      for (int t = 0; t < keys; ++t) sum += at(a, t) * at(b, t);
      EXPECT_LT(std::abs(sum) * 12 / std::sqrt(keys), 5) << a << " " << b;
    }
  }
}

}  // namespace
