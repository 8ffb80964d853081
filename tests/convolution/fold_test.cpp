// SPDX-License-Identifier: MIT

#include <eigenformer/convolution/fold.hpp>

#include <gtest/gtest.h>

#include "convolution/images_case.hpp"
#include "support/compare.hpp"
#include "support/tolerances.hpp"

namespace ef = eigenformer;
namespace tolerance = support::tolerance;
using ef::Index;
using images_case::random_images;

namespace {

template <class T>
void randomise(ef::BatchNorm<T>& norm, support::Generator& random) {
  for (T& gain : norm.weight->values()) gain = static_cast<T>(random.normal());
  for (T& shift : norm.bias->values()) shift = static_cast<T>(random.normal());
  for (T& mean : norm.running_mean.values()) mean = static_cast<T>(random.normal());
  for (T& variance : norm.running_var.values()) variance = static_cast<T>(random.uniform(0.1, 3));
}

template <class T>
void expect_depthwise_to_fold() {
  support::Generator random(71);
  for (const bool bias : {false, true}) {
    const ef::DepthwiseConvolution<T> convolution({.channels = 13, .kernel = 5, .stride = 2, .bias = bias},
                                                  ef::Random(1));
    ef::BatchNorm<T> norm({.dim = 13, .epsilon = 1e-3});
    randomise(norm, random);
    const auto x = random_images<T>({3, 7, 11, 13}, random);
    ef::Tensor<T, 4> y = convolution(x);
    ef::Context context;
    norm.forward(y, y, context);
    const ef::Tensor<T, 4> folded = ef::fold(convolution, norm)(x);
    EXPECT_TRUE(support::within(support::worst_row_nmse(folded, y, 13), tolerance::gemm_row_nmse<T>));
  }
}

}  // namespace

TEST(FoldConvolution, of_batch_norm_into_a_depthwise_convolution_changes_no_result) {
  expect_depthwise_to_fold<float>();
  expect_depthwise_to_fold<double>();
}

TEST(FoldConvolution, equals_the_published_fusion) {
  const support::Golden golden("evit_conv2d_bn");
  ef::Normed<ef::Convolution<double>> normed({.projection = {.in_channels = 6, .out_channels = 10, .stride = 2}},
                                             ef::Random(1));
  normed.visit_parameters([&]<class P>(const ef::Name& name, P& parameter) {
    if (name.str() == "bn.num_batches_tracked") return;
    const auto values = golden.values<typename P::Scalar>(name.str());
    ASSERT_EQ(values.size(), parameter.values().size()) << name.str();
    std::copy(values.begin(), values.end(), parameter.values().begin());
  });
  const ef::Convolution<double> folded = ef::fold(normed);
  const double limit = tolerance::pytorch_abs<double>;
  EXPECT_TRUE(support::within(support::max_error(folded.weight.value, golden.values<double>("fused.weight")), limit));
  EXPECT_TRUE(support::within(support::max_error(folded.bias->value, golden.values<double>("fused.bias")), limit));
  const auto x = images_case::stored_images<double>(golden, "x");
  EXPECT_TRUE(support::within(support::max_error(folded(x), images_case::stored_images<double>(golden, "y")), limit));
}

TEST(FoldConvolution, of_a_normed_projection_is_the_projection_alone) {
  support::Generator random(72);
  ef::Normed<ef::Linear<double>> normed({.projection = {.in_features = 7, .out_features = 13}}, ef::Random(2));
  randomise(normed.norm, random);
  ef::Matrix<double> x(11, 7);
  support::fill(x, support::Distribution::normal, random);
  const ef::Linear<double> folded = ef::fold(normed);
  EXPECT_TRUE(support::within(support::worst_row_nmse(folded(x), normed(x), 13), tolerance::gemm_row_nmse<double>));
}

TEST(FoldConvolution, rejects_other_channels_and_bad_statistics) {
  const ef::DepthwiseConvolution<float> convolution({.channels = 3}, ef::Random(3));
  try {
    ef::fold(convolution, ef::BatchNorm<float>({.dim = 5}));
    FAIL();
  } catch (const ef::ShapeError& error) {
    EXPECT_STREQ(error.what(), "fold: expected a convolution of 5 output channels, got a weight of shape [3, 1, 3, 3]");
  }
  ef::BatchNorm<float> norm({.dim = 3});
  norm.running_var.value[2] = -1;
  EXPECT_THROW(ef::fold(convolution, norm), ef::ValueError);
}
