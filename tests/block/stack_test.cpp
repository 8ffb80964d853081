// SPDX-License-Identifier: MIT

#include <eigenformer/attention/grouped_query_attention.hpp>
#include <eigenformer/attention/mask.hpp>
#include <eigenformer/attention/multi_head_attention.hpp>
#include <eigenformer/block/cross_layer.hpp>
#include <eigenformer/block/feed_forward.hpp>
#include <eigenformer/block/gated_feed_forward.hpp>
#include <eigenformer/block/pre_norm.hpp>
#include <eigenformer/block/stack.hpp>
#include <eigenformer/norm/layer_norm.hpp>
#include <eigenformer/norm/rms_norm.hpp>

#include <gtest/gtest.h>

#include "support/compare.hpp"
#include "support/inputs.hpp"
#include "support/tolerances.hpp"

namespace ef = eigenformer;
using ef::Index;

namespace {

using Layer = ef::PreNorm<ef::RmsNorm<double>, ef::GroupedQueryAttention<double, ef::Linear<double>, ef::Rotary<>>,
                          ef::GatedFeedForward<double, ef::Silu>>;

ef::Stack<Layer> stack(Index count) {
  return ef::Stack<Layer>({.count = count,
                           .layer = {.norm = {.dim = 12},
                                     .attention = {.dim = 12, .heads = 2, .kv_heads = 1},
                                     .feed_forward = {.dim = 12, .hidden = 17}}},
                          ef::Random(1));
}

using WithMemory =
    ef::PostNormCross<ef::LayerNorm<double>, ef::MultiHeadAttention<double>, ef::FeedForward<double, ef::Relu>>;

ef::Stack<WithMemory> stack_with_memory(Index count) {
  return ef::Stack<WithMemory>({.count = count,
                                .layer = {.norm = {.dim = 12},
                                          .attention = {.dim = 12, .heads = 2},
                                          .cross_attention = {.dim = 12, .heads = 3, .memory_dim = 7},
                                          .feed_forward = {.dim = 12, .hidden = 17}}},
                               ef::Random(1));
}

ef::Tensor<double, 3> random_input(Index batch, Index length, Index dim = 12) {
  support::Generator random(1);
  ef::Tensor<double, 3> x(batch, length, dim);
  support::fill(x, support::Distribution::normal, random);
  return x;
}

}  // namespace

TEST(Stack, equals_its_layers_one_after_the_other) {
  const ef::Tensor<double, 3> x = random_input(2, 5);
  for (const Index count : {0, 1, 2, 3, 4}) {
    const ef::Stack<Layer> block = stack(count);
    ASSERT_EQ(static_cast<Index>(block.layers.size()), count);
    ef::Tensor<double, 3> expected = x;
    for (const Layer& layer : block.layers) expected = layer(expected, ef::Causal{});
    EXPECT_TRUE(support::bit_equal(block(x, ef::Causal{}), expected)) << count << " layers";
  }
}

TEST(Stack, layers_start_with_random_numbers_of_their_own) {
  const ef::Stack<Layer> block = stack(2);
  EXPECT_NE(block.layers[0].attention.query.weight.value, block.layers[1].attention.query.weight.value);
}

TEST(Stack, step_by_step_equals_all_at_once) {
  const ef::Stack<Layer> block = stack(3);
  const ef::Tensor<double, 3> x = random_input(2, 7);
  const ef::Tensor<double, 3> whole = block(x, ef::Causal{});
  ef::Context context;
  auto key_values = block.key_value_caches(2, 7);
  for (Index l = 0; l < 7; ++l) {
    const ef::Tensor<double, 3> one = x.slice(std::array<Index, 3>{0, l, 0}, std::array<Index, 3>{2, 1, 12});
    const ef::Tensor<double, 3> expected = whole.slice(std::array<Index, 3>{0, l, 0}, std::array<Index, 3>{2, 1, 12});
    ef::Tensor<double, 3> y(2, 1, 12);
    block.forward(one, y, ef::Causal{}, key_values, context);
    EXPECT_TRUE(
        within(support::worst_row_nmse(y, expected, 12), 12 * support::tolerance::attention_row_nmse<double>(1)));
  }
}

/// In training, and gives the gradients of what was dropped (by differences).
TEST(Stack, layers_drop_weights_by_seeds_of_their_own) {
  ef::Stack<Layer> block({.count = 2,
                          .layer = {.norm = {.dim = 12},
                                    .attention = {.dim = 12, .heads = 2, .kv_heads = 1, .dropout = 0.3},
                                    .feed_forward = {.dim = 12, .hidden = 17}}},
                         ef::Random(1));
  support::Generator random(3);
  ef::Tensor<double, 3> x(2, 7, 12), y(2, 7, 12), dy(2, 7, 12), dx(2, 7, 12);
  support::fill(x, support::Distribution::normal, random);
  support::fill(dy, support::Distribution::normal, random);
  ef::Context context;
  ef::Stack<Layer>::Cache cache;
  const auto loss = [&] {
    context.random() = ef::Random(5);
    block.forward(x, y, ef::Causal{}, context, &cache);
    double sum = 0;
    for (Index i = 0; i < y.size(); ++i) sum += y.data()[i] * dy.data()[i];
    return sum;
  };
  loss();
  EXPECT_NE(cache.layers[0].attention.dropout.seed, cache.layers[1].attention.dropout.seed);
  block.backward(dy, cache, dx, context);
  for (Index i = 0; i < x.size(); i += 5) {
    const double kept = x.data()[i];
    x.data()[i] = kept + support::tolerance::difference_step;
    const double above = loss();
    x.data()[i] = kept - support::tolerance::difference_step;
    const double slope = (above - loss()) / (2 * support::tolerance::difference_step);
    x.data()[i] = kept;
    EXPECT_NEAR(dx.data()[i], slope,
                support::tolerance::difference_abs + support::tolerance::difference_rel * std::abs(slope));
  }
}

