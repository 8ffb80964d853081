// SPDX-License-Identifier: MIT
#include <eigenformer/attention/ragged.hpp>

#include <eigenformer/attention/strided.hpp>

#include <gtest/gtest.h>

#include <array>

namespace {

namespace ef = eigenformer;
using ef::Index;

static_assert(!ef::PatternMask<ef::Ragged<ef::Causal>> && ef::PatternMask<ef::Ragged<ef::Strided>>);

TEST(Ragged, the_last_query_of_each_sequence_stands_at_its_last_key) {
  const std::array<Index, 3> lengths = {9, 4, 0};
  const ef::Ragged<ef::Causal> mask{lengths};
  const ef::AttentionExtent extent{3, 2, 9};
  EXPECT_EQ(mask.live_keys(extent, 0, 0).last, 8);
  EXPECT_EQ(mask.live_keys(extent, 0, 1).last, 9);
  EXPECT_EQ(mask.live_keys(extent, 1, 0).last, 3);
  EXPECT_EQ(mask.live_keys(extent, 1, 1).last, 4);
  EXPECT_LE(mask.live_keys(extent, 2, 1).last, 0);
}

TEST(Ragged, patterns_count_from_the_end_of_each_sequence) {
  const std::array<Index, 2> lengths = {9, 4};
  const ef::Ragged<ef::Strided> mask{lengths, {3}};
  EXPECT_EQ(ef::detail::live_bits(mask, {2, 1, 9}, 0, 0, 0), 0b100100100U);  // keys 8, 5, 2
  EXPECT_EQ(ef::detail::live_bits(mask, {2, 1, 9}, 1, 0, 0), 0b1001U);       // keys 3, 0
}

TEST(Ragged, refuses_lengths_that_do_not_fit_and_what_the_inner_mask_refuses) {
  const std::array<Index, 2> lengths = {9, 4};
  EXPECT_THROW(ef::Ragged<>{lengths}.check({1, 1, 9}), ef::ShapeError);
  EXPECT_THROW(ef::Ragged<>{lengths}.check({2, 1, 8}), ef::ValueError);
  EXPECT_THROW((ef::Ragged<ef::Strided>{lengths, {0}}.check({2, 1, 9})), ef::ValueError);
  EXPECT_NO_THROW(ef::Ragged<>{lengths}.check({2, 1, 9}));
}

}  // namespace
