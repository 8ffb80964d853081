// SPDX-License-Identifier: MIT

#include "support/alignment.hpp"

#include <gtest/gtest.h>

#include <cstdint>

#include "support/compare.hpp"

namespace {

template <class T>
class AlignmentOf : public testing::Test {};
using Scalars = testing::Types<float, double, std::int8_t, std::int32_t>;
TYPED_TEST_SUITE(AlignmentOf, Scalars);

TYPED_TEST(AlignmentOf, every_offset_lies_where_asked) {
  int cases = 0;
  for (std::ptrdiff_t offset = 0; offset < support::alignment_offsets; ++offset) {
    const support::GuardedBuffer<TypeParam> buffer(13, offset);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffer.data()) % 64,
              static_cast<std::size_t>(offset) * sizeof(TypeParam) % 64);
    EXPECT_EQ(buffer.end() - buffer.begin(), 13);
    EXPECT_TRUE(buffer.untouched_outside());
    ++cases;
  }
  EXPECT_EQ(cases, 16);
}

TYPED_TEST(AlignmentOf, writing_inside_is_fine_and_any_guard_cell_is_watched) {
  int cases = 0;
  for (std::ptrdiff_t at = -64; at < 13 + 64; ++at) {
    support::GuardedBuffer<TypeParam> buffer(13, 3);
    buffer.data()[at] = TypeParam(0);
    EXPECT_EQ(static_cast<bool>(buffer.untouched_outside()), at >= 0 && at < 13) << at;
    ++cases;
  }
  EXPECT_EQ(cases, 141);
}

TYPED_TEST(AlignmentOf, gaps_between_rows_are_watched) {
  int cases = 0;
  for (std::ptrdiff_t at = 0; at < 2 * 7 + 5; ++at) {
    support::GuardedRows<TypeParam> rows(3, 5, 7, 1);
    rows.data()[at] = TypeParam(0);
    EXPECT_EQ(static_cast<bool>(rows.untouched_outside()), at % 7 < 5) << at;
    ++cases;
  }
  EXPECT_EQ(cases, 19);
}

TEST(Alignment, cells_begin_as_nan) {
  const support::GuardedBuffer<float> single(3, 1);
  const support::GuardedBuffer<double> twice(3, 1);
  for (std::ptrdiff_t i = -5; i < 8; ++i) {
    EXPECT_TRUE(support::is_nan(static_cast<double>(single.data()[i])));
    EXPECT_TRUE(support::is_nan(twice.data()[i]));
  }
}

TEST(Alignment, empty_buffers_and_overlapping_rows) {
  EXPECT_TRUE(support::GuardedBuffer<float>(0).untouched_outside());
  EXPECT_TRUE(support::GuardedRows<float>(0, 3, 5).untouched_outside());
  EXPECT_THROW(support::GuardedRows<float>(2, 5, 4), std::invalid_argument);
  EXPECT_THROW(support::GuardedBuffer<float>(-1), std::invalid_argument);
}

}  // namespace
