// SPDX-License-Identifier: MIT
#include <eigenformer/attention/strided.hpp>

#include <gtest/gtest.h>

namespace {

namespace ef = eigenformer;
using ef::Index;

static_assert(ef::PatternMask<ef::Strided>);

TEST(Strided, every_bit_follows_the_formula) {
  const ef::AttentionExtent extent{1, 150, 210};  // query s stands at key s + 60
  for (const Index stride : {1, 2, 5, 63, 64, 65, 131}) {
    for (const Index local : {0, 1, 7, 70, 1000}) {
      const ef::Strided mask{stride, local};
      for (const Index query : {0, 1, 63, 149}) {
        for (const Index first : {0, 1, 60, 64, 127, 192}) {
          const std::uint64_t bits = ef::detail::live_bits(mask, extent, 0, query, first);
          for (Index i = 0; i < 64; ++i) {
            const Index before = query + 60 - (first + i);
            const bool live = before >= 0 && (before % stride == 0 || before < local);
            ASSERT_EQ((bits >> i & 1U) != 0, live) << stride << " " << local << " " << query << " " << first + i;
          }
        }
      }
    }
  }
}

TEST(Strided, the_largest_stride_leaves_the_own_key) {
  const ef::Strided mask{(std::numeric_limits<Index>::max)()};
  EXPECT_EQ(ef::detail::live_bits(mask, {1, 100, 100}, 0, 70, 64), std::uint64_t(1) << 6);
  EXPECT_EQ(ef::detail::live_bits(mask, {1, 100, 100}, 0, 70, 0), 0U);
}

TEST(Strided, refuses_a_stride_of_zero_and_a_negative_local) {
  EXPECT_THROW((ef::Strided{0}.check({1, 1, 1})), ef::ValueError);
  EXPECT_THROW((ef::Strided{1, -1}.check({1, 1, 1})), ef::ValueError);
}

}  // namespace
