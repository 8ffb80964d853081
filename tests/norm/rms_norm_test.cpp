// SPDX-License-Identifier: MIT

#include <eigenformer/core/concepts.hpp>
#include <eigenformer/norm/rms_norm.hpp>

#include <gtest/gtest.h>

#include "norm/norm_case.hpp"
#include "support/alignment.hpp"
#include "support/allocation.hpp"
#include "support/compare.hpp"
#include "support/golden.hpp"
#include "support/tolerances.hpp"

namespace ef = eigenformer;
namespace tolerance = support::tolerance;
using ef::Index;
using norm_case::Case;
using norm_case::wide;
using support::Distribution;

static_assert(ef::TokenwiseBlock<ef::RmsNorm<float>, float> && ef::TokenwiseBlock<ef::RmsNorm<double>, double>);

namespace {

template <class T>
void expect_golden() {
  const support::Golden golden("rms_norm_2x16x64");
  const ef::Tensor<T, 3> x = golden.tensor<T, 3>("x");
  const ef::Tensor<T, 3> dy = golden.tensor<T, 3>("d_y");
  ef::RmsNorm<T> norm(golden.vector<T>("weight"), golden.parameter<double>("eps"));
  typename ef::RmsNorm<T>::Cache cache;
  ef::Context context;
  ef::Tensor<T, 3> y(x.dimensions());
  ef::Tensor<T, 3> dx(x.dimensions());
  norm.forward(x, y, context, &cache);
  norm.backward(dy, cache, dx, context);
  const double gain = static_cast<double>(norm.weight.value.cwiseAbs().maxCoeff());
  EXPECT_TRUE(support::within(support::max_error(y, golden.values<double>("y")), tolerance::norm_abs<T>(gain)));
  const double limit = 1e-12;  // of a row's square: the stored gradient of x is rounded to float
  EXPECT_TRUE(support::within(support::worst_row_nmse(dx, golden.values<double>("grad.x"), 64), limit));
  EXPECT_TRUE(
      support::within(support::worst_row_nmse(norm.weight.gradient, golden.values<double>("grad.weight"), 64), limit));
}

template <class T>
void expect_reference(ef::InstructionSet set, Index width, Distribution distribution, support::Generator& random) {
  const Case<T> c(5, width, distribution, random);
  ef::RmsNorm<T> norm(c.weight);
  typename ef::RmsNorm<T>::Cache cache;
  ef::Context context({.instruction_set = set});
  ef::Matrix<T> y(5, width);
  ef::Matrix<T> dx(5, width);
  norm.forward(c.x, y, context, &cache);
  norm.backward(c.dy, cache, dx, context);
  const auto exact = reference::rms_norm(wide(c.x), wide(c.weight), 1e-6L);
  const auto gradients = reference::rms_norm_backward(wide(c.x), wide(c.weight), 1e-6L, wide(c.dy));
  const auto where =
      std::string(ef::name(set)) + " " + std::string(name(distribution)) + " width " + std::to_string(width);
  // A spike alone in its row is sqrt(width) after the norm; the limit is for values of size 1.
  double largest = 1;
  for (Index i = 0; i < y.size(); ++i) largest = (std::max)(largest, static_cast<double>(std::abs(exact.y.data()[i])));
  EXPECT_TRUE(support::within(support::max_error(y, exact.y, largest), tolerance::norm_abs<T>(c.largest_gain())))
      << where;
  for (Index n = 0; n < 5; ++n) {
    const double size = c.largest_gain() * static_cast<double>(c.dy.row(n).cwiseAbs().maxCoeff()) *
                        static_cast<double>(exact.inverse_deviation.data()[n]) * largest * largest;
    const std::vector<T> row(dx.data() + n * width, dx.data() + (n + 1) * width);
    const std::vector<long double> exact_row(gradients.dx.data() + n * width, gradients.dx.data() + (n + 1) * width);
    EXPECT_TRUE(support::within(support::max_error(row, exact_row, size + 1e-300), 32 * tolerance::epsilon<T>))
        << where;
  }
  EXPECT_TRUE(support::within(support::max_error(norm.weight.gradient, gradients.dweight, largest),
                              4 * tolerance::norm_abs<T>(9)))
      << where;
}

}  // namespace

