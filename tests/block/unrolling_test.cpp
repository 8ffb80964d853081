// SPDX-License-Identifier: MIT
#include <eigenformer/block/unrolling.hpp>

#include <gtest/gtest.h>

#include <array>
#include <vector>

namespace ef = eigenformer;
using ef::Index;

namespace {

constexpr std::array<Index, 4> lengths = {2, 5, 0, 3};

ef::detail::Steps<float> steps(std::span<const Index> chosen) {
  return {.batch = 4, .length = 5, .hidden = 3, .width = 12, .lengths = chosen, .gates = nullptr, .y = nullptr};
}

}  // namespace

TEST(Unrolling, looks_at_rows_up_to_the_last_sequence_that_is_as_long) {
  const auto all = steps({}), some = steps(lengths);
  EXPECT_FALSE(all.padded());
  EXPECT_TRUE(some.padded());
  EXPECT_EQ(all.longest(), 5);
  EXPECT_EQ(some.longest(), 5);
  std::vector<Index> rows;
  for (Index t = 0; t < 5; ++t) rows.push_back(some.rows(t));
  EXPECT_EQ(rows, (std::vector<Index>{4, 4, 4, 2, 2}));
  EXPECT_EQ(all.rows(4), 4);
}

TEST(Unrolling, visits_the_sequences_that_have_the_step) {
  ef::Context context;
  std::vector<Index> seen;
  steps(lengths).for_each(2, context, [&](Index b) { seen.push_back(b); });
  EXPECT_EQ(seen, (std::vector<Index>{1, 3}));
}

TEST(Unrolling, blanks_what_lies_beyond_the_ends) {
  std::vector<float> numbers(4 * 5 * 2, 1.0F);
  steps(lengths).blank(numbers.data(), 5, 2);
  for (Index b = 0; b < 4; ++b) {
    for (Index t = 0; t < 5; ++t) {
      const float expected = t < lengths[static_cast<std::size_t>(b)] ? 1.0F : 0.0F;
      EXPECT_EQ(numbers[static_cast<std::size_t>((b * 5 + t) * 2)], expected) << b << ", " << t;
      EXPECT_EQ(numbers[static_cast<std::size_t>((b * 5 + t) * 2 + 1)], expected) << b << ", " << t;
    }
  }
}

TEST(Unrolling, lists_of_caches_grow_and_never_shrink) {
  std::vector<int> list;
  ef::detail::grow(list, 7);
  EXPECT_EQ(list.size(), 7U);
  ef::detail::grow(list, 3);
  EXPECT_EQ(list.size(), 7U);
}
