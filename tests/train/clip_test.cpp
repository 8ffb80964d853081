// SPDX-License-Identifier: MIT

#include "parameters.hpp"
#include "reference/optimizers.hpp"
#include "support/allocation.hpp"
#include "support/compare.hpp"
#include "support/inputs.hpp"
#include "support/tolerances.hpp"

#include <eigenformer/train/clip.hpp>

#include <gtest/gtest.h>

namespace {

namespace ef = eigenformer;

template <class T>
class ClipGradientNorm : public testing::Test {};
using Scalars = testing::Types<float, double>;
TYPED_TEST_SUITE(ClipGradientNorm, Scalars);

template <class T>
MatrixAndVector<T> with_gradients(const std::vector<T>& numbers) {
  MatrixAndVector<T> model(307, 211, 13);
  std::copy_n(numbers.data(), 307 * 211, model.matrix.accumulated_gradient().data());
  std::copy_n(numbers.data() + 307 * 211, 13, model.vector.accumulated_gradient().data());
  return model;
}

TYPED_TEST(ClipGradientNorm, equals_reference_with_the_same_bits_for_any_thread_count) {
  using T = TypeParam;
  support::Generator random(81);
  const std::vector<T> numbers = support::normal<T>(307 * 211 + 13, random);
  std::vector<std::vector<double>> expected = {{numbers.begin(), numbers.begin() + 307 * 211},
                                               {numbers.begin() + 307 * 211, numbers.end()}};
  const double norm = reference::clip_global_norm(expected, 0.5);
  // The reference adds one square after the other, which costs it about sqrt(n) roundings.
  const double tolerance = support::tolerance::epsilon<T> + 256 * support::tolerance::epsilon<double>;
  std::vector<double> norms;
  for (int threads = 1; threads <= 3; ++threads) {
    MatrixAndVector<T> model = with_gradients(numbers);
    ef::Context context({.threads = threads});
    norms.push_back(ef::clip_gradient_norm(model, 0.5, context));
    EXPECT_TRUE(support::within(support::mixed_error(model.matrix.gradient, expected[0], 0, tolerance), 1));
    EXPECT_TRUE(support::within(support::mixed_error(model.vector.gradient, expected[1], 0, tolerance), 1));
  }
  EXPECT_NEAR(norms[0], norm, 1e-13 * norm);
  EXPECT_EQ(norms[1], norms[0]);
  EXPECT_EQ(norms[2], norms[0]);
}

TYPED_TEST(ClipGradientNorm, leaves_short_gradients_and_frozen_ones_alone) {
  using T = TypeParam;
  MatrixAndVector<T> model(2, 2, 1);
  model.matrix.accumulated_gradient() << T(1), T(1), T(1), T(1);
  model.vector.accumulated_gradient() << T(1e6);
  model.vector.trainable = false;
  EXPECT_EQ(ef::clip_gradient_norm(model, 2), 2);
  EXPECT_EQ(model.matrix.gradient(0, 0), T(1));
  EXPECT_EQ(ef::clip_gradient_norm(model, 1), 2);
  EXPECT_EQ(model.matrix.gradient(0, 0), T(0.5));
  EXPECT_EQ(model.vector.gradient[0], T(1e6));
  MatrixAndVector<T> untouched(2, 2, 1);
  EXPECT_EQ(ef::clip_gradient_norm(untouched, 1), 0);
}

TYPED_TEST(ClipGradientNorm, neither_overflows_nor_vanishes) {
  using T = TypeParam;
  for (const double size : {static_cast<double>((std::numeric_limits<T>::max)()) / 8,
                            static_cast<double>((std::numeric_limits<T>::min)()) * 8}) {
    MatrixAndVector<T> model(2, 2, 1);
    model.matrix.accumulated_gradient().setConstant(static_cast<T>(size));
    EXPECT_NEAR(ef::clip_gradient_norm(model, 1e-3) / size, 2, 1e-12);
    const double after = size > 1 ? 5e-4 : size;
    EXPECT_NEAR(static_cast<double>(model.matrix.gradient(1, 1)), after, 1e-6 * after);
  }
}

TYPED_TEST(ClipGradientNorm, reports_what_is_not_finite_and_leaves_it) {
  using T = TypeParam;
  for (const T poison : {std::numeric_limits<T>::infinity(), std::numeric_limits<T>::quiet_NaN()}) {
    MatrixAndVector<T> model(2, 2, 1);
    model.matrix.accumulated_gradient() << T(1), poison, T(1), T(1);
    EXPECT_FALSE(support::is_finite(ef::clip_gradient_norm(model, 0.5)));
    EXPECT_EQ(model.matrix.gradient(0, 0), T(1));
  }
}

TYPED_TEST(ClipGradientNorm, rejects_a_norm_of_zero_and_allocates_nothing) {
  using T = TypeParam;
  MatrixAndVector<T> model(307, 211, 13);
  model.matrix.accumulated_gradient().setOnes();
  EXPECT_THROW(ef::clip_gradient_norm(model, 0), ef::OptionError);
  EXPECT_THROW(ef::clip_gradient_norm(model, -1), ef::OptionError);
  if (!support::AllocationCounter::available()) GTEST_SKIP() << support::AllocationCounter::why_not();
  ef::Context context({.threads = 2});
  ef::clip_gradient_norm(model, 1, context);
  EXPECT_EQ(support::allocations_during([&] { ef::clip_gradient_norm(model, 0.5, context); }), 0u);
}

}  // namespace
