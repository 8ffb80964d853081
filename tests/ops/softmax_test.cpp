// SPDX-License-Identifier: MIT

#include <eigenformer/ops/softmax.hpp>

#include <gtest/gtest.h>

#include "reference/softmax.hpp"
#include "support/alignment.hpp"
#include "support/allocation.hpp"
#include "support/compare.hpp"
#include "support/golden.hpp"
#include "support/inputs.hpp"
#include "support/tolerances.hpp"

namespace ef = eigenformer;
namespace tolerance = support::tolerance;
using ef::Index;
using Limits = std::numeric_limits<float>;

namespace {

ef::Matrix<float> softmax_of(const ef::Matrix<float>& x) {
  ef::Context context;
  ef::Matrix<float> y(x.rows(), x.cols());
  y.setConstant(-1);
  ef::softmax<float>(x, y, context);
  return y;
}

template <class T>
void expect_golden() {
  const support::Golden golden("softmax_4x7x24_dim-1");
  const ef::Tensor<T, 3> x = golden.tensor<T, 3>("x");
  const ef::Tensor<T, 3> dy = golden.tensor<T, 3>("d_softmax");
  ef::Tensor<T, 3> y(x.dimensions());
  ef::Tensor<T, 3> dx(x.dimensions());
  ef::Context context;
  ef::softmax<T>(x, y, context);
  ef::softmax_backward<T>(y, dy, dx, context);
  EXPECT_TRUE(support::within(support::max_error(y, golden.values<double>("softmax")), tolerance::softmax_abs<T>));
  // The stored gradient is rounded to float.
  EXPECT_TRUE(support::within(support::max_error(dx, golden.values<double>("grad.x.softmax")),
                              tolerance::softmax_abs<T> + 1e-7));
}

}  // namespace

TEST(Softmax, matches_pytorch) {
  expect_golden<float>();
  expect_golden<double>();
}

TEST(Softmax, equals_the_reference_on_every_distribution) {
  support::Generator random(41);
  int cases = 0;
  for (const support::Distribution distribution : support::distributions) {
    for (const Index width : {1, 2, 13, 61, 257}) {
      ef::Matrix<float> x(7, width);
      support::fill(x, distribution, random);
      const auto exact = reference::softmax(reference::widened<double>(x.data(), {7, width}));
      const ef::Matrix<float> y = softmax_of(x);
      EXPECT_TRUE(support::within(support::max_error(y, exact), tolerance::softmax_abs<float>)) << name(distribution);
      for (Index n = 0; n < 7; ++n) {
        EXPECT_NEAR(y.row(n).cast<double>().sum(), 1, tolerance::softmax_sum<float>) << name(distribution);
      }
      ++cases;
    }
  }
  EXPECT_EQ(cases, 45);
}

TEST(Softmax, of_equal_logits_is_uniform_however_large_they_are) {
  for (const float logit : {0.0F, 1.0F, -1e30F, 1e30F, Limits::max(), Limits::lowest(), Limits::denorm_min()}) {
    const ef::Matrix<float> y = softmax_of(ef::Matrix<float>::Constant(3, 8, logit));
    EXPECT_TRUE((y.array() == 0.125F).all()) << logit;
  }
}

TEST(Softmax, of_far_apart_logits_is_one_and_zeros) {
  ef::Matrix<float> x(2, 3);
  x << -1e30F, 1e30F, 0, Limits::lowest(), Limits::lowest(), Limits::max();
  ef::Matrix<float> expected(2, 3);
  expected << 0, 1, 0, 0, 0, 1;
  EXPECT_TRUE(support::bit_equal(softmax_of(x), expected));
}

TEST(Softmax, of_width_one_is_one_and_of_width_zero_is_nothing) {
  EXPECT_EQ(softmax_of(ef::Matrix<float>::Constant(1, 1, -3))(0, 0), 1.0F);
  EXPECT_EQ(softmax_of(ef::Matrix<float>(5, 0)).size(), 0);
  EXPECT_EQ(softmax_of(ef::Matrix<float>(0, 5)).size(), 0);
}

#if !defined(__FAST_MATH__)
TEST(Softmax, gives_zero_to_minus_infinity_and_zeros_to_a_row_of_it) {
  ef::Matrix<float> x = ef::Matrix<float>::Constant(2, 19, -Limits::infinity());
  x(0, 17) = -1e30F;
  ef::Matrix<float> expected = ef::Matrix<float>::Zero(2, 19);
  expected(0, 17) = 1;
  EXPECT_TRUE(support::bit_equal(softmax_of(x), expected));
}

