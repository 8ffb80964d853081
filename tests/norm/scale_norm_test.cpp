// SPDX-License-Identifier: MIT

#include <eigenformer/core/concepts.hpp>
#include <eigenformer/norm/scale_norm.hpp>

#include <gtest/gtest.h>

#include "norm/norm_case.hpp"
#include "reference/scale_norm.hpp"
#include "support/alignment.hpp"
#include "support/compare.hpp"
#include "support/golden.hpp"
#include "support/tolerances.hpp"

namespace ef = eigenformer;
namespace tolerance = support::tolerance;
using ef::Index;
using norm_case::Case;
using norm_case::wide;
using support::Distribution;

static_assert(ef::TokenwiseBlock<ef::ScaleNorm<float>, float> && ef::TokenwiseBlock<ef::ScaleNorm<double>, double>);

namespace {

template <class T>
void expect_golden() {
  const support::Golden golden("scale_norm_2x9x32");
  const ef::Tensor<T, 3> x = golden.tensor<T, 3>("x");
  const ef::Tensor<T, 3> dy = golden.tensor<T, 3>("d_y");
  const T g = golden.scalar<T>("g");
  ef::ScaleNorm<T> norm({.dim = 32, .epsilon = golden.parameter<double>("eps")}, g);
  typename ef::ScaleNorm<T>::Cache cache;
  ef::Context context;
  ef::Tensor<T, 3> y(x.dimensions());
  ef::Tensor<T, 3> dx(x.dimensions());
  norm.forward(x, y, context, &cache);
  norm.backward(dy, cache, dx, context);
  EXPECT_TRUE(support::within(support::max_error(y, golden.values<double>("y"), g), tolerance::norm_abs<T>(0)));
  // The rows of norm 0 and below epsilon among them; the stored gradient of x is rounded to float.
  EXPECT_TRUE(support::within(support::worst_row_nmse(dx, golden.values<double>("grad.x"), 32), 1e-12));
  EXPECT_TRUE(support::within(support::worst_row_nmse(norm.g.gradient, golden.values<double>("grad.g"), 1), 1e-12));
}

template <class T>
void expect_reference(ef::InstructionSet set, Index width, Distribution distribution, double epsilon,
                      support::Generator& random) {
  const Case<T> c(5, width, distribution, random);
  const T g = T(-2.3);
  ef::ScaleNorm<T> norm({.dim = width, .epsilon = epsilon}, g);
  typename ef::ScaleNorm<T>::Cache cache;
  ef::Context context({.instruction_set = set});
  ef::Matrix<T> y(5, width);
  ef::Matrix<T> dx(5, width);
  norm.forward(c.x, y, context, &cache);
  norm.backward(c.dy, cache, dx, context);
  const auto exact = reference::scale_norm<long double>(wide(c.x), g, epsilon);
  const auto gradients = reference::scale_norm_backward<long double>(wide(c.x), g, epsilon, wide(c.dy));
  const auto where =
      std::string(ef::name(set)) + " " + std::string(name(distribution)) + " width " + std::to_string(width);
  EXPECT_TRUE(support::within(support::max_error(y, exact.y), tolerance::norm_abs<T>(2.3))) << where;
  // dx is a difference of terms of this size, and may be nothing beside them.
  for (Index n = 0; n < 5; ++n) {
    const long double size = 2.3L * static_cast<long double>(c.dy.row(n).norm()) / exact.norm(n);
    if (1 / exact.norm(n) > static_cast<long double>((std::numeric_limits<T>::max)())) continue;  // as is the gradient
    const std::vector<T> row(dx.data() + n * width, dx.data() + (n + 1) * width);
    const std::vector<long double> exact_row(gradients.dx.data() + n * width, gradients.dx.data() + (n + 1) * width);
    EXPECT_TRUE(support::within(support::max_error(row, exact_row, static_cast<double>(size) + 1e-300),
                                32 * tolerance::epsilon<T>))
        << where;
  }
  EXPECT_NEAR(static_cast<double>(norm.g.gradient[0]), static_cast<double>(gradients.dg),
              32 * tolerance::epsilon<T> * static_cast<double>(c.dy.norm()))
      << where;
}

}  // namespace

