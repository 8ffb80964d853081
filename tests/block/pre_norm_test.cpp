// SPDX-License-Identifier: MIT

#include <eigenformer/attention/grouped_query_attention.hpp>
#include <eigenformer/attention/mask.hpp>
#include <eigenformer/attention/multi_head_attention.hpp>
#include <eigenformer/block/feed_forward.hpp>
#include <eigenformer/block/gated_feed_forward.hpp>
#include <eigenformer/block/pre_norm.hpp>
#include <eigenformer/norm/layer_norm.hpp>
#include <eigenformer/norm/rms_norm.hpp>

#include "block/golden_layer.hpp"
#include "support/inputs.hpp"

namespace ef = eigenformer;
using ef::Index;
using support::Golden;

namespace {

template <class T>
using Llama = ef::PreNorm<ef::RmsNorm<T>, ef::GroupedQueryAttention<T, ef::Linear<T>, ef::Rotary<>>,
                          ef::GatedFeedForward<T, ef::Silu>>;
template <class T>
using Encoder = ef::PreNorm<ef::LayerNorm<T>, ef::MultiHeadAttention<T>, ef::FeedForward<T, ef::Gelu>>;

static_assert(ef::SequenceBlock<Llama<float>, float, ef::Causal>);

template <class T>
Llama<T> llama(const Golden& golden) {
  const auto number = [&](const char* name) { return Index(golden.parameter<std::int64_t>(name)); };
  const double epsilon = golden.parameter<double>("norm_eps");
  Llama<T> block({.norm = {.dim = number("dim"), .epsilon = epsilon},
                  .attention = {.dim = number("dim"),
                                .heads = number("heads"),
                                .kv_heads = number("kv_heads"),
                                .head_dim = number("head_dim"),
                                .position = {.base = golden.parameter<double>("rope_theta")}},
                  .feed_forward = {.dim = number("dim"), .hidden = number("hidden")}},
                 ef::Random(1));
  block.attention.query.weight.value = golden.matrix<T>("attention.wq.weight");
  block.attention.key.weight.value = golden.matrix<T>("attention.wk.weight");
  block.attention.value.weight.value = golden.matrix<T>("attention.wv.weight");
  block.attention.output.weight.value = golden.matrix<T>("attention.wo.weight");
  block.feed_forward.gate.weight.value = golden.matrix<T>("feed_forward.w1.weight");
  block.feed_forward.down.weight.value = golden.matrix<T>("feed_forward.w2.weight");
  block.feed_forward.up.weight.value = golden.matrix<T>("feed_forward.w3.weight");
  block.attention_norm.weight.value = golden.vector<T>("attention_norm.weight");
  block.feed_forward_norm.weight.value = golden.vector<T>("ffn_norm.weight");
  return block;
}

template <class T>
class PreNormOf : public testing::Test {};
using Scalars = testing::Types<float, double>;
TYPED_TEST_SUITE(PreNormOf, Scalars);

}  // namespace

TYPED_TEST(PreNormOf, matches_a_published_llama_block_forward_and_backward) {
  using T = TypeParam;
  const Golden golden("llama_block_d40_h5_mqa");
  Llama<T> block = llama<T>(golden);
  const auto x = golden.tensor<T, 3>("x");
  ef::Tensor<T, 3> y(x.dimensions());
  ef::Tensor<T, 3> dx(x.dimensions());
  ef::Context context;
  typename Llama<T>::Cache cache;
  block.forward(x, y, ef::Causal{}, context, &cache);
  block.backward(golden.tensor<T, 3>("d_y"), cache, dx, context);
  layer::expect_output(y, golden);
  layer::expect_gradient<T>(dx, golden, "x");
  layer::expect_gradient<T>(block.attention.query.weight.gradient, golden, "attention.wq.weight");
  layer::expect_gradient<T>(block.attention.key.weight.gradient, golden, "attention.wk.weight");
  layer::expect_gradient<T>(block.attention.value.weight.gradient, golden, "attention.wv.weight");
  layer::expect_gradient<T>(block.attention.output.weight.gradient, golden, "attention.wo.weight");
  layer::expect_gradient<T>(block.feed_forward.gate.weight.gradient, golden, "feed_forward.w1.weight");
  layer::expect_gradient<T>(block.feed_forward.down.weight.gradient, golden, "feed_forward.w2.weight");
  layer::expect_gradient<T>(block.feed_forward.up.weight.gradient, golden, "feed_forward.w3.weight");
  layer::expect_gradient<T>(block.attention_norm.weight.gradient, golden, "attention_norm.weight");
  layer::expect_gradient<T>(block.feed_forward_norm.weight.gradient, golden, "ffn_norm.weight");
}

