// SPDX-License-Identifier: MIT

#include <eigenformer/kernels/lines_ahead.hpp>

#include <gtest/gtest.h>

#include <set>
#include <vector>

namespace kernels = eigenformer::kernels;
using eigenformer::Index;

namespace {

constexpr std::uintptr_t line = 64;

std::uintptr_t line_of(const void* address) { return reinterpret_cast<std::uintptr_t>(address) / line; }

/// The lines that are asked for, `step` at a time.
std::set<std::uintptr_t> asked(kernels::LinesAhead ahead, Index step) {
  std::set<std::uintptr_t> lines;
  while (ahead.count() > 0) {
    kernels::LinesAhead one = ahead;
    for (Index i = 0; i < step && one.count() > 0; ++i) {
      lines.insert(one.next() / line);
      one.ask(1);
    }
    ahead.ask(step);
    EXPECT_EQ(ahead.count(), one.count());
  }
  return lines;
}

}  // namespace

TEST(LinesAhead, are_those_of_the_matrix_by_rows_or_by_columns_wherever_it_begins) {
  std::vector<float> memory(40'000, 1.0F);
  int cases = 0;
  for (const Index offset : {0, 1, 5, 15}) {
    for (const Index run : {1, 2, 16, 17, 97}) {
      for (const Index runs : {1, 3, 31}) {
        const Index stride = run + 101;
        const float* const data = memory.data() + offset;
        const auto by_rows = asked(kernels::LinesAhead(kernels::plain(data, stride), runs, run), 3);
        const auto by_columns = asked(kernels::LinesAhead(kernels::transposed(data, stride), run, runs), 5);
        for (Index i = 0; i < runs; ++i) {
          for (Index j = 0; j < run; ++j) {
            ASSERT_TRUE(by_rows.contains(line_of(data + i * stride + j))) << offset << " " << run << " " << runs;
          }
        }
        EXPECT_EQ(by_rows, by_columns);
        EXPECT_LE(Index(by_rows.size()), runs * ((run * 4 + 62) / 64 + 1));
        ++cases;
      }
    }
  }
  EXPECT_EQ(cases, 4 * 5 * 3);
}

TEST(LinesAhead, are_none_where_no_index_is_contiguous_or_nothing_is_there) {
  const float number = 0;
  EXPECT_EQ(kernels::LinesAhead().count(), 0);
  EXPECT_EQ(kernels::LinesAhead(kernels::Operand<float>{&number, 7, 2}, 5, 3).count(), 0);
  EXPECT_EQ(kernels::LinesAhead(kernels::plain(&number, Index(7)), 0, 3).count(), 0);
}
