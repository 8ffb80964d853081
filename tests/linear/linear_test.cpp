// SPDX-License-Identifier: MIT

#include <eigenformer/core/concepts.hpp>
#include <eigenformer/linear/linear.hpp>

#include <gtest/gtest.h>

#include "reference/gemm.hpp"
#include "support/compare.hpp"
#include "support/inputs.hpp"
#include "support/tolerances.hpp"

namespace ef = eigenformer;
namespace tolerance = support::tolerance;
using ef::Index;

static_assert(ef::Projection<ef::Linear<float>, float> && ef::Projection<ef::Linear<double>, double>);
static_assert(!ef::Projection<ef::Linear<float>, double>);

static_assert(ef::Projection<ef::Linear<float, ef::Bfloat16>, float>);
static_assert(ef::Projection<ef::Linear<double, ef::Float16>, double>);

namespace {

template <class T>
class LinearOf : public testing::Test {};
using Scalars = testing::Types<float, double>;
TYPED_TEST_SUITE(LinearOf, Scalars);

template <class T>
ef::Matrix<T> random_matrix(Index rows, Index columns, support::Distribution distribution, support::Generator& random) {
  ef::Matrix<T> matrix(rows, columns);
  support::fill(matrix, distribution, random);
  return matrix;
}
template <class T>
reference::Array<long double> wide(const ef::Matrix<T>& x) {
  return reference::widened<long double>(x.data(), {x.rows(), x.cols()});
}
template <class T>
reference::Array<long double> wide(const ef::Vector<T>& x) {
  return reference::widened<long double>(x.data(), {x.size()});
}
template <class T>
reference::Array<long double> absolute(reference::Array<T> a) {
  for (T& value : a.values) value = std::abs(value);
  return a;
}

}  // namespace

TYPED_TEST(LinearOf, equals_reference_on_every_distribution_and_size) {
  using T = TypeParam;
  int cases = 0;
  for (const support::Distribution distribution : support::distributions) {
#if defined(__FAST_MATH__)
    if (distribution == support::Distribution::denormal) continue;  // flushed
#endif
    for (const Index rows : {1, 2, 7, 23}) {
      for (const Index in : {1, 13, 97}) {
        for (const Index out : {1, 11, 61}) {
          support::Generator random(static_cast<std::uint64_t>(cases));
          const ef::Matrix<T> x = random_matrix<T>(rows, in, distribution, random);
          const ef::Matrix<T> weight = random_matrix<T>(out, in, support::Distribution::uniform, random);
          const ef::Vector<T> bias = random_matrix<T>(out, 1, distribution, random);
          const ef::Matrix<T> y = ef::Linear<T>(weight, bias)(x);
          const auto expected = reference::linear(wide(x), wide(weight), wide(bias));
          const bool random_signs =
              distribution == support::Distribution::normal || distribution == support::Distribution::uniform;
          const double limit =
              random_signs ? tolerance::gemm_c : tolerance::gemm_c_adversarial(static_cast<double>(in) + 1);
          EXPECT_TRUE(within(support::dot_product_error(y, expected.value, expected.magnitude), limit))
              << name(distribution) << " " << rows << " x " << in << " x " << out;
          ++cases;
        }
      }
    }
  }
#if defined(__FAST_MATH__)
  EXPECT_EQ(cases, 8 * 4 * 3 * 3);
#else
  EXPECT_EQ(cases, 9 * 4 * 3 * 3);
#endif
}

