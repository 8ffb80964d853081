// SPDX-License-Identifier: MIT

#include <eigenformer/attention/multi_head_attention.hpp>
#include <eigenformer/attention/sliding_window.hpp>
#include <eigenformer/block/alternating.hpp>
#include <eigenformer/block/cross_layer.hpp>
#include <eigenformer/block/feed_forward.hpp>
#include <eigenformer/block/pre_norm.hpp>
#include <eigenformer/block/stack.hpp>
#include <eigenformer/norm/layer_norm.hpp>

#include <gtest/gtest.h>

#include "support/compare.hpp"
#include "support/inputs.hpp"
#include "support/tolerances.hpp"

namespace {

namespace ef = eigenformer;
using ef::Index;
using Layer = ef::PreNorm<ef::LayerNorm<double>, ef::MultiHeadAttention<double>, ef::FeedForward<double, ef::Gelu>>;
using Masks = ef::Alternating<ef::Causal, ef::LocalBanded>;
static_assert(ef::MaskSchedule<Masks> && !ef::MaskSchedule<ef::Causal> && !ef::AttentionMask<Masks>);

constexpr Masks masks = {{}, {3}};

ef::Stack<Layer> stack(Index count) {
  return ef::Stack<Layer>(
      {.count = count,
       .layer = {.norm = {.dim = 14}, .attention = {.dim = 14, .heads = 2}, .feed_forward = {.dim = 14, .hidden = 17}}},
      ef::Random(1));
}
ef::Tensor<double, 3> random_input(Index batch, Index length, std::uint64_t salt = 1) {
  support::Generator random(salt);
  ef::Tensor<double, 3> x(batch, length, 14);
  support::fill(x, support::Distribution::normal, random);
  return x;
}
/// use(mask) with the mask that layer i is to have.
void with_expected_mask(std::size_t i, const auto& use) {
  if (i == 1 || i == 3) {
    use(ef::LocalBanded{3});
  } else {
    use(ef::Causal{});
  }
}

TEST(Alternating, a_stack_equals_its_layers_by_hand_forward_and_backward) {
  for (const Index count : {0, 1, 2, 3, 5}) {
    ef::Stack<Layer> block = stack(count), by_hand = block;
    const ef::Tensor<double, 3> x = random_input(2, 11), dy = random_input(2, 11, 2);
    ef::Context context;
    ef::Stack<Layer>::Cache cache, hand_cache;
    hand_cache.layers.resize(static_cast<std::size_t>(count));
    ef::Tensor<double, 3> y(2, 11, 14), expected = x, dx(2, 11, 14), expected_dx = dy;
    block.forward(x, y, masks, context, &cache);
    for (std::size_t i = 0; i < by_hand.layers.size(); ++i) {
      with_expected_mask(i, [&](const auto& mask) {
        by_hand.layers[i].forward(expected, expected, mask, context, &hand_cache.layers[i]);
      });
    }
    EXPECT_TRUE(support::bit_equal(y, expected)) << count;
    EXPECT_TRUE(support::bit_equal(block(x, masks), expected)) << count << " without a cache";
    block.backward(dy, cache, dx, context);
    for (std::size_t i = by_hand.layers.size(); i-- > 0;) {
      by_hand.layers[i].backward(expected_dx, hand_cache.layers[i], expected_dx, context);
    }
    EXPECT_TRUE(support::bit_equal(dx, expected_dx)) << count;
    if (count > 1) {
      EXPECT_FALSE(support::bit_equal(y, block(x, ef::Causal{}))) << "the band hides nothing";
    }
  }
}

TEST(Alternating, a_stack_goes_step_by_step_with_each_layers_mask) {
  const ef::Stack<Layer> block = stack(4);
  const ef::Tensor<double, 3> x = random_input(2, 11);
  const ef::Tensor<double, 3> whole = block(x, masks);
  ef::Context context;
  for (const Index step : {1, 4}) {
    auto key_values = block.key_value_caches(2, 11);
    for (Index l = 0; l < 11; l += step) {
      const std::array<Index, 3> offset = {0, l, 0}, extent = {2, std::min(step, 11 - l), 14};
      const ef::Tensor<double, 3> part = x.slice(offset, extent), expected = whole.slice(offset, extent);
      ef::Tensor<double, 3> y(extent);
      block.forward(part, y, masks, key_values, context);
      EXPECT_TRUE(
          within(support::worst_row_nmse(y, expected, 14), 14 * support::tolerance::attention_row_nmse<double>(1)));
    }
  }
}

TEST(Alternating, a_stack_with_a_memory_has_each_layers_mask) {
  using WithMemory =
      ef::PreNormCross<ef::LayerNorm<double>, ef::MultiHeadAttention<double>, ef::FeedForward<double, ef::Relu>>;
  const ef::Stack<WithMemory> block({.count = 3,
                                     .layer = {.norm = {.dim = 14},
                                               .attention = {.dim = 14, .heads = 2},
                                               .cross_attention = {.dim = 14, .heads = 7},
                                               .feed_forward = {.dim = 14, .hidden = 17}}},
                                    ef::Random(1));
  const ef::Tensor<double, 3> x = random_input(2, 11), memory = random_input(2, 5, 3);
  const ef::ConstTensorView<double, 3> seen(memory.data(), memory.dimensions());
  ef::Tensor<double, 3> y(2, 11, 14), expected = x;
  ef::Context context;
  block.forward(x, y, masks, ef::Memory{seen, ef::NoMask{}}, context);
  for (std::size_t i = 0; i < 3; ++i) {
    with_expected_mask(i, [&](const auto& mask) {
      block.layers[i].forward(expected, expected, mask, ef::Memory{seen, ef::NoMask{}}, context);
    });
  }
  EXPECT_TRUE(support::bit_equal(y, expected));
  auto key_values = block.key_values(seen, {.capacity = 11}, context);
  ef::Tensor<double, 3> stepped(2, 11, 14);
  block.forward(x, stepped, masks, ef::NoMask{}, key_values, context);
  EXPECT_TRUE(
      within(support::worst_row_nmse(stepped, expected, 14), 14 * support::tolerance::attention_row_nmse<double>(1)));
}

TEST(Alternating, checks_both_masks) {
  const ef::AttentionExtent extent{1, 3, 3};
  EXPECT_NO_THROW(masks.check(extent));
  EXPECT_THROW((ef::Alternating{ef::Causal{}, ef::LocalBanded{0}}.check(extent)), ef::ValueError);
  EXPECT_THROW((ef::Alternating{ef::LocalBanded{0}, ef::Causal{}}.check(extent)), ef::ValueError);
}

}  // namespace
