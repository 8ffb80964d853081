// SPDX-License-Identifier: MIT

#include <eigenformer/core/heads.hpp>

#include <gtest/gtest.h>

#include <type_traits>

namespace ef = eigenformer;

static_assert(std::is_convertible_v<ef::Tensor<float, 4>&, ef::HeadsView<float>>);
static_assert(std::is_convertible_v<const ef::Tensor<float, 4>&, ef::ConstHeadsView<float>>);
static_assert(std::is_convertible_v<ef::HeadsView<float>, ef::ConstHeadsView<float>>);
static_assert(!std::is_convertible_v<ef::ConstHeadsView<float>, ef::HeadsView<float>>);
static_assert(!std::is_convertible_v<const ef::Tensor<float, 4>&, ef::HeadsView<float>>);

TEST(Heads, see_a_tensor_in_place) {
  ef::Tensor<float, 4> x(2, 3, 5, 7);
  const ef::HeadsView<float> view = x;
  EXPECT_EQ(view.shape(), ef::Shape({2, 3, 5, 7}));
  EXPECT_EQ(view.at(1, 2, 4) + 6, &x(1, 2, 4, 6));
  EXPECT_EQ(ef::ConstHeadsView<float>(view).at(1, 0, 3), &x(1, 0, 3, 0));
}

TEST(Heads, see_a_slice_of_positions_and_of_packed_projections) {
  ef::Tensor<float, 4> x(2, 11, 5, 7);
  const ef::HeadsView<float> part = ef::HeadsView<float>(x).positions(4, 3);
  EXPECT_EQ(part.shape(), ef::Shape({2, 3, 5, 7}));
  EXPECT_EQ(part.at(1, 2, 3), &x(1, 6, 3, 0));
  EXPECT_EQ(ef::ConstHeadsView<float>(x).positions(4, 3).at(1, 2, 3), &x(1, 6, 3, 0));

  ef::Tensor<float, 3> packed(2, 11, 3 * 35);  // queries, keys, values of 5 heads of 7
  const ef::HeadsView<float> keys(packed.data() + 35, 2, 11, 5, 7, 11 * 105, 105, 7);
  EXPECT_EQ(keys.at(1, 10, 4) + 6, &packed(1, 10, 35 + 34));
}
