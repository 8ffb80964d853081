// SPDX-License-Identifier: MIT
#include <eigenformer/attention/attention_parts.hpp>
#include <eigenformer/attention/grouped_query_attention.hpp>
#include <eigenformer/norm/rms_norm.hpp>

#include <gtest/gtest.h>

namespace {

namespace ef = eigenformer;
using Attention = ef::GroupedQueryAttention<float, ef::Linear<float>, ef::NoPosition, ef::RmsNorm<float>>;

template <class Call>
std::string message_of(Call call) {
  try {
    call();
  } catch (const ef::ShapeError& error) {
    return error.what();
  }
  return "nothing thrown";
}

Attention some_attention() {
  return {{.dim = 13, .heads = 6, .kv_heads = 3, .head_dim = 5, .value_dim = 7, .memory_dim = 11}, ef::Random(3)};
}

}  // namespace

TEST(AttentionParts, have_a_bias_if_the_options_say_so) {
  ef::Random random(1);
  Attention::Options options{.dim = 13};
  const auto without = ef::detail::make_projection<ef::Linear<float>>(options, 5, 7, random);
  EXPECT_EQ(without.input_features(), 5);
  EXPECT_EQ(without.output_features(), 7);
  EXPECT_EQ(without.bias.has_value(), false);
  options.bias = true;
  EXPECT_EQ(ef::detail::make_projection<ef::Linear<float>>(options, 5, 7, random).bias->size(), 7);
}

TEST(AttentionParts, that_were_replaced_have_to_fit) {
  const auto message_with = [](auto replace) {
    Attention attention = some_attention();
    replace(attention);
    return message_of([&] { ef::detail::require_attention_parts(attention); });
  };
  const auto linear = [](ef::Index in, ef::Index out) { return ef::Linear<float>({in, out}, ef::Random(1)); };
  EXPECT_EQ(message_with([](Attention&) {}), "nothing thrown");
  EXPECT_EQ(message_with([&](Attention& a) { a.query = linear(13, 29); }),
            "GroupedQueryAttention: expected query to map 13 to 30 features, got 13 to 29");
  EXPECT_EQ(message_with([&](Attention& a) { a.key = linear(13, 15); }),
            "GroupedQueryAttention: expected key to map 11 to 15 features, got 13 to 15");
  EXPECT_EQ(message_with([&](Attention& a) { a.value = linear(11, 15); }),
            "GroupedQueryAttention: expected value to map 11 to 21 features, got 11 to 15");
  EXPECT_EQ(message_with([&](Attention& a) { a.output = linear(30, 13); }),
            "GroupedQueryAttention: expected output to map 42 to 13 features, got 30 to 13");
  EXPECT_EQ(message_with([&](Attention& a) { a.key_norm = ef::RmsNorm<float>({.dim = 7}); }),
            "GroupedQueryAttention: expected key_norm over 5 features, got 7");
  EXPECT_EQ(message_with([&](Attention& a) { a.sinks.emplace(ef::Vector<float>(5)); }),
            "GroupedQueryAttention: expected sinks of 6 heads, got 5");
}

TEST(AttentionParts, a_cache_is_one_of_the_same_heads_and_of_self_attention) {
  const ef::GroupedQueryAttention<float> attention(
      {.dim = 13, .heads = 6, .kv_heads = 3, .head_dim = 5, .value_dim = 7}, ef::Random(3));
  const auto message_with = [&](const auto& module, const ef::Shape& stored) {
    return message_of([&] { ef::detail::require_stored_like(module, stored, 2); });
  };
  EXPECT_EQ(message_with(attention, {2, 3, 5, 7}), "nothing thrown");
  for (const ef::Shape& other : {ef::Shape{1, 3, 5, 7}, {2, 6, 5, 7}, {2, 3, 7, 7}, {2, 3, 5, 5}}) {
    EXPECT_NE(message_with(attention, other), "nothing thrown") << other;
  }
  EXPECT_EQ(message_with(some_attention(), {2, 3, 5, 7}),
            "GroupedQueryAttention: expected memory_dim equal to dim for self-attention, got 11 and 13");
}
