// SPDX-License-Identifier: MIT

#include "reference/norm.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "reference/gradient.hpp"
#include "support/compare.hpp"

namespace {

using reference::Array;
using support::within;

TEST(ReferenceLayerNorm, equals_a_row_worked_by_hand) {
  // Mean 3, variance (4 + 0 + 4 + 1 + 1) / 5 = 2; epsilon 2 makes the root 2.
  const Array<double> x({1, 5}, std::vector<double>{1, 3, 5, 2, 4});
  const Array<double> weight({5}, std::vector<double>{1, 2, 3, 4, 5});
  const Array<double> bias({5}, std::vector<double>{0, 10, 0, 0, -10});
  const auto result = reference::layer_norm(x, weight, bias, 2.0);
  EXPECT_TRUE(within(support::max_error(result.y, std::vector<double>{-1, 10, 3, -2, -7.5}), 1e-15));
  EXPECT_DOUBLE_EQ(result.mean(0), 3);
  EXPECT_DOUBLE_EQ(result.inverse_deviation(0), 0.5);
}

TEST(ReferenceLayerNorm, without_weights_has_mean_zero_and_deviation_one) {
  const Array<double> y = reference::layer_norm(reference::waves({1, 997}, 0.2), {}, {}, 0.0).y;
  double mean = 0;
  double square = 0;
  for (const double number : y.values) {
    mean += number / 997;
    square += number * number / 997;
  }
  EXPECT_NEAR(mean, 0, 1e-14);
  EXPECT_NEAR(square, 1, 1e-13);
}

TEST(ReferenceLayerNorm, backward_is_the_gradient) {
  Array<double> x = reference::waves({2, 3, 7}, 0.1);
  Array<double> weight = reference::waves({7}, 0.5);
  Array<double> bias = reference::waves({7}, 0.9);
  const Array<double> dy = reference::waves({2, 3, 7}, 0.3);
  const auto forward = [&] { return reference::layer_norm(x, weight, bias, 1e-3).y; };
  const auto gradients = reference::layer_norm_backward(x, weight, 1e-3, dy);
  EXPECT_TRUE(within(support::max_error(gradients.dx, reference::gradient_by_differences(x, dy, forward)), 1e-8));
  EXPECT_TRUE(
      within(support::max_error(gradients.dweight, reference::gradient_by_differences(weight, dy, forward)), 1e-8));
  EXPECT_TRUE(within(support::max_error(gradients.dbias, reference::gradient_by_differences(bias, dy, forward)), 1e-8));
}

TEST(ReferenceRmsNorm, equals_a_row_worked_by_hand) {
  // Mean square (1 + 49) / 2 = 25; no epsilon.
  const Array<double> x({1, 2}, std::vector<double>{1, -7});
  const auto result = reference::rms_norm(x, Array<double>({2}, std::vector<double>{10, 1}), 0.0);
  EXPECT_TRUE(within(support::max_error(result.y, std::vector<double>{2, -1.4}), 1e-15));
  EXPECT_EQ(result.mean(0), 0);
}

TEST(ReferenceRmsNorm, backward_is_the_gradient) {
  Array<double> x = reference::waves({5, 7}, 0.1);
  Array<double> weight = reference::waves({7}, 0.5);
  const Array<double> dy = reference::waves({5, 7}, 0.3);
  const auto forward = [&] { return reference::rms_norm(x, weight, 1e-3).y; };
  const auto gradients = reference::rms_norm_backward(x, weight, 1e-3, dy);
  EXPECT_TRUE(within(support::max_error(gradients.dx, reference::gradient_by_differences(x, dy, forward)), 1e-8));
  EXPECT_TRUE(
      within(support::max_error(gradients.dweight, reference::gradient_by_differences(weight, dy, forward)), 1e-8));
}

}  // namespace
