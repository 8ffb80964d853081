// SPDX-License-Identifier: MIT
#include <eigenformer/ops/dropout.hpp>

#include <gtest/gtest.h>

#include "reference/dropout.hpp"
#include "support/allocation.hpp"
#include "support/compare.hpp"
#include "support/inputs.hpp"

namespace ef = eigenformer;
using ef::Index;

namespace {

template <class T>
ef::Matrix<T> normal(Index rows, Index features) {
  support::Generator random(17);
  ef::Matrix<T> x(rows, features);
  support::fill(x, support::Distribution::normal, random);
  return x;
}

template <class T>
void expect_reference(double rate) {
  for (const Index features : {1, 13, 257}) {
    const ef::Matrix<T> x = normal<T>(31, features);
    for (const ef::InstructionSet set : ef::all_instruction_sets) {
      if (!ef::available(set)) continue;
      ef::Context context({.instruction_set = set});
      ef::Matrix<T> y(31, features), dx(31, features);
      ef::dropout<T>(x, y, {rate, 5}, context);
      ef::dropout_backward<T>(x, dx, {rate, 5}, context);
      for (Index r = 0; r < 31; ++r) {
        for (Index i = 0; i < features; ++i) {
          const double factor = reference::dropout_factor(
              rate, reference::dropout_draw(5, 0, 0, static_cast<std::uint64_t>(r), static_cast<std::uint64_t>(i)));
          ASSERT_EQ(y(r, i), x(r, i) * static_cast<T>(factor)) << ef::name(set);
        }
      }
      EXPECT_TRUE(support::bit_equal(dx, y));
    }
  }
}

TEST(Dropout, equals_the_reference) {
  for (const double rate : {0.1, 0.5, 0.9}) {
    expect_reference<float>(rate);
    expect_reference<double>(rate);
  }
}

TEST(Dropout, of_rate_0_is_the_identity_to_the_bit) {
  ef::Context context;
  const ef::Matrix<float> x = normal<float>(7, 61);
  ef::Matrix<float> y(7, 61);
  ef::dropout<float>(x, y, {0, 5}, context);
  EXPECT_TRUE(support::bit_equal(y, x));
}

TEST(Dropout, in_place_and_of_rows_with_gaps_is_the_same) {
  ef::Context context;
  const ef::Matrix<float> x = normal<float>(7, 61);
  ef::Matrix<float> y(7, 61), in_place = x, wide = ef::Matrix<float>::Zero(7, 67);
  ef::dropout<float>(x, y, {0.3, 5}, context);
  ef::dropout<float>(in_place, in_place, {0.3, 5}, context);
  EXPECT_TRUE(support::bit_equal(in_place, y));
  wide.leftCols(61) = x;
  const ef::RowsView<float> rows(wide.data(), 7, 61, 67);
  ef::dropout<float>(rows, rows, {0.3, 5}, context);
  EXPECT_TRUE(support::bit_equal(ef::Matrix<float>(wide.leftCols(61)), y));
  EXPECT_EQ(wide.rightCols(6), (ef::Matrix<float>::Zero(7, 6)));
}

TEST(Dropout, does_not_depend_on_threads) {
  const ef::Matrix<float> x = normal<float>(997, 113);
  ef::Matrix<float> expected(997, 113);
  ef::Context one;
  ef::dropout<float>(x, expected, {0.3, 5}, one);
  for (const int threads : {2, 3}) {
    ef::Context context({.threads = threads});
    ef::Matrix<float> y(997, 113);
    ef::dropout<float>(x, y, {0.3, 5}, context);
    EXPECT_TRUE(support::bit_equal(y, expected));
  }
}

TEST(Dropout, drops_whatever_a_number_is) {
  ef::Context context;
  ef::Matrix<float> x(3, 61), y(3, 61);
  x.setConstant(std::numeric_limits<float>::infinity());
  ef::dropout<float>(x, y, {0.5, 5}, context);
  Index zeros = 0;
  for (Index i = 0; i < y.size(); ++i) zeros += y.data()[i] == 0 ? 1 : 0;
  EXPECT_GT(zeros, 50);
  EXPECT_LT(zeros, 133);
}

TEST(Dropout, mean_over_seeds_is_what_there_was) {
  constexpr int seeds = 4000;
  ef::Context context;
  const ef::Matrix<double> x = ef::Matrix<double>::Ones(5, 7);
  ef::Matrix<double> y(5, 7), sum = ef::Matrix<double>::Zero(5, 7);
  for (std::uint64_t seed = 0; seed < seeds; ++seed) {
    ef::dropout<double>(x, y, {0.3, seed}, context);
    sum += y;
  }
  for (Index i = 0; i < sum.size(); ++i) {
    EXPECT_NEAR(sum.data()[i] / seeds, 1, 5 * std::sqrt(0.3 / 0.7 / seeds));
  }
}

TEST(Dropout, allocates_nothing) {
  if (!support::AllocationCounter::available()) GTEST_SKIP() << support::AllocationCounter::why_not();
  ef::Context context;
  const ef::Matrix<float> x = normal<float>(7, 61);
  ef::Matrix<float> y(7, 61);
  EXPECT_EQ(support::allocations_during([&] { ef::dropout<float>(x, y, {0.3, 5}, context); }), 0U);
}

TEST(Dropout, rejects_rates_and_shapes_that_cannot_be_and_writes_nothing) {
  ef::Context context;
  const ef::Matrix<float> x = normal<float>(7, 61);
  ef::Matrix<float> y = ef::Matrix<float>::Constant(7, 61, 17), narrow = ef::Matrix<float>::Constant(7, 60, 17);
  for (const double rate : {-0.1, 1.0, 2.0}) {
    EXPECT_THROW(ef::dropout<float>(x, y, {rate, 5}, context), ef::OptionError);
    EXPECT_THROW(ef::dropout_backward<float>(x, y, {rate, 5}, context), ef::OptionError);
  }
  EXPECT_THROW(ef::dropout<float>(x, narrow, {0.1, 5}, context), ef::ShapeError);
  EXPECT_THROW(ef::dropout_backward<float>(x, narrow, {0.1, 5}, context), ef::ShapeError);
  EXPECT_EQ(y, (ef::Matrix<float>::Constant(7, 61, 17)));
  EXPECT_EQ(narrow, (ef::Matrix<float>::Constant(7, 60, 17)));
}

}  // namespace
