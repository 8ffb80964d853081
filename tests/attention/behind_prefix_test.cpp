// SPDX-License-Identifier: MIT
#include <eigenformer/attention/behind_prefix.hpp>

#include <eigenformer/attention/sliding_window.hpp>
#include <eigenformer/attention/strided.hpp>

#include <gtest/gtest.h>

namespace {

namespace ef = eigenformer;
using ef::Index;

/// Asked from any key on, as words of 64 lie anywhere in a tile.
bool sees(const auto& mask, const ef::AttentionExtent& extent, Index batch, Index query, Index key) {
  const bool alone = (ef::detail::live_bits(mask, extent, batch, query, key) & 1U) != 0;
  for (const Index before : {Index(13), Index(63)}) {
    if (before > key) continue;
    const std::uint64_t bits = ef::detail::live_bits(mask, extent, batch, query, key - before);
    EXPECT_EQ((bits >> before & 1U) != 0, alone) << key << ' ' << before;
  }
  return alone;
}

/// Key by key, for prefixes that end before, at and behind words of 64 keys, one sequence without one.
template <class Mask>
void expect_prefix_and_own_keys(const Mask& mask, bool gaps) {
  for (const Index length : {Index(1), Index(61), Index(64), Index(70)}) {
    ef::Tensor<float, 4> prefix(1, length, 1, 2), none(1, 0, 1, 2);
    const std::array<ef::KeyValueSegment<float>, 2> prefixes = {{{prefix, prefix}, {none, none}}};
    const ef::KeyValuePrefixes<float> own{prefixes};
    const ef::AttentionExtent extent = {.batch = 2, .queries = 7, .keys = 71};
    const ef::AttentionExtent whole = {.batch = 2, .queries = 7, .keys = 71 + length};
    const ef::detail::PatternBehindPrefix<Mask, ef::KeyValuePrefixes<float>> behind{{&mask, &own, extent}};
    EXPECT_EQ(behind.leaves_gaps(), gaps);
    const auto& runs = static_cast<const ef::detail::BehindPrefix<Mask, ef::KeyValuePrefixes<float>>&>(behind);
    for (Index b = 0; b < 2; ++b) {
      const Index before = b == 0 ? length : 0;
      for (Index s = 0; s < 7; ++s) {
        for (Index t = 0; t < before + 71; ++t) {
          const bool expected = t < before || sees(mask, extent, b, s, t - before);
          ASSERT_EQ(sees(behind, whole, b, s, t), expected) << length << ' ' << b << ' ' << s << ' ' << t;
          if (gaps || ef::PatternMask<Mask>) continue;
          ASSERT_EQ(sees(runs, whole, b, s, t), expected);
        }
      }
    }
  }
}

TEST(BehindPrefix, is_seen_by_all_and_leaves_the_mask_as_it_was) {
  const std::array<Index, 2> lengths = {0, 67};
  expect_prefix_and_own_keys(ef::NoMask{}, false);
  expect_prefix_and_own_keys(ef::Causal{}, false);
  expect_prefix_and_own_keys(ef::Causal{ef::CausalAlignment::top_left}, false);
  expect_prefix_and_own_keys(ef::Padding{lengths}, false);
  expect_prefix_and_own_keys(ef::SlidingWindow{3, 1}, true);
  expect_prefix_and_own_keys(ef::Strided{3, 2}, false);
}

TEST(BehindPrefix, copies_no_keys) {
  ef::Tensor<float, 4> prefix(1, 5, 1, 2), keys(3, 7, 1, 2);
  const ef::KeyValueSegment<float> own[] = {{keys, keys}};
  ef::ScratchArena arena;
  ef::ScratchScope scope(arena);
  const auto shared =
      ef::detail::behind_prefix<float>(ef::KeyValuePrefix<float>{prefix, prefix}, {own}, 3, scope).segments;
  ASSERT_EQ(shared.size(), 2U);
  for (Index b = 0; b < 3; ++b) {
    EXPECT_EQ(shared[0].keys.at<float>(b, 0, 0), prefix.data());
    EXPECT_EQ(shared[1].keys.at<float>(b, 0, 0), keys.data() + b * 14);
  }
  const std::array<ef::KeyValueSegment<float>, 3> prefixes = {{{prefix, prefix}, {prefix, prefix}, {prefix, prefix}}};
  const auto list = ef::detail::behind_prefix<float>(ef::KeyValuePrefixes<float>{prefixes}, {own}, 3, scope);
  ASSERT_EQ(list.segments.size(), 6U);
  for (std::size_t b = 0; b < 3; ++b) {
    EXPECT_EQ(list.first_segment[b], static_cast<Index>(2 * b));
    EXPECT_EQ(list.segments[2 * b].values.at<float>(0, 0, 0), prefix.data());
    EXPECT_EQ(list.segments[2 * b + 1].values.at<float>(0, 0, 0), keys.data() + b * 14);
  }
}

}  // namespace
