// SPDX-License-Identifier: MIT

#include <eigenformer/linear/fold.hpp>

#include <gtest/gtest.h>

#include "support/compare.hpp"
#include "support/inputs.hpp"
#include "support/tolerances.hpp"

namespace ef = eigenformer;
namespace tolerance = support::tolerance;
using ef::Index;

namespace {

template <class T>
ef::Vector<T> random_vector(Index size, support::Generator& random) {
  ef::Vector<T> result(size);
  support::fill(result, support::Distribution::normal, random);
  return result;
}
template <class T>
ef::Matrix<T> random_rows(Index rows, Index features, support::Generator& random) {
  ef::Matrix<T> result(rows, features);
  support::fill(result, support::Distribution::normal, random);
  return result;
}
template <class T>
ef::Linear<T> linear(Index in, Index out, bool bias, std::uint64_t seed) {
  return ef::Linear<T>({.in_features = in, .out_features = out, .bias = bias}, ef::Random(seed));
}
template <class T>
ef::BatchNorm<T> batch_norm(Index dim, support::Generator& random) {
  ef::BatchNorm<T> norm({.dim = dim});
  norm.weight->value = random_vector<T>(dim, random);
  norm.bias->value = random_vector<T>(dim, random);
  norm.running_mean.value = random_vector<T>(dim, random);
  norm.running_var.value = random_vector<T>(dim, random).cwiseAbs2();
  return norm;
}

/// Two Linears after a norm: the same before and after folding, and the norm left with nothing to do but normalise.
template <class T, class Norm>
void expect_same(Norm norm, const Norm& plain, support::Generator& random) {
  const Index dim = norm.input_features();
  ef::Linear<T> query = linear<T>(dim, 13, true, 1), key = linear<T>(dim, 7, false, 2);
  const ef::Matrix<T> x = random_rows<T>(11, dim, random);
  const ef::Matrix<T> q = query(norm(x)), k = key(norm(x));
  ef::fold(norm, query, key);
  EXPECT_TRUE(support::bit_equal(norm(x), plain(x)));
  EXPECT_TRUE(support::within(support::worst_row_nmse(query(norm(x)), q, 13), tolerance::gemm_row_nmse<T>));
  EXPECT_TRUE(support::within(support::worst_row_nmse(key(norm(x)), k, 7), tolerance::gemm_row_nmse<T>));
}

template <class T>
void expect_affine_norms_to_fold() {
  support::Generator random(231);
  const auto weight = random_vector<T>(17, random);
  expect_same<T>(ef::LayerNorm<T>(weight, random_vector<T>(17, random)), ef::LayerNorm<T>({.dim = 17}), random);
  expect_same<T>(ef::LayerNorm<T>(weight), ef::LayerNorm<T>({.dim = 17, .bias = false}), random);
  expect_same<T>(ef::RmsNorm<T>(weight), ef::RmsNorm<T>({.dim = 17}), random);
  expect_same<T>(ef::RmsNorm<T, ef::UnitOffset>(weight), ef::RmsNorm<T, ef::UnitOffset>({.dim = 17}), random);
  expect_same<T>(ef::ScaleNorm<T>({.dim = 17}), ef::ScaleNorm<T>({.dim = 17}, T(1)), random);
  ef::GroupNorm<T> group({.dim = 18, .groups = 3});
  const ef::GroupNorm<T> plain = group;
  group.weight->value = random_vector<T>(18, random);
  group.bias->value = random_vector<T>(18, random);
  expect_same<T>(group, plain, random);
}

template <class T>
void expect_batch_norm_to_fold() {
  support::Generator random(232);
  const ef::BatchNorm<T> norm = batch_norm<T>(17, random);
  const ef::Matrix<T> x = random_rows<T>(11, 17, random), before = random_rows<T>(11, 13, random);
  for (const bool bias : {true, false}) {
    const ef::Linear<T> next = linear<T>(17, 13, bias, 3), previous = linear<T>(13, 17, bias, 4);
    EXPECT_TRUE(support::within(support::worst_row_nmse(ef::fold(norm, next)(x), next(norm(x)), 13),
                                tolerance::gemm_row_nmse<T>));
    EXPECT_TRUE(support::within(support::worst_row_nmse(ef::fold(previous, norm)(before), norm(previous(before)), 17),
                                tolerance::gemm_row_nmse<T>));
  }
  ef::BatchNorm<T> plain({.dim = 17, .affine = false});
  plain.running_mean = norm.running_mean;
  plain.running_var = norm.running_var;
  const ef::Linear<T> next = linear<T>(17, 13, true, 5);
  EXPECT_TRUE(support::within(support::worst_row_nmse(ef::fold(plain, next)(x), next(plain(x)), 13),
                              tolerance::gemm_row_nmse<T>));
}

}  // namespace

TEST(Fold, of_gain_and_bias_into_the_next_projections_changes_no_result) {
  expect_affine_norms_to_fold<float>();
  expect_affine_norms_to_fold<double>();
}

TEST(Fold, of_batch_norm_into_the_linear_before_or_after_changes_no_result) {
  expect_batch_norm_to_fold<float>();
  expect_batch_norm_to_fold<double>();
}

TEST(Fold, rejects_widths_that_differ_and_bad_statistics_and_changes_nothing) {
  support::Generator random(233);
  ef::LayerNorm<float> norm(random_vector<float>(17, random));
  const ef::LayerNorm<float> kept = norm;
  ef::Linear<float> fits = linear<float>(17, 5, true, 6), other = linear<float>(16, 5, true, 7);
  const ef::Linear<float> kept_fits = fits;
  try {
    ef::fold(norm, fits, other);
    FAIL();
  } catch (const ef::ShapeError& error) {
    EXPECT_STREQ(error.what(), "fold: expected a Linear of 17 in_features, got a weight of shape [5, 16]");
  }
  EXPECT_TRUE(support::bit_equal(norm.weight.value, kept.weight.value));
  EXPECT_TRUE(support::bit_equal(fits.weight.value, kept_fits.weight.value));
  ef::BatchNorm<float> batch = batch_norm<float>(17, random);
  EXPECT_THROW(ef::fold(batch, other), ef::ShapeError);
  EXPECT_THROW(ef::fold(fits, batch), ef::ShapeError);
  batch.running_var.value[3] = -1;
  EXPECT_THROW(ef::fold(batch, fits), ef::ValueError);
}