TEST(ScaleNorm, matches_published_vectors) {
  expect_golden<float>();
  expect_golden<double>();
}

TEST(ScaleNorm, equals_the_reference_on_every_instruction_set_and_distribution) {
  support::Generator random(181);
  int cases = 0;
  for (const ef::InstructionSet set : ef::all_instruction_sets) {
    if (!ef::available(set)) continue;
    for (const Distribution distribution : support::distributions) {
      for (const Index width : norm_case::widths) {
        for (const double epsilon : {1e-5, 0.0}) {
#if defined(__FAST_MATH__)
          if (epsilon == 0 && distribution == Distribution::denormal) continue;  // the program flushes such numbers
#endif
          expect_reference<float>(set, width, distribution, epsilon, random);
          expect_reference<double>(set, width, distribution, epsilon, random);
          ++cases;
        }
      }
    }
  }
  EXPECT_GE(cases, 187);
}

TEST(ScaleNorm, of_any_finite_magnitude_is_right_and_of_zero_is_zero) {
  support::Generator random(182);
  ef::Context context;
  int cases = 0;
  for (const double magnitude : {0.0, 1e-44, 1e-40, 1e-30, 1e-18, 1e-7, 1e18, 1e30, 1e37}) {
    for (const double epsilon : {1e-5, 1e-30, 0.0}) {
#if defined(__FAST_MATH__)
      if (magnitude > 0 && magnitude < 1e-37) continue;  // the program flushes such numbers
#endif
      ef::Matrix<float> x(3, 127);
      for (Index i = 0; i < x.size(); ++i) x.data()[i] = static_cast<float>(magnitude * random.normal());
      ef::Matrix<float> y(3, 127);
      ef::ScaleNorm<float>({.dim = 127, .epsilon = epsilon}).forward(x, y, context);
      const auto exact = reference::scale_norm<long double>(wide(x), static_cast<float>(std::sqrt(127.0)), epsilon);
      EXPECT_TRUE(support::within(support::max_error(y, exact.y), tolerance::norm_abs<float>(1))) << magnitude;
      if (magnitude == 0) {
        EXPECT_TRUE((y.array() == 0).all());
      }
      ++cases;
    }
  }
#if !defined(__FAST_MATH__)
  EXPECT_EQ(cases, 27);
#endif
}

TEST(ScaleNorm, of_a_clamped_row_has_no_projection_in_its_gradient) {
  ef::ScaleNorm<double> norm({.dim = 3, .epsilon = 2}, 4);
  ef::Matrix<double> x(2, 3);
  x << 0, 1, 0, 0, 0, 0;
  ef::ScaleNorm<double>::Cache cache;
  ef::Context context;
  ef::Matrix<double> y(2, 3);
  norm.forward(x, y, context, &cache);
  EXPECT_EQ(y(0, 1), 2);
  const ef::Matrix<double> dy = ef::Matrix<double>::Constant(2, 3, 3);
  norm.backward(dy, cache, y, context);
  for (Index i = 0; i < 6; ++i) EXPECT_EQ(y.data()[i], 6);  // g / epsilon dy
  EXPECT_EQ(norm.g.gradient[0], 1.5);
}

TEST(ScaleNorm, starts_with_the_root_of_its_width_and_has_one_parameter) {
  const ef::ScaleNorm<double> norm({.dim = 49});
  EXPECT_EQ(norm.g.value[0], 7);
  EXPECT_EQ(ef::parameter_count(norm), 1);
  EXPECT_EQ(norm.epsilon, 1e-5);
  norm.visit_parameters([](const ef::Name& name, const auto&) { EXPECT_EQ(name.str(), "g"); });
}

