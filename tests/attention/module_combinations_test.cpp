// SPDX-License-Identifier: MIT
// The modules against plain loops in double: heads x positions x modifiers x masks x where keys come from. What the
// attention function alone combines is in combinations_test.cpp.

#include "reference/model.hpp"
#include "support/compare.hpp"
#include "support/inputs.hpp"
#include "support/tolerances.hpp"

#include <eigenformer/attention/both.hpp>
#include <eigenformer/attention/grouped_query_attention.hpp>
#include <eigenformer/attention/sliding_window.hpp>
#include <eigenformer/attention/strided.hpp>
#include <eigenformer/position/alibi.hpp>
#include <eigenformer/position/rotary.hpp>

#include <gtest/gtest.h>

namespace {

namespace ef = eigenformer;
using ef::Index;

constexpr Index dim = 11, head_dim = 4, value_dim = 3, memory_dim = 7;

struct Modifier {
  double softcap;
  bool sinks;
};
constexpr Modifier modifiers[] = {{0, false}, {1.7, false}, {0, true}, {1.7, true}};
constexpr std::array<Index, 2> all_heads[] = {{1, 1}, {6, 6}, {6, 3}, {6, 2}, {6, 1}};

ef::Tensor<float, 3> normal(Index batch, Index length, Index features, std::uint64_t salt) {
  support::Generator random(salt);
  ef::Tensor<float, 3> x(batch, length, features);
  support::fill(x, support::Distribution::normal, random);
  return x;
}
reference::Array<double> wide(const ef::Tensor<float, 3>& x) {
  return reference::widened(x.data(), {x.dimension(0), x.dimension(1), x.dimension(2)});
}
reference::Projection<double> weights_of(const ef::Linear<float>& linear) {
  return {reference::widened(linear.weight.value.data(), {linear.output_features(), linear.input_features()}),
          reference::widened(linear.bias->value.data(), {linear.output_features()})};
}

/// What a module adds to scores by distance, bottom-right, as Press et al. 2022 have it.
double slope(long head, long heads) {
  long lower = 1;
  while (2 * lower <= heads) lower *= 2;
  if (head < lower) return std::exp2(-8.0 * static_cast<double>(head + 1) / static_cast<double>(lower));
  return std::exp2(-8.0 * static_cast<double>(2 * (head - lower) + 1) / static_cast<double>(2 * lower));
}

template <class Position>
reference::Array<double> expected(const ef::GroupedQueryAttention<float, ef::Linear<float>, Position>& block,
                                  const ef::Tensor<float, 3>& x, const ef::Tensor<float, 3>& memory,
                                  const reference::Mask& mask) {
  reference::AttentionModuleOptions options = {.heads = block.options.heads, .kv_heads = block.options.kv_heads};
  options.attention.mask = mask;
  options.attention.softcap = block.options.softcap;
  const long heads = block.options.heads, shift = memory.dimension(1) - x.dimension(1);
  if (std::is_same_v<Position, ef::Alibi>) {
    options.attention.bias = [=](long head, long query, long key) {
      return -slope(head, heads) * std::abs(static_cast<double>(key - query - shift));
    };
  }
  if (std::is_same_v<Position, ef::Rotary<ef::HalfSplit>>) {
    options.rotary = {.dim = head_dim, .pairs = reference::RotaryPairs::half_split};
  }
  if (block.sinks) {
    for (const float sink : block.sinks->values()) options.attention.sinks.push_back(static_cast<double>(sink));
  }
  return reference::multi_head_attention(
      wide(x), wide(memory),
      {weights_of(block.query), weights_of(block.key), weights_of(block.value), weights_of(block.output)}, options);
}

testing::AssertionResult close(const ef::Tensor<float, 3>& y, const reference::Array<double>& of) {
  return support::within(support::worst_row_nmse(y, of, dim), 4 * support::tolerance::attention_row_nmse<float>(4));
}

template <class Position>
class Modules : public testing::Test {
 protected:
  using Attention = ef::GroupedQueryAttention<float, ef::Linear<float>, Position>;

  static Attention made(const std::array<Index, 2>& heads, const Modifier& modifier, Index of_memory) {
    typename Attention::Options options{.dim = dim,
                                        .heads = heads[0],
                                        .kv_heads = heads[1],
                                        .head_dim = head_dim,
                                        .value_dim = value_dim,
                                        .memory_dim = of_memory,
                                        .bias = true};
    options.softcap = modifier.softcap;
    if (modifier.sinks) options.sinks = ef::LearnedSinks{};
    Attention attention(options, ef::Random(3));
    for (Index h = 0; modifier.sinks && h < heads[0]; ++h) attention.sinks->value[h] = static_cast<float>(h) - 2;
    return attention;
  }