TYPED_TEST(PreNormOf, matches_a_published_llama_block_that_follows_a_cache) {
  using T = TypeParam;
  const Golden golden("llama_block_d32_h4_g2_cached");
  const Llama<T> block = llama<T>(golden);
  const auto past = golden.tensor<T, 3>("x_past");
  const auto x = golden.tensor<T, 3>("x");
  ef::Context context;
  auto key_values = block.key_value_cache(x.dimension(0), past.dimension(1) + x.dimension(1));
  ef::Tensor<T, 3> ignored(past.dimensions());
  ef::Tensor<T, 3> y(x.dimensions());
  block.forward(past, ignored, ef::Causal{}, key_values, context);
  block.forward(x, y, ef::Causal{}, key_values, context);
  layer::expect_output(y, golden);
}

TYPED_TEST(PreNormOf, matches_a_published_encoder_layer_with_padding) {
  using T = TypeParam;
  const Golden golden("encoder_layer_pre_gelu_kpm");
  Encoder<T> block({.norm = {.dim = 32},
                    .attention = {.dim = 32, .heads = 4},
                    .feed_forward = {.dim = 32, .hidden = golden.parameter<std::int64_t>("dim_feedforward")}},
                   ef::Random(1));
  const auto in_weight = golden.matrix<T>("self_attn.in_proj_weight");
  const auto in_bias = golden.vector<T>("self_attn.in_proj_bias");
  ef::Linear<T>* const projections[] = {&block.attention.query, &block.attention.key, &block.attention.value};
  for (Index i = 0; i < 3; ++i) {
    projections[i]->weight.value = layer::part(in_weight, 32 * i, 32);
    projections[i]->bias->value = in_bias.segment(32 * i, 32);
  }
  block.attention.output.weight.value = golden.matrix<T>("self_attn.out_proj.weight");
  block.attention.output.bias->value = golden.vector<T>("self_attn.out_proj.bias");
  block.feed_forward.up = ef::Linear<T>(golden.matrix<T>("linear1.weight"), golden.vector<T>("linear1.bias"));
  block.feed_forward.down = ef::Linear<T>(golden.matrix<T>("linear2.weight"), golden.vector<T>("linear2.bias"));
  block.attention_norm = ef::LayerNorm<T>(golden.vector<T>("norm1.weight"), golden.vector<T>("norm1.bias"));
  block.feed_forward_norm = ef::LayerNorm<T>(golden.vector<T>("norm2.weight"), golden.vector<T>("norm2.bias"));

  // The published mask marks padding at the end of each sequence.
  const auto padding = golden.values<std::uint8_t>("key_padding_mask");
  std::vector<Index> lengths;
  for (std::size_t b = 0; b < 2; ++b) {
    const auto first = padding.begin() + static_cast<std::ptrdiff_t>(b * 9);
    lengths.push_back(std::find(first, first + 9, std::uint8_t(1)) - first);
    ASSERT_TRUE(std::all_of(first + lengths.back(), first + 9, [](std::uint8_t p) { return p == 1; }));
  }
  const ef::Padding mask{lengths};
  const auto x = golden.tensor<T, 3>("x");
  ef::Tensor<T, 3> y(x.dimensions());
  ef::Tensor<T, 3> dx(x.dimensions());
  ef::Context context;
  typename Encoder<T>::Cache cache;
  block.forward(x, y, mask, context, &cache);
  block.backward(golden.tensor<T, 3>("d_y"), cache, dx, context);
  layer::expect_output(y, golden);
  layer::expect_gradient<T>(dx, golden, "x");
  for (Index i = 0; i < 3; ++i) {
    const auto first = static_cast<std::size_t>(32 * i);
    layer::expect_gradient<T>(projections[i]->weight.gradient, golden, "self_attn.in_proj_weight", 32 * first);
    layer::expect_gradient<T>(projections[i]->bias->gradient, golden, "self_attn.in_proj_bias", first);
  }
  layer::expect_gradient<T>(block.attention.output.bias->gradient, golden, "self_attn.out_proj.bias");
  layer::expect_gradient<T>(block.feed_forward.up.weight.gradient, golden, "linear1.weight");
  layer::expect_gradient<T>(block.feed_forward.down.weight.gradient, golden, "linear2.weight");
  layer::expect_gradient<T>(block.attention_norm.bias->gradient, golden, "norm1.bias");
  layer::expect_gradient<T>(block.feed_forward_norm.weight.gradient, golden, "norm2.weight");
}

