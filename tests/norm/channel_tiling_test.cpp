// SPDX-License-Identifier: MIT

#include <eigenformer/norm/channel_tiling.hpp>

#include <gtest/gtest.h>

#include <utility>
#include <vector>

namespace ef = eigenformer;
using ef::Index;
using ef::detail::ChannelTile;
using ef::detail::ChannelTiling;
using ef::detail::LiveRows;
using Runs = std::vector<std::pair<Index, Index>>;

namespace {

Runs runs_of(const LiveRows& live, Index first, Index count) {
  Runs runs;
  live.for_each_run(first, count, [&](Index begin, Index rows) { runs.emplace_back(begin, rows); });
  return runs;
}
Runs gaps_of(const LiveRows& live, Index first, Index count) {
  Runs gaps;
  live.for_each_gap(first, count, [&](Index begin, Index rows) { gaps.emplace_back(begin, rows); });
  return gaps;
}

}  // namespace

TEST(LiveRows, are_all_rows_where_no_lengths_are_given) {
  EXPECT_EQ(runs_of({}, 3, 7), (Runs{{3, 7}}));
  EXPECT_EQ(gaps_of({}, 3, 7), Runs{});
  EXPECT_EQ(runs_of({}, 3, 0), Runs{});
  EXPECT_EQ(LiveRows{}.count(11), 11);
}

TEST(LiveRows, come_in_runs_that_do_not_touch_with_gaps_between) {
  const std::vector<Index> lengths = {5, 2, 0, 5, 1};
  const LiveRows live = {5, lengths};
  EXPECT_EQ(runs_of(live, 0, 25), (Runs{{0, 7}, {15, 6}}));  // a full sequence and the next are one run
  EXPECT_EQ(gaps_of(live, 0, 25), (Runs{{7, 8}, {21, 4}}));
  EXPECT_EQ(runs_of(live, 3, 3), (Runs{{3, 3}}));
  EXPECT_EQ(runs_of(live, 8, 9), (Runs{{15, 2}}));
  EXPECT_EQ(gaps_of(live, 8, 9), (Runs{{8, 7}}));
  EXPECT_EQ(runs_of(live, 7, 8), Runs{});
  EXPECT_EQ(live.count(25), 13);
}

TEST(ChannelTiling, covers_every_number_once_in_whole_groups) {
  int in_parts = 0, cases = 0;
  for (const Index items : {1, 3}) {
    for (const Index rows : {0, 1, 17, 197, 4096, 100352}) {
      for (const auto& [channels, group] : {std::pair<Index, Index>{1, 1}, {64, 1}, {768, 24}, {66, 33}, {5, 5}}) {
        const ChannelTiling tiling(items, rows, channels, group, 4);
        std::vector<Index> seen(static_cast<std::size_t>(items * channels));
        for (Index i = 0; i < tiling.tiles(); ++i) {
          const ChannelTile tile(tiling, i, 0);
          EXPECT_EQ(tile.channel % group, 0);
          EXPECT_EQ(tile.channels % group, 0);
          for (Index c = 0; c < tile.channels; ++c)
            ++seen[static_cast<std::size_t>(tile.item * channels + tile.channel + c)];
        }
        for (const Index times : seen) ASSERT_EQ(times, 1);
        EXPECT_GE(tiling.parts() * tiling.part, rows);
        EXPECT_LT((tiling.parts() - 1) * tiling.part, (std::max)(Index(1), rows));
        EXPECT_LE(tiling.parts(), 64);
        in_parts += tiling.parts() > 1;
        if (tiling.parts() > 1) {
          EXPECT_EQ(tiling.block, channels);
        }
        ++cases;
      }
    }
  }
  EXPECT_EQ(cases, 60);
  EXPECT_GT(in_parts, 6);
}

TEST(WithinRange, keeps_numbers_beyond_a_type_at_its_largest) {
  constexpr float largest = (std::numeric_limits<float>::max)();
  EXPECT_EQ(ef::detail::within_range<float>(1e60), largest);
  EXPECT_EQ(ef::detail::within_range<float>(-1e60), -largest);
  EXPECT_EQ(ef::detail::within_range<float>(0.1), 0.1F);
}
