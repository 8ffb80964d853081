// SPDX-License-Identifier: MIT

#include <eigenformer/model/encoder_decoder_options.hpp>

#include <gtest/gtest.h>

namespace ef = eigenformer;

TEST(EncoderDecoderOptions, are_those_of_the_base_model_and_follow_from_each_other) {
  const ef::EncoderDecoderOptions base{.vocabulary = 37000};
  EXPECT_EQ(base.dim, 512);
  EXPECT_EQ(base.hidden, 2048);
  EXPECT_EQ(base.heads, 8);
  EXPECT_EQ(base.encoder_layers, 6);
  EXPECT_EQ(base.decoder_layers, 6);
  EXPECT_DOUBLE_EQ(base.embedding_deviation, 1 / std::sqrt(512.0));
  const ef::EncoderDecoderOptions big{.vocabulary = 37000, .dim = 1024, .heads = 16};
  EXPECT_EQ(big.hidden, 4096);
  EXPECT_DOUBLE_EQ(big.embedding_deviation, 1 / 32.0);
}
