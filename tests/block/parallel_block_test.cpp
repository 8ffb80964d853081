// SPDX-License-Identifier: MIT

#include <eigenformer/attention/mask.hpp>
#include <eigenformer/attention/multi_query_attention.hpp>
#include <eigenformer/block/gated_feed_forward.hpp>
#include <eigenformer/block/parallel_block.hpp>
#include <eigenformer/norm/layer_norm.hpp>

#include "block/golden_layer.hpp"

namespace ef = eigenformer;
using ef::Index;
using support::Golden;

namespace {

template <class T>
using Palm = ef::ParallelBlock<ef::LayerNorm<T>, ef::MultiQueryAttention<T, ef::Linear<T>, ef::Rotary<ef::HalfSplit>>,
                               ef::GatedFeedForward<T, ef::Silu>>;

/// The published projection is one matrix: 4 heads of queries, a key, a value, the feed-forward's value and its gate.
template <class T>
Palm<T> palm(const Golden& golden) {
  Palm<T> block({.norm = {.dim = 32, .bias = false},
                 .attention = {.dim = 32, .heads = 4},
                 .feed_forward = {.dim = 32, .hidden = 64}},
                ef::Random(1));
  const auto fused = golden.matrix<T>("fused_attn_ff_proj.weight");
  block.norm.weight.value = golden.vector<T>("norm.gamma");
  block.attention.query.weight.value = layer::part(fused, 0, 32);
  block.attention.key.weight.value = layer::part(fused, 32, 8);
  block.attention.value.weight.value = layer::part(fused, 40, 8);
  block.attention.output.weight.value = golden.matrix<T>("attn_out.weight");
  block.feed_forward.up.weight.value = layer::part(fused, 48, 64);
  block.feed_forward.gate.weight.value = layer::part(fused, 112, 64);
  block.feed_forward.down.weight.value = golden.matrix<T>("ff_out.1.weight");
  return block;
}

template <class T>
class ParallelBlockOf : public testing::Test {};
using Scalars = testing::Types<float, double>;
TYPED_TEST_SUITE(ParallelBlockOf, Scalars);

}  // namespace

TYPED_TEST(ParallelBlockOf, matches_a_published_palm_block_forward_and_backward) {
  using T = TypeParam;
  const Golden golden("palm_block_d32_h4");
  Palm<T> block = palm<T>(golden);
  const auto x = golden.tensor<T, 3>("x");
  ef::Tensor<T, 3> y(x.dimensions());
  ef::Tensor<T, 3> dx(x.dimensions());
  ef::Context context;
  typename Palm<T>::Cache cache;
  block.forward(x, y, ef::Causal{}, context, &cache);
  block.backward(golden.tensor<T, 3>("d_y"), cache, dx, context);
  layer::expect_output(y, golden);
  layer::expect_gradient<T>(dx, golden, "x");
  const std::string fused = "fused_attn_ff_proj.weight";
  layer::expect_gradient<T>(block.norm.weight.gradient, golden, "norm.gamma");
  layer::expect_gradient<T>(block.attention.query.weight.gradient, golden, fused, 0);
  layer::expect_gradient<T>(block.attention.key.weight.gradient, golden, fused, 32 * 32);
  layer::expect_gradient<T>(block.attention.value.weight.gradient, golden, fused, 40 * 32);
  layer::expect_gradient<T>(block.feed_forward.up.weight.gradient, golden, fused, 48 * 32);
  layer::expect_gradient<T>(block.feed_forward.gate.weight.gradient, golden, fused, 112 * 32);
  layer::expect_gradient<T>(block.attention.output.weight.gradient, golden, "attn_out.weight");
  layer::expect_gradient<T>(block.feed_forward.down.weight.gradient, golden, "ff_out.1.weight");
}

TYPED_TEST(ParallelBlockOf, works_in_place) {
  using T = TypeParam;
  const Golden golden("palm_block_d32_h4");
  Palm<T> block = palm<T>(golden);
  auto x = golden.tensor<T, 3>("x");
  const ef::Tensor<T, 3> y = block(x, ef::Causal{});
  ef::Context context;
  typename Palm<T>::Cache cache;
  block.forward(x, x, ef::Causal{}, context, &cache);
  EXPECT_TRUE(support::bit_equal(x, y));
  auto dy = golden.tensor<T, 3>("d_y");
  ef::Tensor<T, 3> dx(dy.dimensions());
  block.backward(dy, cache, dx, context);
  block.backward(dy, cache, dy, context);
  EXPECT_TRUE(support::bit_equal(dx, dy));
}

TYPED_TEST(ParallelBlockOf, step_by_step_equals_all_at_once) {
  using T = TypeParam;
  const Golden golden("palm_block_d32_h4");
  const Palm<T> block = palm<T>(golden);
  const auto x = golden.tensor<T, 3>("x");
  const ef::Tensor<T, 3> whole = block(x, ef::Causal{});
  ef::Context context;
  auto key_values = block.key_value_cache(2, 9);
  for (Index l = 0; l < 9; ++l) {
    const ef::Tensor<T, 3> one = x.slice(std::array<Index, 3>{0, l, 0}, std::array<Index, 3>{2, 1, 32});
    const ef::Tensor<T, 3> expected = whole.slice(std::array<Index, 3>{0, l, 0}, std::array<Index, 3>{2, 1, 32});
    ef::Tensor<T, 3> y(2, 1, 32);
    block.forward(one, y, ef::Causal{}, key_values, context);
    EXPECT_TRUE(within(support::worst_row_nmse(y, expected, 32), 4 * support::tolerance::attention_row_nmse<T>(1)));
  }
}
