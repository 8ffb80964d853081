// SPDX-License-Identifier: MIT

#include "support/compare.hpp"
#include "support/golden.hpp"
#include "support/inputs.hpp"

#include <eigenformer/attention/joined_projections.hpp>
#include <eigenformer/attention/multi_head_attention.hpp>

#include <gtest/gtest.h>

namespace {

namespace ef = eigenformer;
using ef::Index;

ef::GroupedQueryAttention<double> grouped(bool bias, std::uint64_t seed) {
  return ef::GroupedQueryAttention<double>(
      {.dim = 11, .heads = 6, .kv_heads = 2, .head_dim = 5, .value_dim = 3, .bias = bias}, ef::Random(seed));
}
ef::Tensor<double, 3> normal() {
  ef::Tensor<double, 3> x(2, 7, 11);
  support::Generator random(3);
  support::fill(x, support::Distribution::normal, random);
  return x;
}

TEST(JoinedProjections, are_those_of_pytorchs_multi_head_attention) {
  const support::Golden golden("mha_self_e48_h4");
  ef::MultiHeadAttention<double> attention({.dim = 48, .heads = 4}, ef::Random(1));
  const ef::Linear<double> joined(golden.matrix<double>("in_proj_weight"), golden.vector<double>("in_proj_bias"));
  ef::split_projections(joined, attention);
  attention.output =
      ef::Linear<double>(golden.matrix<double>("out_proj.weight"), golden.vector<double>("out_proj.bias"));
  const ef::Tensor<double, 3> y = attention(golden.tensor<double, 3>("query"), ef::NoMask{});
  EXPECT_TRUE(support::within(support::max_error(y, golden.values<double>("y")), 1e-12));
  const ef::Linear<double> again = ef::joined_projections(attention);
  EXPECT_TRUE(support::bit_equal(again.weight.value, joined.weight.value));
  EXPECT_TRUE(support::bit_equal(again.bias->value, joined.bias->value));
}

TEST(JoinedProjections, of_groups_go_there_and_back) {
  for (const bool bias : {false, true}) {
    const auto from = grouped(bias, 1);
    auto to = grouped(!bias, 2);
    to.output = from.output;
    const ef::Linear<double> joined = ef::joined_projections(from);
    EXPECT_EQ(joined.weight.shape(), ef::Shape({6 * 5 + 2 * 5 + 2 * 3, 11}));
    EXPECT_EQ(joined.bias.has_value(), bias);
    ef::split_projections(joined, to);
    EXPECT_TRUE(support::bit_equal(to(normal(), ef::Causal{}), from(normal(), ef::Causal{})));
  }
}

TEST(JoinedProjections, that_do_not_fit_are_refused_and_change_nothing) {
  auto attention = grouped(true, 1);
  const auto before = attention(normal(), ef::NoMask{});
  EXPECT_THROW(ef::split_projections(ef::Linear<double>(ef::Matrix<double>::Ones(45, 11)), attention), ef::ShapeError);
  EXPECT_THROW(ef::split_projections(ef::Linear<double>(ef::Matrix<double>::Ones(46, 12)), attention), ef::ShapeError);
  EXPECT_TRUE(support::bit_equal(attention(normal(), ef::NoMask{}), before));
  attention.key.bias.reset();
  EXPECT_THROW(ef::joined_projections(attention), ef::ValueError);
  ef::MultiHeadAttention<double> cross({.dim = 12, .heads = 3, .memory_dim = 5}, ef::Random(1));
  EXPECT_THROW(ef::joined_projections(cross), ef::ShapeError);
  EXPECT_THROW(ef::split_projections(ef::Linear<double>(ef::Matrix<double>::Ones(36, 12)), cross), ef::ShapeError);
}

}  // namespace
