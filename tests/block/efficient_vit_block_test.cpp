// SPDX-License-Identifier: MIT

#include <eigenformer/block/efficient_vit_block.hpp>

#include <gtest/gtest.h>

#include "attention/cascaded_case.hpp"

namespace ef = eigenformer;
using ef::Index;
using images_case::random_images;

static_assert(ef::SpatialBlock<ef::EfficientViTBlock<float>, float>);

namespace {

ef::EfficientViTBlock<float> block_of(support::Generator& random, ef::RunningStatistics statistics) {
  ef::EfficientViTBlock<float> result(
      {.attention =
           {.dim = 15, .key_dim = 7, .heads = 3, .resolution = 4, .kernels = {5, 3, 1}, .statistics = statistics},
       .hidden = 31},
      ef::Random(13));
  cascaded_case::randomise(result, random);
  return result;
}

}  // namespace

TEST(EfficientViTBlock, equals_the_published_code) {
  const support::Golden golden("evit_block_d16");
  ef::EfficientViTBlock<double> block({.attention = {.dim = 16,
                                                     .key_dim = 4,
                                                     .heads = 2,
                                                     .resolution = 4,
                                                     .kernels = {5, 3},
                                                     .statistics = ef::FixedStatistics{}}},
                                      ef::Random(1));
  ef::Context context;
  cascaded_case::expect_golden(block, golden, context);
  const auto x = images_case::stored_images<double>(golden, "x"), y = images_case::stored_images<double>(golden, "y");
  EXPECT_TRUE(support::within(support::max_error(ef::fold(block)(x), y), support::tolerance::pytorch_abs<double>));
}

TEST(EfficientViTBlock, is_five_residual_branches) {
  support::Generator random(111);
  const auto block = block_of(random, ef::FixedStatistics{});
  const auto x = random_images<float>({2, 7, 5, 15}, random);
  ef::Tensor<float, 4> expected = x, branch = x;
  ef::Context context;
  const auto add = [&](const auto& part) {
    if constexpr (requires { part.up; }) {
      part.forward(ef::ConstImagesView<float>(expected).rows(), ef::ImagesView<float>(branch).rows(), context);
    } else {
      part.forward(expected, branch, context);
    }
    for (Index i = 0; i < x.size(); ++i) expected.data()[i] += branch.data()[i];
  };
  add(block.first_convolution);
  add(block.first_network);
  add(block.mixer);
  add(block.second_convolution);
  add(block.second_network);
  EXPECT_TRUE(support::bit_equal(block(x), expected));
}

TEST(EfficientViTBlock, starts_as_the_identity) {
  support::Generator random(112);
  const ef::EfficientViTBlock<float> block({.attention = {.dim = 12, .key_dim = 5, .heads = 2, .resolution = 3}},
                                           ef::Random(2));
  EXPECT_EQ(block.first_network.up.output_features(), 24);
  const auto x = random_images<float>({2, 5, 4, 12}, random);
  EXPECT_TRUE(support::bit_equal(block(x), x));
}

TEST(EfficientViTBlock, trains_by_the_statistics_of_the_batch) {
  support::Generator random(113);
  auto block = block_of(random, ef::MovingAverage{});
  const auto before = block;
  auto x = random_images<float>({3, 4, 4, 15}, random);
  const auto dy = random_images<float>({3, 4, 4, 15}, random);
  ef::Context context;
  ef::EfficientViTBlock<float>::Cache cache;
  ef::Tensor<float, 4> y = x, dx = x;
  block.forward(x, y, context, &cache);
  block.backward(dy, cache, dx, context);
  EXPECT_EQ(block.second_network.down.norm.num_batches_tracked.value(), 1);
  EXPECT_FALSE(support::bit_equal(block.mixer.attention.output.norm.running_mean.value,
                                  before.mixer.attention.output.norm.running_mean.value));
  ef::Tensor<float, 4> again = x;
  block.forward(again, again, context, &cache);
  EXPECT_TRUE(support::bit_equal(again, y));  // over its input
  again = dy;
  block.backward(again, cache, again, context);
  EXPECT_TRUE(support::bit_equal(again, dx));
}

TEST(EfficientViTBlock, rejects_parts_and_shapes_that_do_not_fit) {
  support::Generator random(114);
  auto block = block_of(random, ef::FixedStatistics{});
  ef::Context context;
  ef::EfficientViTBlock<float>::Cache cache;
  ef::Tensor<float, 4> x(2, 4, 5, 15), other(2, 5, 4, 15), wide(2, 4, 5, 16);
  x.setZero();
  other.setConstant(9.0F);
  EXPECT_THROW(block.forward(x, other, context), ef::ShapeError);
  EXPECT_THROW(block.forward(wide, wide, context), ef::ShapeError);
  block.forward(x, x, context, &cache);
  EXPECT_THROW(block.backward(other, cache, x, context), ef::ShapeError);
  EXPECT_THROW(block.backward(x, cache, other, context), ef::ShapeError);
  block.second_convolution = {{.projection = {.channels = 14}}, ef::Random(1)};
  try {
    block.forward(x, other, context);
    FAIL();
  } catch (const ef::ShapeError& error) {
    EXPECT_STREQ(error.what(), "EfficientViTBlock: expected dw1 to map 15 to 15 features, got 14 to 14");
  }
  for (Index i = 0; i < other.size(); ++i) ASSERT_EQ(other.data()[i], 9.0F);
}
