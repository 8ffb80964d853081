// SPDX-License-Identifier: MIT

#include <kernels/rows_probe.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "support/alignment.hpp"
#include "support/compare.hpp"
#include "support/inputs.hpp"
#include "support/tolerances.hpp"

namespace ef = eigenformer;
using ef::Index;

namespace {

constexpr std::array<Index, 12> lengths = {0, 1, 2, 7, 16, 31, 64, 127, 1009, 4096, 4099, 65537};

template <class T>
void expect_reductions(ef::InstructionSet set, Index count, support::Generator& random) {
  const auto x = support::normal<T>(count, random);
  const auto y = support::normal<T>(count, random);
  long double sum = 0;
  long double dot = 0;
  long double magnitude = 0;
  long double product_magnitude = 0;
  T largest = 0;
  T maximum = std::numeric_limits<T>::lowest();
  for (std::size_t i = 0; i < x.size(); ++i) {
    sum += static_cast<long double>(x[i]);
    dot += static_cast<long double>(x[i]) * static_cast<long double>(y[i]);
    magnitude += static_cast<long double>(std::abs(x[i]));
    product_magnitude += std::abs(static_cast<long double>(x[i]) * static_cast<long double>(y[i]));
    largest = (std::max)(largest, std::abs(x[i]));
    maximum = (std::max)(maximum, x[i]);
  }
  std::vector<T> results(4);
  ef::kernels::probe_reductions(x.data(), y.data(), count, results.data(), set);
  const std::vector<T> sums(results.begin(), results.begin() + 2);
  const std::vector<long double> exact = {sum, dot};
  const std::vector<long double> sizes = {magnitude, product_magnitude};
  if (count == 0) {
    EXPECT_TRUE(sums[0] == T(0) && sums[1] == T(0));
    return;
  }
  EXPECT_TRUE(support::within(support::dot_product_error(sums, exact, sizes), support::tolerance::gemm_c))
      << ef::name(set) << " " << count;
  EXPECT_EQ(results[2], largest);
  EXPECT_EQ(results[3], maximum);
}

}  // namespace

TEST(Rows, are_reduced_as_by_plain_loops) {
  support::Generator random(11);
  int cases = 0;
  for (const ef::InstructionSet set : ef::all_instruction_sets) {
    if (!ef::available(set)) continue;
    for (const Index count : lengths) {
      expect_reductions<float>(set, count, random);
      expect_reductions<double>(set, count, random);
      ++cases;
    }
  }
  EXPECT_GE(cases, 12);
}

TEST(Rows, give_the_same_bits_at_every_alignment) {
  support::Generator random(12);
  constexpr Index count = 1009;
  const auto x = support::normal<float>(count, random);
  const auto y = support::normal<float>(count, random);
  for (const ef::InstructionSet set : ef::all_instruction_sets) {
    if (!ef::available(set)) continue;
    std::array<float, 4> first{};
    for (std::ptrdiff_t offset = 0; offset < support::alignment_offsets; ++offset) {
      support::GuardedBuffer<float> shifted(count, offset);
      std::copy(x.begin(), x.end(), shifted.begin());
      std::array<float, 4> results{};
      ef::kernels::probe_reductions(shifted.data(), y.data(), count, results.data(), set);
      if (offset == 0) first = results;
      EXPECT_TRUE(support::bit_equal(results, first)) << ef::name(set) << " offset " << offset;
    }
  }
}

/// In one accumulator a million equal numbers would be off by far more.
TEST(Rows, of_a_million_equal_numbers_keep_their_sum) {
  const std::vector<float> x(1'000'003, 0.1F);
  for (const ef::InstructionSet set : ef::all_instruction_sets) {
    if (!ef::available(set)) continue;
    std::array<float, 4> results{};
    ef::kernels::probe_reductions(x.data(), x.data(), static_cast<Index>(x.size()), results.data(), set);
    EXPECT_NEAR(results[0] / (1'000'003.0 * static_cast<double>(0.1F)), 1, 1e-5) << ef::name(set);
  }
}

#if !defined(__FAST_MATH__)
TEST(Rows, of_minus_infinity_have_the_lowest_finite_maximum) {
  const std::vector<float> x(37, -std::numeric_limits<float>::infinity());
  for (const ef::InstructionSet set : ef::all_instruction_sets) {
    if (!ef::available(set)) continue;
    std::array<float, 4> results{};
    ef::kernels::probe_reductions(x.data(), x.data(), 37, results.data(), set);
    EXPECT_EQ(results[3], std::numeric_limits<float>::lowest());
  }
}
#endif
