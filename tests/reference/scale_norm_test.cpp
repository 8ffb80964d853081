// SPDX-License-Identifier: MIT

#include "reference/scale_norm.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "reference/gradient.hpp"
#include "support/compare.hpp"

namespace {

using reference::Array;
using support::within;

TEST(ReferenceScaleNorm, equals_rows_worked_by_hand) {
  // Norms 5 and 1, the latter clamped to 2.
  const Array<double> x({2, 2}, std::vector<double>{3, -4, 0, 1});
  const auto result = reference::scale_norm(x, 10.0, 2.0);
  EXPECT_TRUE(within(support::max_error(result.y, std::vector<double>{6, -8, 0, 5}), 1e-15));
}

TEST(ReferenceScaleNorm, backward_is_the_gradient) {
  Array<double> x = reference::waves({5, 7}, 0.1);
  for (long j = 0; j < 7; ++j) x(2, j) *= 1e-2;  // clamped
  Array<double> g({1}, 1.7);
  const Array<double> dy = reference::waves({5, 7}, 0.3);
  const auto forward = [&] { return reference::scale_norm(x, g(0), 0.5).y; };
  const auto gradients = reference::scale_norm_backward(x, g(0), 0.5, dy);
  EXPECT_TRUE(within(support::max_error(gradients.dx, reference::gradient_by_differences(x, dy, forward)), 1e-8));
  EXPECT_NEAR(gradients.dg, reference::gradient_by_differences(g, dy, forward)(0), 1e-8);
}

}  // namespace
