// SPDX-License-Identifier: MIT

#include <eigenformer/position/sinusoidal.hpp>

#include <gtest/gtest.h>

#include "reference/rotary.hpp"
#include "support/compare.hpp"
#include "support/golden.hpp"
#include "support/inputs.hpp"
#include "support/tolerances.hpp"

namespace ef = eigenformer;
namespace tolerance = support::tolerance;
using ef::Index;

namespace {

template <class T>
class SinusoidalPositionsOf : public testing::Test {};
using Scalars = testing::Types<float, double>;
TYPED_TEST_SUITE(SinusoidalPositionsOf, Scalars);

/// A sine is rounded to T once; in double, the frequency's last place counts position times, and the angles are added.
template <class T>
double sine_tolerance(double position) {
  return tolerance::epsilon<T> + (2 * position + 4) * tolerance::epsilon<double>;
}

template <class T>
ef::Tensor<T, 3> zeros(Index batch, Index length, Index dim) {
  ef::Tensor<T, 3> x(batch, length, dim);
  x.setZero();
  return x;
}

}  // namespace

TYPED_TEST(SinusoidalPositionsOf, equals_reference_at_every_start) {
  using T = TypeParam;
  int cases = 0;
  for (const Index dim : {2, 14, 74}) {
    for (const Index start : {0, 1, 31, 997, 1000000}) {
      const ef::SinusoidalPositions<T> positions({.dim = dim, .base = 300});
      const ef::Tensor<T, 3> y = positions(zeros<T>(1, 67, dim), start);
      const auto expected = reference::sinusoidal_positions<long double>(67, dim, start, 300);
      EXPECT_TRUE(within(support::max_error(y, expected), sine_tolerance<T>(static_cast<double>(start) + 67)));
      ++cases;
    }
  }
  EXPECT_EQ(cases, 15);
}

TYPED_TEST(SinusoidalPositionsOf, matches_published_vectors_in_both_layouts) {
  using T = TypeParam;
  const support::Golden golden("sinusoidal_positions_d16");
  const ef::SinusoidalPositions<T> interleaved({.dim = 16});
  EXPECT_TRUE(within(support::max_error(interleaved(zeros<T>(1, 40, 16)), golden.values<double>("interleaved")),
                     sine_tolerance<T>(40)));
  const ef::SinusoidalPositions<T, ef::HalfSplit> halves({.dim = 16});
  EXPECT_TRUE(
      within(support::max_error(halves(zeros<T>(1, 40, 16)), golden.values<double>("halves")), sine_tolerance<T>(40)));
}

TYPED_TEST(SinusoidalPositionsOf, are_added_to_every_sequence_also_in_place) {
  using T = TypeParam;
  const ef::SinusoidalPositions<T> positions({.dim = 6});
  support::Generator random(1);
  ef::Tensor<T, 3> x(3, 37, 6);
  support::fill(x, support::Distribution::normal, random);
  const ef::Tensor<T, 3> added = positions(zeros<T>(1, 37, 6), Index(5));
  const ef::Tensor<T, 3> y = positions(x, Index(5));
  for (Index b = 0; b < 3; ++b) {
    for (Index l = 0; l < 37; ++l) {
      for (Index d = 0; d < 6; ++d) ASSERT_EQ(y(b, l, d), x(b, l, d) + added(0, l, d));
    }
  }
  ef::Context context;
  positions.forward(x, x, Index(5), context);
  EXPECT_TRUE(support::bit_equal(x, y));
}

TYPED_TEST(SinusoidalPositionsOf, are_the_same_one_position_at_a_time) {
  using T = TypeParam;
  const ef::SinusoidalPositions<T> positions({.dim = 14});
  const ef::Tensor<T, 3> whole = positions(zeros<T>(1, 67, 14), Index(29));
  for (Index l = 0; l < 67; ++l) {
    const ef::Tensor<T, 3> one = positions(zeros<T>(1, 1, 14), 29 + l);
    for (Index d = 0; d < 14; ++d) ASSERT_EQ(one(0, 0, d), whole(0, l, d));
  }
}

TYPED_TEST(SinusoidalPositionsOf, reject_what_does_not_fit) {
  using T = TypeParam;
  EXPECT_THROW(ef::SinusoidalPositions<T>({.dim = 0}), ef::OptionError);
  EXPECT_THROW(ef::SinusoidalPositions<T>({.dim = 7}), ef::OptionError);
  EXPECT_THROW(ef::SinusoidalPositions<T>({.dim = 8, .base = 0}), ef::OptionError);
  const ef::SinusoidalPositions<T> positions({.dim = 8});
  EXPECT_THROW(positions(zeros<T>(1, 2, 8), Index(-1)), ef::ValueError);
  EXPECT_THROW(positions(zeros<T>(1, 2, 8), (std::numeric_limits<Index>::max)()), ef::ValueError);
  ef::Tensor<T, 3> y = zeros<T>(1, 3, 8);
  ef::Context context;
  EXPECT_THROW(positions.forward(zeros<T>(1, 2, 8), y, context), ef::ShapeError);
}
