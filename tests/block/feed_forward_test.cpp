// SPDX-License-Identifier: MIT

#include <eigenformer/block/feed_forward.hpp>
#include <eigenformer/norm/layer_norm.hpp>

#include <gtest/gtest.h>

#include "reference/model.hpp"
#include "support/compare.hpp"
#include "support/inputs.hpp"
#include "support/tolerances.hpp"

namespace ef = eigenformer;
namespace tolerance = support::tolerance;
using ef::Index;

static_assert(ef::TokenwiseBlock<ef::FeedForward<float, ef::Relu>, float>);

namespace {

template <class T>
class FeedForwardOf : public testing::Test {};
using Scalars = testing::Types<float, double>;
TYPED_TEST_SUITE(FeedForwardOf, Scalars);

template <class T>
reference::Projection<double> wide(const ef::Linear<T>& linear) {
  return {reference::widened(linear.weight.value.data(), {linear.output_features(), linear.input_features()}),
          linear.bias ? reference::widened(linear.bias->value.data(), {linear.output_features()})
                      : reference::Array<double>()};
}

template <class Activate, class T>
void expect_reference(double (*activation)(double)) {
  support::Generator random(1);
  ef::FeedForward<T, Activate> block({.dim = 13, .hidden = 31}, ef::Random(1));
  ef::Tensor<T, 3> x(2, 7, 13);
  support::fill(x, support::Distribution::normal, random);
  const auto expected = reference::feed_forward<double>(reference::widened(x.data(), {2, 7, 13}), wide(block.up),
                                                        wide(block.down), activation);
  EXPECT_TRUE(within(support::worst_row_nmse(block(x), expected, 13), 4 * tolerance::gemm_row_nmse<T>));
}

}  // namespace

TYPED_TEST(FeedForwardOf, equals_reference_with_every_activation) {
  expect_reference<ef::Relu, TypeParam>(reference::relu<double>);
  expect_reference<ef::SquaredRelu, TypeParam>(reference::squared_relu<double>);
  expect_reference<ef::Gelu, TypeParam>(reference::gelu<double>);
  expect_reference<ef::GeluTanh, TypeParam>(reference::gelu_tanh<double>);
  expect_reference<ef::Silu, TypeParam>(reference::silu<double>);
  expect_reference<ef::Sigmoid, TypeParam>(reference::sigmoid<double>);
  expect_reference<ef::Tanh, TypeParam>(reference::hyperbolic_tangent<double>);
  expect_reference<ef::HardSwish, TypeParam>(reference::hard_swish<double>);
}

TYPED_TEST(FeedForwardOf, hidden_is_four_times_as_wide_unless_said) {
  const ef::FeedForward<TypeParam, ef::Gelu> block({.dim = 6}, ef::Random(1));
  EXPECT_EQ(block.up.output_features(), 24);
  EXPECT_TRUE(block.up.bias && block.down.bias);
  const ef::FeedForward<TypeParam, ef::Gelu> bare({.dim = 6, .hidden = 5, .bias = false}, ef::Random(1));
  EXPECT_FALSE(bare.up.bias || bare.down.bias);
}

TYPED_TEST(FeedForwardOf, normalises_what_the_second_projection_reads) {
  using T = TypeParam;
  support::Generator random(1);
  ef::FeedForward<T, ef::Gelu, ef::Linear<T>, ef::LayerNorm<T>> block(
      {.dim = 13, .hidden = 31, .inner_norm = {.epsilon = 0.5}}, ef::Random(1));
  support::fill(block.inner_norm.weight.value, support::Distribution::normal, random);
  support::fill(block.inner_norm.bias->value, support::Distribution::normal, random);
  ef::Tensor<T, 3> x(2, 7, 13);
  support::fill(x, support::Distribution::normal, random);
  auto hidden = wide(block.up)(reference::widened(x.data(), {2, 7, 13}));
  for (double& number : hidden.values) number = reference::gelu(number);
  const auto normed = reference::layer_norm(hidden, reference::widened(block.inner_norm.weight.value.data(), {31}),
                                            reference::widened(block.inner_norm.bias->value.data(), {31}), 0.5);
  EXPECT_TRUE(
      within(support::worst_row_nmse(block(x), wide(block.down)(normed.y), 13), 4 * tolerance::gemm_row_nmse<T>));
  block.inner_norm = ef::LayerNorm<T>({.dim = 7});
  EXPECT_THROW(block(x), ef::ShapeError);
}

TYPED_TEST(FeedForwardOf, rejects_projections_that_do_not_fit) {
  using Linear = ef::Linear<TypeParam>;
  using Block = ef::FeedForward<TypeParam, ef::Relu>;
  const Linear up({.in_features = 3, .out_features = 5}, ef::Random(1));
  const Linear down({.in_features = 4, .out_features = 3}, ef::Random(1));
  EXPECT_THROW(Block(up, down), ef::ShapeError);
  EXPECT_THROW(Block({.dim = 0}, ef::Random(1)), ef::OptionError);
  EXPECT_THROW(Block({.dim = 3, .hidden = -1}, ef::Random(1)), ef::OptionError);
  Block block({.dim = 3, .hidden = 5}, ef::Random(1));
  block.down = down;
  EXPECT_THROW(block(ef::Matrix<TypeParam>(ef::Matrix<TypeParam>::Ones(2, 3))), ef::ShapeError);
}
