// SPDX-License-Identifier: MIT
#include <eigenformer/attention/memory.hpp>

#include <gtest/gtest.h>

#include <array>

namespace {

namespace ef = eigenformer;

TEST(Memory, is_named_by_what_it_holds_and_holds_it_in_place) {
  const ef::Tensor<float, 3> tensor(2, 3, 5);
  const std::array<ef::Index, 2> lengths = {1, 3};
  const ef::Memory of_tensor{tensor, ef::NoMask{}};
  static_assert(std::is_same_v<decltype(of_tensor), const ef::Memory<float, ef::NoMask>>);
  EXPECT_EQ(of_tensor.values.data(), tensor.data());
  const ef::Memory of_view{ef::ConstTensorView<double, 3>(nullptr, 0, 1, 2), ef::Padding{lengths}};
  static_assert(std::is_same_v<decltype(of_view), const ef::Memory<double, ef::Padding>>);
  EXPECT_EQ(of_view.mask.lengths.data(), lengths.data());
}

TEST(Memory, key_values_are_values) {
  ef::CrossKeyValues<float> first = {
      ef::KeyValueCache<float>({.batch = 3, .capacity = 2, .kv_heads = 1, .head_dim = 1}),
      ef::KeyValueCache<float>({.batch = 1, .capacity = 2, .kv_heads = 1, .head_dim = 1})};
  const ef::CrossKeyValues<float> second = first;
  const ef::Tensor<float, 4> one = ef::Tensor<float, 4>(3, 1, 1, 1).setConstant(1);
  first.own.append(one, one);
  EXPECT_EQ(first.own.length(), 1);
  EXPECT_EQ(second.own.length(), 0);
}

}  // namespace
