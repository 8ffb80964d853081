// SPDX-License-Identifier: MIT
#include <eigenformer/attention/block_sparse.hpp>

#include <gtest/gtest.h>

#include <array>

namespace {

namespace ef = eigenformer;
using ef::Index;

static_assert(ef::PatternMask<ef::BlockSparse>);

// Three rows of five blocks of 4 queries by 3 keys, over 11 queries and 14 keys.
constexpr std::array<bool, 15> layout = {false, true,  false, true,  false,  //
                                         false, false, false, false, false, true, true, true, true, true};
const ef::AttentionExtent extent{1, 11, 14};

TEST(BlockSparse, every_bit_is_that_of_its_block) {
  const ef::BlockSparse mask{4, 3, layout};
  for (Index query = 0; query < 11; ++query) {
    for (const Index first : {0, 1, 2, 5, 13}) {
      const std::uint64_t bits = ef::detail::live_bits(mask, extent, 0, query, first);
      for (Index i = 0; i < 64; ++i) {
        const Index key = first + i;
        const bool live = key < 14 && layout.at(static_cast<std::size_t>(query / 4 * 5 + key / 3));
        ASSERT_EQ((bits >> i & 1U) != 0, live) << query << " " << key;
      }
    }
  }
}

TEST(BlockSparse, names_the_shortest_run) {
  const ef::BlockSparse mask{4, 3, layout};
  EXPECT_EQ(mask.live_keys(extent, 0, 0).first, 3);
  EXPECT_EQ(mask.live_keys(extent, 0, 3).last, 12);
  EXPECT_GE(mask.live_keys(extent, 0, 4).first, mask.live_keys(extent, 0, 4).last);
  EXPECT_EQ(mask.live_keys(extent, 0, 10).last, 14);
}

TEST(BlockSparse, refuses_a_layout_that_does_not_fit) {
  EXPECT_NO_THROW((ef::BlockSparse{4, 3, layout}.check(extent)));
  EXPECT_THROW((ef::BlockSparse{4, 3, layout}.check({1, 13, 14})), ef::ShapeError);
  EXPECT_THROW((ef::BlockSparse{0, 3, layout}.check(extent)), ef::ValueError);
  EXPECT_THROW((ef::BlockSparse{4, 0, layout}.check(extent)), ef::ValueError);
}

}  // namespace
