#pragma once
// SPDX-License-Identifier: MIT

#include "support/compare.hpp"
#include "support/golden.hpp"
#include "support/tolerances.hpp"

#include <eigenformer/attention/grouped_query_attention.hpp>

namespace attention_test {

namespace ef = eigenformer;

/// Forward and the gradient of the input against PyTorch's, in double.
template <class Block>
void expect_golden(Block& block, const support::Golden& golden, const char* x_name, const char* y_name,
                   const auto& mask) {
  const ef::Tensor<double, 3> x = golden.tensor<double, 3>(x_name);
  const ef::Tensor<double, 3> expected = golden.tensor<double, 3>(y_name);
  ef::Context context;
  typename Block::Cache cache;
  ef::Tensor<double, 3> y(expected.dimensions());
  ef::Tensor<double, 3> dx(x.dimensions());
  block.forward(x, y, mask, context, &cache);
  EXPECT_TRUE(support::within(support::max_error(y, expected), support::tolerance::pytorch_abs<double>));
  block.backward(golden.tensor<double, 3>(std::string("d_") + y_name), cache, dx, context);
  const double limit = support::tolerance::pytorch_rel<float>;  // gradients are stored in float32
  const std::string gradient = std::string("grad.") + x_name;
  EXPECT_TRUE(support::within(support::mixed_error(dx, golden.tensor<double, 3>(gradient), limit, limit), 1));
}

inline void expect_golden_gradient(const ef::Matrix<double>& actual, const ef::Matrix<double>& expected) {
  const double limit = 10 * support::tolerance::pytorch_rel<float>;
  EXPECT_TRUE(support::within(support::mixed_error(actual, expected, limit, limit), 1));
}

}  // namespace attention_test