TEST(RmsNorm, matches_published_vectors) {
  expect_golden<float>();
  expect_golden<double>();
}

TEST(RmsNorm, equals_the_reference_on_every_instruction_set_and_distribution) {
  support::Generator random(81);
  int cases = 0;
  for (const ef::InstructionSet set : ef::all_instruction_sets) {
    if (!ef::available(set)) continue;
    for (const Distribution distribution : support::distributions) {
      for (const Index width : norm_case::widths) {
        expect_reference<float>(set, width, distribution, random);
        expect_reference<double>(set, width, distribution, random);
        ++cases;
      }
    }
  }
  EXPECT_GE(cases, 99);
}

TEST(RmsNorm, of_any_finite_magnitude_is_right_and_of_zero_is_zero) {
  support::Generator random(82);
  ef::Context context;
  int cases = 0;
  for (const double magnitude : {0.0, 1e-40, 1e-30, 1e-18, 1e18, 1e30, 1e37}) {
    for (const double epsilon : {1e-6, 0.0}) {
#if defined(__FAST_MATH__)
      if (magnitude > 0 && magnitude < 1e-37) continue;  // the program flushes such numbers
#endif
      Case<float> c(3, 127, Distribution::normal, random);
      for (Index i = 0; i < c.x.size(); ++i) c.x.data()[i] = static_cast<float>(magnitude * random.normal());
      ef::Matrix<float> y(3, 127);
      ef::RmsNorm<float>(c.weight, epsilon).forward(c.x, y, context);
      ++cases;
      if (magnitude == 0) {
        EXPECT_TRUE((y.array() == 0).all());
        continue;
      }
      const auto exact = reference::rms_norm(wide(c.x), wide(c.weight), static_cast<long double>(epsilon));
      EXPECT_TRUE(support::within(support::max_error(y, exact.y), tolerance::norm_abs<float>(c.largest_gain())))
          << magnitude;
    }
  }
#if !defined(__FAST_MATH__)
  EXPECT_EQ(cases, 14);
#endif
}

#if !defined(__FAST_MATH__)
TEST(RmsNorm, of_doubles_at_the_ends_of_their_range_is_right_without_epsilon) {
  const ef::RmsNorm<double> norm(ef::Vector<double>(ef::Vector<double>::Ones(3)), 0.0);
  for (const ef::InstructionSet set : ef::all_instruction_sets) {
    if (!ef::available(set)) continue;
    ef::Context context({.instruction_set = set});
    for (const double size : {0x1p1022, 0x1p900, 0x1p-900, 0x1p-1022, 0x1p-1060}) {
      const ef::Matrix<double> x = (ef::Matrix<double>(1, 3) << 1.5 * size, -size, 0.5 * size).finished();
      ef::Matrix<double> y(1, 3);
      norm.forward(x, y, context);
      const double root = std::sqrt(3.5 / 3);
      const ef::Matrix<double> exact = (ef::Matrix<double>(1, 3) << 1.5 / root, -1 / root, 0.5 / root).finished();
      EXPECT_TRUE(support::within(support::max_error(y, exact), tolerance::norm_abs<double>(1))) << size;
    }
  }
}

TEST(RmsNorm, makes_a_row_with_NaN_or_infinity_NaN_and_no_other) {
  support::Generator random(71);
  const ef::RmsNorm<float> norm({.dim = 37});
  for (const ef::InstructionSet set : ef::all_instruction_sets) {
    if (!ef::available(set)) continue;
    ef::Context context({.instruction_set = set});
    for (const float poison : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
      Case<float> c(3, 37, Distribution::normal, random);
      ef::Matrix<float> clean(3, 37);
      ef::Matrix<float> y(3, 37);
      norm.forward(c.x, clean, context);
      c.x(1, 29) = poison;
      norm.forward(c.x, y, context);
      EXPECT_TRUE(support::bit_equal(ef::Matrix<float>(y.row(0)), ef::Matrix<float>(clean.row(0))));
      EXPECT_TRUE(support::bit_equal(ef::Matrix<float>(y.row(2)), ef::Matrix<float>(clean.row(2))));
      for (Index j = 0; j < 37; ++j) EXPECT_TRUE(support::is_nan(y(1, j))) << poison << " at " << j;
    }
  }
}
#endif

