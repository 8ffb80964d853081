// SPDX-License-Identifier: MIT

#include <eigenformer/core/concepts.hpp>
#include <eigenformer/norm/layer_norm.hpp>

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
using norm_case::wide_from_first;
using support::Distribution;

static_assert(ef::TokenwiseBlock<ef::LayerNorm<float>, float> && ef::TokenwiseBlock<ef::LayerNorm<double>, double>);

namespace {

template <class T>
ef::LayerNorm<T> norm_of(const Case<T>& c, double epsilon = 1e-5) {
  return ef::LayerNorm<T>(c.weight, c.bias, epsilon);
}

template <class T>
void expect_golden(const std::string& name, Index dim) {
  const support::Golden golden(name);
  const auto x = golden.values<T>("x");
  const auto dy = golden.values<T>("d_y");
  const auto weight = golden.values<T>("weight");
  const auto bias = golden.values<T>("bias");
  const Index rows = static_cast<Index>(x.size()) / dim;
  ef::LayerNorm<T> norm(Eigen::Map<const ef::Vector<T>>(weight.data(), dim),
                        ef::Vector<T>(Eigen::Map<const ef::Vector<T>>(bias.data(), dim)),
                        golden.parameter<double>("eps"));
  typename ef::LayerNorm<T>::Cache cache;
  ef::Context context;
  std::vector<T> y(x.size());
  std::vector<T> dx(x.size());
  norm.forward(ef::ConstRowsView<T>(x.data(), rows, dim, dim), ef::RowsView<T>(y.data(), rows, dim, dim), context,
               &cache);
  norm.backward(ef::ConstRowsView<T>(dy.data(), rows, dim, dim), cache, ef::RowsView<T>(dx.data(), rows, dim, dim),
                context);
  const auto gain = Eigen::Map<const ef::Vector<T>>(weight.data(), dim).cwiseAbs().maxCoeff();
  EXPECT_TRUE(support::within(support::max_error(y, golden.values<double>("y")), tolerance::norm_abs<T>(double(gain))));
  const double limit = 1e-12;  // of a row's square: stored gradients are rounded to float
  EXPECT_TRUE(support::within(support::worst_row_nmse(dx, golden.values<double>("grad.x"), dim), limit));
  EXPECT_TRUE(
      support::within(support::worst_row_nmse(norm.weight.gradient, golden.values<double>("grad.weight"), dim), limit));
  EXPECT_TRUE(
      support::within(support::worst_row_nmse(norm.bias->gradient, golden.values<double>("grad.bias"), dim), limit));
}

}  // namespace

TEST(LayerNorm, matches_pytorch) {
  expect_golden<float>("layer_norm_3x16x48", 48);
  expect_golden<double>("layer_norm_3x16x48", 48);
}

TEST(LayerNorm, over_two_dimensions_is_that_over_their_flattened_rows) {
  expect_golden<float>("layer_norm_4x6x64", 6 * 64);
  expect_golden<double>("layer_norm_4x6x64", 6 * 64);
}

namespace {

template <class T>
void expect_reference(ef::InstructionSet set, Index width, Distribution distribution, support::Generator& random) {
  const Case<T> c(5, width, distribution, random);
  ef::LayerNorm<T> norm = norm_of(c);
  typename ef::LayerNorm<T>::Cache cache;
  ef::Context context({.instruction_set = set});
  ef::Matrix<T> y(5, width);
  ef::Matrix<T> dx(5, width);
  norm.forward(c.x, y, context, &cache);
  norm.backward(c.dy, cache, dx, context);
  const auto exact = reference::layer_norm(wide_from_first(c.x), wide(c.weight), wide(c.bias), 1e-5L);
  const auto gradients = reference::layer_norm_backward(wide_from_first(c.x), wide(c.weight), 1e-5L, wide(c.dy));
  const auto where =
      std::string(ef::name(set)) + " " + std::string(name(distribution)) + " width " + std::to_string(width);
  EXPECT_TRUE(support::within(support::max_error(y, exact.y), tolerance::norm_abs<T>(c.largest_gain()))) << where;
  // dx is a difference of terms of this size, and may be nothing beside them.
  for (Index n = 0; n < 5; ++n) {
    const double size =
        c.largest_gain() * c.dy.row(n).cwiseAbs().maxCoeff() * static_cast<double>(exact.inverse_deviation.data()[n]);
    const std::vector<T> row(dx.data() + n * width, dx.data() + (n + 1) * width);
    const std::vector<long double> exact_row(gradients.dx.data() + n * width, gradients.dx.data() + (n + 1) * width);
    EXPECT_TRUE(support::within(support::max_error(row, exact_row, size + 1e-300), 32 * tolerance::epsilon<T>))
        << where;
  }
  EXPECT_TRUE(
      support::within(support::max_error(norm.weight.gradient, gradients.dweight), 4 * tolerance::norm_abs<T>(9)))
      << where;
  EXPECT_TRUE(support::within(support::max_error(norm.bias->gradient, gradients.dbias), 32 * tolerance::epsilon<T>))
      << where;
}

}  // namespace

