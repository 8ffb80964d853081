// SPDX-License-Identifier: MIT

#include <eigenformer/core/scratch.hpp>

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>

#include "support/allocation.hpp"
#include "support/compare.hpp"

namespace ef = eigenformer;

TEST(Scratch, memory_begins_at_cache_lines_and_does_not_overlap) {
  ef::ScratchArena arena;
  const ef::ScratchScope owner(arena);
  ef::ScratchScope scope(arena);
  float* const a = scope.take<float>(3);
  double* const b = scope.take<double>(5);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(a) % 64, 0U);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(b) % 64, 0U);
  EXPECT_GE(reinterpret_cast<std::byte*>(b) - reinterpret_cast<std::byte*>(a), 12);
}

TEST(Scratch, scopes_give_back_what_they_took) {
  ef::ScratchArena arena;
  float* first = nullptr;
  {
    ef::ScratchScope scope(arena);
    first = scope.take<float>(100);
    ef::ScratchScope inner(arena);
    EXPECT_NE(inner.take<float>(100), first);
  }
  ef::ScratchScope scope(arena);
  EXPECT_EQ(scope.take<float>(100), first);
}

TEST(Scratch, outer_memory_survives_growth_in_an_inner_scope) {
  ef::ScratchArena arena;
  ef::ScratchScope scope(arena);
  float* const kept = scope.take<float>(1000);
  for (int i = 0; i < 1000; ++i) kept[i] = static_cast<float>(i);
  {
    ef::ScratchScope inner(arena);
    float* const large = inner.take<float>(10'000'000);
    large[0] = -1;
    large[9'999'999] = -1;
  }
  for (int i = 0; i < 1000; ++i) ASSERT_EQ(kept[i], static_cast<float>(i));
}

TEST(Scratch, second_round_allocates_nothing) {
  if (!support::AllocationCounter::available()) GTEST_SKIP() << support::AllocationCounter::why_not();
  ef::ScratchArena arena;
  const auto round = [&] {
    ef::ScratchScope scope(arena);
    for (const ef::Index count : {10, 100'000, 7, 1'000'000, 300}) {
      scope.take<double>(count);
      ef::ScratchScope inner(arena);
      inner.take<float>(count * 2);
    }
  };
  round();
  const std::size_t capacity = arena.capacity();
  EXPECT_EQ(support::allocations_during(round), 0U);
  EXPECT_EQ(arena.capacity(), capacity);
}

TEST(Scratch, poison_covers_what_is_free_and_leaves_what_is_taken) {
  ef::ScratchArena arena;
  {
    ef::ScratchScope scope(arena);
    double* const free = scope.take<double>(100);
    free[99] = 1;
  }
  ef::ScratchScope scope(arena);
  double* const taken = scope.take<double>(10);
  taken[0] = 5;
  arena.poison();
  EXPECT_EQ(taken[0], 5.0);
  const double* const fresh = scope.take<double>(90);
  EXPECT_TRUE(support::is_nan(fresh[0]) && support::is_nan(fresh[89]));
}

TEST(Scratch, nothing_and_rows_can_be_taken) {
  ef::ScratchArena arena;
  ef::ScratchScope scope(arena);
  scope.take<float>(0);
  const ef::RowsView<float> rows = scope.rows<float>(3, 5);
  EXPECT_EQ(rows.rows(), 3);
  EXPECT_EQ(rows.stride(), 5);
}
