// SPDX-License-Identifier: MIT
#include <eigenformer/kernels/attention_problem.hpp>

#include <gtest/gtest.h>

#include <vector>

namespace {

namespace ef = eigenformer;
namespace kernels = ef::kernels;
using ef::Index;

TEST(AttentionTask, columns_are_the_heads_of_a_group_side_by_side) {
  const kernels::AttentionTask task{.first_head = 6, .heads = 3, .first_column = 4, .columns = 5};
  const std::vector<Index> positions = {1, 1, 2, 2, 2};
  const std::vector<Index> heads = {7, 8, 6, 7, 8};
  for (Index c = 0; c < 5; ++c) {
    EXPECT_EQ(task.position(c), positions[static_cast<std::size_t>(c)]);
    EXPECT_EQ(task.head(c), heads[static_cast<std::size_t>(c)]);
  }
}

TEST(AttentionTask, of_one_of_several_key_value_heads) {
  const kernels::AttentionTask task{.first_head = 6, .heads = 3, .kv_head = 2, .kv_heads = 4, .columns = 5};
  const kernels::AttentionTask last = task.of_head(3);
  EXPECT_EQ(last.kv_head, 5);
  EXPECT_EQ(last.kv_heads, 1);
  EXPECT_EQ(last.head(0), 15);
  EXPECT_EQ(last.head(4), 16);
  EXPECT_EQ(last.position(4), 1);
}

TEST(AttentionResult, of_one_of_several_key_value_heads) {
  std::vector<float> parts(200);
  kernels::AttentionResult<float> result{{}, nullptr, parts.data(), parts.data() + 11, parts.data() + 13, 17};
  EXPECT_EQ(result.of_head(3).part_rows, parts.data() + 51);
  EXPECT_EQ(result.of_head(3).part_maximum, parts.data() + 62);
  EXPECT_EQ(result.of_head(3).part_sum, parts.data() + 64);
  result.part_rows = nullptr;
  EXPECT_EQ(result.of_head(3).part_rows, nullptr);
}

/// Tiles cover a range in order, stay within segments, and begin where they always do.
TEST(KeyTiles, cover_the_range_once_and_end_where_segments_do) {
  std::vector<float> memory(static_cast<std::size_t>(200 * 2));
  const ef::ConstHeadsView<float> all(memory.data(), 1, 200, 1, 2);
  const std::vector<ef::KeyValueSegment<float>> segments = {{all.positions(0, 0), all.positions(0, 0)},
                                                            {all.positions(0, 71), all.positions(0, 71)},
                                                            {all.positions(71, 129), all.positions(71, 129)}};
  kernels::AttentionProblem<float> problem;
  problem.segments = segments;
  problem.keys = 200;
  const kernels::AttentionTask task;
  for (const ef::KeyRange range : {ef::KeyRange{0, 200}, {5, 199}, {70, 72}, {71, 135}, {199, 200}, {7, 7}, {9, 3}}) {
    kernels::KeyTiles<float> tiles(problem, task, range);
    kernels::KeyTile<float> tile;
    Index next = range.first;
    while (tiles.next(tile, 64)) {
      EXPECT_EQ(tile.first, next);
      EXPECT_EQ(tile.keys.data, memory.data() + 2 * next);
      EXPECT_GE(tile.rows, 1);
      EXPECT_LE(tile.rows, 64);
      next += tile.rows;
      EXPECT_TRUE(next == range.last || next == 64 || next == 71 || next == 71 + 64 || next == 71 + 128);
    }
    EXPECT_EQ(next, (std::max)(range.first, range.last));
  }
}

}  // namespace
