// SPDX-License-Identifier: MIT
#include <eigenformer/attention/attention_cache.hpp>

#include <eigenformer/linear/linear.hpp>
#include <eigenformer/norm/no_norm.hpp>

#include <gtest/gtest.h>

#include <array>

namespace ef = eigenformer;
using ef::Index;

TEST(AttentionCache, remembers_a_mask_row_by_row) {
  ef::AttentionCache<float, ef::Linear<float>, ef::NoNorm<float>, ef::NoNorm<float>> cache;
  const std::array<Index, 2> lengths = {3, 5};
  const ef::Padding mask{lengths};
  const ef::AttentionExtent extent = {.batch = 2, .queries = 7, .keys = 5};
  cache.remember(mask, extent);
  EXPECT_EQ(cache.extent.queries, 7);
  ASSERT_EQ(cache.live.size(), 14);
  const ef::detail::RememberedMask remembered{cache.live.data()};
  for (Index b = 0; b < 2; ++b) {
    for (Index s = 0; s < 7; ++s) {
      EXPECT_EQ(remembered.live_keys(extent, b, s).last, lengths[static_cast<std::size_t>(b)]);
    }
  }
}
