// SPDX-License-Identifier: MIT

#include <eigenformer/convolution/depthwise_convolution.hpp>
#include <eigenformer/core/concepts.hpp>

#include <gtest/gtest.h>

#include <functional>

#include "convolution/images_case.hpp"
#include "support/compare.hpp"
#include "support/tolerances.hpp"

namespace ef = eigenformer;
namespace tolerance = support::tolerance;
using ef::Index;
using images_case::random_images;
using images_case::wide;

static_assert(ef::SpatialBlock<ef::DepthwiseConvolution<float>, float>);
static_assert(!ef::TokenwiseBlock<ef::DepthwiseConvolution<float>, float>);

namespace {

struct Size {
  Index batch, height, width, channels, kernel, stride;
};

template <class T>
void expect_reference(const Size& size, ef::InstructionSet set, support::Generator& random) {
  ef::DepthwiseConvolution<T> block({.channels = size.channels, .kernel = size.kernel, .stride = size.stride},
                                    ef::Random(3));
  const auto x = random_images<T>({size.batch, size.height, size.width, size.channels}, random);
  ef::Tensor<T, 4> y = block.output_like(x), dx = x;
  const auto dy = random_images<T>(ef::shape_of(y.dimensions()), random);
  ef::Context context({.instruction_set = set});
  typename ef::DepthwiseConvolution<T>::Cache cache;
  block.forward(x, y, context, &cache);
  block.backward(dy, cache, dx, context);
  const reference::Convolution how = {size.stride, size.kernel / 2, size.channels};
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

template <class T>
std::string message_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const T& error) {
    return error.what();
  }
  return "nothing thrown";
}

}  // namespace

TEST(DepthwiseConvolution, follows_its_formula_forward_and_backward) {
  support::Generator random(51);
  int cases = 0;
  for (const ef::InstructionSet set : ef::all_instruction_sets) {
    if (!ef::available(set)) continue;
    for (const Index kernel : {1, 3, 5, 7}) {
      for (const Index stride : {1, 2}) {
        for (const auto& [batch, height, width, channels] :
             {std::array<Index, 4>{3, 7, 5, 19}, {1, 1, 1, 3}, {2, 13, 2, 37}, {1, 3, 17, 16}, {5, 4, 4, 1}}) {
          const Size size = {batch, height, width, channels, kernel, stride};
          expect_reference<float>(size, set, random);
          expect_reference<double>(size, set, random);
          ++cases;
        }
      }
    }
  }
  expect_reference<float>({2, 61, 67, 5, 5, 1}, ef::best_instruction_set(), random);  // in strips
  expect_reference<float>({2, 61, 67, 5, 3, 2}, ef::best_instruction_set(), random);
  expect_reference<float>({19, 7, 7, 5, 5, 1}, ef::best_instruction_set(), random);  // more than one image to a run
  EXPECT_GE(cases, 40);
}

TEST(DepthwiseConvolution, takes_some_of_the_channels_of_pixels) {
  support::Generator random(52);
  const ef::DepthwiseConvolution<float> block({.channels = 5, .kernel = 3}, ef::Random(4));
  const auto packed = random_images<float>({2, 7, 3, 11}, random);
  ef::Tensor<float, 4> x(2, 7, 3, 5), into(2, 7, 3, 13);
  x = packed.slice(Eigen::array<Index, 4>{0, 0, 0, 4}, Eigen::array<Index, 4>{2, 7, 3, 5});
  into.setConstant(9.0F);
  ef::Context context;
  block.forward(ef::ConstImagesView<float>(packed.data() + 4, 2, 7, 3, 5, 11),
                ef::ImagesView<float>(into.data() + 2, 2, 7, 3, 5, 13), context);
  ef::Tensor<float, 4> y = block(x);
  for (Index n = 0; n < 42; ++n) {
    for (Index c = 0; c < 13; ++c) {
      ASSERT_EQ(into.data()[n * 13 + c], c < 2 || c > 6 ? 9.0F : y.data()[n * 5 + c - 2]);
    }
  }
}

