// SPDX-License-Identifier: MIT
#include <eigenformer/attention/explicit_mask.hpp>

#include <gtest/gtest.h>

#include <memory>

namespace {

namespace ef = eigenformer;
using ef::Index;

static_assert(ef::PatternMask<ef::Explicit>);

struct Values {
  explicit Values(Index count)
      : data(new bool[static_cast<std::size_t>(count)]), size(static_cast<std::size_t>(count)) {
    for (std::size_t i = 0; i < size; ++i) data[i] = i * i % 7 < 3;
  }
  std::span<const bool> span() const { return {data.get(), size}; }
  std::unique_ptr<bool[]> data;
  std::size_t size;
};

TEST(Explicit, every_bit_is_the_value_given) {
  const Values values(2 * 3 * 101);
  const ef::Explicit mask{values.span()};
  for (Index batch = 0; batch < 2; ++batch) {
    for (Index query = 0; query < 3; ++query) {
      for (const Index first : {0, 1, 37, 64, 100}) {
        const std::uint64_t bits = ef::detail::live_bits(mask, {2, 3, 101}, batch, query, first);
        for (Index i = 0; i < 64; ++i) {
          const Index at = (batch * 3 + query) * 101 + first + i;
          ASSERT_EQ((bits >> i & 1U) != 0, first + i < 101 && values.data[static_cast<std::size_t>(at)]);
        }
      }
    }
  }
}

TEST(Explicit, of_one_batch_serves_all) {
  const Values values(3 * 5);
  const ef::Explicit mask{values.span()};
  const ef::AttentionExtent extent{4, 3, 5};
  EXPECT_NO_THROW(mask.check(extent));
  EXPECT_EQ(ef::detail::live_bits(mask, extent, 3, 2, 0), ef::detail::live_bits(mask, extent, 0, 2, 0));
}

TEST(Explicit, refuses_another_size) {
  const Values values(3 * 5);
  EXPECT_THROW((ef::Explicit{values.span()}.check({2, 3, 4})), ef::ShapeError);
  EXPECT_THROW((ef::Explicit{}.check({2, 3, 4})), ef::ShapeError);
}

}  // namespace
