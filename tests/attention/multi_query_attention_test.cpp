// SPDX-License-Identifier: MIT
#include <eigenformer/attention/multi_query_attention.hpp>

#include "attention/golden_case.hpp"
#include "support/compare.hpp"

namespace {

namespace ef = eigenformer;
using attention_test::expect_golden;
using attention_test::expect_golden_gradient;

TEST(GroupedQueryAttentionGolden, equals_rotated_multi_query_attention_of_pytorch) {
  const support::Golden golden("mqa_h6_rope_half");
  using Block = ef::MultiQueryAttention<double, ef::Linear<double>, ef::Rotary<ef::HalfSplit>>;
  Block block({.dim = 36, .heads = 6, .head_dim = 8, .position = {.base = 10000}}, ef::Random(1));
  block.query.weight.value = golden.matrix<double>("wq");
  block.key.weight.value = golden.matrix<double>("wk");
  block.value.weight.value = golden.matrix<double>("wv");
  block.output.weight.value = golden.matrix<double>("wo");
  expect_golden(block, golden, "x", "y", ef::Causal{});
  expect_golden_gradient(block.query.weight.gradient, golden.matrix<double>("grad.wq"));
  expect_golden_gradient(block.key.weight.gradient, golden.matrix<double>("grad.wk"));
}

}  // namespace
