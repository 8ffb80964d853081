// SPDX-License-Identifier: MIT

#include <eigenformer/model/decoder_options.hpp>

#include <gtest/gtest.h>

namespace {

namespace ef = eigenformer;

TEST(DecoderOptions, follow_from_each_other_unless_given) {
  constexpr ef::DecoderOptions usual = {.vocabulary = 7, .dim = 42, .heads = 3};
  EXPECT_EQ(usual.kv_heads, 3);
  EXPECT_EQ(usual.head_dim, 14);
  EXPECT_EQ(usual.hidden, 168);
  constexpr ef::DecoderOptions given = {.dim = 42, .heads = 3, .kv_heads = 1, .head_dim = 22, .hidden = 53};
  EXPECT_EQ(given.head_dim, 22);
  EXPECT_EQ(given.hidden, 53);
  EXPECT_LT((ef::DecoderOptions{.dim = 43, .heads = 3}.head_dim), 1) << "refused by the decoder";
}

}  // namespace
