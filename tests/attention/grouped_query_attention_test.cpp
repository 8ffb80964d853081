// SPDX-License-Identifier: MIT
#include <eigenformer/attention/grouped_query_attention.hpp>
#include <eigenformer/attention/multi_head_attention.hpp>
#include <eigenformer/attention/multi_query_attention.hpp>

#include <eigenformer/norm/layer_norm.hpp>
#include <eigenformer/norm/rms_norm.hpp>

#include "attention/golden_case.hpp"
#include "reference/model.hpp"
#include "support/allocation.hpp"
#include "support/compare.hpp"
#include "support/inputs.hpp"
#include "support/tolerances.hpp"

namespace {

namespace ef = eigenformer;
using ef::Index;
template <class T>
using Rotated = ef::GroupedQueryAttention<T, ef::Linear<T>, ef::Rotary<ef::HalfSplit>>;

static_assert(ef::SequenceBlock<ef::GroupedQueryAttention<float>, float, ef::Causal>);
static_assert(ef::SequenceBlock<ef::MultiHeadAttention<double>, double, ef::NoMask>);
static_assert(ef::SequenceBlock<ef::MultiQueryAttention<float>, float, ef::Padding>);

template <class T>
ef::Tensor<T, 3> normal(Index batch, Index length, Index dim, std::uint64_t salt) {
  support::Generator random(salt);
  ef::Tensor<T, 3> x(batch, length, dim);
  support::fill(x, support::Distribution::normal, random);
  return x;
}

template <class T>
ef::Tensor<T, 3> positions(const ef::Tensor<T, 3>& x, Index first, Index length) {
  return x.slice(std::array<Index, 3>{0, first, 0}, std::array<Index, 3>{x.dimension(0), length, x.dimension(2)});
}

TEST(GroupedQueryAttention, defaults_are_those_of_the_papers) {
  const ef::GroupedQueryAttention<float> grouped({.dim = 12, .heads = 4, .kv_heads = 2}, ef::Random(1));
  EXPECT_EQ(grouped.options.head_dim, 3);
  EXPECT_EQ(grouped.options.value_dim, 3);
  EXPECT_FALSE(grouped.query.bias);
  EXPECT_EQ(grouped.key.output_features(), 6);
  const ef::MultiHeadAttention<float> multi_head({.dim = 12, .heads = 4}, ef::Random(1));
  EXPECT_TRUE(multi_head.query.bias);
  EXPECT_EQ(multi_head.options.kv_heads, 4);
  const ef::MultiQueryAttention<float> multi_query({.dim = 12, .heads = 4}, ef::Random(1));
  EXPECT_FALSE(multi_query.output.bias);
  EXPECT_EQ(multi_query.key.output_features(), 3);
}

TEST(GroupedQueryAttention, names_its_parameters) {
  const ef::MultiHeadAttention<float> block({.dim = 12, .heads = 4}, ef::Random(1));
  std::string names;
  block.visit_parameters([&](const ef::Name& name, const auto&) { names += name.str() + " "; });
  EXPECT_EQ(names, "query.weight query.bias key.weight key.bias value.weight value.bias output.weight output.bias ");
}

template <class T>
using Normed = ef::GroupedQueryAttention<T, ef::Linear<T>, ef::Rotary<ef::HalfSplit>, ef::RmsNorm<T>, ef::LayerNorm<T>>;

TEST(GroupedQueryAttention, names_its_norms_as_checkpoints_do) {
  const Normed<float> block({.dim = 12, .heads = 2}, ef::Random(1));
  std::string names;
  block.visit_parameters([&](const ef::Name& name, const auto&) { names += name.str() + " "; });
  EXPECT_EQ(names,
            "query.weight key.weight value.weight output.weight query_norm.weight key_norm.weight inner_norm.weight "
            "inner_norm.bias ");
}

TEST(GroupedQueryAttention, hands_options_to_its_norms) {
  const Normed<float> block({.dim = 12,
                             .heads = 4,
                             .head_dim = 6,
                             .value_dim = 5,
                             .query_key_norm = {.epsilon = 1e-3},
                             .inner_norm = {.bias = false}},
                            ef::Random(1));
  EXPECT_EQ(block.query_norm.input_features(), 6);
  EXPECT_EQ(block.query_norm.epsilon, 1e-3);
  EXPECT_EQ(block.key_norm.epsilon, 1e-3);
  EXPECT_EQ(block.inner_norm.input_features(), 20);
  EXPECT_FALSE(block.inner_norm.bias);
}

/// Gains of one and biases of zero hide mistakes.
template <class Block>
void spread_gains(Block& block) {
  support::Generator random(29);
  block.visit_parameters([&](const ef::Name&, auto& parameter) {
    for (auto& value : parameter.values()) value += static_cast<typename Block::Scalar>(0.3 * random.normal());
  });
}

template <class T>
void expect_norms_of_the_reference() {
  using reference::widened;
  Normed<T> block({.dim = 19, .heads = 6, .kv_heads = 3, .head_dim = 10, .value_dim = 7}, ef::Random(3));
  spread_gains(block);
  const auto projection = [](const ef::Linear<T>& linear) -> reference::Projection<double> {
    return {widened(linear.weight.value.data(), {linear.output_features(), linear.input_features()}), {}};
  };
  const auto gains = [](const ef::Parameter<T>& weight) { return widened(weight.value.data(), {weight.size()}); };
  const reference::AttentionWeights<double> weights = {
      .query = projection(block.query),
      .key = projection(block.key),
      .value = projection(block.value),
      .output = projection(block.output),
      .query_norm = [&](const auto& q) { return reference::rms_norm(q, gains(block.query_norm.weight), 1e-6).y; },
      .key_norm = [&](const auto& k) { return reference::rms_norm(k, gains(block.key_norm.weight), 1e-6).y; },
      .inner_norm =
          [&](const auto& h) {
            return reference::layer_norm(h, gains(block.inner_norm.weight), gains(*block.inner_norm.bias), 1e-5).y;
          }};
  const auto x = normal<T>(2, 11, 19, 5);
  reference::AttentionModuleOptions options = {
      .heads = 6,
      .kv_heads = 3,
      .rotary = reference::RotaryOptions{.dim = 10, .pairs = reference::RotaryPairs::half_split}};
  options.attention.mask = reference::causal_mask(0);
  const auto wide = widened(x.data(), {2, 11, 19});
  const auto expected = reference::multi_head_attention(wide, wide, weights, options);
  EXPECT_TRUE(support::within(support::worst_row_nmse(block(x, ef::Causal{}), expected, 19),
                              4 * support::tolerance::attention_row_nmse<T>(4)));
}

TEST(GroupedQueryAttention, normalises_queries_and_keys_before_they_turn_and_heads_before_the_output) {
  expect_norms_of_the_reference<float>();
  expect_norms_of_the_reference<double>();
}

TEST(GroupedQueryAttention, keeps_its_promise_of_cross_attention_with_norms) {
  Normed<double> block({.dim = 6, .heads = 2, .head_dim = 4, .memory_dim = 6}, ef::Random(1));
  const auto x = normal<double>(2, 5, 6, 2);
  EXPECT_TRUE(support::bit_equal(block(x, x, ef::NoMask{}), block(x, ef::NoMask{})));
}

TEST(GroupedQueryAttention, with_all_heads_is_multi_head_attention) {
  const ef::MultiHeadAttention<double> multi_head({.dim = 14, .heads = 7, .bias = false}, ef::Random(3));
  const ef::GroupedQueryAttention<double> grouped({.dim = 14, .heads = 7}, ef::Random(3));
  const auto x = normal<double>(2, 11, 14, 1);
  EXPECT_TRUE(support::bit_equal(multi_head(x, ef::Causal{}), grouped(x, ef::Causal{})));
  const ef::MultiQueryAttention<double> multi_query({.dim = 14, .heads = 7}, ef::Random(3));
  const ef::GroupedQueryAttention<double> one({.dim = 14, .heads = 7, .kv_heads = 1}, ef::Random(3));
  EXPECT_TRUE(support::bit_equal(multi_query(x, ef::Causal{}), one(x, ef::Causal{})));
}

/// GQA equals MHA whose key and value weights repeat each group's.
TEST(GroupedQueryAttention, equals_multi_head_attention_with_repeated_heads) {
  ef::GroupedQueryAttention<double> grouped({.dim = 15, .heads = 6, .kv_heads = 2, .head_dim = 5}, ef::Random(3));
  ef::GroupedQueryAttention<double> full({.dim = 15, .heads = 6, .head_dim = 5}, ef::Random(4));
  full.query = grouped.query;
  full.output = grouped.output;
  for (Index h = 0; h < 6; ++h) {
    full.key.weight.value.middleRows(5 * h, 5) = grouped.key.weight.value.middleRows(5 * (h / 3), 5);
    full.value.weight.value.middleRows(5 * h, 5) = grouped.value.weight.value.middleRows(5 * (h / 3), 5);
  }
  const auto x = normal<double>(2, 13, 15, 1);
  EXPECT_TRUE(support::within(support::max_error(full(x, ef::Causal{}), grouped(x, ef::Causal{})), 1e-14));
}

/// Prefill at once, in chunks, and step by step give what one forward gives.
template <class Block, class T>
void expect_steps_equal_forward(const Block& block, double tolerance) {
  const auto x = normal<T>(2, 71, block.options.dim, 5);
  ef::Context context;
  ef::Tensor<T, 3> expected(x.dimensions());
  block.forward(x, expected, ef::Causal{}, context);
  for (const std::vector<Index>& chunks :
       {std::vector<Index>{71}, {64, 7}, {1, 2, 67, 1}, {3, 68}, std::vector<Index>(71, 1)}) {
    auto cache = block.key_value_cache(2, 73);
    Index first = 0;
    for (const Index length : chunks) {
      const ef::Tensor<T, 3> part = positions(x, first, length);
      ef::Tensor<T, 3> y(part.dimensions());
      block.forward(part, y, ef::Causal{}, cache, context);
      EXPECT_TRUE(support::within(support::max_error(y, positions(expected, first, length)), tolerance)) << first;
      first += length;
    }
    EXPECT_EQ(cache.length(), 71);
  }
}

TEST(GroupedQueryAttention, steps_through_the_cache_equal_one_forward) {
  expect_steps_equal_forward<Rotated<float>, float>(
      Rotated<float>({.dim = 30, .heads = 6, .kv_heads = 2, .head_dim = 14, .value_dim = 5}, ef::Random(7)), 1e-6);
  expect_steps_equal_forward<Rotated<double>, double>(
      Rotated<double>({.dim = 30, .heads = 3, .kv_heads = 3, .softcap = 2}, ef::Random(7)), 2e-15);
  Normed<double> normed({.dim = 30, .heads = 6, .kv_heads = 2, .head_dim = 14, .value_dim = 5}, ef::Random(7));
  spread_gains(normed);
  expect_steps_equal_forward<Normed<double>, double>(normed, 8e-15);
  expect_steps_equal_forward<ef::MultiHeadAttention<float>, float>(
      ef::MultiHeadAttention<float>({.dim = 22, .heads = 11}, ef::Random(7)), 1e-6);
  expect_steps_equal_forward<ef::MultiQueryAttention<float>, float>(
      ef::MultiQueryAttention<float>({.dim = 22, .heads = 11}, ef::Random(7)), 1e-6);
}

/// Keys and values that half precision holds exactly, as whole numbers below 32 are, give the bits of a cache of float,
/// whichever way queries take.
TEST(GroupedQueryAttention, a_cache_in_half_precision_serves_prompts_and_steps) {
  ef::GroupedQueryAttention<float> block({.dim = 30, .heads = 6, .kv_heads = 3}, ef::Random(7));
  support::Generator random(8);
  const auto whole = [&](std::span<float> numbers) {
    for (float& x : numbers) x = static_cast<float>(random.integer(3)) - 1;
  };
  whole(block.key.weight.values());
  whole(block.value.weight.values());
  ef::Tensor<float, 3> x(2, 71, 30);
  whole({x.data(), static_cast<std::size_t>(x.size())});
  for (const int threads : {1, 2}) {
    ef::Context context({.threads = threads});
    auto cache = block.key_value_cache(2, 71);
    auto bfloat16 = block.key_value_cache<ef::Bfloat16>(2, 71);
    auto float16 = block.key_value_cache<ef::Float16>(2, 71);
    Index first = 0;
    for (const Index length : {37, 1, 2, 1, 30}) {
      const ef::Tensor<float, 3> part = positions(x, first, length);
      ef::Tensor<float, 3> expected(part.dimensions()), y(part.dimensions());
      block.forward(part, expected, ef::Causal{}, cache, context);
      block.forward(part, y, ef::Causal{}, bfloat16, context);
      EXPECT_TRUE(support::bit_equal(y, expected)) << first;
      block.forward(part, y, ef::Causal{}, float16, context);
      EXPECT_TRUE(support::bit_equal(y, expected)) << first;
      first += length;
    }
    EXPECT_EQ(bfloat16.length(), 71);
  }
}

/// What is kept is rounded once, after positions have turned it.
TEST(GroupedQueryAttention, a_cache_in_half_precision_keeps_what_one_of_float_does_rounded) {
  const Rotated<float> block({.dim = 30, .heads = 6, .kv_heads = 2, .head_dim = 14, .value_dim = 5}, ef::Random(7));
  const auto x = normal<float>(1, 5, 30, 5);
  ef::Context context;
  auto cache = block.key_value_cache(1, 6);
  auto half = block.key_value_cache<ef::Bfloat16>(1, 6);
  ef::Tensor<float, 3> y(x.dimensions());
  block.forward(x, y, ef::Causal{}, cache, context);
  block.forward(x, y, ef::Causal{}, half, context);
  for (Index t = 0; t < 5; ++t) {
    for (Index h = 0; h < 2; ++h) {
      for (Index e = 0; e < 14; ++e) {
        EXPECT_EQ(half.segment().keys.at<ef::Bfloat16>(0, t, h)[e],
                  ef::rounded<ef::Bfloat16>(cache.segment().keys.at<float>(0, t, h)[e]));
      }
      for (Index e = 0; e < 5; ++e) {
        EXPECT_EQ(half.segment().values.at<ef::Bfloat16>(0, t, h)[e],
                  ef::rounded<ef::Bfloat16>(cache.segment().values.at<float>(0, t, h)[e]));
      }
    }
  }
  auto small = block.key_value_cache<ef::Bfloat16>(1, 4);
  EXPECT_THROW(block.forward(x, y, ef::Causal{}, small, context), ef::ValueError);
  auto foreign = block.key_value_cache<ef::Bfloat16>(2, 6);
  EXPECT_THROW(block.forward(x, y, ef::Causal{}, foreign, context), ef::ShapeError);
  EXPECT_EQ(small.length(), 0);
}

TEST(GroupedQueryAttention, a_truncated_cache_is_one_that_never_went_further) {
  const Rotated<float> block({.dim = 30, .heads = 6, .kv_heads = 2, .head_dim = 14}, ef::Random(7));
  const auto x = normal<float>(1, 9, 30, 5);
  ef::Context context;
  auto cache = block.key_value_cache(1, 16);
  ef::Tensor<float, 3> expected(1, 4, 30);
  ef::Tensor<float, 3> y(1, 4, 30);
  ef::Tensor<float, 3> head(1, 5, 30);
  block.forward(positions(x, 0, 5), head, ef::Causal{}, cache, context);
  block.forward(positions(x, 5, 4), expected, ef::Causal{}, cache, context);
  cache.truncate(5);
  block.forward(positions(x, 5, 4), y, ef::Causal{}, cache, context);
  EXPECT_TRUE(support::bit_equal(y, expected));
}

/// Central differences of sum(dy . y) with respect to x, the memory and every parameter, against backward.
template <class Block, class Forward, class Backward>
void expect_gradients(Block& block, std::vector<std::pair<ef::Tensor<double, 3>*, ef::Tensor<double, 3>*>> inputs,
                      const Forward& forward, const Backward& backward) {
  const ef::Tensor<double, 3> dy = normal<double>(2, 3, block.options.dim, 11);
  const auto loss = [&] {
    const ef::Tensor<double, 3> y = forward();
    double sum = 0;
    for (Index i = 0; i < y.size(); ++i) sum += y.data()[i] * dy.data()[i];
    return sum;
  };
  const auto check = [&](double& x, double gradient) {
    const double kept = x;
    x = kept + support::tolerance::difference_step;
    const double above = loss();
    x = kept - support::tolerance::difference_step;
    const double below = loss();
    x = kept;
    const double difference = (above - below) / (2 * support::tolerance::difference_step);
    EXPECT_NEAR(gradient, difference,
                support::tolerance::difference_abs + support::tolerance::difference_rel * std::abs(difference));
  };
  backward(dy);
  for (const auto& [x, dx] : inputs) {
    for (Index i = 0; i < x->size(); ++i) check(x->data()[i], dx->data()[i]);
  }
  Index count = 0;
  block.visit_parameters([&](const ef::Name& name, auto& parameter) {
    SCOPED_TRACE(name.str());
    ASSERT_EQ(parameter.gradients().size(), parameter.values().size());
    for (std::size_t i = 0; i < parameter.values().size(); ++i, ++count) {
      check(parameter.values()[i], parameter.gradients()[i]);
    }
  });
  EXPECT_EQ(count, ef::parameter_count(block));
}

TEST(GroupedQueryAttention, gradients_match_differences) {
  const auto run = [](auto block, const auto& mask) {
    using Block = decltype(block);
    ef::Context context;
    ef::Tensor<double, 3> x = normal<double>(2, 3, block.options.dim, 2);
    ef::Tensor<double, 3> dx(x.dimensions());
    const auto forward = [&] { return block(x, mask); };
    const auto backward = [&](const ef::Tensor<double, 3>& dy) {
      typename Block::Cache cache;
      ef::Tensor<double, 3> y(x.dimensions());
      block.forward(x, y, mask, context, &cache);
      block.backward(dy, cache, dx, context);
    };
    expect_gradients(block, {{&x, &dx}}, forward, backward);
  };
  const std::array<Index, 2> lengths = {2, 3};
  run(Rotated<double>({.dim = 6, .heads = 4, .kv_heads = 2, .head_dim = 2, .value_dim = 3}, ef::Random(1)),
      ef::Causal{});
  run(Rotated<double>({.dim = 6, .heads = 3, .softcap = 1.5}, ef::Random(1)), ef::NoMask{});
  Normed<double> normed({.dim = 6, .heads = 4, .kv_heads = 2, .head_dim = 4, .value_dim = 3}, ef::Random(1));
  spread_gains(normed);
  run(normed, ef::Causal{});
  run(ef::MultiHeadAttention<double>({.dim = 6, .heads = 2}, ef::Random(1)), ef::Padding{lengths});
  run(ef::MultiQueryAttention<double>({.dim = 6, .heads = 3, .bias = true}, ef::Random(1)), ef::Causal{});
}

TEST(GroupedQueryAttention, gradients_of_cross_attention_match_differences) {
  ef::GroupedQueryAttention<double> block(
      {.dim = 6, .heads = 4, .kv_heads = 2, .head_dim = 3, .memory_dim = 5, .bias = true}, ef::Random(1));
  ef::Context context;
  ef::Tensor<double, 3> x = normal<double>(2, 3, 6, 2);
  ef::Tensor<double, 3> memory = normal<double>(2, 7, 5, 3);
  ef::Tensor<double, 3> dx(x.dimensions());
  ef::Tensor<double, 3> dmemory(memory.dimensions());
  const auto forward = [&] { return block(x, memory, ef::NoMask{}); };
  const auto backward = [&](const ef::Tensor<double, 3>& dy) {
    ef::GroupedQueryAttention<double>::Cache cache;
    ef::Tensor<double, 3> y(x.dimensions());
    block.forward(x, y, memory, ef::NoMask{}, context, &cache);
    block.backward(dy, cache, dx, dmemory, context);
  };
  expect_gradients(block, {{&x, &dx}, {&memory, &dmemory}}, forward, backward);
}

TEST(GroupedQueryAttention, gradients_add_up_and_frozen_parts_get_none) {
  ef::MultiHeadAttention<double> block({.dim = 6, .heads = 2}, ef::Random(1));
  block.key.weight.trainable = false;
  const auto x = normal<double>(2, 3, 6, 2);
  ef::Context context;
  ef::MultiHeadAttention<double>::Cache cache;
  ef::Tensor<double, 3> y(x.dimensions());
  ef::Tensor<double, 3> dx(x.dimensions());
  block.forward(x, y, ef::NoMask{}, context, &cache);
  block.backward(y, cache, dx, context);
  const ef::Matrix<double> once = block.query.weight.gradient;
  block.backward(y, cache, dx, context);
  EXPECT_TRUE(support::within(support::max_error(block.query.weight.gradient, ef::Matrix<double>(2 * once)), 1e-14));
  EXPECT_EQ(block.key.weight.gradient.size(), 0);
}

TEST(GroupedQueryAttention, writes_over_its_input_if_asked) {
  ef::MultiHeadAttention<float> block({.dim = 6, .heads = 2}, ef::Random(1));
  const auto x = normal<float>(2, 5, 6, 2);
  ef::Context context;
  ef::MultiHeadAttention<float>::Cache cache;
  ef::Tensor<float, 3> y = x;
  block.forward(y, y, ef::Causal{}, context, &cache);
  EXPECT_TRUE(support::bit_equal(y, block(x, ef::Causal{})));
  ef::Tensor<float, 3> dx(x.dimensions());
  block.backward(x, cache, dx, context);
  ef::Tensor<float, 3> dy = x;
  block.backward(dy, cache, dy, context);
  EXPECT_TRUE(support::bit_equal(dy, dx));
}

TEST(GroupedQueryAttention, same_bits_for_any_thread_count_and_nothing_allocated) {
  const Rotated<float> block({.dim = 64, .heads = 8, .kv_heads = 2}, ef::Random(1));
  const auto x = normal<float>(2, 131, 64, 2);
  ef::Tensor<float, 3> first_y;
  ef::Tensor<float, 3> first_dx;
  for (const int threads : {1, 2, 3}) {
    Rotated<float> trained = block;
    ef::Context context({.threads = threads});
    Rotated<float>::Cache cache;
    ef::Tensor<float, 3> y(x.dimensions());
    ef::Tensor<float, 3> dx(x.dimensions());
    auto key_values = block.key_value_cache(2, 200);
    const ef::Tensor<float, 3> token = positions(x, 3, 1);
    ef::Tensor<float, 3> step(token.dimensions());
    const auto run = [&] {
      trained.forward(x, y, ef::Causal{}, context, &cache);
      trained.backward(y, cache, dx, context);
      trained.forward(token, step, ef::Causal{}, key_values, context);
    };
    run();
    if (threads == 1) first_y = y;
    if (threads == 1) first_dx = dx;
    EXPECT_TRUE(support::bit_equal(y, first_y)) << threads;
    EXPECT_TRUE(support::bit_equal(dx, first_dx)) << threads;
    if (!support::AllocationCounter::available()) continue;
    EXPECT_EQ(support::allocations_during(run), 0U) << threads;
  }
}

TEST(GroupedQueryAttention, rejects_options_that_do_not_go_together) {
  const auto message_of = [](const auto& options) -> std::string {
    try {
      ef::GroupedQueryAttention<float>(options, ef::Random(1));
    } catch (const ef::OptionError& error) {
      return error.what();
    }
    return "nothing thrown";
  };
  using Options = ef::GroupedQueryAttention<float>::Options;
  EXPECT_EQ(message_of(Options{.dim = 12, .heads = 4, .kv_heads = 3}),
            "GroupedQueryAttention: expected heads divisible by kv_heads, got 4 heads and 3 kv_heads");
  EXPECT_EQ(message_of(Options{.dim = 10, .heads = 4}),
            "GroupedQueryAttention: expected dim divisible by heads unless head_dim is given, got dim 10 and 4 heads");
  EXPECT_EQ(message_of(Options{}), "GroupedQueryAttention: expected dim of at least 1, got 0");
  EXPECT_EQ(message_of(Options{.dim = 10, .heads = 0}), "GroupedQueryAttention: expected heads of at least 1, got 0");
  EXPECT_EQ(message_of(Options{.dim = 10, .heads = 2, .value_dim = 0}),
            "GroupedQueryAttention: expected value_dim of at least 1, got 0");
  EXPECT_EQ(message_of(Options{.dim = 10, .heads = 2, .softcap = -2}),
            "GroupedQueryAttention: expected softcap of at least 0, got -2");
  EXPECT_THROW(ef::MultiHeadAttention<float>({.dim = 7, .heads = 3}, ef::Random(1)), ef::OptionError);
}

TEST(GroupedQueryAttention, rejects_tensors_that_do_not_fit_and_writes_nothing) {
  ef::MultiHeadAttention<float> block({.dim = 6, .heads = 2}, ef::Random(1));
  ef::Context context;
  ef::MultiHeadAttention<float>::Cache cache;
  const auto message_of = [&](const auto& call) -> std::string {
    try {
      call();
    } catch (const ef::Error& error) {
      return error.what();
    }
    return "nothing thrown";
  };
  const ef::Tensor<float, 3> x = normal<float>(2, 3, 6, 1);
  const ef::Tensor<float, 3> wide = normal<float>(2, 3, 7, 1);
  ef::Tensor<float, 3> y(2, 3, 6);
  y.setConstant(17);
  ef::Tensor<float, 3> other(2, 4, 6);
  auto key_values = block.key_value_cache(2, 2);
  EXPECT_EQ(message_of([&] { block.forward(wide, y, ef::NoMask{}, context); }),
            "MultiHeadAttention: expected last dimension 6, got x of shape [2, 3, 7]");
  EXPECT_EQ(message_of([&] { block.forward(x, other, ef::NoMask{}, context); }),
            "MultiHeadAttention: expected y of shape [2, 3, 6], got [2, 4, 6]");
  EXPECT_EQ(message_of([&] { block.forward(x, y, wide, ef::NoMask{}, context); }),
            "MultiHeadAttention: expected last dimension 6, got memory of shape [2, 3, 7]");
  EXPECT_EQ(message_of([&] { block.forward(x, y, normal<float>(3, 3, 6, 1), ef::NoMask{}, context); }),
            "MultiHeadAttention: expected x of the memory's batch of shape [3, 3, 6], got [2, 3, 6]");
  EXPECT_EQ(message_of([&] { block.forward(x, y, ef::Causal{}, key_values, context); }),
            "KeyValueCache: expected room for 3 more positions, got a capacity of 2 with 0 in use");
  EXPECT_EQ(key_values.length(), 0);
  auto foreign = ef::KeyValueCache<float>({.batch = 2, .capacity = 9, .kv_heads = 1, .head_dim = 3});
  EXPECT_EQ(
      message_of([&] { block.forward(x, y, ef::Causal{}, foreign, context); }),
      "MultiHeadAttention: expected a key/value cache [batch, kv_heads, head_dim, value_dim] of shape [2, 2, 3, 3], "
      "got [2, 1, 3, 3]");
  const std::array<Index, 1> lengths = {1};
  EXPECT_EQ(message_of([&] { block.forward(x, y, ef::Padding{lengths}, context); }),
            "Padding: expected one length for each of 2 batches, got 1");
  EXPECT_EQ(message_of([&] { block.backward(x, cache, y, context); }),
            "MultiHeadAttention: expected the batch, queries and keys of forward of shape [0, 0, 0], got [2, 3, 3]");
  block.value = ef::Linear<float>({.in_features = 6, .out_features = 4}, ef::Random(1));
  EXPECT_EQ(message_of([&] { block.forward(x, y, ef::NoMask{}, context); }),
            "MultiHeadAttention: expected value to map 6 to 6 features, got 6 to 4");
  for (Index i = 0; i < y.size(); ++i) EXPECT_EQ(y.data()[i], 17.0F);
  Normed<float> normed({.dim = 6, .heads = 2, .head_dim = 4, .value_dim = 3}, ef::Random(1));
  normed.key_norm = ef::RmsNorm<float>({.dim = 5});
  EXPECT_EQ(message_of([&] { normed.forward(x, y, ef::NoMask{}, context); }),
            "GroupedQueryAttention: expected key_norm over 4 features, got 5");
  normed.key_norm = normed.query_norm;
  normed.inner_norm = ef::LayerNorm<float>({.dim = 5});
  EXPECT_EQ(message_of([&] { normed.forward(x, y, ef::NoMask{}, context); }),
            "GroupedQueryAttention: expected inner_norm over 6 features, got 5");
  for (Index i = 0; i < y.size(); ++i) EXPECT_EQ(y.data()[i], 17.0F);
}

// ---- dropout ----

template <class T>
ef::GroupedQueryAttention<T> dropping(double rate) {
  return ef::GroupedQueryAttention<T>({.dim = 30, .heads = 6, .kv_heads = 2, .head_dim = 5, .dropout = rate},
                                      ef::Random(3));
}
template <class T, class Block>
ef::Tensor<T, 3> trained(const Block& block, const ef::Tensor<T, 3>& x, ef::Context& context,
                         typename Block::Cache& cache) {
  ef::Tensor<T, 3> y(x.dimensions());
  block.forward(x, y, ef::Causal{}, context, &cache);
  return y;
}

TEST(GroupedQueryAttentionDropout, drops_weights_by_a_seed_from_the_context) {
  const auto block = dropping<double>(0.3);
  const auto x = normal<double>(2, 11, 30, 5);
  ef::Context context({.seed = 17});
  ef::GroupedQueryAttention<double>::Cache cache;
  trained(block, x, context, cache);
  EXPECT_EQ(cache.dropout.seed, ef::Random(17).bits());
  const auto heads = [](const ef::Buffer<double>& buffer, Index count, Index dim) {
    return ef::ConstHeadsView<double>(buffer.data(), 2, 11, count, dim);
  };
  const ef::KeyValueSegment<double> segments[] = {{heads(cache.keys, 2, 5), heads(cache.values, 2, 5)}};
  ef::Tensor<double, 4> attended(2, 11, 6, 5);
  ef::attention<double>({heads(cache.queries, 6, 5), segments}, {attended, nullptr}, ef::Causal{},
                        {.dropout = {.rate = 0.3, .seed = ef::Random(17).bits()}}, context);
  for (Index i = 0; i < attended.size(); ++i) EXPECT_EQ(cache.attended.data()[i], attended.data()[i]);
}

TEST(GroupedQueryAttentionDropout, is_for_training_alone) {
  const auto x = normal<float>(2, 11, 30, 5);
  const auto block = dropping<float>(0.3), plain = dropping<float>(0);
  const ef::Tensor<float, 3> expected = plain(x, ef::Causal{});
  EXPECT_TRUE(support::bit_equal(block(x, ef::Causal{}), expected));
  ef::Context context;
  auto key_values = block.key_value_cache(2, 11);
  auto of_plain = plain.key_value_cache(2, 11);
  ef::Tensor<float, 3> y(x.dimensions()), z(x.dimensions());
  block.forward(x, y, ef::Causal{}, key_values, context);
  plain.forward(x, z, ef::Causal{}, of_plain, context);
  EXPECT_TRUE(support::bit_equal(y, z));
  EXPECT_EQ(context.random().state(), ef::Random(0).state());
  ef::GroupedQueryAttention<float>::Cache cache;
  EXPECT_FALSE(support::bit_equal(trained(block, x, context, cache), expected));
}

TEST(GroupedQueryAttentionDropout, of_rate_0_draws_nothing) {
  const auto x = normal<float>(2, 11, 30, 5);
  const auto block = dropping<float>(0);
  ef::Context context;
  ef::GroupedQueryAttention<float>::Cache cache;
  EXPECT_TRUE(support::bit_equal(trained(block, x, context, cache), block(x, ef::Causal{})));
  EXPECT_EQ(context.random().state(), ef::Random(0).state());
}

TEST(GroupedQueryAttentionDropout, is_another_in_every_forward_and_the_same_where_the_numbers_are_set_again) {
  const auto x = normal<float>(2, 11, 30, 5);
  const auto block = dropping<float>(0.3);
  ef::Context context;
  ef::GroupedQueryAttention<float>::Cache cache;
  const auto first = trained(block, x, context, cache);
  const auto second = trained(block, x, context, cache);
  EXPECT_FALSE(support::bit_equal(second, first));
  context.random() = ef::Random(0);
  EXPECT_TRUE(support::bit_equal(trained(block, x, context, cache), first));
  EXPECT_TRUE(support::bit_equal(trained(block, x, context, cache), second));
}

/// By central differences of sum(dy . y), each forward with the same random numbers.
TEST(GroupedQueryAttentionDropout, gradients_are_those_of_what_was_dropped) {
  auto block = dropping<double>(0.4);
  auto x = normal<double>(2, 7, 30, 5);
  const auto dy = normal<double>(2, 7, 30, 6);
  ef::Context context;
  ef::GroupedQueryAttention<double>::Cache cache;
  const auto loss = [&] {
    context.random() = ef::Random(9);
    const auto y = trained(block, x, context, cache);
    double sum = 0;
    for (Index i = 0; i < y.size(); ++i) sum += y.data()[i] * dy.data()[i];
    return sum;
  };
  loss();
  ef::Tensor<double, 3> dx(x.dimensions());
  block.backward(dy, cache, dx, context);
  const auto check = [&](double& number, double gradient) {
    const double kept = number;
    number = kept + support::tolerance::difference_step;
    const double above = loss();
    number = kept - support::tolerance::difference_step;
    const double below = loss();
    number = kept;
    const double slope = (above - below) / (2 * support::tolerance::difference_step);
    EXPECT_NEAR(gradient, slope,
                support::tolerance::difference_abs + support::tolerance::difference_rel * std::abs(slope));
  };
  for (Index i = 0; i < x.size(); i += 3) check(x.data()[i], dx.data()[i]);
  block.visit_parameters([&](const ef::Name&, auto& parameter) {
    for (Index i = 0; i < parameter.size(); i += 7) check(parameter.value.data()[i], parameter.gradient.data()[i]);
  });
}

TEST(GroupedQueryAttentionGolden, equals_grouped_attention_of_pytorch) {
  const support::Golden golden("gqa_h8_g2");
  ef::GroupedQueryAttention<double> block({.dim = 40, .heads = 8, .kv_heads = 2, .head_dim = 8}, ef::Random(1));
  block.query.weight.value = golden.matrix<double>("wq");
  block.key.weight.value = golden.matrix<double>("wk");
  block.value.weight.value = golden.matrix<double>("wv");
  block.output.weight.value = golden.matrix<double>("wo");
  attention_test::expect_golden(block, golden, "x", "y", ef::Causal{});
  attention_test::expect_golden_gradient(block.query.weight.gradient, golden.matrix<double>("grad.wq"));
  attention_test::expect_golden_gradient(block.key.weight.gradient, golden.matrix<double>("grad.wk"));
  attention_test::expect_golden_gradient(block.value.weight.gradient, golden.matrix<double>("grad.wv"));
  attention_test::expect_golden_gradient(block.output.weight.gradient, golden.matrix<double>("grad.wo"));
}

}  // namespace
