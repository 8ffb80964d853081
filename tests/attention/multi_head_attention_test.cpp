// SPDX-License-Identifier: MIT
#include <eigenformer/attention/multi_head_attention.hpp>

#include "attention/golden_case.hpp"
#include "support/compare.hpp"

namespace {

namespace ef = eigenformer;
using attention_test::expect_golden;
using ef::Index;

/// nn.MultiheadAttention keeps query, key and value one below the other.
void load(ef::MultiHeadAttention<double>& block, const support::Golden& golden) {
  const ef::Matrix<double> packed = golden.matrix<double>("in_proj_weight");
  const Index dim = packed.cols();
  block.query.weight.value = packed.topRows(dim);
  block.key.weight.value = packed.middleRows(dim, dim);
  block.value.weight.value = packed.bottomRows(dim);
  block.output.weight.value = golden.matrix<double>("out_proj.weight");
  if (!block.query.bias) return;
  const ef::Vector<double> bias = golden.vector<double>("in_proj_bias");
  block.query.bias->value = bias.head(dim);
  block.key.bias->value = bias.segment(dim, dim);
  block.value.bias->value = bias.tail(dim);
  block.output.bias->value = golden.vector<double>("out_proj.bias");
}

TEST(MultiHeadAttentionGolden, equals_self_attention_of_pytorch) {
  const support::Golden golden("mha_self_e48_h4");
  ef::MultiHeadAttention<double> block({.dim = 48, .heads = 4}, ef::Random(1));
  load(block, golden);
  expect_golden(block, golden, "query", "y", ef::NoMask{});
}

TEST(MultiHeadAttentionGolden, equals_causal_attention_without_bias_of_pytorch) {
  const support::Golden golden("mha_causal_nobias_e48_h8");
  ef::MultiHeadAttention<double> block({.dim = 48, .heads = 8, .bias = false}, ef::Random(1));
  load(block, golden);
  expect_golden(block, golden, "query", "y", ef::Causal{});
}

/// Rows that see no key: PyTorch gives NaN, the stored alternative zeros.
struct WithoutTwoRows {
  void check(const ef::AttentionExtent&) const {}
  ef::KeyRange live_keys(const ef::AttentionExtent& extent, Index, Index query) const {
    return {0, query == 2 || query == extent.queries - 1 ? 0 : extent.keys};
  }
};

TEST(MultiHeadAttentionGolden, equals_attention_with_fully_masked_rows) {
  const support::Golden golden("mha_fully_masked_rows_e32_h4");
  const std::vector<std::uint8_t> blocked = golden.values<std::uint8_t>("attn_mask");
  for (Index i = 0; i < 49; ++i) {
    ASSERT_EQ(blocked[static_cast<std::size_t>(i)] != 0, WithoutTwoRows{}.live_keys({1, 7, 7}, 0, i / 7).last == 0);
  }
  ef::MultiHeadAttention<double> block({.dim = 32, .heads = 4}, ef::Random(1));
  load(block, golden);
  expect_golden(block, golden, "query", "y_zero_rows", WithoutTwoRows{});
}

/// Keys and values come from different tensors there, which is the functions' business and not the module's.
TEST(MultiHeadAttentionGolden, equals_cross_attention_with_padding_of_pytorch) {
  const support::Golden golden("mha_cross_kpm_e40_h5");
  const ef::Vector<double> bias = golden.vector<double>("in_proj_bias");
  ef::Context context;
  const auto projected = [&](const char* x_name, const char* weight, Index part) {
    const ef::Tensor<double, 3> x = golden.tensor<double, 3>(x_name);
    ef::Tensor<double, 4> y(x.dimension(0), x.dimension(1), 5, 8);
    const ef::Linear<double> linear(golden.matrix<double>(weight), ef::Vector<double>(bias.segment(40 * part, 40)));
    linear.forward(x, ef::RowsView<double>(y.data(), x.dimension(0) * x.dimension(1), 40, 40), context);
    return y;
  };
  const ef::Tensor<double, 4> q = projected("query", "q_proj_weight", 0);
  const ef::Tensor<double, 4> k = projected("key", "k_proj_weight", 1);
  const ef::Tensor<double, 4> v = projected("value", "v_proj_weight", 2);
  const std::vector<std::uint8_t> padding = golden.values<std::uint8_t>("key_padding_mask");
  std::vector<Index> lengths;
  for (Index b = 0; b < 3; ++b) {
    Index length = 0;
    while (length < 14 && padding[static_cast<std::size_t>(b * 14 + length)] == 0) ++length;
    for (Index t = length; t < 14; ++t) ASSERT_NE(padding[static_cast<std::size_t>(b * 14 + t)], 0);
    lengths.push_back(length);
  }
  ef::Tensor<double, 4> attended(q.dimensions());
  const ef::KeyValueSegment<double> segments[] = {{k, v}};
  ef::attention<double>({q, segments}, {attended, nullptr}, ef::Padding{lengths}, {}, context);
  const ef::Linear<double> output(golden.matrix<double>("out_proj.weight"), golden.vector<double>("out_proj.bias"));
  const ef::Tensor<double, 3> expected = golden.tensor<double, 3>("y");
  ef::Tensor<double, 3> y(expected.dimensions());
  output.forward(ef::ConstRowsView<double>(attended.data(), 27, 40, 40), y, context);
  EXPECT_TRUE(support::within(support::max_error(y, expected), support::tolerance::pytorch_abs<double>));
}

}  // namespace
