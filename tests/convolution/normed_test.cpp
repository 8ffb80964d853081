// SPDX-License-Identifier: MIT

#include <eigenformer/convolution/depthwise_convolution.hpp>
#include <eigenformer/convolution/normed.hpp>

#include <gtest/gtest.h>

#include <set>

#include "convolution/images_case.hpp"
#include "support/compare.hpp"

namespace ef = eigenformer;
using ef::Index;
using images_case::random_images;

template <class T>
using Pointwise = ef::Normed<ef::Linear<T>>;
template <class T>
using Depthwise = ef::Normed<ef::DepthwiseConvolution<T>>;

static_assert(ef::Projection<Pointwise<float>, float> && !ef::SpatialBlock<Pointwise<float>, float>);
static_assert(ef::SpatialBlock<Depthwise<double>, double> && !ef::TokenwiseBlock<Depthwise<double>, double>);

namespace {

ef::Matrix<float> random_rows(Index rows, Index features, support::Generator& random) {
  ef::Matrix<float> result(rows, features);
  support::fill(result, support::Distribution::normal, random);
  return result;
}

}  // namespace

TEST(Normed, is_its_projection_and_then_its_norm_to_the_bit) {
  support::Generator random(61);
  Pointwise<float> normed({.projection = {.in_features = 7, .out_features = 13}, .epsilon = 1e-3}, ef::Random(1));
  EXPECT_FALSE(normed.projection.bias);
  EXPECT_EQ(normed.norm.epsilon, 1e-3);
  const ef::Matrix<float> x = random_rows(11, 7, random), dy = random_rows(11, 13, random);
  EXPECT_TRUE(support::bit_equal(normed(x), normed.norm(normed.projection(x))));

  ef::Linear<float> projection = normed.projection;
  ef::BatchNorm<float> norm = normed.norm;
  ef::Linear<float>::Cache of_projection;
  ef::BatchNorm<float>::Cache of_norm;
  Pointwise<float>::Cache cache;
  ef::Context context;
  ef::Matrix<float> y(11, 13), between(11, 13), expected(11, 13), dx(11, 7), expected_dx(11, 7);
  normed.forward(x, y, context, &cache);
  projection.forward(x, between, context, &of_projection);
  norm.forward(between, expected, context, &of_norm);
  EXPECT_TRUE(support::bit_equal(y, expected));
  EXPECT_FALSE(support::bit_equal(y, normed(x)));  // by the statistics of the batch
  normed.backward(dy, cache, dx, context);
  norm.backward(dy, of_norm, between, context);
  projection.backward(between, of_projection, expected_dx, context);
  EXPECT_TRUE(support::bit_equal(dx, expected_dx));
  EXPECT_TRUE(support::bit_equal(normed.projection.weight.gradient, projection.weight.gradient));
  EXPECT_TRUE(support::bit_equal(normed.norm.running_var.value, norm.running_var.value));
}

TEST(Normed, wraps_a_convolution_of_images) {
  support::Generator random(62);
  Depthwise<double> normed({.projection = {.channels = 5, .kernel = 3, .stride = 2}}, ef::Random(2));
  const auto x = random_images<double>({2, 7, 4, 5}, random);
  const ef::Tensor<double, 4> convolved = normed.projection(x), y = normed(x);
  EXPECT_EQ(ef::shape_of(y.dimensions()), ef::Shape({2, 4, 2, 5}));
  ef::Tensor<double, 4> expected(2, 4, 2, 5);
  ef::Context context;
  normed.norm.forward(convolved, expected, context);
  EXPECT_TRUE(support::bit_equal(y, expected));
}

TEST(Normed, has_the_names_of_the_published_conv2d_bn) {
  std::set<std::string> names;
  const Pointwise<float> normed({.projection = {.in_features = 3, .out_features = 2}}, ef::Random(3));
  normed.visit_parameters([&](const ef::Name& name, const auto&) { names.insert(name.str()); });
  EXPECT_EQ(names, (std::set<std::string>{"c.weight", "bn.weight", "bn.bias", "bn.running_mean", "bn.running_var",
                                          "bn.num_batches_tracked"}));
}

TEST(Normed, refuses_one_value_and_bad_statistics_before_it_writes) {
  Pointwise<float> normed({.projection = {.in_features = 3, .out_features = 2}}, ef::Random(4));
  ef::Context context;
  Pointwise<float>::Cache cache;
  ef::Matrix<float> x = ef::Matrix<float>::Ones(1, 3), y = ef::Matrix<float>::Constant(1, 2, 9);
  EXPECT_THROW(normed.forward(x, y, context, &cache), ef::ValueError);
  normed.norm.running_var.value[1] = -1;
  EXPECT_THROW(normed.forward(x, y, context), ef::ValueError);
  EXPECT_EQ(y(0, 0), 9);
  EXPECT_EQ(y(0, 1), 9);
  normed.norm = ef::BatchNorm<float>({.dim = 3});
  EXPECT_THROW(normed.forward(x, y, context), ef::ShapeError);
  EXPECT_THROW(Pointwise<float>(normed.projection, normed.norm), ef::ShapeError);
}