TEST(Softmax, keeps_NaN_and_infinity_in_their_row) {
  support::Generator random(42);
  ef::Matrix<float> x(3, 37);
  support::fill(x, support::Distribution::normal, random);
  const ef::Matrix<float> clean = softmax_of(x);
  for (const float poison : {Limits::quiet_NaN(), Limits::infinity()}) {
    for (const Index at : {0, 17, 36}) {
      ef::Matrix<float> poisoned = x;
      poisoned(1, at) = poison;
      const ef::Matrix<float> y = softmax_of(poisoned);
      EXPECT_TRUE(support::bit_equal(ef::Matrix<float>(y.row(0)), ef::Matrix<float>(clean.row(0))));
      EXPECT_TRUE(support::bit_equal(ef::Matrix<float>(y.row(2)), ef::Matrix<float>(clean.row(2))));
      for (Index j = 0; j < 37; ++j) EXPECT_TRUE(support::is_nan(y(1, j))) << poison << " at " << at;
    }
  }
}
#endif

TEST(Softmax, has_the_gradient_of_its_differences) {
  support::Generator random(43);
  ef::Matrix<double> x(3, 11);
  ef::Matrix<double> dy(3, 11);
  support::fill(x, support::Distribution::normal, random);
  support::fill(dy, support::Distribution::normal, random);
  ef::Context context;
  ef::Matrix<double> y(3, 11);
  ef::Matrix<double> dx(3, 11);
  ef::softmax<double>(x, y, context);
  ef::softmax_backward<double>(y, dy, dx, context);
  const double h = tolerance::difference_step;
  for (Index i = 0; i < x.size(); ++i) {
    double sides[2];
    for (const int side : {0, 1}) {
      ef::Matrix<double> moved = x;
      moved.data()[i] += side == 0 ? -h : h;
      ef::softmax<double>(moved, moved, context);
      sides[side] = moved.cwiseProduct(dy).sum();
    }
    EXPECT_NEAR(dx.data()[i], (sides[1] - sides[0]) / (2 * h), tolerance::difference_abs);
  }
}

TEST(Softmax, gives_the_same_bits_for_any_stride_alignment_and_number_of_threads_and_in_place) {
  support::Generator random(44);
  constexpr Index rows = 331;
  constexpr Index features = 127;
  ef::Matrix<float> x(rows, features);
  ef::Matrix<float> dy(rows, features);
  support::fill(x, support::Distribution::normal, random);
  support::fill(dy, support::Distribution::normal, random);
  const ef::Matrix<float> expected = softmax_of(x);
  ef::Context one;
  ef::Matrix<float> expected_dx(rows, features);
  ef::softmax_backward<float>(expected, dy, expected_dx, one);
  for (const int threads : {1, 2, 3}) {
    ef::Context context({.threads = threads});
    for (std::ptrdiff_t offset = 0; offset < support::alignment_offsets; ++offset) {
      support::GuardedRows<float> memory(rows, features, features + offset % 5, offset);
      const ef::RowsView<float> view(memory.data(), rows, features, memory.row_stride());
      for (Index n = 0; n < rows; ++n) std::copy_n(&x(n, 0), features, &memory(n, 0));
      ef::softmax<float>(view, view, context);
      ASSERT_TRUE(support::bit_equal(ef::Matrix<float>(view), expected)) << threads << " threads, offset " << offset;
      ef::softmax_backward<float>(view, dy, view, context);
      ASSERT_TRUE(support::bit_equal(ef::Matrix<float>(view), expected_dx));
      ASSERT_TRUE(memory.untouched_outside());
    }
    if (!support::AllocationCounter::available()) continue;
    EXPECT_EQ(support::allocations_during([&] { ef::softmax<float>(x, expected_dx, context); }), 0);
    ef::softmax_backward<float>(expected, dy, expected_dx, context);
  }
}

TEST(Softmax, rejects_other_shapes) {
  ef::Context context;
  const ef::Matrix<float> x = ef::Matrix<float>::Ones(3, 5);
  ef::Matrix<float> wide(3, 6);
  ef::Matrix<float> tall(4, 5);
  EXPECT_THROW(ef::softmax<float>(x, wide, context), ef::ShapeError);
  EXPECT_THROW(ef::softmax<float>(x, tall, context), ef::ShapeError);
  EXPECT_THROW(ef::softmax_backward<float>(x, wide, tall, context), ef::ShapeError);
  EXPECT_THROW(ef::softmax_backward<float>(x, x, tall, context), ef::ShapeError);
}
