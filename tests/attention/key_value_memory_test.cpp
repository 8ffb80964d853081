// SPDX-License-Identifier: MIT
#include <eigenformer/attention/key_value_memory.hpp>

#include "support/inputs.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace {

namespace ef = eigenformer;
using ef::Index;

struct Sizes {
  Index kv_heads = 3, head_dim = 5, value_dim = 7;
};

ef::Tensor<float, 4> numbers(Index batch, Index length, Index dim, std::uint64_t salt) {
  support::Generator random(salt);
  ef::Tensor<float, 4> x(batch, length, 3, dim);
  support::fill(x, support::Distribution::normal, random);
  return x;
}

template <class Storage>
float number(const ef::StoredHeadsView<float>& x, Index b, Index l, Index h, Index e) {
  const Storage stored = x.at<Storage>(b, l, h)[e];
  if constexpr (std::is_same_v<Storage, ef::Int8>) {
    return ef::widened(stored, *x.scales().at(b, l, h));
  } else {
    return ef::widened<float>(stored);
  }
}

/// What a head of numbers comes back as.
template <class Storage>
std::vector<float> stored(const float* x, Index dim) {
  std::vector<float> result;
  if constexpr (std::is_same_v<Storage, ef::Int8>) {
    std::vector<ef::Int8> codes(static_cast<std::size_t>(dim));
    const float scale = ef::quantize(x, dim, codes.data());
    for (const ef::Int8 code : codes) result.push_back(ef::widened(code, scale));
  } else {
    for (Index e = 0; e < dim; ++e) result.push_back(ef::widened<float>(ef::rounded<Storage>(x[e])));
  }
  return result;
}

template <class Storage>
void expect_position(const ef::StoredHeadsView<float>& x, Index b, Index l, const ef::Tensor<float, 4>& from,
                     Index from_b, Index from_l) {
  for (Index h = 0; h < 3; ++h) {
    const std::vector<float> expected = stored<Storage>(&from(from_b, from_l, h, 0), from.dimension(3));
    for (Index e = 0; e < from.dimension(3); ++e) {
      ASSERT_EQ(number<Storage>(x, b, l, h, e), expected[static_cast<std::size_t>(e)]) << b << " " << l << " " << h;
    }
  }
}

template <class Storage>
class KeyValueMemory : public testing::Test {};
using Storages = testing::Types<float, ef::Bfloat16, ef::Float16, ef::Int8>;
TYPED_TEST_SUITE(KeyValueMemory, Storages);

TYPED_TEST(KeyValueMemory, gives_back_positions_as_they_are_stored) {
  ef::detail::KeyValueMemory<float, TypeParam> memory(2, 11, Sizes{});
  const auto keys = numbers(2, 7, 5, 1), values = numbers(2, 7, 7, 2), later = numbers(2, 4, 5, 3);
  memory.write(keys, values, 0);
  memory.keys.write(later, 7);
  const ef::KeyValueSegment<float> segment = memory.segment(2, 9);
  EXPECT_EQ(segment.keys.shape(), ef::Shape({2, 9, 3, 5}));
  EXPECT_EQ(segment.values.shape(), ef::Shape({2, 9, 3, 7}));
  for (Index b = 0; b < 2; ++b) {
    for (Index l = 2; l < 7; ++l) {
      expect_position<TypeParam>(segment.keys, b, l - 2, keys, b, l);
      expect_position<TypeParam>(segment.values, b, l - 2, values, b, l);
    }
    for (Index l = 7; l < 11; ++l) expect_position<TypeParam>(segment.keys, b, l - 2, later, b, l - 7);
  }
}

/// A part of a longer tensor, whose heads lie apart.
TYPED_TEST(KeyValueMemory, takes_what_lies_apart) {
  ef::detail::HeadMemory<float, TypeParam> memory(1, 3, 3, 5);
  const auto wide = numbers(2, 4, 8, 1);
  const ef::ConstHeadsView<float> part(&wide(1, 1, 0, 2), 1, 3, 3, 5, 0, 3 * 8, 8);
  memory.write(part, 0);
  ef::Tensor<float, 4> expected(1, 3, 3, 5);
  for (Index l = 0; l < 3; ++l) {
    for (Index h = 0; h < 3; ++h) std::copy_n(part.at(0, l, h), 5, &expected(0, l, h, 0));
  }
  for (Index l = 0; l < 3; ++l) expect_position<TypeParam>(memory.view(0, 3), 0, l, expected, 0, l);
}

TYPED_TEST(KeyValueMemory, copies_positions_with_all_that_belongs_to_them) {
  ef::detail::KeyValueMemory<float, TypeParam> memory(3, 11, Sizes{});
  const auto keys = numbers(3, 11, 5, 1), values = numbers(3, 11, 7, 2);
  memory.write(keys, values, 0);
  memory.copy({2, 1}, {0, 7}, 3);
  memory.copy({1, 0}, {1, 5}, 2);
  const ef::KeyValueSegment<float> segment = memory.segment(0, 11);
  for (Index b = 0; b < 3; ++b) {
    for (Index l = 0; l < 11; ++l) {
      Index from_b = b, from_l = l;
      if (b == 0 && l >= 7 && l < 10) from_b = 2, from_l = l - 6;
      if (b == 1 && l >= 5 && l < 7) from_l = l - 5;
      expect_position<TypeParam>(segment.keys, b, l, keys, from_b, from_l);
      expect_position<TypeParam>(segment.values, b, l, values, from_b, from_l);
    }
  }
}

TYPED_TEST(KeyValueMemory, of_no_positions_is_empty) {
  const ef::detail::KeyValueMemory<float, TypeParam> memory(2, 0, Sizes{});
  EXPECT_EQ(memory.segment(0, 0).keys.shape(), ef::Shape({2, 0, 3, 5}));
}

TEST(KeyValueMemoryChecks, name_the_cache_and_what_was_expected) {
  const auto message_of = [](const auto& call) -> std::string {
    try {
      call();
    } catch (const ef::Error& error) {
      return error.what();
    }
    return "nothing thrown";
  };
  const auto message_with = [&](Sizes sizes) {
    return message_of([&] { ef::detail::require_key_value_heads(sizes, "SomeCache"); });
  };
  EXPECT_EQ(message_with({}), "nothing thrown");
  EXPECT_EQ(message_with({.kv_heads = 0}), "SomeCache: expected kv_heads of at least 1, got 0");
  EXPECT_EQ(message_with({.head_dim = -1}), "SomeCache: expected head_dim of at least 1, got -1");
  EXPECT_EQ(message_with({.value_dim = 0}), "SomeCache: expected value_dim of at least 1, got 0");
  const auto keys = numbers(2, 3, 5, 1), values = numbers(2, 3, 7, 1), more = numbers(2, 4, 7, 1);
  const auto message_for = [&](const ef::Tensor<float, 4>& k, const ef::Tensor<float, 4>& v, Index batch) {
    return message_of([&] { ef::detail::require_keys_and_values<float>(k, v, batch, Sizes{}, "SomeCache"); });
  };
  EXPECT_EQ(message_for(keys, values, 2), "nothing thrown");
  EXPECT_EQ(message_for(values, values, 2), "SomeCache: expected keys of shape [2, 3, 3, 5], got [2, 3, 3, 7]");
  EXPECT_EQ(message_for(keys, more, 2), "SomeCache: expected values of shape [2, 3, 3, 7], got [2, 4, 3, 7]");
  EXPECT_EQ(message_for(keys, values, 1), "SomeCache: expected keys of shape [1, 3, 3, 5], got [2, 3, 3, 5]");
}

}  // namespace
