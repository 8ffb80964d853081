// SPDX-License-Identifier: MIT

#include <eigenformer/adapter/row_runs.hpp>

#include <gtest/gtest.h>

#include <array>

#include "support/compare.hpp"

namespace ef = eigenformer;
using ef::Index;

namespace {

ef::Matrix<float> counted(Index rows, Index columns) {
  ef::Matrix<float> x(rows, columns);
  for (Index i = 0; i < x.size(); ++i) x.data()[i] = static_cast<float>(i);
  return x;
}

}  // namespace

TEST(RowRuns, join_neighbours_of_one_label) {
  const ef::SequenceLabels labels = {.labels = {"a", "a", "b", "", "a", "b"}};
  std::array<ef::RowRun, 6> memory;
  const ef::RowRuns a = ef::runs_of(labels, "a", 12, memory.data(), "Test");
  ASSERT_EQ(a.size(), 2U);
  EXPECT_EQ(a[0].first, 0);
  EXPECT_EQ(a[0].count, 4);
  EXPECT_EQ(a[1].first, 8);
  EXPECT_EQ(a[1].count, 2);
  EXPECT_EQ(ef::row_count(a), 6);
  EXPECT_EQ(ef::runs_of(labels, "b", 12, memory.data(), "Test").size(), 2U);
  EXPECT_TRUE(ef::runs_of(labels, "c", 12, memory.data(), "Test").empty());
  EXPECT_TRUE(ef::runs_of(labels, "a", 0, memory.data(), "Test").empty());
}

TEST(RowRuns, are_read_in_place_where_they_lie_together) {
  ef::Context context;
  ef::ScratchScope scope(context.scratch());
  const ef::Matrix<float> x = counted(7, 3);
  const std::array<ef::RowRun, 1> one = {{{2, 3}}};
  EXPECT_EQ(ef::gathered<float>(x, one, scope).data(), x.data() + 6);
  const std::array<ef::RowRun, 2> two = {{{1, 2}, {6, 1}}};
  const ef::Matrix<float> gathered = ef::gathered<float>(x, two, scope);
  ASSERT_EQ(gathered.rows(), 3);
  EXPECT_TRUE(support::bit_equal(gathered, ef::Matrix<float>(x({1, 2, 6}, Eigen::all))));
}

TEST(RowRuns, change_their_own_rows_alone) {
  ef::Context context;
  const ef::Matrix<float> before = counted(7, 3);
  for (const std::vector<ef::RowRun>& runs : {std::vector<ef::RowRun>{{2, 3}}, {{0, 1}, {3, 2}, {6, 1}}}) {
    ef::Matrix<float> y = before;
    ef::on_rows<float>(y, runs, context, [](ef::RowsView<float> rows) { rows.array() *= -1; });
    ef::Matrix<float> expected = before;
    ef::for_rows(runs, [&](Index n, Index) { expected.row(n) *= -1; });
    EXPECT_TRUE(support::bit_equal(y, expected));
  }
}
