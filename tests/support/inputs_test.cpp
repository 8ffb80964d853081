// SPDX-License-Identifier: MIT

#include "support/inputs.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <vector>

#include "support/compare.hpp"

namespace {

using support::Distribution;

TEST(Inputs, generator_gives_the_published_sequence) {
  // Generator(salt) starts from base * golden gamma + salt; SplitMix64 with seed 0 begins with this number.
  support::Generator random(0U - support::base_seed() * 0x9e3779b97f4a7c15U);
  EXPECT_EQ(random.bits(), 0xe220a8397b1dcdafU);
}

TEST(Inputs, equal_salts_give_equal_numbers_and_others_do_not) {
  support::Generator first(3);
  support::Generator second(3);
  support::Generator third(4);
  const std::vector<float> numbers = support::normal<float>(17, first);
  EXPECT_TRUE(support::bit_equal(numbers, support::normal<float>(17, second)));
  EXPECT_FALSE(support::bit_equal(numbers, support::normal<float>(17, third)));
}

TEST(Inputs, moments_are_those_of_the_distribution) {
  support::Generator random(5);
  const int count = 100003;
  double mean = 0;
  double square = 0;
  double uniform_mean = 0;
  for (int i = 0; i < count; ++i) {
    const double x = random.normal();
    mean += x / count;
    square += x * x / count;
    uniform_mean += random.uniform(2, 4) / count;
  }
  // Five standard errors: of the mean 1/sqrt(n), of the square sqrt(2/n), of the uniform mean sqrt(1/3n).
  EXPECT_LT(std::abs(mean), 5 / std::sqrt(count));
  EXPECT_LT(std::abs(square - 1), 5 * std::sqrt(2.0 / count));
  EXPECT_LT(std::abs(uniform_mean - 3), 5 / std::sqrt(3.0 * count));
}

TEST(Inputs, integers_reach_every_value) {
  support::Generator random(6);
  std::set<std::ptrdiff_t> seen;
  for (int i = 0; i < 1000; ++i) seen.insert(random.integer(7));
  EXPECT_EQ(seen.size(), 7U);
  EXPECT_EQ(*seen.rbegin(), 6);
}

template <class T>
class InputsOf : public testing::Test {};
using Scalars = testing::Types<float, double>;
TYPED_TEST_SUITE(InputsOf, Scalars);

TYPED_TEST(InputsOf, every_distribution_is_finite_and_named) {
  int cases = 0;
  std::set<std::string_view> names;
  for (const Distribution distribution : support::distributions) {
    support::Generator random(7);
    EXPECT_TRUE(support::all_finite(support::sample<TypeParam>(distribution, 1009, random)));
    names.insert(support::name(distribution));
    ++cases;
  }
  EXPECT_EQ(cases, 9);
  EXPECT_EQ(names.size(), 9U);
}

TYPED_TEST(InputsOf, distributions_are_what_their_names_say) {
  support::Generator random(8);
  const auto equal = support::sample<TypeParam>(Distribution::all_equal, 11, random);
  EXPECT_EQ(std::count(equal.begin(), equal.end(), equal[0]), 11);
  const auto alternating = support::sample<TypeParam>(Distribution::alternating, 11, random);
  for (std::size_t i = 1; i < 11; ++i) EXPECT_EQ(alternating[i], -alternating[i - 1]);
  const auto spiked = support::sample<TypeParam>(Distribution::spike, 101, random);
  EXPECT_EQ(std::count(spiked.begin(), spiked.end(), TypeParam(1e4)), 1);
  for (const TypeParam x : support::sample<TypeParam>(Distribution::mean_1e6, 101, random)) EXPECT_NEAR(x, 1e6, 10);
  for (const TypeParam x : support::sample<TypeParam>(Distribution::tiny, 101, random)) EXPECT_LT(std::abs(x), 1e-29);
  const auto huge = support::sample<TypeParam>(Distribution::huge, 101, random);
  EXPECT_GT(*std::max_element(huge.begin(), huge.end()), TypeParam(1e29));
}

TYPED_TEST(InputsOf, denormals_are_below_the_smallest_normal_number) {
  support::Generator random(9);
  int nonzero = 0;
  for (const TypeParam x : support::sample<TypeParam>(Distribution::denormal, 101, random)) {
    // By bits: programs built with -ffast-math take denormals for zero in arithmetic.
    EXPECT_LT(std::abs(support::ulp_distance(x, TypeParam(0))),
              support::ulp_distance((std::numeric_limits<TypeParam>::min)(), TypeParam(0)));
    nonzero += support::ulp_distance(x, TypeParam(0)) > 0 ? 1 : 0;
  }
  EXPECT_GT(nonzero, 90);
}

TYPED_TEST(InputsOf, poisons_hold_nan_both_infinities_and_the_largest_number) {
  const auto poisons = support::poisons<TypeParam>();
  EXPECT_TRUE(support::is_nan(static_cast<double>(poisons[0])));
  EXPECT_TRUE(support::is_infinite(static_cast<double>(poisons[1])));
  EXPECT_TRUE(support::is_infinite(static_cast<double>(poisons[2])));
  EXPECT_EQ(poisons[3], (std::numeric_limits<TypeParam>::max)());
}

}  // namespace
