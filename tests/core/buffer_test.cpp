// SPDX-License-Identifier: MIT

#include <eigenformer/core/buffer.hpp>

#include <gtest/gtest.h>

#include <cstdint>

#include "support/allocation.hpp"

namespace ef = eigenformer;

TEST(Buffer, begins_at_a_cache_line) {
  for (const ef::Index count : {1, 3, 17, 1000}) {
    ef::Buffer<float> buffer;
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffer.resize(count)) % 64, 0U);
    EXPECT_EQ(buffer.size(), count);
    EXPECT_EQ(buffer.values().size(), static_cast<std::size_t>(count));
  }
}

TEST(Buffer, allocates_only_for_more_than_it_ever_held) {
  if (!support::AllocationCounter::available()) GTEST_SKIP() << support::AllocationCounter::why_not();
  ef::Buffer<double> buffer;
  buffer.resize(100);
  EXPECT_EQ(support::allocations_during([&] {
              buffer.resize(7);
              buffer.resize(0);
              buffer.resize(100);
            }),
            0U);
  EXPECT_EQ(buffer.size(), 100);
  EXPECT_GT(support::allocations_during([&] { buffer.resize(101); }), 0U);
}

TEST(Buffer, copies_are_deep) {
  ef::Buffer<float> buffer;
  buffer.resize(2)[0] = 3;
  ef::Buffer<float> copy = buffer;
  copy.data()[0] = 4;
  EXPECT_EQ(buffer.data()[0], 3.0F);
  EXPECT_EQ(copy.size(), 2);
}

TEST(Buffer, is_rows_of_features) {
  ef::Buffer<float> buffer;
  const ef::RowsView<float> rows = buffer.resize(3, 5);
  EXPECT_EQ(rows.rows(), 3);
  EXPECT_EQ(rows.features(), 5);
  EXPECT_EQ(rows.data(), buffer.data());
  EXPECT_EQ(buffer.rows(5).rows(), 3);
  EXPECT_EQ(std::as_const(buffer).rows(3).rows(), 5);
  EXPECT_EQ(buffer.resize(0, 5).rows(), 0);
}
