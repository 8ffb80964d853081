// SPDX-License-Identifier: MIT
#include <eigenformer/attention/attention_options.hpp>

#include <eigenformer/position/no_position.hpp>

#include <gtest/gtest.h>

namespace {

namespace ef = eigenformer;
using Grouped = ef::GroupedQueryAttentionOptions<ef::NoPosition>;
using MultiHead = ef::MultiHeadAttentionOptions<ef::NoPosition>;
using MultiQuery = ef::MultiQueryAttentionOptions<ef::Rotary<>>;

TEST(AttentionOptions, derive_what_is_not_given) {
  const Grouped options{.dim = 35, .heads = 5};
  EXPECT_EQ(options.kv_heads, 5);
  EXPECT_EQ(options.head_dim, 7);
  EXPECT_EQ(options.value_dim, 7);
  EXPECT_EQ(options.memory_dim, 35);
  EXPECT_EQ((Grouped{.dim = 35, .heads = 5, .head_dim = 3}.value_dim), 3);
}

TEST(AttentionOptions, limits_convert_with_every_field) {
  const MultiHead chosen{.dim = 35,
                         .heads = 5,
                         .head_dim = 2,
                         .value_dim = 3,
                         .memory_dim = 11,
                         .softmax_scale = 0.5,
                         .softcap = 13,
                         .sinks = ef::LearnedSinks{17},
                         .dropout = 0.25};
  const Grouped options = chosen;
  EXPECT_EQ(options.dim, 35);
  EXPECT_EQ(options.heads, 5);
  EXPECT_EQ(options.kv_heads, 5);
  EXPECT_EQ(options.head_dim, 2);
  EXPECT_EQ(options.value_dim, 3);
  EXPECT_EQ(options.memory_dim, 11);
  EXPECT_TRUE(options.bias);
  EXPECT_EQ(options.softmax_scale, 0.5);
  EXPECT_EQ(options.softcap, 13);
  EXPECT_EQ(options.sinks.value().start, 17);
  EXPECT_EQ(options.dropout, 0.25);
  const MultiQuery one{.dim = 35,
                       .heads = 5,
                       .head_dim = 2,
                       .value_dim = 3,
                       .memory_dim = 11,
                       .position = {.base = 17},
                       .sinks = ef::LearnedSinks{19},
                       .dropout = 0.5};
  const ef::GroupedQueryAttentionOptions<ef::Rotary<>> shared = one;
  EXPECT_EQ(shared.kv_heads, 1);
  EXPECT_EQ(shared.value_dim, 3);
  EXPECT_EQ(shared.memory_dim, 11);
  EXPECT_FALSE(shared.bias);
  EXPECT_EQ(shared.position.base, 17);
  EXPECT_EQ(shared.sinks.value().start, 19);
  EXPECT_EQ(shared.dropout, 0.5);
}

TEST(AttentionOptions, a_head_dim_that_is_no_whole_number_is_refused) {
  EXPECT_THROW(ef::require_attention_options(Grouped{.dim = 35, .heads = 3}, "Block"), ef::OptionError);
  EXPECT_NO_THROW(ef::require_attention_options(Grouped{.dim = 35, .heads = 3, .head_dim = 11}, "Block"));
}

TEST(AttentionOptions, a_rate_of_dropout_outside_0_to_1_is_refused) {
  for (const double rate : {-0.1, 1.0, 3.0}) {
    EXPECT_THROW(ef::require_attention_options(Grouped{.dim = 4, .dropout = rate}, "Block"), ef::OptionError);
  }
  EXPECT_NO_THROW(ef::require_attention_options(Grouped{.dim = 4, .dropout = 0.99}, "Block"));
}

}  // namespace