TYPED_TEST(LinearOf, gradients_equal_reference_and_are_added) {
  using T = TypeParam;
  int cases = 0;
  for (const Index rows : {1, 5, 29, 211}) {
    support::Generator random(100 + static_cast<std::uint64_t>(rows));
    const ef::Matrix<T> x = random_matrix<T>(rows, 37, support::Distribution::normal, random);
    const ef::Matrix<T> dy = random_matrix<T>(rows, 19, support::Distribution::normal, random);
    const ef::Matrix<T> weight = random_matrix<T>(19, 37, support::Distribution::normal, random);
    ef::Linear<T> linear(weight, ef::Vector<T>::Zero(19));
    const ef::Matrix<T> earlier = random_matrix<T>(19, 37, support::Distribution::uniform, random);
    linear.weight.gradient = earlier;
    linear.bias->gradient = ef::Vector<T>::Ones(19);
    ef::Context context;
    typename ef::Linear<T>::Cache cache;
    ef::Matrix<T> y(rows, 19);
    ef::Matrix<T> dx(rows, 37);
    linear.forward(x, y, context, &cache);
    linear.backward(dy, cache, dx, context);

    const auto expected = reference::linear_backward(wide(x), wide(weight), wide(dy));
    const auto sizes = reference::linear_backward(absolute(wide(x)), absolute(wide(weight)), absolute(wide(dy)));
    EXPECT_TRUE(within(support::dot_product_error(dx, expected.dx, sizes.dx), tolerance::gemm_c));
    EXPECT_TRUE(within(
        support::dot_product_error(linear.weight.gradient,
                                   reference::product(reference::transposed(wide(dy)), wide(x), wide(earlier)).value,
                                   absolute(reference::product(reference::transposed(absolute(wide(dy))),
                                                               absolute(wide(x)), absolute(wide(earlier)))
                                                .value)),
        tolerance::gemm_c));
    auto dbias = expected.dbias;
    auto dbias_size = sizes.dbias;
    for (long double& value : dbias.values) value += 1;
    for (long double& value : dbias_size.values) value += 1;
    EXPECT_TRUE(within(support::dot_product_error(linear.bias->gradient, dbias, dbias_size), tolerance::gemm_c));
    ++cases;
  }
  EXPECT_EQ(cases, 4);
}

TYPED_TEST(LinearOf, wide_bias_gradients_have_every_column) {
  using T = TypeParam;
  ef::Linear<T> linear(ef::Matrix<T>::Zero(601, 1), ef::Vector<T>::Zero(601));
  ef::Context context;
  typename ef::Linear<T>::Cache cache;
  ef::Matrix<T> y(131, 601);
  ef::Matrix<T> dx(131, 1);
  linear.forward(ef::Matrix<T>(ef::Matrix<T>::Ones(131, 1)), y, context, &cache);
  ef::Matrix<T> dy(131, 601);
  for (Index n = 0; n < 131; ++n) {
    for (Index j = 0; j < 601; ++j) dy(n, j) = static_cast<T>(j);
  }
  linear.backward(dy, cache, dx, context);
  for (Index j = 0; j < 601; ++j) ASSERT_EQ(linear.bias->gradient[j], static_cast<T>(131 * j));
}

TYPED_TEST(LinearOf, starts_uniform_within_one_over_the_root_of_the_inputs) {
  using T = TypeParam;
  const ef::Linear<T> linear({.in_features = 100, .out_features = 211}, ef::Random(5));
  EXPECT_LE(linear.weight.value.cwiseAbs().maxCoeff(), T(0.1));
  EXPECT_GT(linear.weight.value.cwiseAbs().maxCoeff(), T(0.0999));
  EXPECT_LE(linear.bias->value.cwiseAbs().maxCoeff(), T(0.1));
  EXPECT_GT(linear.bias->value.cwiseAbs().maxCoeff(), T(0.09));
  // 21,100 draws of variance 0.01 / 3: five standard errors.
  EXPECT_NEAR(static_cast<double>(linear.weight.value.mean()), 0, 5 * 0.0577 / std::sqrt(21100.0));
  EXPECT_NEAR(static_cast<double>(linear.weight.value.array().square().mean()), 0.01 / 3, 2e-4);
}

TYPED_TEST(LinearOf, frozen_weight_keeps_no_input_and_gets_no_gradient) {
  using T = TypeParam;
  ef::Linear<T> linear({.in_features = 3, .out_features = 5}, ef::Random(1));
  linear.weight.trainable = false;
  ef::Context context;
  typename ef::Linear<T>::Cache cache;
  const ef::Matrix<T> x = ef::Matrix<T>::Ones(7, 3);
  ef::Matrix<T> y(7, 5);
  ef::Matrix<T> dx(7, 3);
  linear.forward(x, y, context, &cache);
  EXPECT_EQ(cache.x.size(), 0);
  linear.backward(y, cache, dx, context);
  EXPECT_EQ(linear.weight.gradient.size(), 0);
  EXPECT_EQ(linear.bias->gradient.size(), 5);
  EXPECT_GT(dx.norm(), 0);

  linear.weight.trainable = true;
  EXPECT_THROW(linear.backward(y, cache, dx, context), ef::ValueError);
}

