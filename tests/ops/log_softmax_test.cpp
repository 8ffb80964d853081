// SPDX-License-Identifier: MIT

#include <eigenformer/ops/log_softmax.hpp>

#include <gtest/gtest.h>

#include "reference/softmax.hpp"
#include "support/compare.hpp"
#include "support/golden.hpp"
#include "support/inputs.hpp"
#include "support/tolerances.hpp"

namespace ef = eigenformer;
namespace tolerance = support::tolerance;
using ef::Index;
using Limits = std::numeric_limits<float>;

namespace {

template <class T>
void expect_golden() {
  const support::Golden golden("softmax_4x7x24_dim-1");
  const ef::Tensor<T, 3> x = golden.tensor<T, 3>("x");
  const ef::Tensor<T, 3> dy = golden.tensor<T, 3>("d_log_softmax");
  ef::Tensor<T, 3> y(x.dimensions());
  ef::Tensor<T, 3> dx(x.dimensions());
  ef::Context context;
  ef::log_softmax<T>(x, y, context);
  ef::log_softmax_backward<T>(y, dy, dx, context);
  const double epsilon = tolerance::epsilon<T>;
  EXPECT_TRUE(support::within(
      support::mixed_error(y, golden.values<double>("log_softmax"), 8 * epsilon, tolerance::softmax_relative<T>(0)),
      1));
  // exp(y) carries the error of y, up to some hundred here, and the stored gradient is rounded to float.
  EXPECT_TRUE(
      support::within(support::max_error(dx, golden.values<double>("grad.x.log_softmax")), 256 * epsilon + 1e-6));
}

}  // namespace

TEST(LogSoftmax, matches_pytorch) {
  expect_golden<float>();
  expect_golden<double>();
}

TEST(LogSoftmax, equals_the_reference_on_every_distribution) {
  support::Generator random(51);
  ef::Context context;
  int cases = 0;
  for (const support::Distribution distribution : support::distributions) {
    for (const Index width : {1, 2, 13, 61, 257}) {
      ef::Matrix<float> x(7, width);
      support::fill(x, distribution, random);
      const auto exact = reference::log_softmax(reference::widened<double>(x.data(), {7, width}));
      ef::Matrix<float> y(7, width);
      ef::log_softmax<float>(x, y, context);
      const double epsilon = tolerance::epsilon<float>;
      EXPECT_TRUE(support::within(support::mixed_error(y, exact, 8 * epsilon, 2 * epsilon), 1)) << name(distribution);
      ++cases;
    }
  }
  EXPECT_EQ(cases, 45);
}

TEST(LogSoftmax, of_huge_logits_keeps_small_differences_and_width_one_is_zero) {
  ef::Context context;
  ef::Matrix<float> x(2, 2);
  x << 1e30F, 1e30F, Limits::lowest(), Limits::lowest();
  ef::log_softmax<float>(x, x, context);
  EXPECT_TRUE((x.array() == -std::log(2.0F)).all());
  ef::Matrix<float> single = ef::Matrix<float>::Constant(3, 1, 1e30F);
  ef::log_softmax<float>(single, single, context);
  EXPECT_TRUE((single.array() == 0).all());
}

#if !defined(__FAST_MATH__)
TEST(LogSoftmax, of_minus_infinity_is_minus_infinity_also_in_a_row_of_it) {
  ef::Context context;
  ef::Matrix<float> x = ef::Matrix<float>::Constant(2, 19, -Limits::infinity());
  x(0, 18) = 3;
  ef::log_softmax<float>(x, x, context);
  for (Index i = 0; i < x.size(); ++i) EXPECT_EQ(x.data()[i], i == 18 ? 0.0F : -Limits::infinity());
}
#endif

TEST(LogSoftmax, has_the_gradient_of_its_differences) {
  support::Generator random(53);
  ef::Matrix<double> x(3, 11);
  ef::Matrix<double> dy(3, 11);
  support::fill(x, support::Distribution::normal, random);
  support::fill(dy, support::Distribution::normal, random);
  ef::Context context;
  ef::Matrix<double> y(3, 11);
  ef::Matrix<double> dx(3, 11);
  ef::log_softmax<double>(x, y, context);
  ef::log_softmax_backward<double>(y, dy, dx, context);
  const double h = tolerance::difference_step;
  for (Index i = 0; i < x.size(); ++i) {
    double sides[2];
    for (const int side : {0, 1}) {
      ef::Matrix<double> moved = x;
      moved.data()[i] += side == 0 ? -h : h;
      ef::log_softmax<double>(moved, moved, context);
      sides[side] = moved.cwiseProduct(dy).sum();
    }
    EXPECT_NEAR(dx.data()[i], (sides[1] - sides[0]) / (2 * h), tolerance::difference_abs);
  }
}

TEST(LogSoftmax, gives_the_same_bits_for_any_number_of_threads) {
  support::Generator random(54);
  ef::Matrix<float> x(1009, 257);
  support::fill(x, support::Distribution::normal, random);
  ef::Matrix<float> expected(1009, 257);
  ef::Context one;
  ef::log_softmax<float>(x, expected, one);
  for (const int threads : {2, 3}) {
    ef::Context context({.threads = threads});
    ef::Matrix<float> y(1009, 257);
    ef::log_softmax<float>(x, y, context);
    EXPECT_TRUE(support::bit_equal(y, expected));
  }
}

TEST(LogSoftmax, rejects_other_shapes) {
  ef::Context context;
  const ef::Matrix<float> x = ef::Matrix<float>::Ones(3, 5);
  ef::Matrix<float> wide(3, 6);
  EXPECT_THROW(ef::log_softmax<float>(x, wide, context), ef::ShapeError);
  EXPECT_THROW(ef::log_softmax_backward<float>(x, x, wide, context), ef::ShapeError);
}
