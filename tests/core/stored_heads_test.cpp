// SPDX-License-Identifier: MIT

#include <eigenformer/core/stored_heads.hpp>

#include <gtest/gtest.h>

#include <type_traits>
#include <vector>

namespace ef = eigenformer;

static_assert(std::is_convertible_v<const ef::Tensor<float, 4>&, ef::StoredHeadsView<float>>);
static_assert(std::is_convertible_v<ef::Tensor<float, 4>&, ef::StoredHeadsView<float>>);
static_assert(std::is_convertible_v<ef::HeadsView<float>, ef::StoredHeadsView<float>>);
static_assert(std::is_convertible_v<ef::ConstHeadsView<ef::Bfloat16>, ef::StoredHeadsView<float>>);
static_assert(std::is_convertible_v<ef::HeadsView<ef::Float16>, ef::StoredHeadsView<double>>);
static_assert(std::is_convertible_v<ef::QuantizedHeadsView<double>, ef::StoredHeadsView<double>>);
static_assert(!std::is_convertible_v<ef::ConstHeadsView<ef::Int8>, ef::StoredHeadsView<float>>, "there is no scale");
static_assert(ef::HeadStorageOf<ef::Int8, float> && ef::HeadStorageOf<ef::Bfloat16, double>);
static_assert(!ef::StorageOf<ef::Int8, float> && !ef::HeadStorageOf<float, double>);
static_assert(!std::is_convertible_v<ef::ConstHeadsView<double>, ef::StoredHeadsView<float>>);
static_assert(!std::is_convertible_v<ef::ConstHeadsView<float>, ef::StoredHeadsView<double>>);

namespace {

template <class S>
void expect_seen_in_place(ef::StoredAs storage) {
  std::vector<S> memory(1000);
  const ef::ConstHeadsView<S> view(memory.data() + 3, 2, 5, 3, 7, 211, 37, 11);
  const ef::StoredHeadsView<float> stored = view;
  EXPECT_EQ(stored.storage(), storage);
  EXPECT_EQ(stored.shape(), ef::Shape({2, 5, 3, 7}));
  EXPECT_EQ(stored.batch(), 2);
  EXPECT_EQ(stored.length(), 5);
  EXPECT_EQ(stored.heads(), 3);
  EXPECT_EQ(stored.head_dim(), 7);
  EXPECT_EQ(stored.length_stride(), 37);
  EXPECT_EQ(stored.head_stride(), 11);
  EXPECT_EQ(stored.template at<S>(1, 4, 2), view.at(1, 4, 2));
  EXPECT_EQ(stored.template at<S>(1, 4, 2), memory.data() + 3 + 211 + 4 * 37 + 2 * 11);
}

TEST(StoredHeads, know_what_they_are_stored_as_and_where_each_head_is) {
  expect_seen_in_place<float>(ef::StoredAs::scalar);
  expect_seen_in_place<ef::Bfloat16>(ef::StoredAs::bfloat16);
  expect_seen_in_place<ef::Float16>(ef::StoredAs::float16);
}

TEST(StoredHeads, of_codes_come_with_their_scales) {
  std::vector<ef::Int8> codes(1000);
  std::vector<float> scales(100);
  const ef::ConstHeadsView<ef::Int8> view(codes.data(), 2, 5, 3, 7);
  const ef::StoredHeadsView<float> stored =
      ef::QuantizedHeadsView<float>{view.positions(1, 3), {scales.data() + 3, 2, 3, 3, 1, 15, 3, 1}};
  EXPECT_EQ(stored.storage(), ef::StoredAs::int8);
  EXPECT_EQ(stored.shape(), ef::Shape({2, 3, 3, 7}));
  EXPECT_EQ(stored.at<ef::Int8>(1, 2, 1), codes.data() + 105 + 3 * 21 + 7);
  EXPECT_EQ(stored.scales().at(1, 2, 1), scales.data() + 15 + 3 * 3 + 1);
  EXPECT_EQ(ef::StoredHeadsView<float>(ef::ConstHeadsView<float>()).scales().data(), nullptr);
}

TEST(StoredHeads, are_empty_by_default) {
  const ef::StoredHeadsView<float> none;
  EXPECT_EQ(none.shape(), ef::Shape({0, 0, 0, 0}));
  EXPECT_EQ(none.storage(), ef::StoredAs::scalar);
}

}  // namespace
