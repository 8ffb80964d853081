// SPDX-License-Identifier: MIT
#include <eigenformer/norm/layer_norm.hpp>

#include <gtest/gtest.h>

#include "block/placement_case.hpp"
#include "support/compare.hpp"

namespace ef = eigenformer;

namespace {

using Deep = placement::Case<ef::DeepNorm, ef::LayerNorm<double>>;
using Post = placement::Case<ef::PostNorm, ef::LayerNorm<double>>;

Deep::Block deep(ef::DeepNormGains gains) {
  return Deep::Block({.norm = {.dim = 13},
                      .attention = {.dim = 13, .heads = 4, .kv_heads = 2, .head_dim = 6},
                      .feed_forward = {.dim = 13, .hidden = 17},
                      .gains = gains},
                     ef::Random(3));
}
placement::Sequence numbers() {
  placement::Sequence x(2, 7, 13);
  for (ef::Index i = 0; i < x.size(); ++i) x.data()[i] = std::sin(1.7 * static_cast<double>(i));
  return x;
}

}  // namespace

/// The table of Wang et al. 2022, figure 2, as powers of two: 8 layers give 2 (8)^(1/4) ... by hand.
TEST(DeepNorm, gains_are_those_of_the_paper) {
  const ef::DeepNormGains eight = ef::deep_norm_gains(8);
  EXPECT_DOUBLE_EQ(eight.alpha, 2);                     // (2 * 8)^(1/4) = 16^(1/4)
  EXPECT_NEAR(eight.beta, 0.35355339059327379, 1e-15);  // 64^(-1/4) = 1 / sqrt(8)
  const ef::DeepNormGains encoder = ef::deep_norm_encoder_gains(16, 1);
  EXPECT_NEAR(encoder.alpha, 0.81 * 2, 1e-15);  // (16^4)^(1/16) = 2
  EXPECT_NEAR(encoder.beta, 0.87 / 2, 1e-15);
  EXPECT_NEAR(ef::deep_norm_encoder_gains(1, 65536).alpha, 0.81 * 2, 1e-15);  // 65536^(1/16) = 2
  EXPECT_NEAR(ef::deep_norm_encoder_gains(1, 65536).beta, 0.87 / 2, 1e-15);
  const ef::DeepNormGains decoder = ef::deep_norm_decoder_gains(27);
  EXPECT_NEAR(decoder.alpha, 3, 1e-15);                   // 81^(1/4)
  EXPECT_NEAR(decoder.beta, 0.23570226039551584, 1e-15);  // (12 * 27)^(-1/4) = 1 / sqrt(18)
}

TEST(DeepNorm, refuses_layers_and_gains_that_mean_nothing) {
  EXPECT_THROW(ef::deep_norm_gains(0), ef::OptionError);
  EXPECT_THROW(ef::deep_norm_encoder_gains(0, 1), ef::OptionError);
  EXPECT_THROW(ef::deep_norm_encoder_gains(1, 0), ef::OptionError);
  EXPECT_THROW(ef::deep_norm_decoder_gains(-1), ef::OptionError);
  EXPECT_THROW(deep({.alpha = 0}), ef::OptionError);
  EXPECT_THROW(deep({.beta = -1}), ef::OptionError);
  EXPECT_THROW(deep({.alpha = std::numeric_limits<double>::infinity()}), ef::OptionError);
}

TEST(DeepNorm, with_gains_of_one_is_post_norm) {
  EXPECT_TRUE(support::bit_equal(deep({})(numbers(), ef::Causal{}), Post::make()(numbers(), ef::Causal{})));
}

TEST(DeepNorm, starts_with_smaller_branches_and_leaves_the_rest) {
  const Deep::Block plain = deep({}), scaled = deep({.beta = 0.25});
  EXPECT_TRUE(support::bit_equal(scaled.attention.value.weight.value,
                                 ef::Matrix<double>(0.25 * plain.attention.value.weight.value)));
  EXPECT_TRUE(support::bit_equal(scaled.feed_forward.down.weight.value,
                                 ef::Matrix<double>(0.25 * plain.feed_forward.down.weight.value)));
  EXPECT_TRUE(support::bit_equal(scaled.attention.query.weight.value, plain.attention.query.weight.value));
}

TEST(DeepNorm, is_made_from_given_parts) {
  const Deep::Block block = deep({.alpha = 3});
  const Deep::Block same(block.attention_norm, block.attention, block.feed_forward_norm, block.feed_forward, 3);
  EXPECT_TRUE(support::bit_equal(same(numbers(), ef::Causal{}), block(numbers(), ef::Causal{})));
}
