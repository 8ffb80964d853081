// SPDX-License-Identifier: MIT
#include <eigenformer/attention/mask.hpp>

#include <gtest/gtest.h>

#include <array>

namespace {

namespace ef = eigenformer;
using ef::Index;

static_assert(ef::AttentionMask<ef::NoMask> && ef::AttentionMask<ef::Causal> && ef::AttentionMask<ef::Padding>);
static_assert(!ef::AttentionMask<int>);

TEST(Mask, none_lets_every_key_through) {
  const ef::KeyRange live = ef::NoMask{}.live_keys({2, 3, 7}, 1, 2);
  EXPECT_EQ(live.first, 0);
  EXPECT_EQ(live.last, 7);
}

TEST(Mask, causal_is_aligned_bottom_right_unless_told) {
  const ef::AttentionExtent extent{1, 3, 7};
  EXPECT_EQ(ef::Causal{}.live_keys(extent, 0, 0).last, 5);
  EXPECT_EQ(ef::Causal{}.live_keys(extent, 0, 2).last, 7);
  const ef::Causal top_left{ef::CausalAlignment::top_left};
  EXPECT_EQ(top_left.live_keys(extent, 0, 0).last, 1);
  EXPECT_EQ(top_left.live_keys(extent, 0, 2).last, 3);
}

TEST(Mask, causal_leaves_early_queries_no_key_where_there_are_more_queries_than_keys) {
  const ef::AttentionExtent extent{1, 7, 3};
  EXPECT_LE(ef::Causal{}.live_keys(extent, 0, 3).last, 0);
  EXPECT_EQ(ef::Causal{}.live_keys(extent, 0, 4).last, 1);
}

TEST(Mask, padding_goes_by_the_length_of_each_batch) {
  const std::array<Index, 2> lengths = {3, 0};
  const ef::Padding mask{lengths};
  mask.check({2, 5, 7});
  EXPECT_EQ(mask.live_keys({2, 5, 7}, 0, 4).last, 3);
  EXPECT_EQ(mask.live_keys({2, 5, 7}, 1, 0).last, 0);
}

TEST(Mask, padding_rejects_lengths_that_do_not_fit) {
  const std::array<Index, 2> lengths = {3, 8};
  const ef::Padding mask{lengths};
  EXPECT_THROW(mask.check({3, 5, 8}), ef::ShapeError);
  EXPECT_THROW(mask.check({2, 5, 7}), ef::ValueError);
  EXPECT_NO_THROW(mask.check({2, 5, 8}));
  const std::array<Index, 1> negative = {-1};
  EXPECT_THROW(ef::Padding{negative}.check({1, 5, 7}), ef::ValueError);
}

}  // namespace
