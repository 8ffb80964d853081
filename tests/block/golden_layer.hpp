#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/tensor.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "support/compare.hpp"
#include "support/golden.hpp"
#include "support/tolerances.hpp"

// What the tests of layers against published ones share.
namespace layer {

namespace ef = eigenformer;

/// Rows first .. first + count - 1 of a packed weight.
template <class T>
ef::Matrix<T> part(const ef::Matrix<T>& packed, ef::Index first, ef::Index count) {
  return packed.middleRows(first, count);
}

/// A layer is attention and two products one after the other: the limits of attention at logits of about one.
template <class T>
void expect_output(const ef::Tensor<T, 3>& y, const support::Golden& golden) {
  EXPECT_TRUE(within(support::worst_row_nmse(y, golden.values<double>("y"), y.dimension(2)),
                     4 * support::tolerance::attention_row_nmse<T>(1)));
}

/// Published gradients of more than 256 elements are rounded to float32, which allows an NMSE of about eps^2.
template <class T, class Gradient>
void expect_gradient(const Gradient& gradient, const support::Golden& golden, const std::string& name,
                     std::size_t first = 0) {
  const std::vector<double> all = golden.values<double>("grad." + name);
  const auto size = static_cast<std::size_t>(gradient.size());
  ASSERT_LE(first + size, all.size()) << name;
  const std::vector<double> expected(all.begin() + static_cast<std::ptrdiff_t>(first),
                                     all.begin() + static_cast<std::ptrdiff_t>(first + size));
  double largest = 0;
  for (const double value : all) largest = (std::max)(largest, std::abs(value));
  const double part_of_float = size > 256 || all.size() > 256 ? 1 : support::tolerance::epsilon<T> / 1.2e-7;
  if (std::none_of(expected.begin(), expected.end(), [&](double value) { return std::abs(value) > 1e-9 * largest; })) {
    // A key's bias moves all logits of a row alike: its gradient is nothing but rounding.
    EXPECT_TRUE(within(support::max_error(gradient, expected, largest), 64 * support::tolerance::epsilon<T>)) << name;
    return;
  }
  EXPECT_TRUE(within(support::worst_row_nmse(gradient, expected, gradient.size()),
                     (std::max)(support::tolerance::backward_row_nmse<T>, 1e-13 * part_of_float * part_of_float)))
      << name;
}

}  // namespace layer