TEST(Stack, without_layers_hands_gradients_through) {
  ef::Stack<Layer> block = stack(0);
  const ef::Tensor<double, 3> x = random_input(2, 5);
  ef::Tensor<double, 3> y(2, 5, 12);
  ef::Context context;
  ef::Stack<Layer>::Cache cache;
  block.forward(x, y, ef::Causal{}, context, &cache);
  block.backward(x, cache, y, context);
  EXPECT_TRUE(support::bit_equal(y, x));
}

TEST(Stack, rejects_other_numbers_of_caches_and_layers) {
  ef::Stack<Layer> block = stack(2);
  const ef::Tensor<double, 3> x = random_input(1, 3);
  ef::Tensor<double, 3> y = x;
  ef::Context context;
  auto key_values = block.key_value_caches(1, 3);
  key_values.pop_back();
  try {
    block.forward(x, y, ef::Causal{}, key_values, context);
    ADD_FAILURE() << "expected ShapeError";
  } catch (const ef::ShapeError& error) {
    EXPECT_STREQ(error.what(), "Stack: expected a cache for each of 2 layers, got 1");
  }
  const ef::Stack<Layer>::Cache empty;
  EXPECT_THROW(block.backward(x, empty, y, context), ef::ShapeError);
  EXPECT_TRUE(support::bit_equal(x, y));
  EXPECT_THROW(stack(-1), ef::OptionError);
}

TEST(Stack, of_layers_with_a_memory_equals_them_one_after_the_other) {
  const ef::Tensor<double, 3> x = random_input(2, 5), memory = random_input(2, 4, 7);
  for (const Index count : {0, 1, 2, 3}) {
    const ef::Stack<WithMemory> block = stack_with_memory(count);
    ef::Tensor<double, 3> expected = x;
    for (const WithMemory& layer : block.layers) {
      expected = layer(expected, ef::Causal{}, ef::Memory{memory, ef::NoMask{}});
    }
    EXPECT_TRUE(support::bit_equal(block(x, ef::Causal{}, ef::Memory{memory, ef::NoMask{}}), expected)) << count;
  }
}

TEST(Stack, adds_up_what_its_layers_give_back_to_the_memory) {
  const ef::Tensor<double, 3> x = random_input(2, 5), memory = random_input(2, 4, 7);
  for (const Index count : {0, 1, 2, 3}) {
    ef::Stack<WithMemory> block = stack_with_memory(count);
    ef::Context context;
    ef::Stack<WithMemory>::Cache cache;
    ef::Tensor<double, 3> y(2, 5, 12), dx(2, 5, 12), dmemory(2, 4, 7), part(2, 4, 7), expected(2, 4, 7);
    dmemory.setConstant(17);  // written, not added to
    expected.setZero();
    block.forward(x, y, ef::Causal{}, ef::Memory{memory, ef::NoMask{}}, context, &cache);
    ef::Tensor<double, 3> d = x;
    for (std::size_t i = block.layers.size(); i-- > 0;) {
      block.layers[i].backward(d, cache.layers[i], d, part, context);
      expected = part + expected;
    }
    block.backward(x, cache, dx, dmemory, context);
    EXPECT_TRUE(support::bit_equal(dx, d)) << count;
    EXPECT_TRUE(support::bit_equal(dmemory, expected)) << count;
  }
}

TEST(Stack, of_layers_with_a_memory_goes_step_by_step) {
  const ef::Stack<WithMemory> block = stack_with_memory(3);
  const ef::Tensor<double, 3> x = random_input(2, 5), memory = random_input(2, 4, 7);
  const ef::Tensor<double, 3> whole = block(x, ef::Causal{}, ef::Memory{memory, ef::NoMask{}});
  ef::Context context;
  auto key_values = block.key_values(memory, {.capacity = 5}, context);
  ASSERT_EQ(key_values.size(), 3U);
  for (Index l = 0; l < 5; ++l) {
    const std::array<Index, 3> at = {0, l, 0}, size = {2, 1, 12};
    const ef::Tensor<double, 3> one = x.slice(at, size), expected = whole.slice(at, size);
    ef::Tensor<double, 3> y(2, 1, 12);
    block.forward(one, y, ef::Causal{}, ef::NoMask{}, key_values, context);
    EXPECT_TRUE(
        within(support::worst_row_nmse(y, expected, 12), 12 * support::tolerance::attention_row_nmse<double>(1)));
  }
  key_values.pop_back();
  ef::Tensor<double, 3> y(2, 5, 12);
  EXPECT_THROW(block.forward(x, y, ef::Causal{}, ef::NoMask{}, key_values, context), ef::ShapeError);
}
