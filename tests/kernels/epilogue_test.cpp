// SPDX-License-Identifier: MIT

#include <eigenformer/kernels/epilogue.hpp>

#include <support/alignment.hpp>
#include <support/compare.hpp>
#include <support/inputs.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <type_traits>

namespace eigenformer::inline EIGENFORMER_ABI::kernels {

/// c[row, column] *= factor[column]
template <class T>
struct ScaleColumns {
  const T* factor;
};

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels

#define EIGENFORMER_KERNEL <kernels/epilogue_probe.inl>
#include <eigenformer/kernels/simd/for_each_target.hpp>

namespace eigenformer::inline EIGENFORMER_ABI::kernels {

template <class T, class Epilogue>
void probe_finish(InstructionSet set, const Epilogue& epilogue, T* c, Index c_stride, Index rows, Index first,
                  Index columns) {
  EIGENFORMER_DISPATCH(set, probe_finish<T>(epilogue, c, c_stride, rows, first, columns));
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels

namespace ef = eigenformer;
namespace kernels = eigenformer::kernels;
using ef::Index;
using ef::InstructionSet;

namespace {

static_assert(std::is_trivially_copyable_v<kernels::AddBias<float>>);

class Epilogue : public testing::TestWithParam<InstructionSet> {
 protected:
  void SetUp() override {
    if (!ef::available(GetParam())) GTEST_SKIP() << "this machine has no " << ef::name(GetParam());
  }
};

/// Three rows of `first + columns + 2` sums, of which the columns from `first` are finished. A sum or product of two
/// numbers has one right answer, so the bits are compared. `per_column` ends with the last column finished: what lies
/// beyond is NaN, and under a sanitizer not to be read.
template <class T, class Make, class Expected>
void expect_finished(InstructionSet set, Index first, Index columns, const Make& make, const Expected& expected) {
  support::Generator random(static_cast<std::uint64_t>(first * 100 + columns));
  constexpr Index rows = 3;
  const Index offset = (first + columns) % support::alignment_offsets;
  support::GuardedRows<T> c(rows, first + columns + 2, first + columns + 5, offset);
  std::vector<T> per_column = support::normal<T>(first + columns, random);
  std::vector<T> before;
  for (Index row = 0; row < rows; ++row) {
    for (Index n = 0; n < c.cols(); ++n) before.push_back(c(row, n) = static_cast<T>(random.normal()));
  }
  kernels::probe_finish<T>(set, make(per_column.data()), c.data(), c.row_stride(), rows, first, columns);
  for (Index row = 0; row < rows; ++row) {
    for (Index n = 0; n < c.cols(); ++n) {
      const T sum = before[static_cast<std::size_t>(row * c.cols() + n)];
      const bool finished = n >= first && n < first + columns;
      ASSERT_EQ(c(row, n), finished ? expected(sum, per_column[static_cast<std::size_t>(n)]) : sum)
          << "row " << row << " column " << n << " of " << first << " .. " << first + columns;
    }
  }
  EXPECT_TRUE(c.untouched_outside());
}

template <class T>
int expect_all_finished(InstructionSet set) {
  int cases = 0;
  for (const Index first : {0, 1, 5, 16}) {
    for (Index columns = 0; columns <= 35; ++columns) {
      expect_finished<T>(
          set, first, columns, [](const T* bias) { return kernels::AddBias<T>{bias}; },
          [](T sum, T b) { return sum + b; });
      expect_finished<T>(
          set, first, columns, [](const T*) { return kernels::AddBias<T>{}; }, [](T sum, T) { return sum; });
      expect_finished<T>(
          set, first, columns, [](const T* factor) { return kernels::ScaleColumns<T>{factor}; },
          [](T sum, T factor) { return sum * factor; });
      ++cases;
    }
  }
  return cases;
}

}  // namespace

TEST_P(Epilogue, finishes_every_column_of_its_range_once_and_no_other) {
  EXPECT_EQ(expect_all_finished<float>(GetParam()), 4 * 36);
  EXPECT_EQ(expect_all_finished<double>(GetParam()), 4 * 36);
}

TEST_P(Epilogue, finishes_no_rows_without_looking_at_them) {
  kernels::probe_finish<float>(GetParam(), kernels::AddBias<float>{}, nullptr, 7, 0, 0, 7);
}

INSTANTIATE_TEST_SUITE_P(EveryInstructionSet, Epilogue, testing::ValuesIn(ef::all_instruction_sets),
                         [](const auto& tested) { return std::string(ef::name(tested.param)); });