TEST(RmsNorm, has_the_gradients_of_its_differences) {
  support::Generator random(83);
  Case<double> c(4, 13, Distribution::normal, random);
  ef::RmsNorm<double> norm(c.weight);
  ef::RmsNorm<double>::Cache cache;
  ef::Context context;
  ef::Matrix<double> y(4, 13);
  ef::Matrix<double> dx(4, 13);
  norm.forward(c.x, y, context, &cache);
  norm.backward(c.dy, cache, dx, context);
  int cases = 0;
  const auto expect_difference = [&](double& number, double gradient) {
    const double kept = number;
    double sides[2];
    for (const int side : {0, 1}) {
      number = kept + (side == 0 ? -1 : 1) * tolerance::difference_step;
      norm.forward(c.x, y, context);
      sides[side] = y.cwiseProduct(c.dy).sum();
    }
    number = kept;
    const double difference = (sides[1] - sides[0]) / (2 * tolerance::difference_step);
    EXPECT_NEAR(gradient, difference, tolerance::difference_abs + tolerance::difference_rel * std::abs(difference));
    ++cases;
  };
  for (Index i = 0; i < c.x.size(); ++i) expect_difference(c.x.data()[i], dx.data()[i]);
  for (Index j = 0; j < 13; ++j) expect_difference(norm.weight.value[j], norm.weight.gradient[j]);
  EXPECT_EQ(cases, 4 * 13 + 13);
}

TEST(RmsNorm, gives_the_same_bits_for_any_stride_alignment_and_number_of_threads) {
  support::Generator random(84);
  constexpr Index rows = 331;
  constexpr Index features = 127;
  const Case<float> c(rows, features, Distribution::normal, random);
  ef::RmsNorm<float> expected_norm(c.weight);
  ef::RmsNorm<float>::Cache cache;
  ef::Context one;
  ef::Matrix<float> expected(rows, features);
  ef::Matrix<float> expected_dx(rows, features);
  expected_norm.forward(c.x, expected, one, &cache);
  expected_norm.backward(c.dy, cache, expected_dx, one);
  for (const int threads : {1, 2, 3}) {
    ef::Context context({.threads = threads});
    for (std::ptrdiff_t offset = 0; offset < support::alignment_offsets; ++offset) {
      support::GuardedRows<float> memory(rows, features, features + offset % 5, offset);
      const auto put = [&](const ef::Matrix<float>& m) {
        for (Index n = 0; n < rows; ++n) std::copy_n(&m(n, 0), features, &memory(n, 0));
      };
      ef::RowsView<float> view(memory.data(), rows, features, memory.row_stride());
      ef::RmsNorm<float> norm(c.weight);
      put(c.x);
      norm.forward(view, view, context, &cache);  // in place
      ASSERT_TRUE(support::bit_equal(ef::Matrix<float>(view), expected)) << threads << " threads, offset " << offset;
      put(c.dy);
      norm.backward(view, cache, view, context);
      ASSERT_TRUE(support::bit_equal(ef::Matrix<float>(view), expected_dx));
      ASSERT_TRUE(support::bit_equal(norm.weight.gradient, expected_norm.weight.gradient));
      ASSERT_TRUE(memory.untouched_outside());
    }
    if (!support::AllocationCounter::available()) continue;
    ef::Matrix<float> y(rows, features);
    const auto step = [&] {
      expected_norm.forward(c.x, y, context, &cache);
      expected_norm.backward(c.dy, cache, y, context);
    };
    const ef::Vector<float> kept = expected_norm.weight.gradient;
    step();
    EXPECT_EQ(support::allocations_during(step), 0);
    expected_norm.weight.gradient = kept;
  }
}

