// SPDX-License-Identifier: MIT

#include "reference/model.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "reference/gradient.hpp"
#include "support/compare.hpp"

namespace {

using reference::Array;
using reference::waves;
using support::within;

reference::DecoderBlockWeights<double> block_weights(long dim, long heads, long kv_heads, long head_dim, long hidden) {
  return {.attention_norm = waves({dim}, 0.1),
          .attention = {.query = {waves({heads * head_dim, dim}, 0.2), {}},
                        .key = {waves({kv_heads * head_dim, dim}, 0.3), {}},
                        .value = {waves({kv_heads * head_dim, dim}, 0.4), {}},
                        .output = {waves({dim, heads * head_dim}, 0.5), {}}},
          .feed_forward_norm = waves({dim}, 0.6),
          .feed_forward = {.gate = {waves({hidden, dim}, 0.7), {}},
                           .up = {waves({hidden, dim}, 0.8), {}},
                           .down = {waves({dim, hidden}, 0.9), {}}}};
}

TEST(ReferenceModel, attention_over_one_token_is_two_projections) {
  // One key: the attention returns the value, so y = Wo (Wv x + bv) + bo.
  const Array<double> x = waves({2, 1, 5}, 0.1);
  const reference::AttentionWeights<double> weights{.query = {waves({6, 5}, 0.2), waves({6}, 0.25)},
                                                    .key = {waves({6, 5}, 0.3), {}},
                                                    .value = {waves({14, 5}, 0.4), waves({14}, 0.45)},
                                                    .output = {waves({3, 14}, 0.5), waves({3}, 0.55)}};
  const Array<double> y = reference::multi_head_attention(x, x, weights, {.heads = 2, .kv_heads = 2});
  EXPECT_TRUE(within(support::max_error(y, weights.output(weights.value(x))), 1e-14));
  EXPECT_EQ(y.shape, (std::vector<long>{2, 1, 3}));
}

TEST(ReferenceModel, grouped_heads_equal_repeated_ones) {
  const Array<double> x = waves({1, 7, 5}, 0.1);
  reference::AttentionWeights<double> grouped{.query = {waves({12, 5}, 0.2), {}},
                                              .key = {waves({6, 5}, 0.3), {}},
                                              .value = {waves({6, 5}, 0.4), {}},
                                              .output = {waves({5, 12}, 0.5), {}}};
  reference::AttentionWeights<double> repeated = grouped;
  for (auto member : {&reference::AttentionWeights<double>::key, &reference::AttentionWeights<double>::value}) {
    Array<double>& all = (repeated.*member).weight;
    all = Array<double>({12, 5});
    for (long row = 0; row < 12; ++row) {
      // Heads of 3 rows; query heads 0 and 1 share key/value head 0, 2 and 3 share head 1.
      for (long d = 0; d < 5; ++d) all(row, d) = (grouped.*member).weight(row / 3 / 2 * 3 + row % 3, d);
    }
  }
  const Array<double> few = reference::multi_head_attention(x, x, grouped, {.heads = 4, .kv_heads = 2});
  const Array<double> many = reference::multi_head_attention(x, x, repeated, {.heads = 4, .kv_heads = 4});
  EXPECT_TRUE(within(support::max_error(few, many), 1e-14));
}

TEST(ReferenceModel, feed_forwards_equal_numbers_worked_by_hand) {
  const Array<double> x({1, 1}, std::vector<double>{2});
  const reference::Projection<double> up{Array<double>({2, 1}, std::vector<double>{3, -1}), {}};
  const reference::Projection<double> gate{Array<double>({2, 1}, std::vector<double>{0.5, -5}), {}};
  const reference::Projection<double> down{Array<double>({1, 2}, std::vector<double>{10, 100}),
                                           Array<double>({1}, std::vector<double>{1})};
  EXPECT_EQ(reference::feed_forward(x, up, down, &reference::relu<double>)(0, 0), 61);
  // gate (1, -10) through ReLU is (1, 0), times up (6, -2).
  EXPECT_EQ(reference::gated_feed_forward(x, {gate, up, down}, &reference::relu<double>)(0, 0), 61);
  EXPECT_NEAR(reference::gated_feed_forward(x, {gate, up, down}, &reference::silu<double>)(0, 0),
              1 + 60 * reference::sigmoid(1.0) + 2000 * reference::sigmoid(-10.0), 1e-12);
}

TEST(ReferenceModel, decoder_block_without_branches_is_the_identity) {
  reference::DecoderBlockWeights<double> weights = block_weights(6, 2, 1, 4, 7);
  weights.attention.output.weight = Array<double>({6, 8});
  weights.feed_forward.down.weight = Array<double>({6, 7});
  const Array<double> x = waves({2, 3, 6}, 0.1);
  EXPECT_TRUE(support::bit_equal(
      reference::decoder_block(x, weights, {.heads = 2, .kv_heads = 1, .rotary = {{.dim = 4}}}, 1e-5), x));
}

TEST(ReferenceModel, decoder_block_adds_each_branch_to_what_came_before) {
  const reference::AttentionModuleOptions options{.heads = 2, .kv_heads = 1};
  const reference::DecoderBlockWeights<double> weights = block_weights(6, 2, 1, 4, 7);
  const Array<double> x = waves({2, 3, 6}, 0.1);
  reference::DecoderBlockWeights<double> attention_only = weights;
  attention_only.feed_forward.down.weight = Array<double>({6, 7});
  reference::DecoderBlockWeights<double> feed_forward_only = weights;
  feed_forward_only.attention.output.weight = Array<double>({6, 8});
  // The second block sees what the first made, so the two in a row are the whole.
  const Array<double> h = reference::decoder_block(x, attention_only, options, 1e-5);
  EXPECT_GT(support::max_error(h, x).worst, 1e-3);
  const Array<double> y = reference::decoder_block(h, feed_forward_only, options, 1e-5);
  EXPECT_GT(support::max_error(y, h).worst, 1e-3);
  EXPECT_TRUE(support::bit_equal(reference::decoder_block(x, weights, options, 1e-5), y));
}

TEST(ReferenceModel, decoder_is_causal_and_its_parts_matter) {
  const reference::AttentionModuleOptions options{.heads = 2, .kv_heads = 1, .rotary = {{.dim = 4}}};
  const reference::DecoderWeights<double> weights{
      .embedding = waves({11, 6}, 0.1),
      .layers = {block_weights(6, 2, 1, 4, 7), block_weights(6, 2, 1, 4, 5)},
      .final_norm = waves({6}, 0.3),
      .output = {}};
  const Array<double> first = reference::decoder({{1, 2, 3, 4}}, weights, options, 1e-5);
  const Array<double> other = reference::decoder({{1, 2, 7, 4}}, weights, options, 1e-5);
  EXPECT_EQ(first.shape, (std::vector<long>{1, 4, 11}));
  for (long c = 0; c < 11; ++c) {
    EXPECT_EQ(first(0, 1, c), other(0, 1, c)) << "position 1 sees the future";
    EXPECT_GT(std::abs(first(0, 3, c) - other(0, 3, c)), 1e-6) << "position 3 does not see the past";
  }
  reference::DecoderWeights<double> untied = weights;
  untied.output = waves({11, 6}, 0.1);
  EXPECT_TRUE(support::bit_equal(reference::decoder({{1, 2, 3, 4}}, untied, options, 1e-5), first));
}

}  // namespace
