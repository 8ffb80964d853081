// SPDX-License-Identifier: MIT

#include <eigenformer/core/images.hpp>

#include <gtest/gtest.h>

#include <type_traits>

namespace ef = eigenformer;

static_assert(std::is_convertible_v<ef::Tensor<float, 4>&, ef::ImagesView<float>>);
static_assert(std::is_convertible_v<const ef::Tensor<float, 4>&, ef::ConstImagesView<float>>);
static_assert(std::is_convertible_v<ef::TensorView<float, 4>, ef::ConstImagesView<float>>);
static_assert(std::is_convertible_v<ef::ImagesView<float>, ef::ConstImagesView<float>>);
static_assert(!std::is_convertible_v<ef::ConstImagesView<float>, ef::ImagesView<float>>);
static_assert(!std::is_convertible_v<const ef::Tensor<float, 4>&, ef::ImagesView<float>>);
static_assert(!std::is_convertible_v<ef::Tensor<float, 3>&, ef::ImagesView<float>>);

TEST(Images, see_a_tensor_in_place) {
  ef::Tensor<float, 4> x(2, 3, 5, 7);
  const ef::ImagesView<float> view = x;
  EXPECT_EQ(view.shape(), ef::Shape({2, 3, 5, 7}));
  EXPECT_EQ(view.pixels(), 30);
  EXPECT_EQ(view.at(1, 2, 4) + 6, &x(1, 2, 4, 6));
  EXPECT_EQ(ef::ConstImagesView<float>(view).at(1, 0, 3), &x(1, 0, 3, 0));
}

TEST(Images, see_some_of_the_channels_and_give_pixels_as_rows) {
  ef::Tensor<float, 4> packed(2, 3, 5, 11);
  const ef::ImagesView<float> part(packed.data() + 4, 2, 3, 5, 7, 11);
  EXPECT_EQ(part.at(1, 2, 3), &packed(1, 2, 3, 4));
  const ef::RowsView<float> rows = part.rows();
  EXPECT_EQ(rows.rows(), 30);
  EXPECT_EQ(rows.features(), 7);
  EXPECT_EQ(rows.data() + 29 * rows.stride(), &packed(1, 2, 4, 4));
  EXPECT_EQ(ef::ConstImagesView<float>(part).rows().stride(), 11);
}