namespace {

/// Forward and backward of a map stored in half precision, and of one that computes with the same numbers in T.
template <class T, class Stored>
void expect_the_bits_of_the_widened_one() {
  support::Generator random(17);
  int cases = 0;
  for (const Index rows : {0, 1, 3, 11, 29}) {
    for (const Index in : {1, 7, 37, 131}) {
      for (const Index out : {1, 19, 67}) {
        ef::Linear<T, Stored> stored({.in_features = in, .out_features = out}, ef::Random(static_cast<unsigned>(in)));
        ef::Linear<T> wide(stored);
        EXPECT_EQ(wide.weight.value, ef::stored_as<T>(stored.weight.value));
        const ef::Matrix<T> x = random_matrix<T>(rows, in, support::Distribution::normal, random);
        const ef::Matrix<T> dy = random_matrix<T>(rows, out, support::Distribution::normal, random);
        ef::Matrix<T> y(rows, out), wide_y(rows, out), dx(rows, in), wide_dx(rows, in);
        ef::Context context;
        typename ef::Linear<T, Stored>::Cache cache;
        typename ef::Linear<T>::Cache wide_cache;
        stored.forward(x, y, context, &cache);
        wide.forward(x, wide_y, context, &wide_cache);
        stored.backward(dy, cache, dx, context);
        wide.backward(dy, wide_cache, wide_dx, context);
        EXPECT_TRUE(support::bit_equal(y, wide_y)) << rows << " x " << in << " x " << out;
        EXPECT_TRUE(support::bit_equal(dx, wide_dx)) << rows << " x " << in << " x " << out;
        EXPECT_TRUE(support::bit_equal(stored.bias->gradient, wide.bias->gradient));
        EXPECT_EQ(cache.x.size(), 0) << "nothing needs x";
        EXPECT_TRUE(rows == 0 || wide_cache.x.size() > 0);
        ++cases;
      }
    }
  }
  EXPECT_EQ(cases, 5 * 4 * 3);
}

template <class T, class Stored>
void expect_rounded_weights() {
  const ef::Linear<T> trained({.in_features = 13, .out_features = 41}, ef::Random(5));
  const ef::Linear<T, Stored> same({.in_features = 13, .out_features = 41}, ef::Random(5));
  const ef::Linear<T, Stored> stored(trained);
  EXPECT_EQ(stored.weight.value, ef::stored_as<Stored>(trained.weight.value));
  EXPECT_EQ(same.weight.value, stored.weight.value) << "from the same random numbers";
  EXPECT_EQ(stored.bias->value, trained.bias->value) << "in full precision";
  EXPECT_EQ(
      (ef::Linear<T, Stored>(stored.weight.value, trained.bias->value)(ef::Matrix<T>(ef::Matrix<T>::Ones(2, 13)))),
      stored(ef::Matrix<T>(ef::Matrix<T>::Ones(2, 13))));
  EXPECT_FALSE(
      (ef::Linear<T, Stored>(ef::Linear<T>({.in_features = 2, .out_features = 3, .bias = false}, ef::Random(1))).bias));
}

}  // namespace

TYPED_TEST(LinearOf, weights_in_half_precision_give_the_bits_of_the_widened_ones) {
  using T = TypeParam;
  expect_the_bits_of_the_widened_one<T, ef::Bfloat16>();
  expect_the_bits_of_the_widened_one<T, ef::Float16>();
}

TYPED_TEST(LinearOf, weights_in_half_precision_are_those_in_full_rounded) {
  using T = TypeParam;
  expect_rounded_weights<T, ef::Bfloat16>();
  expect_rounded_weights<T, ef::Float16>();
}

TYPED_TEST(LinearOf, in_half_precision_rejects_what_does_not_fit) {
  using T = TypeParam;
  using Stored = ef::Linear<T, ef::Bfloat16>;
  EXPECT_THROW(Stored({.in_features = 0, .out_features = 5}, ef::Random(1)), ef::OptionError);
  EXPECT_THROW(Stored(ef::Matrix<ef::Bfloat16>()), ef::OptionError);
  EXPECT_THROW(Stored(ef::Matrix<ef::Bfloat16>(5, 3), ef::Vector<T>(3)), ef::ShapeError);
  Stored linear({.in_features = 3, .out_features = 5}, ef::Random(1));
  ef::Context context;
  ef::Matrix<T> y(7, 5);
  EXPECT_THROW(linear.forward(ef::Matrix<T>(ef::Matrix<T>::Ones(7, 4)), y, context), ef::ShapeError);
  typename Stored::Cache cache;
  ef::Matrix<T> dx(7, 3);
  EXPECT_THROW(linear.backward(y, cache, dx, context), ef::ShapeError) << "forward saw no rows";
}

