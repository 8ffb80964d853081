// SPDX-License-Identifier: MIT

#include "reference/activations.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "reference/central_difference.hpp"
#include "support/compare.hpp"

namespace {

using support::within;

// At -6, -1, -1/4, 1/2, 2 and 9, with forty digits by mpmath; the last three follow from their definition by hand.
const std::vector<double> points = {-6, -1, -0.25, 0.5, 2, 9};
const std::map<std::string, std::vector<double>> golden = {
    {"sigmoid",
     {0.00247262315663477433, 0.268941421369995121, 0.437823499114201896, 0.622459331201854565, 0.880797077977882444,
      0.999876605424013768}},
    {"tanh",
     {-0.999987711650795571, -0.761594155955764888, -0.244918662403709129, 0.462117157260009759, 0.964027580075816884,
      0.999999969540040974}},
    {"silu",
     {-0.014835738939808646, -0.268941421369995121, -0.109455874778550474, 0.311229665600927282, 1.76159415595576489,
      8.99888944881612391}},
    {"gelu",
     {-5.91952587022618884e-9, -0.158655253931457051, -0.100323418579269069, 0.345731230637006552, 1.95449973610364159,
      9.0}},
    {"gelu_tanh",
     {-8.43964670076229708e-11, -0.158808009391723295, -0.100324649298315, 0.345714009825143922, 1.95459769408777502,
      9.0}},
    {"relu", {0, 0, 0, 0.5, 2, 9}},
    {"squared_relu", {0, 0, 0, 0.25, 4, 81}},
    {"hard_swish", {0, -1.0 / 3, -0.25 * 2.75 / 6, 0.5 * 3.5 / 6, 2.0 * 5 / 6, 9}}};

TEST(ReferenceActivations, equal_numbers_computed_with_many_digits) {
  int cases = 0;
  for (const auto& activation : reference::activations<long double>()) {
    std::vector<double> values;
    for (const double x : points) values.push_back(static_cast<double>(activation.value(x)));
    EXPECT_TRUE(within(support::ulp_error(values, golden.at(activation.name)), 1)) << activation.name;
    ++cases;
  }
  EXPECT_EQ(cases, 8);
}

TEST(ReferenceActivations, in_double_feel_the_rounding_of_their_exponents) {
  int cases = 0;
  for (const auto& activation : reference::activations<double>()) {
    std::vector<double> values;
    for (const double x : points) values.push_back(activation.value(x));
    // exp(u) carries the rounding of u: |u| ulps at most a few times, and |u| is 25 for GELU's tail at -6. That is why
    // double code is judged by the long double reference.
    EXPECT_TRUE(within(support::ulp_error(values, golden.at(activation.name)), 60)) << activation.name;
    ++cases;
  }
  EXPECT_EQ(cases, 8);
}

TEST(ReferenceActivations, derivatives_are_the_slopes) {
  int cases = 0;
  for (const auto& activation : reference::activations<long double>()) {
    // None of these is a kink of any of them.
    for (long double x : {-7.5L, -2.9L, -1.0L, -0.25L, 0.125L, 0.5L, 2.0L, 2.9L, 7.5L}) {
      const long double slope = reference::central_difference(x, 1e-5L, [&] { return activation.value(x); });
      EXPECT_NEAR(static_cast<double>(activation.derivative(x)), static_cast<double>(slope), 1e-9)
          << activation.name << " at " << x;
      ++cases;
    }
  }
  EXPECT_EQ(cases, 72);
}

TEST(ReferenceActivations, stay_finite_far_out) {
  int cases = 0;
  for (const auto& activation : reference::activations<double>()) {
    for (const double x : {-1e150, -1e30, -1e4, -745.0, 745.0, 1e4, 1e30, 1e150}) {
      EXPECT_TRUE(support::all_finite(std::vector<double>{activation.value(x), activation.derivative(x)}))
          << activation.name << " at " << x;
      ++cases;
    }
  }
  EXPECT_EQ(cases, 64);
}

TEST(ReferenceActivations, kinks_are_decided) {
  EXPECT_EQ(reference::relu_derivative(0.0), 0);
  EXPECT_EQ(reference::squared_relu_derivative(0.0), 0);
  EXPECT_EQ(reference::hard_swish_derivative(-3.0), 0);
  EXPECT_EQ(reference::hard_swish_derivative(3.0), 1);
}

}  // namespace
