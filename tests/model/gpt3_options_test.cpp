// SPDX-License-Identifier: MIT

#include <eigenformer/model/gpt3_options.hpp>

#include <gtest/gtest.h>

namespace {

namespace ef = eigenformer;

TEST(Gpt3Options, say_what_the_parts_are_made_from) {
  const ef::Gpt3Options options = {
      .vocabulary = 7, .dim = 42, .layers = 5, .heads = 3, .max_length = 11, .bandwidth = 4};
  const ef::DecoderOptions decoder = options;
  EXPECT_EQ(decoder.vocabulary, 7);
  EXPECT_EQ(decoder.dim, 42);
  EXPECT_EQ(decoder.layers, 5);
  EXPECT_EQ(decoder.heads, 3);
  EXPECT_EQ(decoder.kv_heads, 3);
  EXPECT_EQ(decoder.head_dim, 14);
  EXPECT_EQ(decoder.hidden, 168);
  EXPECT_TRUE(decoder.attention_bias);
  EXPECT_TRUE(decoder.feed_forward_bias);
  EXPECT_EQ(options.positions().max_length, 11);
  EXPECT_EQ(options.positions().dim, 42);
  EXPECT_EQ(options.positions().deviation, 0.01);
  EXPECT_EQ(options.masks().odd.bandwidth, 4);
}

TEST(Gpt3Options, refuse_a_band_without_keys) {
  EXPECT_THROW((ef::Gpt3Options{.bandwidth = 0}.masks()), ef::OptionError);
}

}  // namespace
