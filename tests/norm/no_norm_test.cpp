// SPDX-License-Identifier: MIT
#include <eigenformer/norm/no_norm.hpp>

#include <eigenformer/core/concepts.hpp>
#include <eigenformer/norm/layer_norm.hpp>

#include <gtest/gtest.h>

#include "support/alignment.hpp"
#include "support/compare.hpp"

namespace ef = eigenformer;

static_assert(ef::TokenwiseBlock<ef::NoNorm<float>, float>);

TEST(NoNorm, gives_back_what_it_reads_in_any_memory) {
  const ef::NoNorm<float> norm;
  ef::Context context;
  ef::NoNorm<float>::Cache cache;
  support::GuardedRows<float> x(5, 7, 11), y(5, 7, 13);
  for (int n = 0; n < 5; ++n) {
    for (int j = 0; j < 7; ++j) x(n, j) = static_cast<float>(10 * n + j);
  }
  const ef::ConstRowsView<float> read(x.data(), 5, 7, 11);
  ef::RowsView<float> written(y.data(), 5, 7, 13);
  norm.forward(read, written, context, &cache);
  EXPECT_TRUE(support::bit_equal(ef::Matrix<float>(written), ef::Matrix<float>(read)));
  EXPECT_TRUE(y.untouched_outside());
  written.setZero();
  norm.backward(read, cache, written, context);
  EXPECT_TRUE(support::bit_equal(ef::Matrix<float>(written), ef::Matrix<float>(read)));
  const ef::Matrix<float> before = written;
  norm.forward(written, written, context, &cache);
  norm.backward(written, cache, written, context);
  EXPECT_TRUE(support::bit_equal(ef::Matrix<float>(written), before));
}

TEST(NoNorm, refuses_shapes_that_differ) {
  const ef::NoNorm<double> norm;
  ef::Context context;
  ef::NoNorm<double>::Cache cache;
  const ef::Matrix<double> x = ef::Matrix<double>::Ones(3, 5);
  ef::Matrix<double> wide = ef::Matrix<double>::Zero(3, 7), y = x, other = ef::Matrix<double>::Zero(2, 5);
  EXPECT_THROW(norm.forward(x, wide, context), ef::ShapeError);
  EXPECT_EQ(wide.sum(), 0);
  norm.forward(x, y, context, &cache);
  EXPECT_THROW(norm.backward(other, cache, other, context), ef::ShapeError);
  EXPECT_THROW(norm.backward(wide, cache, wide, context), ef::ShapeError);
}

TEST(NormOver, fills_in_the_width_unless_it_is_given) {
  EXPECT_EQ(ef::detail::norm_over<ef::LayerNorm<float>>(13, {}).input_features(), 13);
  EXPECT_EQ(ef::detail::norm_over<ef::LayerNorm<float>>(13, {.dim = 5}).input_features(), 5);
  EXPECT_EQ(ef::detail::norm_over<ef::LayerNorm<float>>(13, {.epsilon = 0.5}).epsilon, 0.5);
  const ef::NoNorm<float> none = ef::detail::norm_over<ef::NoNorm<float>>(13, {});
  EXPECT_NO_THROW(ef::detail::require_norm_over(7, none, "Block", "part"));
  EXPECT_THROW(ef::detail::require_norm_over(7, ef::LayerNorm<float>({.dim = 5}), "Block", "part"), ef::ShapeError);
}
