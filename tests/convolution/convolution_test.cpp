// SPDX-License-Identifier: MIT

#include <eigenformer/convolution/convolution.hpp>
#include <eigenformer/convolution/normed.hpp>

#include <gtest/gtest.h>

#include "convolution/images_case.hpp"
#include "support/compare.hpp"
#include "support/tolerances.hpp"

namespace ef = eigenformer;
namespace tolerance = support::tolerance;
using ef::Index;
using images_case::random_images;
using images_case::wide;

static_assert(ef::SpatialBlock<ef::Convolution<float>, float>);
static_assert(ef::Normed<ef::Convolution<float>>::of_images);

namespace {

template <class T>
void expect_reference(const ef::ConvolutionOptions& options, const ef::Shape& shape, ef::InstructionSet set,
                      support::Generator& random) {
  ef::Convolution<T> block(options, ef::Random(3));
  const auto x = random_images<T>(shape, random);
  ef::Tensor<T, 4> y = block.output_like(x), dx = x;
  const auto dy = random_images<T>(ef::shape_of(y.dimensions()), random);
  ef::Context context({.instruction_set = set});
  typename ef::Convolution<T>::Cache cache;
  block.forward(x, y, context, &cache);
  block.backward(dy, cache, dx, context);
  const reference::Convolution how = {options.stride, options.padding, 1};
  const auto forward = reference::convolution(wide(x), wide(block.weight.value), wide(block.bias->value), how);
  const auto backward = reference::convolution_backward(wide(x), wide(block.weight.value), how, wide(dy));
  const auto near = [](const auto& actual, const auto& expected, const auto& magnitude) {
    return support::within(support::dot_product_error(actual, expected, magnitude), tolerance::gemm_c);
  };
  EXPECT_TRUE(near(y, forward.value, forward.magnitude));
  EXPECT_TRUE(near(dx, backward.dx, backward.dx_magnitude));
  EXPECT_TRUE(near(block.weight.gradient, backward.dweight, backward.dweight_magnitude));
  EXPECT_TRUE(near(block.bias->gradient, backward.dbias, backward.dbias_magnitude));
}

}  // namespace

TEST(Convolution, follows_its_formula_forward_and_backward) {
  support::Generator random(131);
  int cases = 0;
  for (const ef::InstructionSet set : ef::all_instruction_sets) {
    if (!ef::available(set)) continue;
    for (const Index kernel : {1, 2, 3, 5}) {
      for (const Index stride : {1, 2, 3}) {
        for (const Index padding : {Index(0), kernel / 2}) {
          const ef::ConvolutionOptions options = {
              .in_channels = 3, .out_channels = 7, .kernel = kernel, .stride = stride, .padding = padding};
          expect_reference<float>(options, {2, 11, 5, 3}, set, random);
          expect_reference<double>(options, {1, 5, 13, 3}, set, random);
          ++cases;
        }
      }
    }
  }
  // More patches than are made at a time.
  expect_reference<float>({.in_channels = 5, .out_channels = 3}, {2, 61, 67, 5}, ef::best_instruction_set(), random);
  EXPECT_GE(cases, 24);
}

TEST(Convolution, followed_by_its_norm_equals_the_published_conv2d_bn_with_its_gradients) {
  const support::Golden golden("evit_conv2d_bn");
  using Block = ef::Normed<ef::Convolution<double>>;
  Block block({.projection = {.in_channels = 6, .out_channels = 10, .stride = 2}, .statistics = ef::FixedStatistics{}},
              ef::Random(1));
  block.visit_parameters([&]<class P>(const ef::Name& name, P& parameter) {
    if (name.str() == "bn.num_batches_tracked") return;
    const auto values = golden.values<typename P::Scalar>(name.str());
    ASSERT_EQ(values.size(), parameter.values().size()) << name.str();
    std::copy(values.begin(), values.end(), parameter.values().begin());
  });
  const auto x = images_case::stored_images<double>(golden, "x"), y = images_case::stored_images<double>(golden, "y");
  ef::Tensor<double, 4> actual(y.dimensions()), dx(x.dimensions());
  ef::Context context;
  Block::Cache cache;
  block.forward(x, actual, context, &cache);
  block.backward(images_case::stored_images<double>(golden, "d_y"), cache, dx, context);
  EXPECT_TRUE(support::within(support::max_error(actual, y), tolerance::pytorch_abs<double>));
  const double rounded = 1e-12;  // gradients of more than 256 numbers are stored rounded to float
  const auto near = [&](const auto& gradient, const auto& expected) {
    return support::within(support::worst_row_nmse(gradient, expected, static_cast<Index>(expected.size())), rounded);
  };
  EXPECT_TRUE(near(dx, images_case::stored_images<double>(golden, "grad.x")));
  int compared = 0;
  ef::visit_learnable(block, [&](const ef::Name& name, const auto& parameter) {
    EXPECT_TRUE(near(parameter.gradients(), golden.values<double>("grad." + name.str()))) << name.str();
    ++compared;
  });
  EXPECT_EQ(compared, 3);
}

