// SPDX-License-Identifier: MIT

#include <eigenformer/kernels/channel_norm.hpp>

#include <gtest/gtest.h>

#include "support/alignment.hpp"
#include "support/inputs.hpp"

// Accuracy is tested through the blocks, in tests/norm; here, what memory the kernels touch and how they add.

namespace ef = eigenformer;
namespace kernels = ef::kernels;
using ef::Index;

namespace {

/// Parameters of channels between guard cells, filled.
support::GuardedBuffer<float> parameters(Index channels, float value, Index offset) {
  support::GuardedBuffer<float> result(channels, offset);
  std::fill(result.begin(), result.end(), value);
  return result;
}

void expect_forward(Index channels, ef::InstructionSet set, support::Generator& random) {
  constexpr Index rows = 19;  // twice eight together and three alone
  const Index stride = channels + 2;
  const auto x = support::normal<float>(rows * stride, random);
  const auto scale = parameters(channels, 2, 1), shift = parameters(channels, 3, 2),
             factor = parameters(channels, 5, 3);
  const auto offset = parameters(channels, 7, 4), gain = parameters(channels, -1, 5),
             base = parameters(channels, 11, 6);
  const kernels::MomentRows<float> moments = {x.data(), stride, rows, channels, scale.data(), shift.data()};
  support::GuardedRows<float> y(rows, channels, channels + 3, 1), z(rows, channels, channels + 1, 2);
  support::GuardedRows<float> sums(kernels::ChannelSums<float>::arrays, channels, channels + 5, 3);
  support::GuardedBuffer<float> largest = parameters(channels, 0, 7);
  for (Index i = 0; i < 4; ++i) std::fill_n(&sums(i, 0), channels, 0.0F);
  kernels::add_moments<float>(moments, {sums.data(), sums.row_stride()}, set);
  kernels::find_magnitudes<float>(moments, largest.data(), set);
  kernels::normalise_channels<float>({x.data(), stride, y.data(), y.row_stride(), z.data(), z.row_stride(), rows,
                                      channels, shift.data(), gain.data(), base.data(), factor.data(), offset.data()},
                                     set);
  for (Index c = 0; c < channels; ++c) {
    double first = 0, second = 0, magnitude = 0;
    for (Index n = 0; n < rows; ++n) {
      const double number = static_cast<double>(x[static_cast<std::size_t>(n * stride + c)]);
      const double d = 2 * number + 3;
      first += d;
      second += d * d;
      magnitude = (std::max)(magnitude, std::abs(d));
      ASSERT_NEAR(z(n, c), 5 * (number + 3) + 7, 1e-5 * (std::abs(5 * number) + 22));
      ASSERT_NEAR(y(n, c), 8 - number, 1e-5 * (std::abs(number) + 11));
    }
    ASSERT_NEAR(sums(0, c) + sums(1, c), first, 1e-5 * second);
    ASSERT_NEAR(sums(2, c) + sums(3, c), second, 1e-6 * second);
    ASSERT_NEAR(largest[c], magnitude, 1e-6 * magnitude);
  }
  ASSERT_TRUE(y.untouched_outside() && z.untouched_outside() && sums.untouched_outside());
  ASSERT_TRUE(largest.untouched_outside());
}

void expect_backward(Index channels, ef::InstructionSet set, support::Generator& random) {
  constexpr Index rows = 19;
  const auto dy = support::normal<float>(rows * channels, random), z = support::normal<float>(rows * channels, random);
  const auto gain = parameters(channels, 2, 1), slope = parameters(channels, 3, 2), level = parameters(channels, 5, 3);
  const kernels::GradientRows<float> work = {dy.data(), channels, z.data(), channels, rows, channels};
  support::GuardedRows<float> dx(rows, channels, channels + 3, 1);
  support::GuardedRows<float> sums(kernels::ChannelSums<float>::arrays, channels, channels + 5, 3);
  for (Index i = 0; i < 4; ++i) std::fill_n(&sums(i, 0), channels, 0.0F);
  kernels::add_gradient_sums<float>(work, {sums.data(), sums.row_stride()}, set);
  kernels::normalise_channels_backward<float>(
      {work, dx.data(), dx.row_stride(), gain.data(), slope.data(), level.data()}, set);
  for (Index c = 0; c < channels; ++c) {
    double first = 0, second = 0;
    for (Index n = 0; n < rows; ++n) {
      const double g = static_cast<double>(dy[static_cast<std::size_t>(n * channels + c)]);
      const double row = static_cast<double>(z[static_cast<std::size_t>(n * channels + c)]);
      first += g;
      second += g * row;
      ASSERT_NEAR(dx(n, c), 2 * g - (3 * row + 5), 1e-5 * (std::abs(g) + std::abs(row) + 5));
    }
    ASSERT_NEAR(sums(0, c) + sums(1, c), first, 1e-5 * rows);
    ASSERT_NEAR(sums(2, c) + sums(3, c), second, 1e-5 * rows);
  }
  ASSERT_TRUE(dx.untouched_outside() && sums.untouched_outside());
}

}  // namespace

TEST(ChannelNormKernels, write_their_rows_and_nothing_else) {
  support::Generator random(241);
  int cases = 0;
  for (const ef::InstructionSet set : ef::all_instruction_sets) {
    if (!ef::available(set)) continue;
    for (Index channels = 1; channels <= 263; channels += channels < 70 ? 1 : 193) {  // short rows and a long one
      expect_forward(channels, set, random);
      expect_backward(channels, set, random);
      ++cases;
    }
  }
  EXPECT_GE(cases, 70);
}

/// 2^24 has no room for a 1 beside it in float; the low part keeps it.
TEST(ChannelNormKernels, add_in_two_parts_that_lose_nothing) {
  for (const ef::InstructionSet set : ef::all_instruction_sets) {
    if (!ef::available(set)) continue;
    const float numbers[] = {0x1p24F, 1, 1, 1, 1, 1, -0x1p24F};
    const float one = 1, zero = 0;
    float sums[kernels::ChannelSums<float>::arrays] = {};
    for (const float& x : numbers) kernels::add_moments<float>({&x, 1, 1, 1, &one, &zero}, {sums, 1}, set);
    EXPECT_EQ(sums[0] + sums[1], 5) << ef::name(set);
    EXPECT_EQ(static_cast<double>(sums[2]) + static_cast<double>(sums[3]), 0x1p49 + 5);
  }
}
