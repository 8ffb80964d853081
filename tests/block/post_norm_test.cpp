// SPDX-License-Identifier: MIT

#include <eigenformer/attention/mask.hpp>
#include <eigenformer/attention/multi_head_attention.hpp>
#include <eigenformer/block/feed_forward.hpp>
#include <eigenformer/block/post_norm.hpp>
#include <eigenformer/norm/layer_norm.hpp>

#include "block/golden_layer.hpp"

namespace ef = eigenformer;
using ef::Index;
using support::Golden;

namespace {

template <class T>
using Encoder = ef::PostNorm<ef::LayerNorm<T>, ef::MultiHeadAttention<T>, ef::FeedForward<T, ef::Relu>>;

template <class T>
Encoder<T> encoder(const Golden& golden) {
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
  return block;
}

template <class T>
class PostNormOf : public testing::Test {};
using Scalars = testing::Types<float, double>;
TYPED_TEST_SUITE(PostNormOf, Scalars);

}  // namespace

TYPED_TEST(PostNormOf, matches_a_published_encoder_layer_forward_and_backward) {
  using T = TypeParam;
  const Golden golden("encoder_layer_post_relu");
  Encoder<T> block = encoder<T>(golden);
  const auto x = golden.tensor<T, 3>("x");
  ef::Tensor<T, 3> y(x.dimensions());
  ef::Tensor<T, 3> dx(x.dimensions());
  ef::Context context;
  typename Encoder<T>::Cache cache;
  block.forward(x, y, ef::NoMask{}, context, &cache);
  block.backward(golden.tensor<T, 3>("d_y"), cache, dx, context);
  layer::expect_output(y, golden);
  layer::expect_gradient<T>(dx, golden, "x");
  ef::Linear<T>* const projections[] = {&block.attention.query, &block.attention.key, &block.attention.value};
  for (Index i = 0; i < 3; ++i) {
    const auto first = static_cast<std::size_t>(32 * i);
    layer::expect_gradient<T>(projections[i]->weight.gradient, golden, "self_attn.in_proj_weight", 32 * first);
    layer::expect_gradient<T>(projections[i]->bias->gradient, golden, "self_attn.in_proj_bias", first);
  }
  layer::expect_gradient<T>(block.attention.output.weight.gradient, golden, "self_attn.out_proj.weight");
  layer::expect_gradient<T>(block.attention.output.bias->gradient, golden, "self_attn.out_proj.bias");
  layer::expect_gradient<T>(block.feed_forward.up.weight.gradient, golden, "linear1.weight");
  layer::expect_gradient<T>(block.feed_forward.up.bias->gradient, golden, "linear1.bias");
  layer::expect_gradient<T>(block.feed_forward.down.weight.gradient, golden, "linear2.weight");
  layer::expect_gradient<T>(block.feed_forward.down.bias->gradient, golden, "linear2.bias");
  layer::expect_gradient<T>(block.attention_norm.weight.gradient, golden, "norm1.weight");
  layer::expect_gradient<T>(block.attention_norm.bias->gradient, golden, "norm1.bias");
  layer::expect_gradient<T>(block.feed_forward_norm.weight.gradient, golden, "norm2.weight");
  layer::expect_gradient<T>(block.feed_forward_norm.bias->gradient, golden, "norm2.bias");
}

TYPED_TEST(PostNormOf, works_in_place) {
  using T = TypeParam;
  const Golden golden("encoder_layer_post_relu");
  Encoder<T> block = encoder<T>(golden);
  auto x = golden.tensor<T, 3>("x");
  const ef::Tensor<T, 3> y = block(x, ef::NoMask{});
  ef::Context context;
  typename Encoder<T>::Cache cache;
  block.forward(x, x, ef::NoMask{}, context, &cache);
  EXPECT_TRUE(support::bit_equal(x, y));
  auto dy = golden.tensor<T, 3>("d_y");
  ef::Tensor<T, 3> dx(dy.dimensions());
  block.backward(dy, cache, dx, context);
  block.backward(dy, cache, dy, context);
  EXPECT_TRUE(support::bit_equal(dx, dy));
}

TYPED_TEST(PostNormOf, step_by_step_equals_all_at_once) {
  using T = TypeParam;
  const Golden golden("encoder_layer_post_relu");
  const Encoder<T> block = encoder<T>(golden);
  const auto x = golden.tensor<T, 3>("x");
  const ef::Tensor<T, 3> whole = block(x, ef::Causal{});
  ef::Context context;
  auto key_values = block.key_value_cache(2, 10);
  for (Index l = 0; l < 10; ++l) {
    const ef::Tensor<T, 3> one = x.slice(std::array<Index, 3>{0, l, 0}, std::array<Index, 3>{2, 1, 32});
    const ef::Tensor<T, 3> expected = whole.slice(std::array<Index, 3>{0, l, 0}, std::array<Index, 3>{2, 1, 32});
    ef::Tensor<T, 3> y(2, 1, 32);
    block.forward(one, y, ef::Causal{}, key_values, context);
    EXPECT_TRUE(within(support::worst_row_nmse(y, expected, 32), 4 * support::tolerance::attention_row_nmse<T>(1)));
  }
}
