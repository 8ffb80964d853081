// SPDX-License-Identifier: MIT

#include <eigenformer/block/residual.hpp>

#include <gtest/gtest.h>

#include <array>
#include <string>

#include "support/alignment.hpp"
#include "support/allocation.hpp"
#include "support/compare.hpp"
#include "support/inputs.hpp"

namespace ef = eigenformer;
using ef::Index;

namespace {

template <class T>
ef::Matrix<T> random_rows(Index rows, Index features, std::uint64_t salt) {
  support::Generator random(salt);
  ef::Matrix<T> x(rows, features);
  support::fill(x, support::Distribution::normal, random);
  return x;
}

/// By a plain loop. The sum of two numbers has one right answer, so results are compared bit by bit.
template <class T>
ef::Matrix<T> plain_sum(const ef::Matrix<T>& x, const ef::Matrix<T>& f) {
  ef::Matrix<T> y(x.rows(), x.cols());
  for (Index i = 0; i < x.size(); ++i) y.data()[i] = x.data()[i] + f.data()[i];
  return y;
}

template <class T>
class ResidualOf : public testing::Test {};
using Scalars = testing::Types<float, double>;
TYPED_TEST_SUITE(ResidualOf, Scalars);

}  // namespace

TYPED_TEST(ResidualOf, equals_a_plain_loop_for_any_rows_threads_and_gaps) {
  using T = TypeParam;
  int cases = 0;
  for (const Index rows : {0, 1, 2, 7}) {
    for (const Index features : {0, 1, 3, 8, 17, 16384, 16385, 100003}) {
      const ef::Matrix<T> x = random_rows<T>(rows, features, 1), f = random_rows<T>(rows, features, 2);
      for (const int threads : {1, 3}) {
        ef::Context context({.threads = threads});
        ef::Matrix<T> y(rows, features);
        ef::residual<T>(x, f, y, context);
        EXPECT_TRUE(support::bit_equal(y, plain_sum(x, f))) << rows << " x " << features;
        support::GuardedRows<T> apart(rows, features, features + 5, features % support::alignment_offsets);
        ef::residual<T>(x, f, {apart.data(), rows, features, apart.row_stride()}, context);
        for (Index row = 0; row < rows; ++row) {
          for (Index j = 0; j < features; ++j) ASSERT_EQ(apart(row, j), y(row, j)) << row << ", " << j;
        }
        EXPECT_TRUE(apart.untouched_outside());
        ++cases;
      }
    }
  }
  EXPECT_EQ(cases, 4 * 8 * 2);
}

TYPED_TEST(ResidualOf, may_write_over_either_summand) {
  using T = TypeParam;
  ef::Context context;
  const ef::Matrix<T> x = random_rows<T>(5, 13, 1), f = random_rows<T>(5, 13, 2);
  ef::Matrix<T> over_x = x, over_f = f, doubled = x;
  ef::residual<T>(over_x, f, over_x, context);
  ef::residual<T>(x, over_f, over_f, context);
  ef::residual<T>(doubled, doubled, doubled, context);
  EXPECT_TRUE(support::bit_equal(over_x, plain_sum(x, f)));
  EXPECT_TRUE(support::bit_equal(over_f, plain_sum(x, f)));
  EXPECT_TRUE(support::bit_equal(doubled, plain_sum(x, x)));
}

/// By a factor of two, whose products are exact, so that there is one right answer again.
TYPED_TEST(ResidualOf, counts_x_as_often_as_it_is_told) {
  using T = TypeParam;
  ef::Context context;
  const ef::Matrix<T> x = random_rows<T>(5, 13, 1), f = random_rows<T>(5, 13, 2);
  ef::Matrix<T> y(5, 13);
  ef::residual<T>(x, f, y, context, 2);
  EXPECT_TRUE(support::bit_equal(y, plain_sum(ef::Matrix<T>(2 * x), f)));
}

TYPED_TEST(ResidualOf, takes_no_memory) {
  using T = TypeParam;
  if (!support::AllocationCounter::available()) GTEST_SKIP() << support::AllocationCounter::why_not();
  ef::Context context;
  ef::Matrix<T> x = random_rows<T>(5, 13, 1);
  const ef::Matrix<T> f = random_rows<T>(5, 13, 2);
  EXPECT_EQ(support::allocations_during([&] { ef::residual<T>(x, f, x, context); }), 0U);
}

TYPED_TEST(ResidualOf, rejects_shapes_that_differ_and_writes_nothing) {
  using T = TypeParam;
  ef::Context context;
  const auto message = [&](std::array<Index, 2> f, std::array<Index, 2> y) -> std::string {
    ef::Matrix<T> written = ef::Matrix<T>::Constant(y[0], y[1], T(9));
    std::string what = "nothing thrown";
    try {
      ef::residual<T>(random_rows<T>(2, 3, 1), random_rows<T>(f[0], f[1], 2), written, context);
    } catch (const ef::ShapeError& error) {
      what = error.what();
    }
    for (Index i = 0; i < written.size(); ++i) EXPECT_EQ(written.data()[i], T(9));
    return what;
  };
  EXPECT_EQ(message({2, 4}, {2, 3}), "residual: expected last dimension 3, got f of shape [2, 4]");
  EXPECT_EQ(message({3, 3}, {2, 3}), "residual: expected f with the 2 rows of x of shape [2, 3], got shape [3, 3]");
  EXPECT_EQ(message({2, 3}, {2, 4}), "residual: expected last dimension 3, got y of shape [2, 4]");
  EXPECT_EQ(message({2, 3}, {1, 3}), "residual: expected y with the 2 rows of x of shape [2, 3], got shape [1, 3]");
}
