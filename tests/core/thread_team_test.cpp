// SPDX-License-Identifier: MIT

#include <eigenformer/core/thread_team.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <set>
#include <vector>

#include "support/allocation.hpp"

namespace ef = eigenformer;
using ef::Index;

TEST(ThreadTeam, calls_the_body_once_for_every_index) {
  for (const int threads : {1, 2, 3, 5}) {
    ef::ThreadTeam team(threads);
    EXPECT_EQ(team.threads(), threads);
    for (const Index count : {0, 1, 2, 3, 97, 1009}) {
      std::vector<std::atomic<int>> calls(static_cast<std::size_t>(count));
      team.run(count, [&](Index i, Index) { calls[static_cast<std::size_t>(i)].fetch_add(1); });
      for (const auto& called : calls) ASSERT_EQ(called.load(), 1);
    }
  }
}

TEST(ThreadTeam, workers_have_numbers_of_their_own_while_they_work) {
  ef::ThreadTeam team(3);
  std::vector<std::atomic<int>> busy(3);
  std::atomic<bool> clash{false};
  std::atomic<bool> outside{false};
  for (int round = 0; round < 200; ++round) {
    team.run(64, [&](Index, Index worker) {
      if (worker < 0 || worker >= 3) {
        outside.store(true);
        return;
      }
      std::atomic<int>& slot = busy[static_cast<std::size_t>(worker)];
      if (slot.fetch_add(1) != 0) clash.store(true);
      slot.fetch_sub(1);
    });
  }
  EXPECT_FALSE(clash.load());
  EXPECT_FALSE(outside.load());
}

// Short loops one after the other: a helper that wakes late must find either its own loop or a closed one.
TEST(ThreadTeam, loops_in_quick_succession_do_not_mix) {
  ef::ThreadTeam team(3);
  for (Index round = 0; round < 20000; ++round) {
    const Index count = 2 + round % 5;
    std::array<std::atomic<Index>, 6> seen{};
    team.run(count, [&](Index i, Index) { seen[static_cast<std::size_t>(i)].fetch_add(round + 1); });
    for (Index i = 0; i < 6; ++i) ASSERT_EQ(seen[static_cast<std::size_t>(i)].load(), i < count ? round + 1 : 0);
  }
}

TEST(ThreadTeam, sees_what_was_written_before_and_shows_what_it_wrote) {
  ef::ThreadTeam team(2);
  std::vector<int> numbers(1000);
  for (int round = 1; round <= 100; ++round) {
    team.run(1000, [&](Index i, Index) { numbers[static_cast<std::size_t>(i)] += round; });
  }
  for (const int number : numbers) ASSERT_EQ(number, 5050);
}

TEST(ThreadTeam, loops_allocate_nothing) {
  if (!support::AllocationCounter::available()) GTEST_SKIP() << support::AllocationCounter::why_not();
  ef::ThreadTeam team(2);
  std::atomic<Index> sum{0};
  const auto loop = [&] { team.run(100, [&](Index i, Index) { sum.fetch_add(i); }); };
  for (int i = 0; i < 10; ++i) loop();
  EXPECT_EQ(support::allocations_during([&] {
              for (int i = 0; i < 1000; ++i) loop();
            }),
            0U);
  EXPECT_EQ(sum.load(), 1010 * 4950);
}

TEST(ThreadTeam, can_go_without_ever_having_run) {
  for (int i = 0; i < 50; ++i) ef::ThreadTeam team(3);
}
