// SPDX-License-Identifier: MIT

#include "reference/softmax.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "reference/gradient.hpp"
#include "support/compare.hpp"

namespace {

using reference::Array;
using support::within;

const double minus_infinity = -std::numeric_limits<double>::infinity();

TEST(ReferenceSoftmax, of_one_two_three) {
  // e^k / (e + e^2 + e^3) and the logarithm of the sum, with forty digits by mpmath.
  const std::vector<double> golden = {0.090030573170380457998, 0.24472847105479765247, 0.66524095577482188953};
  const std::vector<double> logarithms = {1 - 3.4076059644443803045, 2 - 3.4076059644443803045,
                                          3 - 3.4076059644443803045};
  const Array<double> x({3}, std::vector<double>{1, 2, 3});
  EXPECT_TRUE(within(support::ulp_error(reference::softmax(x), golden), 3));
  EXPECT_TRUE(within(support::max_error(reference::log_softmax(x), logarithms), 1e-15));
  EXPECT_NEAR(reference::log_sum_exp(x)(0), 3.4076059644443803045, 1e-15);
}

TEST(ReferenceSoftmax, does_not_overflow_and_does_not_feel_a_shift) {
  const Array<double> x({2, 3}, std::vector<double>{1, 2, 3, 1e4 + 1, 1e4 + 2, 1e4 + 3});
  const Array<double> y = reference::softmax(x);
  for (long j = 0; j < 3; ++j) EXPECT_DOUBLE_EQ(y(0, j), y(1, j));
  EXPECT_DOUBLE_EQ(reference::log_sum_exp(x)(1), 1e4 + 3.4076059644443803);
}

TEST(ReferenceSoftmax, of_a_row_with_nothing_is_zero) {
  const Array<double> x({2, 2}, std::vector<double>{minus_infinity, minus_infinity, minus_infinity, 5});
  EXPECT_EQ(reference::softmax(x).values, (std::vector<double>{0, 0, 0, 1}));
  const Array<double> sums = reference::log_sum_exp(x);
  EXPECT_TRUE(within(support::max_error(sums, std::vector<double>{minus_infinity, 5}), 0));
}

TEST(ReferenceSoftmax, backward_is_the_gradient) {
  Array<double> x = reference::waves({2, 3, 5}, 0.1);
  const Array<double> dy = reference::waves({2, 3, 5}, 0.7);
  const auto plain = [&] { return reference::softmax(x); };
  const auto logarithmic = [&] { return reference::log_softmax(x); };
  EXPECT_TRUE(within(
      support::max_error(reference::softmax_backward(plain(), dy), reference::gradient_by_differences(x, dy, plain)),
      1e-9));
  EXPECT_TRUE(within(support::max_error(reference::log_softmax_backward(logarithmic(), dy),
                                        reference::gradient_by_differences(x, dy, logarithmic)),
                     1e-9));
}

}  // namespace