  /// Calls body(attention, name of the case) for each module with these memory features.
  template <class Body>
  static void for_each_module(Index of_memory, const Body& body) {
    for (const auto& heads : all_heads) {
      for (const Modifier& modifier : modifiers) {
        body(made(heads, modifier, of_memory), "heads " + std::to_string(heads[0]) + "/" + std::to_string(heads[1]) +
                                                   ", softcap " + std::to_string(modifier.softcap) +
                                                   (modifier.sinks ? ", sinks" : ""));
      }
    }
  }

  /// Masks that let a query see nothing behind itself, bottom-right aligned: body(mask, the reference's).
  template <class Body>
  static void for_each_causal_mask(long shift, const Body& body) {
    body(ef::Causal{}, reference::causal_mask(shift));
    body(ef::SlidingWindow{.left = 3, .right = 0}, reference::window_mask(shift, 3, 0));
    body(ef::Strided{.stride = 3, .local = 2}, reference::strided_mask(shift, 3, 2));
    body(ef::Both{ef::Causal{}, ef::SlidingWindow{.left = 5, .right = 2}},
         reference::both(reference::causal_mask(shift), reference::window_mask(shift, 5, 2)));
  }
  template <class Body>
  static void for_each_mask(long shift, const Body& body) {
    for_each_causal_mask(shift, body);
    body(ef::NoMask{}, reference::no_mask());
    body(ef::SlidingWindow{.left = 1, .right = 2}, reference::window_mask(shift, 1, 2));
  }
};
using Positions = testing::Types<ef::NoPosition, ef::Rotary<ef::HalfSplit>, ef::Alibi>;
TYPED_TEST_SUITE(Modules, Positions);

}  // namespace

TYPED_TEST(Modules, attend_to_themselves_under_every_mask) {
  int cases = 0;
  for (const Index length : {1, 7, 67}) {
    const auto x = normal(2, length, dim, 5);
    this->for_each_module(dim, [&](const auto& attention, const std::string& where) {
      this->for_each_mask(0, [&](const auto& mask, const reference::Mask& of_reference) {
        EXPECT_TRUE(close(attention(x, mask), expected(attention, x, x, of_reference))) << where << " of " << length;
        ++cases;
      });
    });
  }
  EXPECT_EQ(cases, 3 * 20 * 6);
}

TYPED_TEST(Modules, attend_to_a_memory_under_every_mask) {
  int cases = 0;
  for (const std::array<Index, 2>& lengths : {std::array<Index, 2>{1, 5}, {7, 7}, {13, 67}}) {
    const Index queries = lengths[0], keys = lengths[1];
    const auto x = normal(2, queries, dim, 6), memory = normal(2, keys, memory_dim, 7);
    this->for_each_module(memory_dim, [&](const auto& attention, const std::string& where) {
      this->for_each_mask(keys - queries, [&](const auto& mask, const reference::Mask& of_reference) {
        EXPECT_TRUE(close(attention(x, memory, mask), expected(attention, x, memory, of_reference)))
            << where << " of " << queries << " to " << keys;
        ++cases;
      });
    });
  }
  EXPECT_EQ(cases, 3 * 20 * 6);
}

TYPED_TEST(Modules, attend_to_a_cache_in_any_chunks) {
  int cases = 0;
  const auto x = normal(2, 67, dim, 8);
  for (const std::vector<Index>& chunks : {std::vector<Index>{67}, {64, 1, 1, 1}, {1, 5, 0, 61}}) {
    this->for_each_module(dim, [&](const auto& attention, const std::string& where) {
      this->for_each_causal_mask(0, [&](const auto& mask, const reference::Mask& of_reference) {
        auto cache = attention.key_value_cache(2, 67);
        ef::Context context;
        ef::Tensor<float, 3> y(2, 67, dim);
        Index first = 0;
        for (const Index chunk : chunks) {
          const std::array<Index, 3> from = {0, first, 0}, extent = {2, chunk, dim};
          const ef::Tensor<float, 3> part = x.slice(from, extent);
          ef::Tensor<float, 3> result(2, chunk, dim);
          attention.forward(part, result, mask, cache, context);
          y.slice(from, extent) = result;
          first += chunk;
        }
        EXPECT_TRUE(close(y, expected(attention, x, x, of_reference))) << where << " in " << chunks.size();
        ++cases;
      });
    });
  }
  EXPECT_EQ(cases, 3 * 20 * 4);
}