/// A large z is written past the cache where its rows begin at vectors; otherwise, and when it is small, it is not.
TEST(ScaleNorm, keeps_the_same_rows_however_many_there_are_and_works_in_place) {
  support::Generator random(183);
  ef::Context context;
  for (const Index features : {1024, 1021}) {
    const Index rows = ef::detail::kept_in_cache / (features * 4) + 7;
    ef::Matrix<float> x(rows, features);
    support::fill(x, Distribution::normal, random);
    const ef::ScaleNorm<float> norm({.dim = features});
    ef::ScaleNorm<float>::Cache cache;
    ef::ScaleNorm<float>::Cache alone;
    ef::Matrix<float> y(rows, features);
    norm.forward(x, y, context, &cache);
    const ef::Matrix<float> few = x.bottomRows(5);
    ef::Matrix<float> y_alone(5, features);
    norm.forward(few, y_alone, context, &alone);
    EXPECT_TRUE(support::bit_equal(ef::Matrix<float>(y.bottomRows(5)), y_alone)) << features;
    const auto z = cache.normalised.values().last(alone.normalised.values().size());
    EXPECT_TRUE(std::equal(z.begin(), z.end(), alone.normalised.values().begin())) << features;
    norm.forward(x, x, context);
    EXPECT_TRUE(support::bit_equal(x, y));
  }
}

#if !defined(__FAST_MATH__)
TEST(ScaleNorm, keeps_NaN_and_infinity_in_their_row) {
  support::Generator random(184);
  ef::Matrix<float> x(3, 37);
  support::fill(x, Distribution::normal, random);
  const ef::ScaleNorm<float> norm({.dim = 37});
  const ef::Matrix<float> clean = norm(x);
  x(1, 36) = std::numeric_limits<float>::quiet_NaN();
  const ef::Matrix<float> y = norm(x);
  for (const Index n : {0, 2}) {
    EXPECT_TRUE(support::bit_equal(ef::Matrix<float>(y.row(n)), ef::Matrix<float>(clean.row(n))));
  }
  for (Index j = 0; j < 37; ++j) EXPECT_TRUE(support::is_nan(y(1, j)));
}
#endif

TEST(ScaleNorm, rejects_bad_shapes_and_options_and_writes_nothing) {
  EXPECT_THROW(ef::ScaleNorm<float>({.dim = 0}), ef::OptionError);
  EXPECT_THROW(ef::ScaleNorm<float>({.dim = 5, .epsilon = -1e-5}), ef::OptionError);
  EXPECT_THROW(ef::ScaleNorm<float>({.dim = 5, .epsilon = std::numeric_limits<double>::infinity()}), ef::OptionError);
  ef::ScaleNorm<float> norm({.dim = 5});
  ef::ScaleNorm<float>::Cache cache;
  ef::Context context;
  const ef::Matrix<float> x = ef::Matrix<float>::Ones(3, 5);
  ef::Matrix<float> wide_y = ef::Matrix<float>::Constant(3, 6, 7);
  ef::Matrix<float> tall = ef::Matrix<float>::Constant(4, 5, 7);
  ef::Matrix<float> y(3, 5);
  EXPECT_THROW(norm.forward(wide_y, y, context), ef::ShapeError);
  EXPECT_THROW(norm.forward(x, tall, context), ef::ShapeError);
  EXPECT_THROW(norm.backward(x, cache, y, context), ef::ShapeError);  // no forward yet
  norm.forward(x, y, context, &cache);
  EXPECT_THROW(norm.backward(tall, cache, tall, context), ef::ShapeError);
  EXPECT_EQ(norm.g.gradient.size(), 0);
  EXPECT_TRUE((wide_y.array() == 7).all() && (tall.array() == 7).all());
  const ef::Tensor<float, 3> other(4, 10, 6);
  try {
    norm(other);
    FAIL();
  } catch (const ef::ShapeError& error) {
    EXPECT_STREQ(error.what(), "ScaleNorm: expected last dimension 5, got x of shape [4, 10, 6]");
  }
}
