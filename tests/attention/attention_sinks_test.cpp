// SPDX-License-Identifier: MIT
// Sinks as parameters of attention's modules; those of the function alone are in sinks_test.cpp.

#include <eigenformer/attention/attention_sinks.hpp>

#include "reference/model.hpp"
#include "support/allocation.hpp"
#include "support/compare.hpp"
#include "support/inputs.hpp"
#include "support/tolerances.hpp"

#include <eigenformer/attention/from_multi_head.hpp>
#include <eigenformer/attention/multi_head_attention.hpp>
#include <eigenformer/attention/multi_query_attention.hpp>
#include <eigenformer/attention/projected_memory.hpp>
#include <eigenformer/attention/rolling_key_value_cache.hpp>
#include <eigenformer/attention/sliding_window.hpp>
#include <eigenformer/train/gradient_check.hpp>

#include <gtest/gtest.h>

namespace {

namespace ef = eigenformer;
using ef::Index;

template <class T>
using Attention = ef::GroupedQueryAttention<T, ef::Linear<T>, ef::Rotary<ef::HalfSplit>>;

template <class T>
ef::Tensor<T, 3> normal(Index batch, Index length, Index dim, std::uint64_t salt) {
  support::Generator random(salt);
  ef::Tensor<T, 3> x(batch, length, dim);
  support::fill(x, support::Distribution::normal, random);
  return x;
}

/// With another sink for each head: one that takes nothing, one that takes nearly all, and between.
template <class Block>
Block with_sinks(Block block) {
  using T = typename Block::Scalar;
  const std::array<T, 6> values = {T(-9), T(0.5), T(-1), T(2), T(0), T(7)};
  block.sinks.emplace(ef::Vector<T>(Eigen::Map<const ef::Vector<T>>(values.data(), block.options.heads)));
  return block;
}
template <class T>
Attention<T> attention() {
  return with_sinks(Attention<T>({.dim = 19, .heads = 6, .kv_heads = 3, .head_dim = 10, .value_dim = 7, .bias = true},
                                 ef::Random(3)));
}

template <class T>
reference::Projection<double> weights_of(const ef::Linear<T>& linear) {
  return {reference::widened(linear.weight.value.data(), {linear.output_features(), linear.input_features()}),
          reference::widened(linear.bias->value.data(), {linear.output_features()})};
}
template <class Block>
reference::Array<double> expected(const Block& block, const auto& x, const auto& memory, const reference::Mask& mask,
                                  std::optional<reference::RotaryOptions> rotary) {
  reference::AttentionModuleOptions options = {.heads = block.options.heads, .kv_heads = block.options.kv_heads};
  options.rotary = rotary;
  options.attention.mask = mask;
  for (const auto sink : block.sinks->values()) options.attention.sinks.push_back(static_cast<double>(sink));
  const auto wide = [](const auto& t) {
    return reference::widened(t.data(), {t.dimension(0), t.dimension(1), t.dimension(2)});
  };
  return reference::multi_head_attention(
      wide(x), wide(memory),
      {weights_of(block.query), weights_of(block.key), weights_of(block.value), weights_of(block.output)}, options);
}
template <class T>
testing::AssertionResult close(const auto& y, const auto& of) {
  return support::within(support::worst_row_nmse(y, of, y.dimension(2)),
                         4 * support::tolerance::attention_row_nmse<T>(4));
}

template <class T>
void expect_reference() {
  const Attention<T> block = attention<T>();
  const auto x = normal<T>(2, 11, 19, 5);
  const reference::RotaryOptions rotary = {.dim = 10, .pairs = reference::RotaryPairs::half_split};
  EXPECT_TRUE(close<T>(block(x, ef::Causal{}), expected(block, x, x, reference::causal_mask(0), rotary)));
  const std::array<Index, 2> lengths = {0, 7};  // a sequence of which nothing is seen
  EXPECT_TRUE(close<T>(block(x, ef::Padding{lengths}), expected(block, x, x, reference::padding_mask({0, 7}), rotary)));
  const auto cross = with_sinks(ef::MultiHeadAttention<T>({.dim = 12, .heads = 6, .memory_dim = 5}, ef::Random(1)));
  const auto queries = normal<T>(2, 3, 12, 6), memory = normal<T>(2, 13, 5, 7);
  const auto of_memory = expected(cross, queries, memory, reference::no_mask(), {});
  EXPECT_TRUE(close<T>(cross(queries, memory, ef::NoMask{}), of_memory));
  auto projected = cross.key_value_cache(2, 13);
  ef::Context context;
  ef::project_memory<T>(cross, memory, projected, context);
  ef::Tensor<T, 3> y(queries.dimensions());
  ef::attend_to_memory<T>(cross, queries, y, ef::NoMask{}, projected, context);
  EXPECT_TRUE(close<T>(y, of_memory)) << "with its memory projected before";
}
TEST(AttentionSinks, equal_the_formula) {
  expect_reference<float>();
  expect_reference<double>();
}

/// Step by step with each kind of cache, against one forward.
template <class T>
void expect_caches(auto&& step, const auto& mask) {
  const Attention<T> block = attention<T>();
  const auto x = normal<T>(1, 23, 19, 5);
  const ef::Tensor<T, 3> whole = block(x, mask);
  ef::Context context;
  for (Index l = 0; l < 23; ++l) {
    const ef::ConstTensorView<T, 3> one(x.data() + l * 19, 1, 1, 19);
    const ef::Tensor<T, 3> of = whole.slice(std::array<Index, 3>{0, l, 0}, std::array<Index, 3>{1, 1, 19});
    ef::Tensor<T, 3> y(1, 1, 19);
    step(block, one, y, context);
    EXPECT_TRUE(close<T>(y, of)) << l;
  }
}
TEST(AttentionSinks, step_by_step_equal_all_at_once_with_every_cache) {
  using T = float;
  ef::KeyValueCache<T> plain({.capacity = 23, .kv_heads = 3, .head_dim = 10, .value_dim = 7});
  expect_caches<T>([&](const auto& block, const auto& x, auto& y,
                       ef::Context& context) { block.forward(x, y, ef::Causal{}, plain, context); },
                   ef::Causal{});
  const ef::SlidingWindow window{4, 0};
  ef::RollingKeyValueCache<T> rolling({.window = 5, .kv_heads = 3, .head_dim = 10, .value_dim = 7});
  expect_caches<T>([&](const auto& block, const auto& x, auto& y,
                       ef::Context& context) { block.forward(x, y, window, rolling, context); },
                   window);
  ef::PagedKeyValueCache<T> paged({.pages = 6, .page_length = 4, .kv_heads = 3, .head_dim = 10, .value_dim = 7});
  const Index one[] = {paged.add()};
  expect_caches<T>([&](const auto& block, const auto& x, auto& y,
                       ef::Context& context) { block.forward(x, y, ef::Causal{}, paged, one, context); },
                   ef::Causal{});
}

TEST(AttentionSinks, gradients_match_differences_and_frozen_ones_get_none) {
  auto block = with_sinks(
      ef::GroupedQueryAttention<double>({.dim = 6, .heads = 4, .kv_heads = 2, .head_dim = 3}, ef::Random(1)));
  const auto x = normal<double>(2, 5, 6, 2), dy = normal<double>(2, 5, 6, 3);
  ef::Context context;
  decltype(block)::Cache cache;
  ef::Tensor<double, 3> y(x.dimensions()), dx(x.dimensions());
  const std::array<Index, 2> lengths = {0, 4};
  const ef::Padding mask{lengths};
  const auto loss = [&] {
    block.forward(x, y, mask, context, &cache);
    double sum = 0;
    for (Index i = 0; i < y.size(); ++i) sum += y.data()[i] * dy.data()[i];
    return sum;
  };
  loss();
  block.backward(dy, cache, dx, context);
  const ef::GradientCheck check = ef::check_parameter_gradients(block, loss, {.absolute = 1e-7});
  EXPECT_TRUE(check.passed()) << check;
  EXPECT_GT(block.sinks->gradient.cwiseAbs().minCoeff(), 1e-6);
  const ef::Vector<double> once = block.sinks->gradient;
  loss();  // differences have left the cache of other weights
  block.backward(dy, cache, dx, context);
  EXPECT_TRUE(support::within(support::max_error(block.sinks->gradient, ef::Vector<double>(2 * once)), 1e-14));
  const ef::Tensor<double, 3> trained_dx = dx;
  block.sinks->trainable = false;
  block.sinks->gradient = {};
  block.backward(dy, cache, dx, context);
  EXPECT_EQ(block.sinks->gradient.size(), 0);
  EXPECT_TRUE(support::bit_equal(dx, trained_dx));
}

TEST(AttentionSinks, are_a_parameter_of_each_head_that_starts_as_told) {
  const ef::MultiQueryAttention<float> one({.dim = 12, .heads = 4, .sinks = ef::LearnedSinks{.start = 2.5}},
                                           ef::Random(1));
  std::string names;
  one.visit_parameters([&](const ef::Name& name, const auto&) { names += name.str() + " "; });
  EXPECT_EQ(names, "query.weight key.weight value.weight output.weight sinks ");
  ASSERT_EQ(one.sinks->size(), 4);
  EXPECT_TRUE((one.sinks->value.array() == 2.5F).all());
  EXPECT_FALSE(ef::MultiQueryAttention<float>({.dim = 12, .heads = 4}, ef::Random(1)).sinks);
}

TEST(AttentionSinks, that_take_nothing_change_no_bit_and_those_that_take_all_leave_the_bias) {
  const ef::MultiHeadAttention<float> plain({.dim = 12, .heads = 4}, ef::Random(1));
  const auto x = normal<float>(2, 7, 12, 2);
  auto block = plain;
  block.sinks.emplace(ef::Vector<float>(ef::Vector<float>::Constant(4, -1e30F)));
  EXPECT_TRUE(support::bit_equal(block(x, ef::Causal{}), plain(x, ef::Causal{})));
  block.sinks->value.setConstant(1e30F);
  const ef::Tensor<float, 3> y = block(x, ef::Causal{});
  for (Index i = 0; i < y.size(); ++i) EXPECT_EQ(y.data()[i], block.output.bias->value[i % 12]);
}

TEST(AttentionSinks, stay_when_key_and_value_heads_are_pooled) {
  const auto trained = with_sinks(ef::MultiHeadAttention<double>({.dim = 12, .heads = 6}, ef::Random(1)));
  const auto grouped = ef::from_multi_head(trained, {.kv_heads = 3});
  ASSERT_TRUE(grouped.sinks);
  EXPECT_EQ(grouped.sinks->value, trained.sinks->value);
  const auto x = normal<double>(2, 7, 12, 2);
  EXPECT_TRUE(
      support::bit_equal(ef::from_multi_head(trained, {.kv_heads = 6})(x, ef::Causal{}), trained(x, ef::Causal{})));
}

TEST(AttentionSinks, same_bits_for_any_thread_count_and_nothing_allocated) {
  const auto x = normal<float>(2, 131, 19, 2);
  ef::Tensor<float, 3> first_y, first_dx;
  ef::Vector<float> first_gradient;
  for (const int threads : {1, 2, 3}) {
    Attention<float> block = attention<float>();
    ef::Context context({.threads = threads});
    Attention<float>::Cache cache;
    ef::Tensor<float, 3> y(x.dimensions()), dx(x.dimensions());
    const auto run = [&] {
      ef::zero_gradients(block);
      block.forward(x, y, ef::Causal{}, context, &cache);
      block.backward(y, cache, dx, context);
    };
    run();
    if (threads == 1) first_y = y, first_dx = dx, first_gradient = block.sinks->gradient;
    EXPECT_TRUE(support::bit_equal(y, first_y)) << threads;
    EXPECT_TRUE(support::bit_equal(dx, first_dx)) << threads;
    EXPECT_TRUE(support::bit_equal(block.sinks->gradient, first_gradient)) << threads;
    if (support::AllocationCounter::available()) {
      EXPECT_EQ(support::allocations_during(run), 0U) << threads;
    }
  }
}

}  // namespace