TEST(DepthwiseConvolution, a_number_that_is_none_stays_in_its_channel_and_its_reach) {
  support::Generator random(53);
  const ef::DepthwiseConvolution<float> block({.channels = 3, .kernel = 3}, ef::Random(5));
  auto x = random_images<float>({1, 7, 7, 3}, random);
  const ef::Tensor<float, 4> before = block(x);
  x(0, 3, 4, 1) = std::numeric_limits<float>::quiet_NaN();
  const ef::Tensor<float, 4> after = block(x);
  for (Index i = 0; i < 7; ++i) {
    for (Index j = 0; j < 7; ++j) {
      for (Index c = 0; c < 3; ++c) {
        const bool reached = c == 1 && std::abs(i - 3) <= 1 && std::abs(j - 4) <= 1;
        EXPECT_EQ(support::is_nan(static_cast<double>(after(0, i, j, c))), reached);
        if (!reached) {
          EXPECT_EQ(after(0, i, j, c), before(0, i, j, c));
        }
      }
    }
  }
}

TEST(DepthwiseConvolution, takes_no_pixels_at_all) {
  ef::DepthwiseConvolution<float> block({.channels = 3, .stride = 2}, ef::Random(6));
  for (const ef::Shape& shape : {ef::Shape{0, 4, 5, 3}, ef::Shape{2, 0, 5, 3}, ef::Shape{2, 4, 0, 3}}) {
    ef::Tensor<float, 4> x(shape[0], shape[1], shape[2], shape[3]);
    ef::Tensor<float, 4> y = block.output_like(x);
    EXPECT_EQ(y.size(), 0);
    ef::Context context;
    ef::DepthwiseConvolution<float>::Cache cache;
    block.forward(x, y, context, &cache);
    block.backward(y, cache, x, context);
    EXPECT_EQ(*std::max_element(block.weight.gradients().begin(), block.weight.gradients().end()), 0.0F);
  }
}

TEST(DepthwiseConvolution, rejects_what_does_not_fit) {
  using Block = ef::DepthwiseConvolution<float>;
  const auto options = [](const ef::DepthwiseConvolutionOptions& o) {
    return message_of<ef::OptionError>([&] { Block(o, ef::Random(1)); });
  };
  EXPECT_EQ(options({.channels = 0}), "DepthwiseConvolution: expected channels of at least 1, got 0");
  EXPECT_EQ(options({.channels = 3, .kernel = 4}), "DepthwiseConvolution: expected an odd kernel, got 4");
  EXPECT_EQ(options({.channels = 3, .kernel = -1}), "DepthwiseConvolution: expected an odd kernel, got -1");
  EXPECT_EQ(options({.channels = 3, .stride = 3}), "DepthwiseConvolution: expected a stride of 1 or 2, got 3");
  EXPECT_THROW(Block(ef::Tensor<float, 4>(3, 1, 3, 5)), ef::OptionError);
  EXPECT_THROW(Block(ef::Tensor<float, 4>(3, 2, 3, 3)), ef::OptionError);
  EXPECT_THROW(Block(ef::Tensor<float, 4>(3, 1, 3, 3), ef::Vector<float>(4)), ef::ShapeError);

  Block block({.channels = 3, .stride = 2}, ef::Random(1));
  ef::Context context;
  Block::Cache cache;
  ef::Tensor<float, 4> x(2, 5, 7, 3), y(2, 3, 4, 3), other(2, 3, 3, 3);
  x.setZero();
  other.setConstant(9.0F);
  const auto error = [](const auto& call) { return message_of<ef::ShapeError>(call); };
  EXPECT_EQ(error([&] { block.forward(x, other, context); }),
            "DepthwiseConvolution: expected y of shape [2, 3, 4, 3], got [2, 3, 3, 3]");
  EXPECT_EQ(error([&] { block.forward(ef::Tensor<float, 4>(2, 5, 7, 4), y, context); }),
            "DepthwiseConvolution: expected last dimension 3, got x of shape [2, 5, 7, 4]");
  block.forward(x, y, context, &cache);
  EXPECT_EQ(error([&] { block.backward(other, cache, x, context); }),
            "DepthwiseConvolution: expected dy of shape [2, 3, 4, 3], got [2, 3, 3, 3]");
  EXPECT_EQ(error([&] { block.backward(y, cache, other, context); }),
            "DepthwiseConvolution: expected dx of shape [2, 5, 7, 3], got [2, 3, 3, 3]");
  for (Index i = 0; i < other.size(); ++i) EXPECT_EQ(other.data()[i], 9.0F);
  block.weight.trainable = false;
  block.forward(x, y, context, &cache);
  block.weight.trainable = true;
  EXPECT_THROW(block.backward(y, cache, x, context), ef::ValueError);
}
