// SPDX-License-Identifier: MIT

#include <eigenformer/block/gated_feed_forward.hpp>
#include <eigenformer/norm/rms_norm.hpp>

#include <gtest/gtest.h>

#include "reference/model.hpp"
#include "support/compare.hpp"
#include "support/golden.hpp"
#include "support/inputs.hpp"
#include "support/tolerances.hpp"

namespace ef = eigenformer;
namespace tolerance = support::tolerance;
using ef::Index;

static_assert(ef::TokenwiseBlock<ef::GatedFeedForward<float, ef::Silu>, float>);

namespace {

template <class T>
class GatedFeedForwardOf : public testing::Test {};
using Scalars = testing::Types<float, double>;
TYPED_TEST_SUITE(GatedFeedForwardOf, Scalars);

template <class T>
reference::Projection<double> wide(const ef::Linear<T>& linear) {
  return {reference::widened(linear.weight.value.data(), {linear.output_features(), linear.input_features()}),
          linear.bias ? reference::widened(linear.bias->value.data(), {linear.output_features()})
                      : reference::Array<double>()};
}

template <class Activate, class T>
void expect_reference(double (*activation)(double)) {
  support::Generator random(1);
  ef::GatedFeedForward<T, Activate> block({.dim = 13, .hidden = 31, .bias = true}, ef::Random(1));
  ef::Tensor<T, 3> x(2, 7, 13);
  support::fill(x, support::Distribution::normal, random);
  const reference::GatedWeights<double> weights = {wide(block.gate), wide(block.up), wide(block.down)};
  const auto expected =
      reference::gated_feed_forward<double>(reference::widened(x.data(), {2, 7, 13}), weights, activation);
  EXPECT_TRUE(within(support::worst_row_nmse(block(x), expected, 13), 4 * tolerance::gemm_row_nmse<T>));
}

}  // namespace

TYPED_TEST(GatedFeedForwardOf, equals_reference) {
  expect_reference<ef::Silu, TypeParam>(reference::silu<double>);
  expect_reference<ef::Gelu, TypeParam>(reference::gelu<double>);
  expect_reference<ef::Sigmoid, TypeParam>(reference::sigmoid<double>);
}

TYPED_TEST(GatedFeedForwardOf, matches_published_vectors) {
  using T = TypeParam;
  const support::Golden golden("swiglu_ffn");
  using Linear = ef::Linear<T>;
  ef::GatedFeedForward<T, ef::Silu> block(Linear(golden.matrix<T>("w_gate")), Linear(golden.matrix<T>("w_up")),
                                          Linear(golden.matrix<T>("w_down")));
  const auto x = golden.tensor<T, 3>("x");
  ef::Tensor<T, 3> y(x.dimensions());
  ef::Tensor<T, 3> dx(x.dimensions());
  ef::Context context;
  typename ef::GatedFeedForward<T, ef::Silu>::Cache cache;
  block.forward(x, y, context, &cache);
  block.backward(golden.tensor<T, 3>("d_y"), cache, dx, context);
  EXPECT_TRUE(within(support::worst_row_nmse(y, golden.values<double>("y"), 32), tolerance::gemm_row_nmse<T>));
  // Published gradients are stored in float32.
  const double limit = (std::max)(tolerance::backward_row_nmse<T>, 1e-13);
  EXPECT_TRUE(within(support::worst_row_nmse(dx, golden.values<double>("grad.x"), 32), limit));
  EXPECT_TRUE(
      within(support::worst_row_nmse(block.gate.weight.gradient, golden.values<double>("grad.w_gate"), 32), limit));
  EXPECT_TRUE(within(support::worst_row_nmse(block.up.weight.gradient, golden.values<double>("grad.w_up"), 32), limit));
  EXPECT_TRUE(
      within(support::worst_row_nmse(block.down.weight.gradient, golden.values<double>("grad.w_down"), 44), limit));
}

TYPED_TEST(GatedFeedForwardOf, normalises_what_the_last_projection_reads) {
  using T = TypeParam;
  support::Generator random(1);
  ef::GatedFeedForward<T, ef::Silu, ef::Linear<T>, ef::RmsNorm<T>> block({.dim = 13, .hidden = 31}, ef::Random(1));
  support::fill(block.inner_norm.weight.value, support::Distribution::normal, random);
  ef::Tensor<T, 3> x(2, 7, 13);
  support::fill(x, support::Distribution::normal, random);
  const auto rows = reference::widened(x.data(), {2, 7, 13});
  auto hidden = wide(block.gate)(rows);
  const auto up = wide(block.up)(rows);
  for (long i = 0; i < hidden.size(); ++i) hidden.data()[i] = reference::silu(hidden.data()[i]) * up.data()[i];
  const auto gain = reference::widened(block.inner_norm.weight.value.data(), {31});
  EXPECT_TRUE(within(support::worst_row_nmse(block(x), wide(block.down)(reference::rms_norm(hidden, gain, 1e-6).y), 13),
                     4 * tolerance::gemm_row_nmse<T>));
  block.inner_norm = ef::RmsNorm<T>({.dim = 7});
  EXPECT_THROW(block(x), ef::ShapeError);
}

TYPED_TEST(GatedFeedForwardOf, rejects_projections_that_do_not_fit) {
  using Linear = ef::Linear<TypeParam>;
  using Block = ef::GatedFeedForward<TypeParam, ef::Silu>;
  const Linear in({.in_features = 3, .out_features = 5}, ef::Random(1));
  const Linear narrow({.in_features = 3, .out_features = 4}, ef::Random(1));
  const Linear other({.in_features = 2, .out_features = 5}, ef::Random(1));
  const Linear down({.in_features = 5, .out_features = 3}, ef::Random(1));
  EXPECT_NO_THROW(Block(in, in, down));
  EXPECT_THROW(Block(in, narrow, down), ef::ShapeError);
  EXPECT_THROW(Block(in, other, down), ef::ShapeError);
  EXPECT_THROW(Block(in, in, in), ef::ShapeError);
  EXPECT_THROW(Block({.dim = 3}, ef::Random(1)), ef::OptionError);
}
