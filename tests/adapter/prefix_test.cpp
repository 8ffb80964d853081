// SPDX-License-Identifier: MIT
#include <eigenformer/adapter/prefix.hpp>

#include <eigenformer/attention/multi_query_attention.hpp>
#include <eigenformer/attention/rolling_key_value_cache.hpp>
#include <eigenformer/attention/sliding_window.hpp>
#include <eigenformer/attention/strided.hpp>
#include <eigenformer/block/cross_layer.hpp>
#include <eigenformer/block/feed_forward.hpp>
#include <eigenformer/model/decoder.hpp>
#include <eigenformer/norm/layer_norm.hpp>
#include <eigenformer/position/alibi.hpp>
#include <eigenformer/position/relative_bias.hpp>
#include <eigenformer/train/gradient_check.hpp>

#include "adapter/prefix_case.hpp"
#include "reference/prefix.hpp"
#include "support/allocation.hpp"

namespace {

namespace ef = eigenformer;
namespace tolerance = support::tolerance;
using ef::Index;
using prefix_test::normal;
template <class T>
using Rotated = ef::GroupedQueryAttention<T, ef::Linear<T>, ef::Rotary<ef::HalfSplit>>;
template <class T>
using Attention = ef::Prefixed<Rotated<T>>;

static_assert(ef::SequenceBlock<Attention<float>, float, ef::Causal>);
static_assert(ef::SequenceBlock<ef::Prefixed<ef::MultiQueryAttention<double>>, double, ef::Padding>);

template <class T>
Attention<T> some_attention(Index length = 5) {
  Attention<T> block({.dim = 19, .heads = 6, .kv_heads = 3, .head_dim = 10, .value_dim = 7}, ef::Random(3));
  block.prefix = block.own_prefix(length, ef::Random(11));
  return block;
}
template <class T>
const Rotated<T>& base(const Attention<T>& block) {
  return block;
}
template <class T>
ef::Tensor<T, 3> part(const ef::Tensor<T, 3>& x, Index first, Index length) {
  return x.slice(std::array<Index, 3>{0, first, 0}, std::array<Index, 3>{x.dimension(0), length, x.dimension(2)});
}
template <class T>
ef::Tensor<T, 3> sequence(const ef::Tensor<T, 3>& x, Index b) {
  return x.slice(std::array<Index, 3>{b, 0, 0}, std::array<Index, 3>{1, x.dimension(1), x.dimension(2)});
}
template <class T>
testing::AssertionResult near(const ef::Tensor<T, 3>& actual, const ef::Tensor<T, 3>& expected) {
  return support::within(support::worst_row_nmse(actual, expected, expected.dimension(2)),
                         4 * tolerance::attention_row_nmse<T>(4));
}

template <class T>
class Prefix : public testing::Test {};
using Scalars = testing::Types<float, double>;
TYPED_TEST_SUITE(Prefix, Scalars);

TYPED_TEST(Prefix, equals_the_reference_under_any_mask) {
  using T = TypeParam;
  using reference::widened;
  const Attention<T> block = some_attention<T>();
  const auto projection = [](const ef::Linear<T>& linear) -> reference::Projection<double> {
    return {widened(linear.weight.value.data(), {linear.output_features(), linear.input_features()}), {}};
  };
  const reference::AttentionWeights<double> weights = {projection(block.query), projection(block.key),
                                                       projection(block.value), projection(block.output)};
  const auto x = normal<T>(2, 11, 19, 5);
  const auto wide = widened(x.data(), {2, 11, 19});
  const auto keys = widened(block.prefix.keys.value.data(), {5, 3, 10});
  const auto values = widened(block.prefix.values.value.data(), {5, 3, 7});
  const auto expect = [&](const auto& mask, const reference::Mask& own) {
    reference::AttentionModuleOptions options = {
        .heads = 6,
        .kv_heads = 3,
        .rotary = reference::RotaryOptions{.dim = 10, .pairs = reference::RotaryPairs::half_split}};
    options.attention.mask = own;
    const auto expected = reference::prefixed_attention(wide, wide, keys, values, weights, options);
    EXPECT_TRUE(support::within(support::worst_row_nmse(block(x, mask), expected, 19),
                                4 * tolerance::attention_row_nmse<T>(4)));
  };
  const std::array<Index, 2> lengths = {3, 0};
  expect(ef::NoMask{}, reference::no_mask());
  expect(ef::Causal{}, reference::causal_mask(0));
  expect(ef::Padding{lengths}, reference::padding_mask({3, 0}));
  expect(ef::SlidingWindow{2, 1}, reference::window_mask(0, 2, 1));
  expect(ef::Strided{3, 2}, reference::strided_mask(0, 3, 2));
}

TYPED_TEST(Prefix, of_length_zero_changes_no_bit) {
  using T = TypeParam;
  Attention<T> block = some_attention<T>(0);
  const auto x = normal<T>(2, 29, 19, 5), dy = normal<T>(2, 29, 19, 6);
  EXPECT_TRUE(support::bit_equal(block(x, ef::Causal{}), base(block)(x, ef::Causal{})));
  EXPECT_TRUE(support::bit_equal(block(x, ef::SlidingWindow{3, 0}), base(block)(x, ef::SlidingWindow{3, 0})));
  EXPECT_TRUE(support::bit_equal(block(x, ef::Strided{3, 2}), base(block)(x, ef::Strided{3, 2})));
  ef::Context context;
  Rotated<T> plain = base(block);
  typename Attention<T>::Cache cache;
  ef::Tensor<T, 3> y(x.dimensions()), dx(x.dimensions()), expected(x.dimensions());
  block.forward(x, y, ef::Causal{}, context, &cache);
  block.backward(dy, cache, dx, context);
  plain.forward(x, y, ef::Causal{}, context, &cache);
  plain.backward(dy, cache, expected, context);
  EXPECT_TRUE(support::bit_equal(dx, expected));
  EXPECT_TRUE(support::bit_equal(block.key.weight.gradient, plain.key.weight.gradient));
  auto own = block.key_value_cache(2, 29), other = plain.key_value_cache(2, 29);
  for (Index first = 0; first < 29; first += 10) {
    const ef::Tensor<T, 3> some = part(x, first, std::min<Index>(10, 29 - first));
    ef::Tensor<T, 3> step(some.dimensions()), plain_step(some.dimensions());
    block.forward(some, step, ef::Causal{}, own, context);
    plain.forward(some, plain_step, ef::Causal{}, other, context);
    EXPECT_TRUE(support::bit_equal(step, plain_step));
  }
}

/// Keys and values of tokens, taken for a prefix, are what those tokens were.
TYPED_TEST(Prefix, equals_keys_and_values_side_by_side) {
  using T = TypeParam;
  using Plain = ef::MultiQueryAttention<T, ef::Linear<T>, ef::Alibi>;
  ef::Prefixed<Plain> block({.dim = 21, .heads = 3}, ef::Random(3));
  const auto x = normal<T>(1, 17, 21, 5);
  const ef::Tensor<T, 3> whole = block(x, ef::Causal{}), before = part(x, 0, 6), behind = part(x, 6, 11);
  ef::Context context;
  ef::Prefix<T> prefix = block.own_prefix(6, ef::Random(1));
  block.key.forward(before, ef::RowsView<T>(prefix.keys.value.data(), 6, 7, 7), context);
  block.value.forward(before, ef::RowsView<T>(prefix.values.value.data(), 6, 7, 7), context);
  block.prefix = prefix;
  EXPECT_TRUE(near<T>(block(behind, ef::Causal{}), part(whole, 6, 11)));
}

TYPED_TEST(Prefix, step_by_step_equals_the_whole) {
  using T = TypeParam;
  const Attention<T> block = some_attention<T>();
  const auto x = normal<T>(2, 13, 19, 5);
  ef::Context context;
  const auto expect = [&](const auto& mask, auto make_cache) {
    const ef::Tensor<T, 3> whole = block(x, mask);
    for (const Index step : {Index(1), Index(4)}) {
      auto cache = make_cache();
      for (Index first = 0; first < 13; first += step) {
        const ef::Tensor<T, 3> tokens = part(x, first, std::min<Index>(step, 13 - first));
        ef::Tensor<T, 3> y(tokens.dimensions());
        block.forward(tokens, y, mask, cache, context);
        EXPECT_TRUE(near<T>(y, part(whole, first, tokens.dimension(1)))) << step << " from " << first;
      }
      EXPECT_EQ(cache.length(), 13);  // the prefix is not in it
    }
  };
  expect(ef::Causal{}, [&] { return block.key_value_cache(2, 13); });
  expect(ef::SlidingWindow{2, 0}, [&] { return block.key_value_cache(2, 13); });
  expect(ef::SlidingWindow{2, 0}, [] {
    return ef::RollingKeyValueCache<T>(
        {.batch = 2, .window = 3, .chunk = 4, .kv_heads = 3, .head_dim = 10, .value_dim = 7});
  });
}

/// Of different lengths, one of them 0, each sequence with its own: whole, in a cache of each type, and in a paged one.
TYPED_TEST(Prefix, each_sequence_of_a_batch_has_its_own) {
  using T = TypeParam;
  Attention<T> block = some_attention<T>(0);
  const std::vector<ef::Prefix<T>> prefixes = {block.own_prefix(5, ef::Random(1)), block.own_prefix(0, ef::Random(2)),
                                               block.own_prefix(3, ef::Random(3))};
  const std::vector<ef::KeyValueSegment<T>> segments = {prefixes[0].segment(), prefixes[1].segment(),
                                                        prefixes[2].segment()};
  const ef::KeyValuePrefixes<T> own{segments};
  const auto x = normal<T>(3, 7, 19, 5);
  ef::Context context;
  ef::Tensor<T, 3> y(x.dimensions());
  const auto expect = [&](const auto& mask, const auto& run) {
    run();
    for (Index b = 0; b < 3; ++b) {
      block.prefix = prefixes[static_cast<std::size_t>(b)];
      EXPECT_TRUE(near<T>(sequence<T>(y, b), block(sequence(x, b), mask))) << b;
    }
  };
  const auto in_two_steps = [&](auto&& forward) {
    for (const Index first : {Index(0), Index(4)}) {
      const ef::Tensor<T, 3> tokens = part(x, first, first == 0 ? 4 : 3);
      ef::Tensor<T, 3> some(tokens.dimensions());
      forward(tokens, some);
      y.slice(std::array<Index, 3>{0, first, 0}, some.dimensions()) = some;
    }
  };
  expect(ef::Causal{}, [&] { block.forward(x, y, ef::Causal{}, own, context); });
  expect(ef::SlidingWindow{2, 1}, [&] { block.forward(x, y, ef::SlidingWindow{2, 1}, own, context); });
  expect(ef::Causal{}, [&] {
    auto cache = block.key_value_cache(3, 7);
    in_two_steps([&](const auto& from, auto& to) { block.forward(from, to, ef::Causal{}, cache, own, context); });
  });
  expect(ef::Causal{}, [&] {
    ef::PagedKeyValueCache<T> cache(
        {.sequences = 3, .pages = 9, .page_length = 3, .kv_heads = 3, .head_dim = 10, .value_dim = 7});
    const std::array<Index, 3> rows = {cache.add(), cache.add(), cache.add()};
    const ef::PagedSequences<T> paged{cache, rows};
    in_two_steps([&](const auto& from, auto& to) { block.forward(from, to, ef::Causal{}, paged, own, context); });
  });
}

/// One in the caches of each type of number, which are read where they lie.
TEST(Prefix, each_sequence_has_its_own_whatever_the_cache_stores) {
  Attention<float> block = some_attention<float>(0);
  const std::vector<ef::Prefix<float>> prefixes = {block.own_prefix(5, ef::Random(1)),
                                                   block.own_prefix(2, ef::Random(2))};
  const std::vector<ef::KeyValueSegment<float>> segments = {prefixes[0].segment(), prefixes[1].segment()};
  const auto x = normal<float>(2, 7, 19, 5);
  ef::Context context;
  const auto expect = [&]<class Storage>(std::type_identity<Storage>) {
    auto cache = block.template key_value_cache<Storage>(2, 7);
    ef::Tensor<float, 3> y(x.dimensions());
    block.forward(x, y, ef::Causal{}, cache, ef::KeyValuePrefixes<float>{segments}, context);
    for (Index b = 0; b < 2; ++b) {
      block.prefix = prefixes[static_cast<std::size_t>(b)];
      auto alone = block.template key_value_cache<Storage>(1, 7);
      ef::Tensor<float, 3> expected(1, 7, 19);
      block.forward(sequence(x, b), expected, ef::Causal{}, alone, context);
      EXPECT_TRUE(near<float>(sequence(y, b), expected));
    }
  };
  expect(std::type_identity<ef::Bfloat16>());
  expect(std::type_identity<ef::Float16>());
  expect(std::type_identity<ef::Int8>());
}

template <class Block, class Mask>
void expect_gradients(Block block, const Mask& mask) {
  const auto x = normal<double>(2, 7, block.options.dim, 5), dy = normal<double>(2, 7, block.options.dim, 6);
  ef::Tensor<double, 3> input = x, dx(x.dimensions()), y(x.dimensions());
  ef::Context context;
  typename Block::Cache cache;
  block.prefix = block.own_prefix(3, ef::Random(4));
  const auto loss = [&] {
    block.forward(input, y, mask, context);
    double sum = 0;
    for (Index i = 0; i < y.size(); ++i) sum += y.data()[i] * dy.data()[i];
    return sum;
  };
  block.forward(input, y, mask, context, &cache);
  block.backward(dy, cache, dx, context);
  const auto check = [&](double& number, double gradient, const std::string& name) {
    const double before = number;
    number = before + tolerance::difference_step;
    const double above = loss();
    number = before - tolerance::difference_step;
    const double slope = (above - loss()) / (2 * tolerance::difference_step);
    number = before;
    EXPECT_NEAR(gradient, slope, tolerance::difference_abs + tolerance::difference_rel * std::abs(slope)) << name;
  };
  for (Index i = 0; i < x.size(); i += 5) check(input.data()[i], dx.data()[i], "x");
  block.visit_parameters([&](const ef::Name& name, auto& parameter) {
    ASSERT_EQ(parameter.gradient.size(), parameter.value.size()) << name;
    for (Index i = 0; i < parameter.size(); i += 3) {
      check(parameter.value.data()[i], parameter.gradient.data()[i], name.str());
    }
  });
}

TEST(Prefix, gradients_match_differences) {
  expect_gradients(some_attention<double>(), ef::Causal{});
  expect_gradients(some_attention<double>(), ef::SlidingWindow{2, 0});
  using Biased = ef::Prefixed<ef::GroupedQueryAttention<double, ef::Linear<double>, ef::RelativeBias<double>>>;
  expect_gradients(
      Biased({.dim = 13, .heads = 4, .kv_heads = 2, .head_dim = 7, .position = {.num_buckets = 6}}, ef::Random(1)),
      ef::Causal{});
}

TYPED_TEST(Prefix, trained_alone_leaves_the_frozen_base_without_gradients) {
  using T = TypeParam;
  Attention<T> block = some_attention<T>(), all = block;
  ef::set_training(block, ef::Training::frozen);
  block.prefix.keys.trainable = block.prefix.values.trainable = true;
  const auto x = normal<T>(2, 11, 19, 5), dy = normal<T>(2, 11, 19, 6);
  ef::Context context;
  ef::Tensor<T, 3> y(x.dimensions()), dx(x.dimensions()), expected(x.dimensions());
  for (Attention<T>* one : {&block, &all}) {
    typename Attention<T>::Cache cache;
    one->forward(x, y, ef::Causal{}, context, &cache);
    EXPECT_EQ(cache.query.x.size() == 0, one == &block);
    one->backward(dy, cache, one == &block ? dx : expected, context);
  }
  EXPECT_TRUE(support::bit_equal(dx, expected));
  EXPECT_TRUE(support::bit_equal(block.prefix.keys.gradient, all.prefix.keys.gradient));
  EXPECT_TRUE(support::bit_equal(block.prefix.values.gradient, all.prefix.values.gradient));
  block.visit_parameters([](const ef::Name& name, const auto& parameter) {
    EXPECT_EQ(parameter.gradient.size() > 0, name.str().starts_with("prefix.")) << name;
  });
  ef::set_training(block, ef::Training::frozen);
  typename Attention<T>::Cache cache;
  block.forward(x, y, ef::Causal{}, context, &cache);
  block.backward(dy, cache, dx, context);
  EXPECT_EQ(block.prefix.keys.gradient.size(), 0);
}

TEST(PrefixGolden, equals_what_peft_learns_directly) {
  const support::Golden golden("prefix_direct");
  const auto flat = golden.matrix<double>("embedding.weight");
  const auto gradient = golden.matrix<double>("grad.embedding.weight");
  for (const Index number : {Index(0), Index(1)}) {
    prefix_test::GoldenLayer layer(golden, number);
    ef::Prefix<double>& prefix = layer.attention.prefix;
    const Index width = layer.heads * layer.head_dim;
    const auto numbers = [&](double* to, const ef::Matrix<double>& from, Index half) {
      ef::RowsView<double>(to, flat.rows(), width, width) = from.middleCols((2 * number + half) * width, width);
    };
    numbers(prefix.keys.value.data(), flat, 0);
    numbers(prefix.values.value.data(), flat, 1);
    layer.expect_golden();
    ef::Matrix<double> expected(flat.rows(), width);
    const double limit = support::tolerance::pytorch_rel<float>;
    numbers(expected.data(), gradient, 0);
    EXPECT_TRUE(support::within(support::mixed_error(prefix.keys.gradient, expected, limit, limit), 1));
    numbers(expected.data(), gradient, 1);
    EXPECT_TRUE(support::within(support::mixed_error(prefix.values.gradient, expected, limit, limit), 1));
  }
}

/// In layers and models it stands where the attention stood, under the same names.
TYPED_TEST(Prefix, goes_into_a_decoder) {
  using T = TypeParam;
  using Layer = ef::PreNorm<ef::RmsNorm<T>, ef::Prefixed<ef::GroupedQueryAttention<T, ef::Linear<T>, ef::Rotary<>>>,
                            ef::GatedFeedForward<T, ef::Silu>>;
  const ef::DecoderOptions options = {
      .vocabulary = 29, .dim = 42, .layers = 2, .heads = 3, .kv_heads = 1, .hidden = 53};
  const ef::LlamaDecoder<T> plain(options, ef::Random(5));
  ef::Decoder<T, Layer> model(options, ef::Random(6));
  std::vector<std::pair<std::string, const T*>> weights;
  plain.visit_parameters(
      [&](const ef::Name& name, const auto& p) { weights.emplace_back(name.str(), p.value.data()); });
  std::size_t taken = 0;
  model.visit_parameters([&](const ef::Name& name, auto& p) {
    for (const auto& [known, data] : weights) {
      if (known == name.str()) std::copy_n(data, p.size(), p.value.data()), ++taken;
    }
  });
  EXPECT_EQ(taken, weights.size());
  const auto parameters = [](const auto& of) {
    std::size_t count = 0;
    of.visit_parameters([&](const ef::Name&, const auto&) { ++count; });
    return count;
  };
  EXPECT_EQ(parameters(model), weights.size()) << "prefixes of length 0 have no parameters";
  ef::Tensor<std::int32_t, 2> tokens(2, 9);
  for (Index i = 0; i < tokens.size(); ++i) tokens.data()[i] = static_cast<std::int32_t>(i * 7 % 29);
  EXPECT_TRUE(support::bit_equal(model(tokens), plain(tokens)));
  for (auto& layer : model.layers.layers) layer.attention.prefix = layer.attention.own_prefix(4, ef::Random(9));
  EXPECT_EQ(parameters(model), weights.size() + 4) << "keys and values in two layers";
  const ef::Tensor<T, 3> whole = model(tokens);
  EXPECT_FALSE(support::bit_equal(whole, plain(tokens)));
  auto caches = model.key_values(2, 9);
  ef::Context context;
  for (Index s = 0; s < 9; ++s) {
    ef::Tensor<std::int32_t, 2> token(2, 1);
    token(0, 0) = tokens(0, s), token(1, 0) = tokens(1, s);
    ef::Tensor<T, 3> logits(2, 1, 29);
    model.forward(token, logits, caches, context);
    EXPECT_TRUE(near<T>(logits, part(whole, s, 1))) << s;
  }
}

TYPED_TEST(Prefix, stands_before_a_memory_projected_or_not) {
  using T = TypeParam;
  using Cross = ef::Prefixed<ef::MultiHeadAttention<T>>;
  using Layer =
      ef::CrossLayer<ef::LayerNorm<T>, ef::MultiHeadAttention<T>, ef::FeedForward<T, ef::Relu>, ef::NormAfter, Cross>;
  Layer layer({.norm = {.dim = 14},
               .attention = {.dim = 14, .heads = 2},
               .cross_attention = {.dim = 14, .heads = 2, .memory_dim = 11},
               .feed_forward = {.dim = 14, .hidden = 13}},
              ef::Random(3));
  layer.cross_attention.prefix = layer.cross_attention.own_prefix(3, ef::Random(8));
  const auto x = normal<T>(2, 5, 14, 1), memory = normal<T>(2, 7, 11, 2);
  const std::array<Index, 2> lengths = {4, 7};
  const ef::Tensor<T, 3> whole = layer(x, ef::Causal{}, ef::Memory{memory, ef::Padding{lengths}});
  ef::Context context;
  auto key_values = layer.key_values(memory, {.capacity = 5}, context);
  for (Index s = 0; s < 5; ++s) {
    ef::Tensor<T, 3> y(2, 1, 14);
    layer.forward(part(x, s, 1), y, ef::Causal{}, ef::Padding{lengths}, key_values, context);
    EXPECT_TRUE(near<T>(y, part(whole, s, 1)));
  }
  layer.cross_attention.prefix = layer.cross_attention.own_prefix(0, ef::Random(8));
  EXPECT_FALSE(support::bit_equal(layer(x, ef::Causal{}, ef::Memory{memory, ef::Padding{lengths}}), whole));
  typename Layer::Cache cache;
  ef::Tensor<T, 3> y(x.dimensions()), dx(x.dimensions()), dmemory(memory.dimensions());
  layer.cross_attention.prefix = layer.cross_attention.own_prefix(3, ef::Random(8));
  layer.forward(x, y, ef::Causal{}, ef::Memory{memory, ef::NoMask{}}, context, &cache);
  layer.backward(x, cache, dx, dmemory, context);
  EXPECT_EQ(layer.cross_attention.prefix.keys.gradient.size(), 3 * 14);
}

TEST(Prefix, allocates_nothing_after_the_first_call) {
  if (!support::AllocationCounter::available()) GTEST_SKIP() << support::AllocationCounter::why_not();
  Attention<float> block = some_attention<float>();
  const auto x = normal<float>(2, 11, 19, 5);
  ef::Tensor<float, 3> y(x.dimensions()), dx(x.dimensions());
  ef::Context context;
  Attention<float>::Cache cache;
  const std::vector<ef::KeyValueSegment<float>> own = {block.prefix.segment(), block.prefix.segment()};
  auto key_values = block.key_value_cache(2, 11);
  const auto all = [&] {
    block.forward(x, y, ef::SlidingWindow{2, 0}, context, &cache);
    block.backward(y, cache, dx, context);
    block.forward(x, y, ef::Causal{}, ef::KeyValuePrefixes<float>{own}, context);
    key_values.clear();
    block.forward(x, y, ef::Causal{}, key_values, context);
  };
  all();
  EXPECT_EQ(support::allocations_during(all), 0U);
}

TEST(Prefix, is_the_same_for_any_number_of_threads) {
  const auto x = normal<float>(3, 67, 19, 5);
  const auto run = [&](std::size_t threads) {
    Attention<float> block = some_attention<float>();
    ef::Context context({.threads = static_cast<int>(threads)});
    Attention<float>::Cache cache;
    ef::Tensor<float, 3> y(x.dimensions()), dx(x.dimensions());
    block.forward(x, y, ef::Causal{}, context, &cache);
    block.backward(y, cache, dx, context);
    return block.prefix.keys.gradient;
  };
  const ef::Tensor<float, 3> one = run(1);
  EXPECT_TRUE(support::bit_equal(run(2), one));
  EXPECT_TRUE(support::bit_equal(run(3), one));
}

TEST(Prefix, refuses_what_does_not_fit_and_writes_nothing) {
  EXPECT_THROW(ef::Prefix<float>({.length = -1, .kv_heads = 2, .head_dim = 3}, ef::Random(1)), ef::OptionError);
  EXPECT_THROW(ef::Prefix<float>({.length = 2, .kv_heads = 0, .head_dim = 3}, ef::Random(1)), ef::OptionError);
  EXPECT_THROW(ef::Prefix<float>({.length = 2, .kv_heads = 2, .head_dim = 0}, ef::Random(1)), ef::OptionError);
  EXPECT_THROW(ef::Prefix<float>(ef::Tensor<float, 3>(2, 3, 5), ef::Tensor<float, 3>(4, 3, 5)), ef::ShapeError);
  EXPECT_THROW(ef::Prefix<float>(ef::Tensor<float, 3>(2, 3, 5), ef::Tensor<float, 3>(2, 2, 5)), ef::ShapeError);
  Attention<float> block = some_attention<float>();
  EXPECT_THROW(static_cast<void>(block.own_prefix(-1, ef::Random(1))), ef::OptionError);
  const auto x = normal<float>(2, 5, 19, 5);
  ef::Tensor<float, 3> y(x.dimensions()), dx(x.dimensions());
  y.setConstant(7);
  const ef::Tensor<float, 3> before = y;
  ef::Context context;
  Attention<float>::Cache cache;
  auto key_values = block.key_value_cache(2, 5);
  const ef::Prefix<float> right = block.prefix;
  for (const ef::PrefixOptions wrong : {ef::PrefixOptions{5, 2, 10, 7}, {5, 3, 9, 7}, {5, 3, 10, 8}}) {
    block.prefix = ef::Prefix<float>(wrong, ef::Random(1));
    EXPECT_THROW(block.forward(x, y, ef::Causal{}, context, &cache), ef::ShapeError);
    EXPECT_THROW(block.forward(x, y, ef::Causal{}, key_values, context), ef::ShapeError);
    const std::vector<ef::KeyValueSegment<float>> own = {right.segment(), block.prefix.segment()};
    EXPECT_THROW(block.forward(x, y, ef::Causal{}, ef::KeyValuePrefixes<float>{own}, context), ef::ShapeError);
  }
  const std::vector<ef::KeyValueSegment<float>> one = {right.segment()};
  EXPECT_THROW(block.forward(x, y, ef::Causal{}, ef::KeyValuePrefixes<float>{one}, context), ef::ShapeError);
  EXPECT_TRUE(support::bit_equal(y, before));
  EXPECT_EQ(key_values.length(), 0);
  block.prefix = right;
  block.forward(x, y, ef::Causal{}, context, &cache);
  block.prefix = block.own_prefix(2, ef::Random(1));
  EXPECT_THROW(block.backward(x, cache, dx, context), ef::ValueError);
  EXPECT_EQ(block.prefix.keys.gradient.size(), 0);
}

TEST(Prefix, of_different_lengths_does_not_go_with_positions_that_add_to_scores) {
  ef::Prefixed<ef::MultiQueryAttention<float, ef::Linear<float>, ef::Alibi>> block({.dim = 21, .heads = 3},
                                                                                   ef::Random(3));
  const ef::Prefix<float> long_one = block.own_prefix(3, ef::Random(1)), short_one = block.own_prefix(2, ef::Random(1));
  const auto x = normal<float>(2, 5, 21, 5);
  ef::Tensor<float, 3> y(x.dimensions());
  ef::Context context;
  const std::vector<ef::KeyValueSegment<float>> unequal = {long_one.segment(), short_one.segment()};
  EXPECT_THROW(block.forward(x, y, ef::Causal{}, ef::KeyValuePrefixes<float>{unequal}, context), ef::ValueError);
  const std::vector<ef::KeyValueSegment<float>> equal = {long_one.segment(), long_one.segment()};
  block.forward(x, y, ef::Causal{}, ef::KeyValuePrefixes<float>{equal}, context);
  block.prefix = long_one;
  EXPECT_TRUE(near<float>(y, block(x, ef::Causal{})));
}

}  // namespace
