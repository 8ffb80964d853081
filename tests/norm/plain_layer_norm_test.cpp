// SPDX-License-Identifier: MIT

#include <eigenformer/core/concepts.hpp>
#include <eigenformer/norm/layer_norm.hpp>
#include <eigenformer/norm/plain_layer_norm.hpp>

#include <gtest/gtest.h>

#include "norm/norm_case.hpp"
#include "support/compare.hpp"
#include "support/tolerances.hpp"

namespace ef = eigenformer;
namespace tolerance = support::tolerance;
using ef::Index;
using norm_case::Case;

static_assert(ef::TokenwiseBlock<ef::PlainLayerNorm<float>, float>);

namespace {

template <class T>
void expect_layer_norm_of_ones() {
  support::Generator random(41);
  for (const Index width : norm_case::widths) {
    const Case<T> c(5, width, support::Distribution::normal, random);
    ef::PlainLayerNorm<T> plain({.dim = width});
    ef::LayerNorm<T> norm({.dim = width});
    typename ef::PlainLayerNorm<T>::Cache cache, cache_of_norm;
    ef::Context context;
    ef::Matrix<T> y(5, width), dx(5, width), y_of_norm(5, width), dx_of_norm(5, width);
    plain.forward(c.x, y, context, &cache);
    norm.forward(c.x, y_of_norm, context, &cache_of_norm);
    plain.backward(c.dy, cache, dx, context);
    norm.backward(c.dy, cache_of_norm, dx_of_norm, context);
    const auto exact =
        reference::layer_norm(norm_case::wide_from_first(c.x), reference::Array<long double>({width}, 1), {}, 1e-5L);
    EXPECT_TRUE(support::within(support::max_error(y, exact.y), tolerance::norm_abs<T>(1))) << width;
    EXPECT_TRUE(support::bit_equal(y, y_of_norm)) << width;
    EXPECT_TRUE(support::bit_equal(dx, dx_of_norm)) << width;
    EXPECT_EQ(ef::parameter_count(plain), 0);
  }
}

}  // namespace

TEST(PlainLayerNorm, is_layer_norm_with_a_gain_of_one) {
  expect_layer_norm_of_ones<float>();
  expect_layer_norm_of_ones<double>();
}

TEST(PlainLayerNorm, refuses_what_does_not_fit) {
  EXPECT_THROW(ef::PlainLayerNorm<float>({.dim = 0}), ef::OptionError);
  EXPECT_THROW(ef::PlainLayerNorm<float>({.dim = 3, .epsilon = -1}), ef::OptionError);
  const ef::PlainLayerNorm<float> norm({.dim = 3});
  EXPECT_THROW(norm(ef::Matrix<float>(ef::Matrix<float>::Ones(2, 4))), ef::ShapeError);
}
