// SPDX-License-Identifier: MIT

#include <eigenformer/kernels/tile.hpp>

#include <support/alignment.hpp>
#include <support/compare.hpp>
#include <support/inputs.hpp>

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

namespace eigenformer::inline EIGENFORMER_ABI::kernels {

template <class T>
struct TileProbe {
  const T* a;
  Index a_row, a_step;
  const T* b;
  Index b_step, depth;
  T* c;
  Index c_stride;
  bool from_c;
  Index rows = 0, columns = 0;  ///< written: what the tile covers
};

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels

#define EIGENFORMER_KERNEL <kernels/tile_probe.inl>
#include <eigenformer/kernels/simd/for_each_target.hpp>

namespace eigenformer::inline EIGENFORMER_ABI::kernels {

template <class T>
void probe_tile(InstructionSet set, TileProbe<T>& probe, int shape) {
  EIGENFORMER_DISPATCH(set, probe_tile<T>(probe, shape));
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels

namespace ef = eigenformer;
namespace kernels = eigenformer::kernels;
using ef::Index;
using ef::InstructionSet;

namespace {

class Tile : public testing::TestWithParam<InstructionSet> {
 protected:
  void SetUp() override {
    if (!ef::available(GetParam())) GTEST_SKIP() << "this machine has no " << ef::name(GetParam());
  }
};

template <class T>
void expect_tile(InstructionSet set, int shape, bool by_columns, bool from_c, Index depth) {
  constexpr Index most_rows = 8, most_columns = 64, c_stride = most_columns + 3;
  support::Generator random(static_cast<std::uint64_t>(depth));
  const std::vector<T> a = support::normal<T>(most_rows * depth, random);
  const std::vector<T> b = support::normal<T>(most_columns * depth, random);
  support::GuardedBuffer<T> c(most_rows * c_stride);
  for (T& x : c) x = T(2);
  kernels::TileProbe<T> probe = {.a = a.data(),
                                 .a_row = by_columns ? 1 : depth,
                                 .a_step = by_columns ? most_rows : 1,
                                 .b = b.data(),
                                 .b_step = most_columns,
                                 .depth = depth,
                                 .c = c.data(),
                                 .c_stride = c_stride,
                                 .from_c = from_c};
  kernels::probe_tile<T>(set, probe, shape);
  ASSERT_GT(probe.rows * probe.columns, 0);
  for (Index r = 0; r < most_rows; ++r) {
    for (Index n = 0; n < c_stride; ++n) {
      const double actual = static_cast<double>(c[r * c_stride + n]);
      if (r >= probe.rows || n >= probe.columns) {
        EXPECT_EQ(actual, 2.0) << "beyond the tile at " << r << ", " << n;
        continue;
      }
      long double sum = from_c ? 2 : 0, size = sum;
      for (Index k = 0; k < depth; ++k) {
        const long double product = static_cast<long double>(a[std::size_t(r * probe.a_row + k * probe.a_step)]) *
                                    static_cast<long double>(b[std::size_t(k * most_columns + n)]);
        sum += product;
        size += std::abs(product);
      }
      const double limit = 6 * static_cast<double>(std::numeric_limits<T>::epsilon()) * static_cast<double>(size);
      EXPECT_TRUE(std::abs(actual - static_cast<double>(sum)) <= limit) << r << ", " << n << " depth " << depth;
    }
  }
  EXPECT_TRUE(c.untouched_outside());
}

}  // namespace

TEST_P(Tile, adds_products_for_any_strides_and_writes_nothing_else) {
  int cases = 0;
  for (int shape = 0; shape < 4; ++shape) {
    for (const bool by_columns : {false, true}) {
      for (const bool from_c : {false, true}) {
        for (const Index depth : {0, 1, 2, 3, 4, 5, 7, 8, 9, 61}) {
          expect_tile<float>(GetParam(), shape, by_columns, from_c, depth);
          expect_tile<double>(GetParam(), shape, by_columns, from_c, depth);
          ++cases;
        }
      }
    }
  }
  EXPECT_EQ(cases, 4 * 2 * 2 * 10);
}

INSTANTIATE_TEST_SUITE_P(EveryInstructionSet, Tile, testing::ValuesIn(ef::all_instruction_sets),
                         [](const auto& tested) { return std::string(ef::name(tested.param)); });
