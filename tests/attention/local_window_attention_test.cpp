// SPDX-License-Identifier: MIT

#include <eigenformer/attention/local_window_attention.hpp>

#include <gtest/gtest.h>

#include "attention/cascaded_case.hpp"

namespace ef = eigenformer;
using cascaded_case::randomise;
using ef::Index;
using images_case::random_images;

static_assert(ef::SpatialBlock<ef::LocalWindowAttention<float>, float>);

namespace {

const ef::CascadedGroupAttentionOptions options = {
    .dim = 15, .key_dim = 7, .heads = 3, .resolution = 4, .kernels = {5, 3, 1}, .statistics = ef::FixedStatistics{}};

ef::LocalWindowAttention<float> windows_of(support::Generator& random) {
  ef::LocalWindowAttention<float> result(options, ef::Random(12));
  randomise(result, random);
  return result;
}

/// Pixels row .. row + 3 and column .. column + 3 of an image, zeros where there are none.
ef::Tensor<float, 4> window(const ef::Tensor<float, 4>& x, Index image, Index row, Index column) {
  ef::Tensor<float, 4> result(1, 4, 4, x.dimension(3));
  result.setZero();
  for (Index i = 0; i < 4 && row + i < x.dimension(1); ++i) {
    for (Index j = 0; j < 4 && column + j < x.dimension(2); ++j) {
      for (Index c = 0; c < x.dimension(3); ++c) result(0, i, j, c) = x(image, row + i, column + j, c);
    }
  }
  return result;
}

}  // namespace

TEST(LocalWindowAttention, equals_the_published_code_where_it_pads) {
  ef::LocalWindowAttention<double> block(
      {.dim = 16, .key_dim = 4, .heads = 2, .resolution = 4, .kernels = {5, 3}, .statistics = ef::FixedStatistics{}},
      ef::Random(1));
  ef::Context context;
  cascaded_case::expect_golden(block, support::Golden("evit_lwa_r7_w4_pad"), context);
}

TEST(LocalWindowAttention, is_attention_of_each_window_alone_with_zeros_around) {
  support::Generator random(101);
  const auto block = windows_of(random);
  for (const auto& [height, width] : {std::pair<Index, Index>{4, 8}, {7, 5}, {3, 2}, {9, 4}}) {
    const auto x = random_images<float>({2, height, width, 15}, random);
    const ef::Tensor<float, 4> y = block(x);
    for (Index b = 0; b < 2; ++b) {
      for (Index row = 0; row < height; row += 4) {
        for (Index column = 0; column < width; column += 4) {
          const ef::Tensor<float, 4> alone = block.attention(window(x, b, row, column));
          for (Index i = 0; i < 4 && row + i < height; ++i) {
            for (Index j = 0; j < 4 && column + j < width; ++j) {
              for (Index c = 0; c < 15; ++c) {
                ASSERT_NEAR(y(b, row + i, column + j, c), alone(0, i, j, c), 1e-5F) << height << " x " << width;
              }
            }
          }
        }
      }
    }
  }
}

TEST(LocalWindowAttention, of_one_window_is_its_attention_to_the_bit) {
  support::Generator random(102);
  auto block = windows_of(random);
  auto plain = block.attention;
  const auto x = random_images<float>({3, 4, 4, 15}, random), dy = random_images<float>({3, 4, 4, 15}, random);
  EXPECT_TRUE(support::bit_equal(block(x), plain(x)));
  ef::Context context;
  ef::LocalWindowAttention<float>::Cache cache;
  ef::CascadedGroupAttention<float>::Cache plain_cache;
  ef::Tensor<float, 4> y = x, dx = x, expected = x;
  block.forward(x, y, context, &cache);
  block.backward(dy, cache, dx, context);
  plain.forward(x, y, context, &plain_cache);
  plain.backward(dy, plain_cache, expected, context);
  EXPECT_TRUE(support::bit_equal(dx, expected));
  EXPECT_TRUE(support::bit_equal(block.attention.biases.gradient, plain.biases.gradient));
}

TEST(LocalWindowAttention, folded_gives_the_same) {
  support::Generator random(103);
  const auto block = windows_of(random);
  const auto x = random_images<float>({2, 7, 5, 15}, random);
  EXPECT_TRUE(support::within(support::worst_row_nmse(ef::fold(block)(x), block(x), 15),
                              support::tolerance::backward_row_nmse<float>));
}

TEST(LocalWindowAttention, rejects_other_shapes_and_writes_nothing) {
  support::Generator random(104);
  auto block = windows_of(random);
  ef::Context context;
  ef::LocalWindowAttention<float>::Cache cache;
  ef::Tensor<float, 4> x(2, 7, 5, 15), other(2, 5, 7, 15), wide(2, 7, 5, 16);
  x.setZero();
  other.setConstant(9.0F);
  EXPECT_THROW(block.forward(x, other, context), ef::ShapeError);
  EXPECT_THROW(block.forward(wide, x, context), ef::ShapeError);
  block.forward(x, x, context, &cache);
  EXPECT_THROW(block.backward(other, cache, x, context), ef::ShapeError);
  EXPECT_THROW(block.backward(x, cache, other, context), ef::ShapeError);
  for (Index i = 0; i < other.size(); ++i) ASSERT_EQ(other.data()[i], 9.0F);
}
