// SPDX-License-Identifier: MIT
#include <eigenformer/attention/sliding_window.hpp>

#include <gtest/gtest.h>

namespace {

namespace ef = eigenformer;
using ef::Index;

static_assert(ef::AttentionMask<ef::SlidingWindow> && !ef::PatternMask<ef::SlidingWindow>);
static_assert(ef::AttentionMask<ef::LocalBanded> && !ef::PatternMask<ef::LocalBanded>);

void expect_run(const ef::KeyRange& run, Index first, Index last) {
  EXPECT_EQ(run.first, first);
  EXPECT_EQ(run.last, last);
}

TEST(SlidingWindow, counts_from_the_key_that_is_the_querys_own) {
  const ef::AttentionExtent extent{1, 3, 11};  // queries stand at keys 8, 9, 10
  expect_run(ef::SlidingWindow{2, 1}.live_keys(extent, 0, 0), 6, 10);
  expect_run(ef::SlidingWindow{2, 1}.live_keys(extent, 0, 2), 8, 11);
  expect_run(ef::SlidingWindow{0, 0}.live_keys(extent, 0, 1), 9, 10);
}

TEST(SlidingWindow, of_minus_one_has_no_end_and_a_huge_one_neither) {
  const ef::AttentionExtent extent{1, 7, 7};
  const Index huge = (std::numeric_limits<Index>::max)();
  for (const Index all : {Index(-1), huge}) {
    expect_run(ef::SlidingWindow{all, all}.live_keys(extent, 0, 3), 0, 7);
    expect_run(ef::SlidingWindow{all, 0}.live_keys(extent, 0, 3), 0, 4);
    expect_run(ef::SlidingWindow{0, all}.live_keys(extent, 0, 3), 3, 7);
  }
}

TEST(SlidingWindow, leaves_early_queries_no_key_where_there_are_more_queries_than_keys) {
  const ef::KeyRange run = ef::SlidingWindow{2, 0}.live_keys({1, 7, 3}, 0, 1);
  EXPECT_LE((std::min)(run.last, Index(3)), (std::max)(run.first, Index(0)));
}

TEST(SlidingWindow, refuses_less_than_minus_one) {
  EXPECT_THROW((ef::SlidingWindow{-2, 0}.check({1, 1, 1})), ef::ValueError);
  EXPECT_THROW((ef::SlidingWindow{0, -2}.check({1, 1, 1})), ef::ValueError);
  EXPECT_NO_THROW((ef::SlidingWindow{-1, -1}.check({1, 1, 1})));
}

TEST(LocalBanded, is_a_causal_window_that_counts_the_query_itself) {
  expect_run(ef::LocalBanded{1}.live_keys({1, 5, 5}, 0, 3), 3, 4);
  expect_run(ef::LocalBanded{3}.live_keys({1, 5, 5}, 0, 3), 1, 4);
  expect_run(ef::LocalBanded{99}.live_keys({1, 5, 5}, 0, 3), 0, 4);
  EXPECT_THROW((ef::LocalBanded{0}.check({1, 1, 1})), ef::ValueError);
}

}  // namespace