TYPED_TEST(LinearOf, takes_no_rows) {
  using T = TypeParam;
  ef::Linear<T> linear({.in_features = 3, .out_features = 5}, ef::Random(1));
  ef::Context context;
  typename ef::Linear<T>::Cache cache;
  const ef::Tensor<T, 3> x(2, 0, 3);
  ef::Tensor<T, 3> y(2, 0, 5);
  ef::Tensor<T, 3> dx(2, 0, 3);
  linear.forward(x, y, context, &cache);
  linear.backward(y, cache, dx, context);
  EXPECT_EQ(linear.weight.gradient, ef::Matrix<T>(ef::Matrix<T>::Zero(5, 3)));
  EXPECT_EQ(linear.bias->gradient, ef::Vector<T>(ef::Vector<T>::Zero(5)));
}

TYPED_TEST(LinearOf, rejects_what_does_not_fit_and_writes_nothing) {
  using T = TypeParam;
  ef::Linear<T> linear({.in_features = 3, .out_features = 5}, ef::Random(1));
  ef::Context context;
  typename ef::Linear<T>::Cache cache;
  ef::Matrix<T> y = ef::Matrix<T>::Constant(7, 5, T(9));
  const ef::Matrix<T> before = y;
  try {
    linear.forward(ef::Matrix<T>(ef::Matrix<T>::Ones(7, 4)), y, context, &cache);
    ADD_FAILURE() << "expected ShapeError";
  } catch (const ef::ShapeError& error) {
    EXPECT_STREQ(error.what(), "Linear: expected last dimension 3, got x of shape [7, 4]");
  }
  EXPECT_THROW(linear.forward(ef::Matrix<T>(ef::Matrix<T>::Ones(6, 3)), y, context, &cache), ef::ShapeError);
  EXPECT_EQ(y, before);
  EXPECT_EQ(cache.rows, 0);

  ef::Matrix<T> dx = ef::Matrix<T>::Constant(7, 3, T(9));
  EXPECT_THROW(linear.backward(y, cache, dx, context), ef::ShapeError) << "forward saw no rows";
  linear.forward(ef::Matrix<T>(ef::Matrix<T>::Ones(7, 3)), y, context, &cache);
  ef::Matrix<T> narrow(7, 2);
  EXPECT_THROW(linear.backward(y, cache, narrow, context), ef::ShapeError);
  EXPECT_THROW(linear.backward(dx, cache, dx, context), ef::ShapeError);
  EXPECT_EQ(linear.weight.gradient.size(), 0);
  EXPECT_EQ(dx, ef::Matrix<T>(ef::Matrix<T>::Constant(7, 3, T(9))));

  EXPECT_THROW(ef::Linear<T>({.in_features = 0, .out_features = 5}, ef::Random(1)), ef::OptionError);
  EXPECT_THROW(ef::Linear<T>({.in_features = 3, .out_features = -1}, ef::Random(1)), ef::OptionError);
  EXPECT_THROW(ef::Linear<T>(ef::Matrix<T>()), ef::OptionError);
  EXPECT_THROW(ef::Linear<T>(ef::Matrix<T>(5, 3), ef::Vector<T>(3)), ef::ShapeError);
  linear.bias->value.resize(4);
  EXPECT_THROW(linear.forward(ef::Matrix<T>(ef::Matrix<T>::Ones(7, 3)), y, context), ef::ShapeError);
}

TEST(Linear, takes_any_rank_and_matrices_vectors_and_views) {
  const ef::Linear<float> linear({.in_features = 2, .out_features = 3, .bias = false}, ef::Random(3));
  EXPECT_FALSE(linear.bias);
  ef::Tensor<float, 4> x(2, 3, 5, 2);
  support::Generator random(6);
  support::fill(x, support::Distribution::normal, random);
  const ef::Tensor<float, 4> y = linear(x);
  EXPECT_EQ(ef::shape_of(y.dimensions()), ef::Shape({2, 3, 5, 3}));
  const ef::Matrix<float> rows = linear(ef::Matrix<float>(ef::ConstRowsView<float>(x)));
  EXPECT_TRUE(support::bit_equal(y, rows));
  const ef::Vector<float> one = linear(ef::Vector<float>(rows.row(0).head(2).transpose()));
  EXPECT_EQ(one.size(), 3);
}

TEST(Linear, parameters_are_weight_then_bias) {
  std::string names;
  ef::Linear<float>({.in_features = 2, .out_features = 3}, ef::Random(3))
      .visit_parameters([&](const ef::Name& name, auto&) { names += name.str() + " "; });
  EXPECT_EQ(names, "weight bias ");
}