TEST(LayerNorm, equals_the_reference_on_every_instruction_set_and_distribution) {
  support::Generator random(61);
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

TEST(LayerNorm, loses_nothing_to_a_mean_far_above_the_deviation) {
  support::Generator random(62);
  ef::Context context;
  int cases = 0;
  for (const double ratio : {0.0, 10.0, 1e2, 1e3, 1e4, 1e5, 1e6, 1e8}) {
    for (const double deviation : {1.0, 1e-3, 1e3}) {
      ef::Matrix<float> x(3, 769);
      for (Index i = 0; i < x.size(); ++i) x.data()[i] = static_cast<float>(deviation * (ratio + random.normal()));
      ef::LayerNorm<float> norm({.dim = 769});
      ef::Matrix<float> y(3, 769);
      norm.forward(x, y, context);
      const auto exact = reference::layer_norm(wide_from_first(x), wide(norm.weight.value), {}, 1e-5L);
      EXPECT_TRUE(support::within(support::max_error(y, exact.y), 2e-6)) << ratio << " x " << deviation;
      ++cases;
    }
  }
  EXPECT_EQ(cases, 24);
}

TEST(LayerNorm, of_equal_numbers_is_exactly_the_bias) {
  support::Generator random(63);
  int cases = 0;
  for (const ef::InstructionSet set : ef::all_instruction_sets) {
    if (!ef::available(set)) continue;
    ef::Context context({.instruction_set = set});
    for (const Index width : norm_case::widths) {
      const Case<float> c(1, width, Distribution::normal, random);
      for (const float constant : {0.0F, 0.1F, 1.0F, -3.3F, 1e6F, 12345.678F, 1e18F, -1e30F, 1e-30F, 3e38F, 1e-42F}) {
        for (const double epsilon : {1e-5, 1e-12, 0.0}) {
          ef::Matrix<float> y = ef::Matrix<float>::Constant(1, width, constant);
          norm_of(c, epsilon).forward(y, y, context);
          for (Index j = 0; j < width; ++j)
            ASSERT_EQ(y(0, j), c.bias[j]) << constant << " x " << width << " " << ef::name(set);
          ++cases;
        }
      }
    }
  }
  EXPECT_GE(cases, 11 * 11 * 3);
}

TEST(LayerNorm, of_any_finite_magnitude_is_right) {
  support::Generator random(64);
  ef::Context context;
  int cases = 0;
  for (const double magnitude : {1e-44, 1e-40, 1e-30, 1e-18, 1e18, 1e30, 1e37}) {
    for (const double epsilon : {1e-5, 0.0}) {
      Case<float> c(3, 127, Distribution::normal, random);
      for (Index i = 0; i < c.x.size(); ++i) c.x.data()[i] = static_cast<float>(magnitude * random.normal());
      ef::LayerNorm<float> norm = norm_of(c, epsilon);
      ef::LayerNorm<float>::Cache cache;
      ef::Matrix<float> y(3, 127);
      ef::Matrix<float> dx(3, 127);
      norm.forward(c.x, y, context, &cache);
      norm.backward(c.dy, cache, dx, context);
      const auto exact =
          reference::layer_norm(wide_from_first(c.x), wide(c.weight), wide(c.bias), static_cast<long double>(epsilon));
#if defined(__FAST_MATH__)
      if (magnitude < 1e-37) continue;  // the program flushes such numbers
#endif
      EXPECT_TRUE(support::within(support::max_error(y, exact.y), tolerance::norm_abs<float>(c.largest_gain())))
          << magnitude;
#if defined(__FAST_MATH__)
      if (magnitude > 1e36) continue;  // the gradient is denormal
#endif
      if (exact.inverse_deviation.data()[0] > 1e36) continue;  // the gradient itself is too large
      const auto gradients = reference::layer_norm_backward(wide_from_first(c.x), wide(c.weight),
                                                            static_cast<long double>(epsilon), wide(c.dy));
      EXPECT_TRUE(support::within(support::worst_row_nmse(dx, gradients.dx, 127), tolerance::backward_row_nmse<float>))
          << magnitude;
      ++cases;
    }
  }
#if !defined(__FAST_MATH__)
  EXPECT_EQ(cases, 12);
#endif
}

TEST(LayerNorm, of_the_largest_numbers_with_both_signs_is_finite) {
  ef::Context context;
  ef::Matrix<float> x(1, 64);
  for (Index j = 0; j < 64; ++j) x(0, j) = j % 2 == 0 ? 3.4e38F : -3.4e38F;
  ef::LayerNorm<float> norm({.dim = 64});
  norm.forward(x, x, context);
  for (Index j = 0; j < 64; ++j) EXPECT_NEAR(x(0, j), j % 2 == 0 ? 1 : -1, 1e-6);
}

TEST(LayerNorm, has_the_gradients_of_its_differences) {
  support::Generator random(65);
  Case<double> c(4, 13, Distribution::normal, random);
  ef::LayerNorm<double> norm = norm_of(c);
  ef::LayerNorm<double>::Cache cache;
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
  for (Index j = 0; j < 13; ++j) expect_difference(norm.bias->value[j], norm.bias->gradient[j]);
  EXPECT_EQ(cases, 4 * 13 + 2 * 13);
}

TEST(LayerNorm, gives_the_same_bits_for_any_stride_alignment_and_number_of_threads) {
  support::Generator random(66);
  constexpr Index rows = 331;
  constexpr Index features = 127;
  const Case<float> c(rows, features, Distribution::normal, random);
  ef::LayerNorm<float> expected_norm = norm_of(c);
  ef::LayerNorm<float>::Cache expected_cache;
  ef::Context one;
  ef::Matrix<float> expected(rows, features);
  ef::Matrix<float> expected_dx(rows, features);
  expected_norm.forward(c.x, expected, one, &expected_cache);
  expected_norm.backward(c.dy, expected_cache, expected_dx, one);
  for (const int threads : {1, 2, 3}) {
    ef::Context context({.threads = threads});
    for (std::ptrdiff_t offset = 0; offset < support::alignment_offsets; ++offset) {
      support::GuardedRows<float> memory(rows, features, features + offset % 5, offset);
      const auto put = [&](const ef::Matrix<float>& m) {
        for (Index n = 0; n < rows; ++n) std::copy_n(&m(n, 0), features, &memory(n, 0));
      };
      ef::RowsView<float> view(memory.data(), rows, features, memory.row_stride());
      ef::LayerNorm<float> norm = norm_of(c);
      ef::LayerNorm<float>::Cache cache;
      put(c.x);
      norm.forward(view, view, context);  // in place, nothing kept
      ASSERT_TRUE(support::bit_equal(ef::Matrix<float>(view), expected)) << threads << " threads, offset " << offset;
      put(c.x);
      norm.forward(view, view, context, &cache);
      ASSERT_TRUE(support::bit_equal(ef::Matrix<float>(view), expected));
      put(c.dy);
      norm.backward(view, cache, view, context);
      ASSERT_TRUE(support::bit_equal(ef::Matrix<float>(view), expected_dx));
      ASSERT_TRUE(support::bit_equal(norm.weight.gradient, expected_norm.weight.gradient));
      ASSERT_TRUE(support::bit_equal(norm.bias->gradient, expected_norm.bias->gradient));
      ASSERT_TRUE(memory.untouched_outside());
    }
  }
}

TEST(LayerNorm, treats_each_row_alone_wherever_it_stands) {
  support::Generator random(67);
  const Case<float> c(11, 61, Distribution::normal, random);
  ef::LayerNorm<float> norm = norm_of(c);
  ef::LayerNorm<float>::Cache cache;
  ef::Context context;
  ef::Matrix<float> y(11, 61);
  ef::Matrix<float> dx(11, 61);
  norm.forward(c.x, y, context, &cache);
  norm.backward(c.dy, cache, dx, context);
  for (Index n = 0; n < 11; ++n) {
    const ef::Matrix<float> x_row = c.x.row(n);
    const ef::Matrix<float> dy_row = c.dy.row(n);
    ef::Matrix<float> row(1, 61);
    norm.forward(x_row, row, context, &cache);
    EXPECT_TRUE(support::bit_equal(row, ef::Matrix<float>(y.row(n))));
    norm.backward(dy_row, cache, row, context);
    EXPECT_TRUE(support::bit_equal(row, ef::Matrix<float>(dx.row(n))));
  }
}

#if !defined(__FAST_MATH__)
TEST(LayerNorm, keeps_NaN_and_infinity_in_their_row) {
  support::Generator random(68);
  Case<float> c(3, 37, Distribution::normal, random);
  const ef::LayerNorm<float> norm = norm_of(c);
  ef::Context context;
  ef::Matrix<float> clean(3, 37);
  norm.forward(c.x, clean, context);
  for (const float poison : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    c.x(1, 36) = poison;
    ef::Matrix<float> y(3, 37);
    norm.forward(c.x, y, context);
    EXPECT_TRUE(support::bit_equal(ef::Matrix<float>(y.row(0)), ef::Matrix<float>(clean.row(0))));
    EXPECT_TRUE(support::bit_equal(ef::Matrix<float>(y.row(2)), ef::Matrix<float>(clean.row(2))));
    for (Index j = 0; j < 37; ++j) EXPECT_TRUE(support::is_nan(y(1, j))) << poison;
  }
}
#endif

TEST(LayerNorm, allocates_nothing_after_the_first_call) {
  if (!support::AllocationCounter::available()) GTEST_SKIP() << support::AllocationCounter::why_not();
  support::Generator random(69);
  const Case<float> c(331, 127, Distribution::normal, random);
  for (const int threads : {1, 2}) {
    ef::Context context({.threads = threads});
    ef::LayerNorm<float> norm = norm_of(c);
    ef::LayerNorm<float>::Cache cache;
    ef::Matrix<float> y(331, 127);
    const auto step = [&] {
      norm.forward(c.x, y, context);
      norm.forward(c.x, y, context, &cache);
      norm.backward(c.dy, cache, y, context);
    };
    step();
    EXPECT_EQ(support::allocations_during(step), 0);
  }
}

TEST(LayerNorm, gives_no_gradient_to_what_is_frozen_and_adds_to_what_is_there) {
  support::Generator random(70);
  const Case<float> c(7, 31, Distribution::normal, random);
  ef::Context context;
  ef::LayerNorm<float> norm = norm_of(c);
  ef::LayerNorm<float>::Cache cache;
  ef::Matrix<float> y(7, 31);
  ef::Matrix<float> dx(7, 31);
  ef::Matrix<float> frozen_dx(7, 31);
  norm.forward(c.x, y, context, &cache);
  norm.backward(c.dy, cache, dx, context);
  const ef::Vector<float> once = norm.weight.gradient;
  norm.backward(c.dy, cache, dx, context);
  EXPECT_TRUE(support::bit_equal(norm.weight.gradient, ef::Vector<float>(2 * once)));

  ef::LayerNorm<float> frozen = norm_of(c);
  frozen.weight.trainable = false;
  frozen.backward(c.dy, cache, frozen_dx, context);
  EXPECT_EQ(frozen.weight.gradient.size(), 0);
  EXPECT_EQ(frozen.bias->gradient.size(), 31);
  frozen.bias->trainable = false;
  frozen.bias->gradient = {};
  frozen.backward(c.dy, cache, frozen_dx, context);
  EXPECT_EQ(frozen.bias->gradient.size(), 0);
  EXPECT_TRUE(support::bit_equal(frozen_dx, dx));
}

TEST(LayerNorm, without_bias_has_one_parameter) {
  ef::LayerNorm<float> norm({.dim = 5, .bias = false});
  EXPECT_EQ(ef::parameter_count(norm), 5);
  EXPECT_EQ(ef::parameter_count(ef::LayerNorm<float>({.dim = 5})), 10);
  std::vector<std::string> names;
  ef::LayerNorm<float>({.dim = 5}).visit_parameters([&](const ef::Name& n, auto&) { names.push_back(n.str()); });
  EXPECT_EQ(names, (std::vector<std::string>{"weight", "bias"}));
  const ef::Matrix<float> x = ef::Matrix<float>::Constant(2, 5, 3);
  EXPECT_TRUE((norm(x).array() == 0).all());
}

TEST(LayerNorm, takes_any_rank_and_eigen_matrices) {
  support::Generator random(71);
  const ef::LayerNorm<float> norm({.dim = 7});
  ef::Tensor<float, 4> x(2, 3, 5, 7);
  support::fill(x, Distribution::normal, random);
  const ef::Tensor<float, 4> y = norm(x);
  const ef::Tensor<float, 2> flat = norm(ef::Tensor<float, 2>(x.reshape(std::array<Index, 2>{30, 7})));
  const ef::Matrix<float> matrix = norm(ef::Matrix<float>(Eigen::Map<const ef::Matrix<float>>(x.data(), 30, 7)));
  const ef::Vector<float> vector = norm(ef::Vector<float>(Eigen::Map<const ef::Vector<float>>(x.data(), 7)));
  EXPECT_TRUE(support::bit_equal(flat, y));
  EXPECT_TRUE(support::bit_equal(matrix, y));
  EXPECT_TRUE(support::bit_equal(vector, ef::Vector<float>(matrix.row(0))));
  ef::Context context;
  ef::Matrix<float> nothing(0, 7);
  norm.forward(nothing, nothing, context);
}

TEST(LayerNorm, rejects_bad_shapes_and_options_and_writes_nothing) {
  EXPECT_THROW(ef::LayerNorm<float>({.dim = 0}), ef::OptionError);
  EXPECT_THROW(ef::LayerNorm<float>({.dim = 5, .epsilon = -1e-5}), ef::OptionError);
  EXPECT_THROW(ef::LayerNorm<float>({.dim = 5, .epsilon = std::numeric_limits<double>::quiet_NaN()}), ef::OptionError);
  EXPECT_THROW(ef::LayerNorm<float>({.dim = 5, .epsilon = std::numeric_limits<double>::infinity()}), ef::OptionError);
  EXPECT_THROW(ef::LayerNorm<float>(ef::Vector<float>::Ones(5), ef::Vector<float>::Ones(4)), ef::ShapeError);
  EXPECT_THROW(ef::LayerNorm<float>(ef::Vector<float>()), ef::OptionError);
  ef::LayerNorm<float> norm({.dim = 5});
  ef::LayerNorm<float>::Cache cache;
  ef::Context context;
  const ef::Matrix<float> x = ef::Matrix<float>::Ones(3, 5);
  ef::Matrix<float> wide_y = ef::Matrix<float>::Constant(3, 6, 7);
  ef::Matrix<float> tall = ef::Matrix<float>::Constant(4, 5, 7);
  ef::Matrix<float> y(3, 5);
  EXPECT_THROW(norm.forward(wide_y, y, context), ef::ShapeError);
  EXPECT_THROW(norm.forward(x, wide_y, context), ef::ShapeError);
  EXPECT_THROW(norm.forward(x, tall, context), ef::ShapeError);
  EXPECT_THROW(norm.backward(x, cache, y, context), ef::ShapeError);  // no forward yet
  norm.forward(x, y, context, &cache);
  EXPECT_THROW(norm.backward(tall, cache, tall, context), ef::ShapeError);
  EXPECT_THROW(norm.backward(x, cache, wide_y, context), ef::ShapeError);
  EXPECT_EQ(norm.weight.gradient.size(), 0);
  EXPECT_TRUE((wide_y.array() == 7).all());
  EXPECT_TRUE((tall.array() == 7).all());
  const ef::Tensor<float, 3> other(4, 10, 6);
  try {
    norm(other);
    FAIL();
  } catch (const ef::ShapeError& error) {
    EXPECT_STREQ(error.what(), "LayerNorm: expected last dimension 5, got x of shape [4, 10, 6]");
  }
}
