// SPDX-License-Identifier: MIT

#include "reference/gemm.hpp"

#include <gtest/gtest.h>

#include <stdexcept>
#include <vector>

#include "reference/gradient.hpp"
#include "support/compare.hpp"

namespace {

using reference::Array;
using support::within;

TEST(ReferenceGemm, multiplies_a_product_worked_by_hand) {
  const Array<double> a({2, 3}, std::vector<double>{1, -2, 3, 4, 5, -6});
  const Array<double> b({3, 2}, std::vector<double>{7, 8, 9, 10, 11, 12});
  const Array<double> c({2, 2}, std::vector<double>{-100, 0, 0, 100});
  const auto plain = reference::product(a, b);
  EXPECT_EQ(plain.value.values, (std::vector<double>{22, 24, 7, 10}));
  EXPECT_EQ(plain.magnitude.values, (std::vector<double>{58, 64, 139, 154}));
  const auto added = reference::product(a, b, c);
  EXPECT_EQ(added.value.values, (std::vector<double>{-78, 24, 7, 110}));
  EXPECT_EQ(added.magnitude.values, (std::vector<double>{158, 64, 139, 254}));
  EXPECT_THROW(reference::product(a, a), std::invalid_argument);
}

TEST(ReferenceGemm, of_depth_zero_is_what_it_adds_to) {
  const Array<double> c({2, 1}, std::vector<double>{3, -4});
  EXPECT_EQ(reference::product(Array<double>({2, 0}), Array<double>({0, 1}), c).value.values, c.values);
}

TEST(ReferenceLinear, uses_weights_as_out_by_in) {
  const Array<double> x({1, 2, 3}, std::vector<double>{1, 2, 3, 4, 5, 6});
  const Array<double> weight({2, 3}, std::vector<double>{1, 0, 0, 1, 1, 1});
  const Array<double> bias({2}, std::vector<double>{10, -20});
  const auto y = reference::linear(x, weight, bias);
  EXPECT_EQ(y.value.shape, (std::vector<long>{1, 2, 2}));
  EXPECT_EQ(y.value.values, (std::vector<double>{11, -14, 14, -5}));
  EXPECT_EQ(y.magnitude.values, (std::vector<double>{11, 26, 14, 35}));
}

TEST(ReferenceLinear, backward_is_the_gradient) {
  Array<double> x = reference::waves({2, 3, 5}, 0.1);
  Array<double> weight = reference::waves({7, 5}, 0.2);
  Array<double> bias = reference::waves({7}, 0.3);
  const Array<double> dy = reference::waves({2, 3, 7}, 0.4);
  const auto forward = [&] { return reference::linear(x, weight, bias).value; };
  const auto gradients = reference::linear_backward(x, weight, dy);
  EXPECT_TRUE(within(support::max_error(gradients.dx, reference::gradient_by_differences(x, dy, forward)), 1e-9));
  EXPECT_TRUE(
      within(support::max_error(gradients.dweight, reference::gradient_by_differences(weight, dy, forward)), 1e-9));
  EXPECT_TRUE(within(support::max_error(gradients.dbias, reference::gradient_by_differences(bias, dy, forward)), 1e-9));
}

}  // namespace