TYPED_TEST(PreNormOf, works_in_place) {
  using T = TypeParam;
  const Golden golden("llama_block_d40_h5_mqa");
  Llama<T> block = llama<T>(golden);
  auto x = golden.tensor<T, 3>("x");
  const ef::Tensor<T, 3> y = block(x, ef::Causal{});
  ef::Context context;
  typename Llama<T>::Cache cache;
  block.forward(x, x, ef::Causal{}, context, &cache);
  EXPECT_TRUE(support::bit_equal(x, y));
  auto dy = golden.tensor<T, 3>("d_y");
  ef::Tensor<T, 3> dx(dy.dimensions());
  block.backward(dy, cache, dx, context);
  block.backward(dy, cache, dy, context);
  EXPECT_TRUE(support::bit_equal(dx, dy));
}

TYPED_TEST(PreNormOf, rejects_parts_that_do_not_fit_and_writes_nothing) {
  using T = TypeParam;
  Llama<T> block({.norm = {.dim = 6}, .attention = {.dim = 6, .heads = 1}, .feed_forward = {.dim = 5, .hidden = 7}},
                 ef::Random(1));
  ef::Tensor<T, 3> x(1, 2, 6);
  x.setConstant(T(1));
  ef::Tensor<T, 3> y(1, 2, 6);
  y.setConstant(T(9));
  ef::Context context;
  try {
    block.forward(x, y, ef::Causal{}, context);
    ADD_FAILURE() << "expected ShapeError";
  } catch (const ef::ShapeError& error) {
    EXPECT_STREQ(error.what(), "PreNorm: expected last dimension 5 for feed_forward, got 6");
  }
  for (Index i = 0; i < y.size(); ++i) EXPECT_EQ(y.data()[i], T(9));
}

TYPED_TEST(PreNormOf, names_parameters_by_part) {
  const Llama<TypeParam> block(
      {.norm = {.dim = 4}, .attention = {.dim = 4, .heads = 2}, .feed_forward = {.dim = 4, .hidden = 3}},
      ef::Random(1));
  std::string names;
  block.visit_parameters([&](const ef::Name& name, const auto&) { names += name.str() + "\n"; });
  EXPECT_EQ(names,
            "attention_norm.weight\n"
            "attention.query.weight\nattention.key.weight\nattention.value.weight\nattention.output.weight\n"
            "feed_forward_norm.weight\n"
            "feed_forward.gate.weight\nfeed_forward.up.weight\nfeed_forward.down.weight\n");
}
