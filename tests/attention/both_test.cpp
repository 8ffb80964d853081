// SPDX-License-Identifier: MIT
#include <eigenformer/attention/both.hpp>

#include <eigenformer/attention/sliding_window.hpp>
#include <eigenformer/attention/strided.hpp>

#include <gtest/gtest.h>

#include <array>

namespace {

namespace ef = eigenformer;
using ef::Index;

static_assert(!ef::PatternMask<ef::Both<ef::Causal, ef::Padding>>);
static_assert(ef::PatternMask<ef::Both<ef::Causal, ef::Strided>> && ef::PatternMask<ef::Both<ef::Strided, ef::Causal>>);

TEST(Both, sees_what_both_see) {
  const std::array<Index, 1> lengths = {6};
  const ef::Both mask{ef::SlidingWindow{3, 3}, ef::Padding{lengths}};
  const ef::KeyRange run = mask.live_keys({1, 9, 9}, 0, 4);
  EXPECT_EQ(run.first, 1);
  EXPECT_EQ(run.last, 6);
}

TEST(Both, of_patterns_sees_what_both_see) {
  const ef::AttentionExtent extent{1, 100, 100};
  const ef::Both<ef::Strided, ef::Both<ef::SlidingWindow, ef::Strided>> mask{{2}, {{30, 0}, {3}}};
  for (const Index query : {0, 5, 29, 64, 99}) {
    for (Index key = 0; key < 100; ++key) {
      const Index before = query - key;
      const bool live = before >= 0 && before <= 30 && before % 6 == 0;
      const std::uint64_t bits = ef::detail::live_bits(mask, extent, 0, query, key / 64 * 64);
      ASSERT_EQ((bits >> (key % 64) & 1U) != 0, live) << query << " " << key;
    }
  }
}

TEST(Both, checks_both) {
  const std::array<Index, 1> lengths = {6};
  const ef::Both first{ef::Padding{lengths}, ef::NoMask{}};
  const ef::Both second{ef::NoMask{}, ef::Padding{lengths}};
  EXPECT_THROW(first.check({1, 5, 5}), ef::ValueError);
  EXPECT_THROW(second.check({1, 5, 5}), ef::ValueError);
  EXPECT_NO_THROW(first.check({1, 5, 6}));
}

}  // namespace
