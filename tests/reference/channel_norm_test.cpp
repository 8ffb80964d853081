// SPDX-License-Identifier: MIT

#include "reference/channel_norm.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "reference/gradient.hpp"
#include "support/compare.hpp"

namespace {

using reference::Array;
using support::within;

TEST(ReferenceChannelNorm, equals_a_channel_worked_by_hand) {
  // Channel 0: mean 2, variance 2/3 of 1, 2, 3; channel 1 constant. The last row does not count.
  const Array<double> x({1, 4, 2}, std::vector<double>{1, 5, 2, 5, 3, 5, 100, 100});
  const auto result = reference::channel_norm(x, 2, Array<double>({2}, 6.0), Array<double>({2}, 1.0), 1.0 / 3,
                                              {true, true, true, false});
  EXPECT_TRUE(within(support::max_error(result.y, std::vector<double>{-5, 1, 1, 1, 7, 1, 0, 0}), 1e-14));
  EXPECT_DOUBLE_EQ(result.mean(0, 1), 5);
}

TEST(ReferenceChannelNorm, of_one_group_is_over_all_of_an_item) {
  const Array<double> x({2, 1, 2}, std::vector<double>{1, 3, -5, 5});
  const auto result = reference::channel_norm(x, 1, Array<double>({2}, 1.0), Array<double>({2}, 0.0), 0.0);
  EXPECT_TRUE(within(support::max_error(result.y, std::vector<double>{-1, 1, -1, 1}), 1e-15));
  EXPECT_DOUBLE_EQ(result.variance(1, 0), 25);
}

TEST(ReferenceChannelNorm, backward_is_the_gradient) {
  Array<double> x = reference::waves({2, 5, 6}, 0.1);
  Array<double> weight = reference::waves({6}, 0.5);
  Array<double> bias = reference::waves({6}, 0.9);
  const Array<double> dy = reference::waves({2, 5, 6}, 0.3);
  for (const long groups : {1, 3, 6}) {
    const reference::Counted counted = {true, true, false, true, true, true, true, true, true, false};
    const auto forward = [&] { return reference::channel_norm(x, groups, weight, bias, 1e-3, counted).y; };
    const auto gradients = reference::channel_norm_backward(x, groups, weight, 1e-3, dy, counted);
    EXPECT_TRUE(within(support::max_error(gradients.dx, reference::gradient_by_differences(x, dy, forward)), 1e-7));
    EXPECT_TRUE(
        within(support::max_error(gradients.dweight, reference::gradient_by_differences(weight, dy, forward)), 1e-7));
    EXPECT_TRUE(
        within(support::max_error(gradients.dbias, reference::gradient_by_differences(bias, dy, forward)), 1e-7));
  }
}

}  // namespace
