// SPDX-License-Identifier: MIT
#include <eigenformer/position/alibi.hpp>

#include <gtest/gtest.h>

namespace {

namespace ef = eigenformer;
using ef::Index;

TEST(Alibi, slopes_of_a_power_of_two_halve_from_head_to_head) {
  const ef::Alibi alibi({.heads = 8});
  for (int h = 0; h < 8; ++h) EXPECT_EQ(alibi.slopes.at(static_cast<std::size_t>(h)), std::ldexp(1.0, -(h + 1)));
}

/// The published slopes of 12 heads: those of 8, then every second of 16.
TEST(Alibi, other_numbers_of_heads_take_from_the_next_power_of_two) {
  const ef::Alibi alibi({.heads = 12});
  ASSERT_EQ(alibi.slopes.size(), 12U);
  EXPECT_EQ(alibi.slopes[7], std::exp2(-8.0));
  EXPECT_DOUBLE_EQ(alibi.slopes[8], std::exp2(-0.5));
  EXPECT_DOUBLE_EQ(alibi.slopes[9], std::exp2(-1.5));
  EXPECT_DOUBLE_EQ(alibi.slopes[11], std::exp2(-3.5));
}

TEST(Alibi, biases_fall_with_the_distance_in_either_direction) {
  const ef::Alibi alibi({.heads = 2});
  float biases[2 * 7];
  alibi.distance_biases(-3, 7, biases);
  for (int i = 0; i < 7; ++i) {
    EXPECT_EQ(biases[i], -0.0625F * static_cast<float>(std::abs(i - 3)));
    EXPECT_EQ(biases[7 + i], -0.00390625F * static_cast<float>(std::abs(i - 3)));
  }
}

TEST(Alibi, refuses_no_heads) { EXPECT_THROW(ef::Alibi({.heads = 0}), ef::OptionError); }

}  // namespace
