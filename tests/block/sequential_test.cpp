// SPDX-License-Identifier: MIT

#include <eigenformer/attention/grouped_query_attention.hpp>
#include <eigenformer/attention/mask.hpp>
#include <eigenformer/block/sequential.hpp>
#include <eigenformer/linear/linear.hpp>
#include <eigenformer/norm/layer_norm.hpp>

#include <gtest/gtest.h>

#include "support/compare.hpp"
#include "support/inputs.hpp"

namespace ef = eigenformer;
using ef::Index;

namespace {

ef::Linear<float> linear(Index in, Index out, std::uint64_t seed) {
  return ef::Linear<float>({.in_features = in, .out_features = out}, ef::Random(seed));
}
using Attention = ef::GroupedQueryAttention<float>;

static_assert(ef::TokenwiseBlock<ef::Sequential<ef::Linear<float>, ef::LayerNorm<float>>, float>);
static_assert(!ef::TokenwiseBlock<ef::Sequential<ef::Linear<float>, Attention>, float>);
static_assert(ef::SequenceBlock<ef::Sequential<ef::Linear<float>, Attention>, float, ef::Causal>);

}  // namespace

TEST(Sequential, equals_its_blocks_one_after_the_other_through_any_widths) {
  const auto a = linear(5, 17, 1);
  const auto b = linear(17, 3, 2);
  const auto c = linear(3, 11, 3);
  ef::Tensor<float, 3> x(2, 7, 5);
  support::Generator random(1);
  support::fill(x, support::Distribution::normal, random);
  EXPECT_TRUE(support::bit_equal(ef::Sequential(a)(x), a(x)));
  EXPECT_TRUE(support::bit_equal(ef::Sequential(a, b)(x), b(a(x))));
  EXPECT_TRUE(support::bit_equal(ef::Sequential(a, b, c)(x), c(b(a(x)))));
  EXPECT_TRUE(support::bit_equal(ef::Sequential(a, ef::LayerNorm<float>({.dim = 17}), b, c)(x),
                                 c(b(ef::LayerNorm<float>({.dim = 17})(a(x))))));
}

TEST(Sequential, hands_the_mask_to_the_blocks_that_take_one) {
  const auto widen = linear(5, 6, 1);
  const Attention attention({.dim = 6, .heads = 2}, ef::Random(2));
  ef::Tensor<float, 3> x(2, 7, 5);
  support::Generator random(2);
  support::fill(x, support::Distribution::normal, random);
  const ef::Sequential block(widen, attention);
  EXPECT_TRUE(support::bit_equal(block(x, ef::Causal{}), attention(widen(x), ef::Causal{})));
  EXPECT_FALSE(support::bit_equal(block(x, ef::Causal{}), attention(widen(x), ef::NoMask{})));
}

TEST(Sequential, names_parameters_by_number) {
  const ef::Sequential block(linear(5, 6, 1), ef::LayerNorm<float>({.dim = 6, .bias = false}));
  std::string names;
  block.visit_parameters([&](const ef::Name& name, const auto&) { names += name.str() + " "; });
  EXPECT_EQ(names, "0.weight 0.bias 1.weight ");
}

TEST(Sequential, rejects_blocks_that_do_not_fit_and_writes_nothing) {
  const ef::Sequential block(linear(5, 6, 1), linear(7, 3, 2));
  ef::Matrix<float> y = ef::Matrix<float>::Constant(2, 3, 9);
  ef::Context context;
  EXPECT_THROW(block.forward(ef::Matrix<float>(ef::Matrix<float>::Ones(2, 5)), y, context), ef::ShapeError);
  EXPECT_EQ(y, ef::Matrix<float>(ef::Matrix<float>::Constant(2, 3, 9)));
}
