// SPDX-License-Identifier: MIT

#include <eigenformer/model/llama_config.hpp>

#include <gtest/gtest.h>

namespace {

namespace ef = eigenformer;

TEST(LlamaConfig, has_the_end_tokens_that_it_counts) {
  ef::LlamaConfig config;
  ASSERT_EQ(config.ends().size(), 1U);
  EXPECT_EQ(config.ends()[0], 2);
  config.end_tokens = {7, 9, 11};
  config.end_token_count = 2;
  ASSERT_EQ(config.ends().size(), 2U);
  EXPECT_EQ(config.ends()[1], 9);
  config.end_token_count = 0;
  EXPECT_TRUE(config.ends().empty());
}

// What the readers count on: the product of any three limits that meet in one tensor, in bytes, fits 64 bits.
TEST(LlamaLimits, keep_products_within_64_bits) {
  using Limits = ef::LlamaLimits;
  constexpr double most = 9.2e18;
  EXPECT_LT(static_cast<double>(Limits::heads) * static_cast<double>(Limits::features) *
                static_cast<double>(Limits::features) * 8,
            most);
  EXPECT_LT(static_cast<double>(Limits::hidden) * static_cast<double>(Limits::features) *
                static_cast<double>(Limits::layers) * 8,
            most);
  EXPECT_LT(static_cast<double>(Limits::tokens) * static_cast<double>(Limits::features) * 8, most);
  EXPECT_LT(static_cast<double>(Limits::length) * static_cast<double>(Limits::features) * 8, most);
}

}  // namespace
