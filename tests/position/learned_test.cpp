// SPDX-License-Identifier: MIT

#include <eigenformer/position/learned.hpp>

#include <gtest/gtest.h>

#include "support/compare.hpp"
#include "support/inputs.hpp"

namespace ef = eigenformer;
using ef::Index;

namespace {

template <class T>
class LearnedPositionsOf : public testing::Test {};
using Scalars = testing::Types<float, double>;
TYPED_TEST_SUITE(LearnedPositionsOf, Scalars);

template <class T>
ef::Tensor<T, 3> numbers(Index batch, Index length, Index dim) {
  ef::Tensor<T, 3> x(batch, length, dim);
  for (Index i = 0; i < x.size(); ++i) x.data()[i] = static_cast<T>(i % 89 - 40);  // sums of integers are exact
  return x;
}

}  // namespace

TYPED_TEST(LearnedPositionsOf, are_added_from_the_start_on_also_in_place) {
  using T = TypeParam;
  const ef::LearnedPositions<T> positions({.max_length = 11, .dim = 7}, ef::Random(1));
  ef::Tensor<T, 3> x = numbers<T>(3, 5, 7);
  const ef::Tensor<T, 3> y = positions(x, Index(6));
  for (Index b = 0; b < 3; ++b) {
    for (Index l = 0; l < 5; ++l) {
      for (Index d = 0; d < 7; ++d) ASSERT_EQ(y(b, l, d), x(b, l, d) + positions.weight.value(6 + l, d));
    }
  }
  ef::Context context;
  positions.forward(x, x, Index(6), context);
  EXPECT_TRUE(support::bit_equal(x, y));
}

TYPED_TEST(LearnedPositionsOf, gradient_is_the_sum_over_the_batch_at_the_rows_of_forward) {
  using T = TypeParam;
  ef::LearnedPositions<T> positions({.max_length = 11, .dim = 7}, ef::Random(1));
  positions.weight.gradient = ef::Matrix<T>::Constant(11, 7, T(2));
  ef::Matrix<T> expected = positions.weight.gradient;
  const ef::Tensor<T, 3> dy = numbers<T>(3, 5, 7);
  for (Index b = 0; b < 3; ++b) {
    for (Index l = 0; l < 5; ++l) {
      for (Index d = 0; d < 7; ++d) expected(4 + l, d) += dy(b, l, d);
    }
  }
  ef::Context context;
  typename ef::LearnedPositions<T>::Cache cache;
  ef::Tensor<T, 3> y(3, 5, 7);
  ef::Tensor<T, 3> dx(3, 5, 7);
  positions.forward(dy, y, Index(4), context, &cache);
  positions.backward(dy, cache, dx, context);
  EXPECT_TRUE(support::bit_equal(positions.weight.gradient, expected));
  EXPECT_TRUE(support::bit_equal(dx, dy));
}

TYPED_TEST(LearnedPositionsOf, reject_positions_beyond_the_table_and_write_nothing) {
  using T = TypeParam;
  ef::LearnedPositions<T> positions({.max_length = 11, .dim = 7}, ef::Random(1));
  const ef::Tensor<T, 3> x = numbers<T>(1, 5, 7);
  ef::Tensor<T, 3> y = x;
  ef::Context context;
  try {
    positions.forward(x, y, Index(7), context);
    ADD_FAILURE() << "expected ValueError";
  } catch (const ef::ValueError& error) {
    EXPECT_STREQ(error.what(), "LearnedPositions: expected positions in 0 .. 10, got start 7 for x of shape [1, 5, 7]");
  }
  EXPECT_THROW(positions.forward(x, y, Index(-1), context), ef::ValueError);
  EXPECT_THROW(positions.forward(x, y, (std::numeric_limits<Index>::max)(), context), ef::ValueError);
  EXPECT_TRUE(support::bit_equal(x, y));
  EXPECT_THROW(positions(numbers<T>(1, 12, 7)), ef::ValueError);
  EXPECT_THROW(positions(numbers<T>(1, 5, 8)), ef::ShapeError);
  EXPECT_THROW(ef::LearnedPositions<T>({.max_length = 0, .dim = 7}, ef::Random(1)), ef::OptionError);
  EXPECT_THROW(ef::LearnedPositions<T>({.max_length = 11, .dim = 0}, ef::Random(1)), ef::OptionError);
  EXPECT_THROW(ef::LearnedPositions<T>(ef::Matrix<T>()), ef::OptionError);
}
