// SPDX-License-Identifier: MIT

#include "reference/convolution.hpp"

#include <gtest/gtest.h>

#include "reference/channel_norm.hpp"
#include "reference/gradient.hpp"
#include "support/compare.hpp"
#include "support/golden.hpp"
#include "support/tolerances.hpp"

namespace {

using reference::Array;
using reference::Convolution;
using support::within;

Array<double> stored(const support::Golden& golden, const char* name) {
  const auto values = golden.values<double>(name);
  std::vector<long> shape;
  for (int i = 0; i < golden.shape(name).rank(); ++i) shape.push_back(golden.shape(name)[i]);
  return reference::widened(values.data(), shape);
}

TEST(ReferenceConvolution, follows_a_case_worked_by_hand) {
  const Array<double> x({1, 2, 2, 1}, std::vector<double>{1, 2, 3, 4});
  Array<double> weight({1, 1, 3, 3}, std::vector<double>{0, 0, 0, 0, 10, 1, 0, 0, 100});
  const Array<double> bias({1}, std::vector<double>{-0.5});
  const auto y = reference::convolution(x, weight, bias, {.stride = 1, .padding = 1});
  EXPECT_EQ(y.value.values, (std::vector<double>{411.5, 19.5, 33.5, 39.5}));
  EXPECT_EQ(y.magnitude.values, (std::vector<double>{412.5, 20.5, 34.5, 40.5}));
  const auto strided = reference::convolution(x, weight, Array<double>(), {.stride = 2, .padding = 1});
  EXPECT_EQ(strided.value.values, (std::vector<double>{412}));
}

TEST(ReferenceConvolution, of_groups_keeps_them_apart) {
  const Array<double> x({1, 1, 1, 4}, std::vector<double>{1, 10, 100, 1000});
  const Array<double> weight({4, 2, 1, 1}, std::vector<double>{1, 1, 2, 0, 0, 3, 1, 1});
  const auto y = reference::convolution(x, weight, Array<double>(), {.groups = 2});
  EXPECT_EQ(y.value.values, (std::vector<double>{11, 2, 3000, 1100}));
}

TEST(ReferenceConvolution, backward_is_the_gradient) {
  for (const Convolution& how : {Convolution{1, 1, 1}, Convolution{2, 1, 1}, Convolution{2, 2, 3}}) {
    Array<double> x = reference::waves({2, 5, 4, 3}, 0.1);
    const long kernel = 2 * how.padding + 1;
    Array<double> weight = reference::waves({6, 3 / how.groups, kernel, kernel}, 0.2);
    Array<double> bias = reference::waves({6}, 0.3);
    const auto forward = [&] { return reference::convolution(x, weight, bias, how).value; };
    const Array<double> dy = reference::waves(forward().shape, 0.4);
    const auto gradients = reference::convolution_backward(x, weight, how, dy);
    EXPECT_TRUE(within(support::max_error(gradients.dx, reference::gradient_by_differences(x, dy, forward)), 1e-8));
    EXPECT_TRUE(
        within(support::max_error(gradients.dweight, reference::gradient_by_differences(weight, dy, forward)), 1e-8));
    EXPECT_TRUE(
        within(support::max_error(gradients.dbias, reference::gradient_by_differences(bias, dy, forward)), 1e-8));
  }
}

TEST(ReferenceConvolution, followed_by_batch_norm_is_the_published_conv2d_bn) {
  const support::Golden golden("evit_conv2d_bn");
  const Array<double> x = reference::channels_last(stored(golden, "x"));
  const Convolution how = {golden.parameter<std::int64_t>("stride"), golden.parameter<std::int64_t>("pad"), 1};
  const Array<double> convolved = reference::convolution(x, stored(golden, "c.weight"), Array<double>(), how).value;
  const auto y = reference::channel_norm_by(convolved.reshaped({convolved.rows(), 10}),
                                            stored(golden, "bn.running_mean"), stored(golden, "bn.running_var"),
                                            stored(golden, "bn.weight"), stored(golden, "bn.bias"), 1e-5);
  EXPECT_TRUE(within(support::max_error(y, reference::channels_last(stored(golden, "y"))), 1e-13));
}

}  // namespace