TEST(Convolution, of_one_pixel_is_linear_to_the_bit) {
  support::Generator random(132);
  const ef::Convolution<float> block({.in_channels = 7, .out_channels = 13, .kernel = 1}, ef::Random(4));
  ef::Matrix<float> weight(13, 7);
  std::copy(block.weight.values().begin(), block.weight.values().end(), weight.data());
  const ef::Linear<float> linear(weight, block.bias->value);
  const auto x = random_images<float>({2, 5, 3, 7}, random);
  EXPECT_TRUE(support::bit_equal(block(x), linear(x)));
}

TEST(Convolution, takes_no_pixels_and_kernels_that_fit_nowhere) {
  ef::Convolution<float> block({.in_channels = 3, .out_channels = 2, .kernel = 5, .padding = 0}, ef::Random(5));
  for (const ef::Shape& shape : {ef::Shape{0, 7, 7, 3}, ef::Shape{2, 0, 7, 3}, ef::Shape{2, 4, 7, 3}}) {
    ef::Tensor<float, 4> x(shape[0], shape[1], shape[2], shape[3]);
    x.setConstant(1.0F);
    ef::Tensor<float, 4> y = block.output_like(x);
    EXPECT_EQ(y.size(), 0);
    ef::Context context;
    ef::Convolution<float>::Cache cache;
    block.forward(x, y, context, &cache);
    block.backward(y, cache, x, context);
    for (Index i = 0; i < x.size(); ++i) EXPECT_EQ(x.data()[i], 0.0F);
  }
}

TEST(Convolution, rejects_what_does_not_fit) {
  using Block = ef::Convolution<float>;
  EXPECT_THROW(Block({.in_channels = 0, .out_channels = 2}, ef::Random(1)), ef::OptionError);
  EXPECT_THROW(Block({.in_channels = 3, .out_channels = 0}, ef::Random(1)), ef::OptionError);
  EXPECT_THROW(Block({.in_channels = 3, .out_channels = 2, .kernel = 0}, ef::Random(1)), ef::OptionError);
  EXPECT_THROW(Block({.in_channels = 3, .out_channels = 2, .stride = 0}, ef::Random(1)), ef::OptionError);
  EXPECT_THROW(Block({.in_channels = 3, .out_channels = 2, .padding = -1}, ef::Random(1)), ef::OptionError);
  Block block({.in_channels = 3, .out_channels = 2, .stride = 2}, ef::Random(1));
  ef::Context context;
  Block::Cache cache;
  ef::Tensor<float, 4> x(2, 5, 7, 3), y(2, 3, 4, 2), other(2, 3, 3, 2);
  x.setZero();
  other.setConstant(9.0F);
  try {
    block.forward(x, other, context);
    FAIL();
  } catch (const ef::ShapeError& error) {
    EXPECT_STREQ(error.what(), "Convolution: expected y of shape [2, 3, 4, 2], got [2, 3, 3, 2]");
  }
  EXPECT_THROW(block.forward(y, y, context), ef::ShapeError);
  block.forward(x, y, context, &cache);
  EXPECT_THROW(block.backward(other, cache, x, context), ef::ShapeError);
  EXPECT_THROW(block.backward(y, cache, other, context), ef::ShapeError);
  for (Index i = 0; i < other.size(); ++i) EXPECT_EQ(other.data()[i], 9.0F);
  block.weight.trainable = false;
  block.forward(x, y, context, &cache);
  block.weight.trainable = true;
  EXPECT_THROW(block.backward(y, cache, x, context), ef::ValueError);
  block.bias->value = ef::Vector<float>::Zero(3);
  EXPECT_THROW(block.forward(x, y, context), ef::ShapeError);
}
