// SPDX-License-Identifier: MIT
#include <eigenformer/attention/attention_plan.hpp>

#include <gtest/gtest.h>

#include <vector>

namespace {

namespace ef = eigenformer;
using ef::Index;

/// Counts how often the tasks of a plan meet each (batch, head, query, key).
void expect_each_score_once(Index batch, Index queries, Index keys, Index heads, Index kv_heads) {
  ef::kernels::AttentionProblem<float> problem;
  problem.query = ef::ConstHeadsView<float>(nullptr, batch, queries, heads, 4);
  problem.kv_heads = kv_heads;
  problem.keys = keys;
  const ef::detail::AttentionPlan plan(problem);
  std::vector<int> met(static_cast<std::size_t>(batch * heads * queries * keys));
  for (Index b = 0; b < batch; ++b) {
    for (Index g = 0; g < kv_heads; ++g) {
      for (Index tile = 0; tile < plan.tiles; ++tile) {
        for (Index split = 0; split < plan.splits; ++split) {
          const ef::kernels::AttentionTask task = plan.task(b, g, tile, split, keys);
          ASSERT_LE(task.columns, ef::kernels::attention_query_tile);
          for (Index c = 0; c < task.columns; ++c) {
            ASSERT_EQ(task.head(c) / (heads / kv_heads), g);
            for (Index t = task.keys.first; t < task.keys.last; ++t) {
              ++met[static_cast<std::size_t>(((b * heads + task.head(c)) * queries + task.position(c)) * keys + t)];
            }
          }
        }
      }
    }
  }
  for (const int count : met) ASSERT_EQ(count, 1);
}

TEST(AttentionPlan, meets_every_score_once) {
  expect_each_score_once(1, 1, 1201, 6, 2);
  expect_each_score_once(2, 131, 67, 6, 3);
  expect_each_score_once(1, 211, 601, 2, 1);
  expect_each_score_once(3, 7, 5, 5, 1);
}

TEST(AttentionPlan, is_empty_for_empty_shapes) {
  ef::kernels::AttentionProblem<float> problem;
  problem.query = ef::ConstHeadsView<float>(nullptr, 2, 0, 6, 4);
  problem.kv_heads = 3;
  problem.keys = 5;
  EXPECT_EQ(ef::detail::AttentionPlan(problem).tiles, 0);
}

}  // namespace
