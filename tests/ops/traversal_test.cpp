// SPDX-License-Identifier: MIT

#include <eigenformer/core/rows.hpp>
#include <eigenformer/ops/traversal.hpp>

#include <gtest/gtest.h>

#include <vector>

namespace ef = eigenformer;
using ef::Index;

namespace {

/// How often each element of a [rows, features] view with the stride is visited by one call.
std::vector<int> visits_by_pieces(Index rows, Index features, Index stride, int threads) {
  std::vector<float> memory(static_cast<std::size_t>(rows * stride + 1));
  std::vector<int> visits(memory.size());
  ef::RowsView<float> view(memory.data(), rows, features, stride);
  ef::Context context({.threads = threads});
  ef::detail::for_each_piece(
      1e9, context,
      [&](Index row, Index begin, Index count) {
        float* const first = ef::detail::at(view, row, begin);
        for (float* p = first; p < first + count; ++p) ++visits[static_cast<std::size_t>(p - memory.data())];
      },
      view);
  return visits;
}

}  // namespace

TEST(Traversal, pieces_are_every_element_once_with_and_without_gaps) {
  int cases = 0;
  for (const int threads : {1, 3}) {
    for (const Index rows : {0, 1, 2, 7, 1009}) {
      for (const Index features : {0, 1, 3, 61, 16384, 16411}) {
        if (rows == 1009 && features > 61) continue;
        for (const Index gap : {0, 5}) {
          const auto visits = visits_by_pieces(rows, features, features + gap, threads);
          for (Index i = 0; i < rows * (features + gap); ++i) {
            ASSERT_EQ(visits[static_cast<std::size_t>(i)], i % (features + gap) < features ? 1 : 0)
                << rows << " x " << features << " gap " << gap << " at " << i;
          }
          ++cases;
        }
      }
    }
  }
  EXPECT_EQ(cases, 2 * (4 * 6 + 4) * 2);
}

TEST(Traversal, row_blocks_are_every_row_once_and_do_not_depend_on_threads) {
  for (const Index rows : {0, 1, 37, 5003}) {
    for (const Index features : {0, 1, 769, 100003}) {
      std::vector<Index> starts[2];
      for (const int threads : {1, 3}) {
        std::vector<int> visits(static_cast<std::size_t>(rows));
        std::vector<int> first_of_block(static_cast<std::size_t>(rows));
        ef::Context context({.threads = threads});
        ef::detail::for_each_row_block(rows, features, 1e9, context, [&](Index first, Index count) {
          first_of_block[static_cast<std::size_t>(first)] = 1;
          for (Index n = first; n < first + count; ++n) ++visits[static_cast<std::size_t>(n)];
        });
        for (const int count : visits) ASSERT_EQ(count, 1);
        for (Index n = 0; n < rows; ++n) {
          if (first_of_block[static_cast<std::size_t>(n)] == 1) starts[threads == 1 ? 0 : 1].push_back(n);
        }
      }
      EXPECT_EQ(starts[0], starts[1]);
    }
  }
}