TEST(RmsNorm, gives_no_gradient_to_a_frozen_weight) {
  support::Generator random(85);
  const Case<float> c(7, 31, Distribution::normal, random);
  ef::Context context;
  ef::RmsNorm<float> norm(c.weight);
  ef::RmsNorm<float>::Cache cache;
  ef::Matrix<float> y(7, 31);
  ef::Matrix<float> dx(7, 31);
  ef::Matrix<float> frozen_dx(7, 31);
  norm.forward(c.x, y, context, &cache);
  norm.backward(c.dy, cache, dx, context);
  ef::RmsNorm<float> frozen(c.weight);
  frozen.weight.trainable = false;
  frozen.backward(c.dy, cache, frozen_dx, context);
  EXPECT_EQ(frozen.weight.gradient.size(), 0);
  EXPECT_TRUE(support::bit_equal(frozen_dx, dx));
}

TEST(RmsNorm, rejects_bad_shapes_and_options_and_writes_nothing) {
  EXPECT_THROW(ef::RmsNorm<float>({.dim = -1}), ef::OptionError);
  EXPECT_THROW(ef::RmsNorm<float>({.dim = 5, .epsilon = -1e-6}), ef::OptionError);
  EXPECT_THROW(ef::RmsNorm<float>(ef::Vector<float>()), ef::OptionError);
  ef::RmsNorm<float> norm({.dim = 5});
  ef::RmsNorm<float>::Cache cache;
  ef::Context context;
  const ef::Matrix<float> x = ef::Matrix<float>::Ones(3, 5);
  ef::Matrix<float> wide_y = ef::Matrix<float>::Constant(3, 6, 7);
  ef::Matrix<float> tall = ef::Matrix<float>::Constant(4, 5, 7);
  ef::Matrix<float> y(3, 5);
  EXPECT_THROW(norm.forward(wide_y, y, context), ef::ShapeError);
  EXPECT_THROW(norm.forward(x, wide_y, context), ef::ShapeError);
  EXPECT_THROW(norm.backward(x, cache, y, context), ef::ShapeError);
  norm.forward(x, y, context, &cache);
  EXPECT_THROW(norm.backward(tall, cache, tall, context), ef::ShapeError);
  EXPECT_EQ(norm.weight.gradient.size(), 0);
  EXPECT_TRUE((wide_y.array() == 7).all());
  EXPECT_TRUE((tall.array() == 7).all());
}

TEST(RmsNorm, with_a_unit_offset_is_that_of_one_plus_the_weight) {
  support::Generator random(86);
  const Case<float> c(7, 31, Distribution::normal, random);
  ef::RmsNorm<float, ef::UnitOffset> offset(c.weight);
  ef::RmsNorm<float> direct(ef::Vector<float>(c.weight.array() + 1.0F));
  ef::RmsNorm<float>::Cache cache, other;
  ef::Context context;
  ef::Matrix<float> y(7, 31), expected(7, 31);
  offset.forward(c.x, y, context, &cache);
  direct.forward(c.x, expected, context, &other);
  EXPECT_TRUE(support::bit_equal(y, expected));
  offset.backward(c.dy, cache, y, context);
  direct.backward(c.dy, other, expected, context);
  EXPECT_TRUE(support::bit_equal(y, expected));
  EXPECT_TRUE(support::bit_equal(offset.weight.gradient, direct.weight.gradient));
  const auto exact = reference::rms_norm<long double>(wide(c.x), wide(direct.weight.value), 1e-6L);
  EXPECT_TRUE(
      support::within(support::max_error(offset(c.x), exact.y), tolerance::norm_abs<float>(c.largest_gain() + 1)));
}

TEST(RmsNorm, with_a_unit_offset_starts_at_a_gain_of_one) {
  const ef::RmsNorm<float, ef::UnitOffset> offset({.dim = 5});
  EXPECT_TRUE((offset.weight.value.array() == 0).all());
  const ef::Matrix<float> x = ef::Matrix<float>::Random(3, 5);
  EXPECT_TRUE(support::bit_equal(offset(x), ef::RmsNorm<float>({.dim = 5})(x)));
  static_assert(ef::TokenwiseBlock<ef::RmsNorm<float, ef::UnitOffset>, float>);
}
