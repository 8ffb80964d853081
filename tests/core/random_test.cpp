// SPDX-License-Identifier: MIT

#include <eigenformer/core/random.hpp>

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace ef = eigenformer;

// From a separate implementation of xoshiro256** and splitmix64, in Python's whole numbers.
TEST(Random, draws_the_published_sequence) {
  ef::Random random(42);
  EXPECT_EQ(random.bits(), 0x15780b2e0c2ec716U);
  EXPECT_EQ(random.bits(), 0x6104d9866d113a7eU);
  EXPECT_EQ(random.bits(), 0xae17533239e499a1U);
  EXPECT_EQ(random.bits(), 0xecb8ad4703b360a1U);
  ef::Random zero(0);
  EXPECT_EQ(zero.state()[0], 0xe220a8397b1dcdafU);  // splitmix64's first number for seed 0
  EXPECT_EQ(zero.bits(), 0x99ec5f36cb75f2b4U);
  EXPECT_EQ(zero.bits(), 0xbf6e1f784956452aU);
}

TEST(Random, uniform_is_the_upper_bits) {
  ef::Random random(42);
  EXPECT_EQ(random.uniform(), 0.08386297105988216);
  EXPECT_EQ(random.uniform(), 0.3789802506626686);
  EXPECT_EQ(random.uniform(), 0.6800434110281394);
}

// The quantiles of the same bits, with 40 digits by mpmath.
TEST(Random, normal_is_the_quantile_of_the_bits) {
  ef::Random random(42);
  EXPECT_NEAR(random.normal(), -1.3795477253060312094, 4e-16);
  EXPECT_NEAR(random.normal(), -0.30816011350378950191, 2e-16);
  EXPECT_NEAR(random.normal(), 0.4678201943365250602, 2e-16);
}

TEST(Random, normal_agrees_with_the_error_function_far_into_the_tails) {
  ef::Random random(7);
  ef::Random same(random);
  double largest = 0;
  for (int i = 0; i < 200000; ++i) {
    const double x = random.normal();
    const double probability = (static_cast<double>(same.bits() >> 12) + 0.5) * 0x1p-52;
    // The smaller tail, so that nothing cancels. 1e-15 is AS 241's promise; the density turns an error of x into one of
    // p.
    const double tail = probability < 0.5 ? probability : 1 - probability;
    const double expected = 0.5 * std::erfc(std::abs(x) / std::sqrt(2.0));
    ASSERT_NEAR(expected / tail, 1, 1e-14 * (1 + x * x)) << x;
    ASSERT_EQ(x < 0, probability < 0.5);
    largest = (std::max)(largest, std::abs(x));
  }
  EXPECT_GT(largest, 4);
}

TEST(Random, moments_are_those_of_the_distributions) {
  ef::Random random(3);
  constexpr int count = 1000000;
  double sum = 0;
  double square = 0;
  double fourth = 0;
  double uniform_sum = 0;
  double uniform_square = 0;
  for (int i = 0; i < count; ++i) {
    const double x = random.normal();
    sum += x;
    square += x * x;
    fourth += x * x * x * x;
    const double u = random.uniform(-3, 5);
    ASSERT_TRUE(u >= -3 && u < 5);
    uniform_sum += u;
    uniform_square += (u - 1) * (u - 1);
  }
  // Five standard errors: the variances of x, x^2, x^4 are 1, 2, 96; of u and (u - 1)^2, 16/3 and 1024/45.
  const double root = std::sqrt(static_cast<double>(count));
  EXPECT_NEAR(sum / count, 0, 5 / root);
  EXPECT_NEAR(square / count, 1, 5 * std::sqrt(2.0) / root);
  EXPECT_NEAR(fourth / count, 3, 5 * std::sqrt(96.0) / root);
  EXPECT_NEAR(uniform_sum / count, 1, 5 * std::sqrt(16.0 / 3) / root);
  EXPECT_NEAR(uniform_square / count, 16.0 / 3, 5 * std::sqrt(1024.0 / 45) / root);
}

TEST(Random, index_is_even_over_its_range) {
  ef::Random random(11);
  std::vector<int> counts(7);
  for (int i = 0; i < 70000; ++i) {
    const ef::Index k = random.index(7);
    ASSERT_TRUE(k >= 0 && k < 7);
    ++counts[static_cast<std::size_t>(k)];
  }
  for (const int count : counts) EXPECT_NEAR(count, 10000, 5 * std::sqrt(10000 * 6.0 / 7));
  for (int i = 0; i < 10; ++i) EXPECT_EQ(random.index(1), 0);
  // Two thirds of 2^63: taking the remainder alone would give the lower half of the range twice as often.
  const ef::Index wide = 0x6000000000000000;
  int low = 0;
  for (int i = 0; i < 10000; ++i) low += random.index(wide) < wide / 2 ? 1 : 0;
  EXPECT_NEAR(low, 5000, 5 * 50);
}

TEST(Random, split_streams_differ_and_are_the_same_again) {
  ef::Random random(5);
  ef::Random first = random.split();
  ef::Random second = random.split();
  EXPECT_NE(first.bits(), second.bits());
  ef::Random again(5);
  EXPECT_EQ(again.split().state(), ef::Random(5).split().state());
}

TEST(Random, restored_state_goes_on_where_it_was) {
  ef::Random random(9);
  random.normal();
  const auto state = random.state();
  const double next = random.normal();
  ef::Random other(1);
  other.restore(state);
  EXPECT_EQ(other.normal(), next);
}
