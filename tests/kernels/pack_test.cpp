// SPDX-License-Identifier: MIT

#include <eigenformer/kernels/pack.hpp>

#include <support/alignment.hpp>
#include <support/compare.hpp>
#include <support/inputs.hpp>

#include <gtest/gtest.h>

#include <string>
#include <vector>

#define EIGENFORMER_KERNEL <kernels/pack_probe.inl>
#include <eigenformer/kernels/simd/for_each_target.hpp>

namespace eigenformer::inline EIGENFORMER_ABI::kernels {

template <class T>
Index probe_panel_stride(InstructionSet set, Index columns) {
  EIGENFORMER_DISPATCH(set, probe_panel_stride<T>(columns));
}
template <class T>
Index probe_lanes(InstructionSet set) {
  EIGENFORMER_DISPATCH(set, probe_lanes<T>());
}
template <class T>
void probe_pack_panel(InstructionSet set, const Operand<T>& from, Index depth, Index columns, T* to) {
  EIGENFORMER_DISPATCH(set, probe_pack_panel<T>(from, depth, columns, to));
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels

namespace ef = eigenformer;
namespace kernels = eigenformer::kernels;
using ef::Index;
using ef::InstructionSet;

namespace {

class Pack : public testing::TestWithParam<InstructionSet> {
 protected:
  void SetUp() override {
    if (!ef::available(GetParam())) GTEST_SKIP() << "this machine has no " << ef::name(GetParam());
  }
};

/// `from` begins at element 0 of memory that ends with its last element; whatever it leaves out is NaN, so that the
/// panel, compared bit by bit, shows anything read from elsewhere.
template <class T>
void expect_panel(InstructionSet set, Index depth, Index columns, Index row_stride, Index column_stride) {
  const bool empty = depth == 0 || columns == 0;
  support::GuardedBuffer<T> from(empty ? 0 : (depth - 1) * row_stride + (columns - 1) * column_stride + 1,
                                 (depth + columns) % support::alignment_offsets);
  support::Generator random(static_cast<std::uint64_t>(depth * 100 + columns));
  for (Index k = 0; k < depth; ++k) {
    for (Index n = 0; n < columns; ++n) from[k * row_stride + n * column_stride] = static_cast<T>(random.normal());
  }
  const Index stride = kernels::probe_panel_stride<T>(set, columns);
  support::GuardedBuffer<T> to(depth * stride, columns % support::alignment_offsets);
  kernels::probe_pack_panel<T>(set, {from.data(), row_stride, column_stride}, depth, columns, to.data());
  std::vector<T> expected;
  for (Index k = 0; k < depth; ++k) {
    for (Index n = 0; n < stride; ++n)
      expected.push_back(n < columns ? from[k * row_stride + n * column_stride] : T(0));
  }
  ASSERT_TRUE(support::bit_equal(to, expected))
      << depth << " x " << columns << ", strides " << row_stride << " and " << column_stride;
  ASSERT_TRUE(to.untouched_outside());
}

template <class T>
int expect_all_panels(InstructionSet set) {
  int cases = 0;
  for (const Index depth : {0, 1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 31, 33}) {
    for (const Index columns : {0, 1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 31, 49}) {
      expect_panel<T>(set, depth, columns, columns + 3, 1);
      expect_panel<T>(set, depth, columns, 1, depth + 3);
      expect_panel<T>(set, depth, columns, 3 * columns + 1, 3);
      expect_panel<T>(set, depth, columns, 2, 2 * depth + 1);
      expect_panel<T>(set, depth, columns, 1, 1);  // each row the one before, moved by one
      expect_panel<T>(set, depth, columns, 0, 1);  // all rows the same
      ++cases;
    }
  }
  return cases;
}

template <class T>
void expect_whole_vectors(InstructionSet set) {
  const Index lanes = kernels::probe_lanes<T>(set);
  for (Index columns = 0; columns <= 70; ++columns) {
    Index whole = 0;
    while (whole < columns) whole += lanes;
    EXPECT_EQ(kernels::probe_panel_stride<T>(set, columns), whole) << columns;
  }
}

}  // namespace

TEST_P(Pack, panels_hold_the_operand_and_zeros_for_any_strides) {
  EXPECT_EQ(expect_all_panels<float>(GetParam()), 13 * 13);
  EXPECT_EQ(expect_all_panels<double>(GetParam()), 13 * 13);
}

TEST_P(Pack, panel_stride_is_the_columns_rounded_up_to_whole_vectors) {
  expect_whole_vectors<float>(GetParam());
  expect_whole_vectors<double>(GetParam());
}

INSTANTIATE_TEST_SUITE_P(EveryInstructionSet, Pack, testing::ValuesIn(ef::all_instruction_sets),
                         [](const auto& tested) { return std::string(ef::name(tested.param)); });
