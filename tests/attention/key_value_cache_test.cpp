// SPDX-License-Identifier: MIT
#include <eigenformer/attention/key_value_cache.hpp>

#include "support/compare.hpp"
#include "support/inputs.hpp"

#include <eigenformer/core/tensor.hpp>

#include <array>
#include <bit>
#include <string>

namespace {

namespace ef = eigenformer;
using ef::Index;

constexpr ef::KeyValueCacheOptions options{.batch = 2, .capacity = 5, .kv_heads = 3, .head_dim = 2, .value_dim = 7};

struct Positions {
  explicit Positions(Index length) : keys(2, length, 3, 2), values(2, length, 3, 7) {
    support::Generator random(static_cast<std::uint64_t>(length));
    support::fill(keys, support::Distribution::normal, random);
    support::fill(values, support::Distribution::normal, random);
  }
  ef::Tensor<float, 4> keys;
  ef::Tensor<float, 4> values;
};

TEST(KeyValueCache, holds_what_was_appended_in_order) {
  ef::KeyValueCache<float> cache(options);
  const Positions three(3);
  const Positions two(2);
  cache.append(three.keys, three.values);
  cache.append(two.keys, two.values);
  EXPECT_EQ(cache.length(), 5);
  const ef::KeyValueSegment<float> segment = cache.segment();
  EXPECT_EQ(segment.keys.shape(), ef::Shape({2, 5, 3, 2}));
  EXPECT_EQ(segment.values.shape(), ef::Shape({2, 5, 3, 7}));
  for (Index b = 0; b < 2; ++b) {
    for (Index l = 0; l < 5; ++l) {
      const Positions& from = l < 3 ? three : two;
      for (Index h = 0; h < 3; ++h) {
        for (Index e = 0; e < 2; ++e)
          EXPECT_EQ(segment.keys.at<float>(b, l, h)[e], from.keys(b, l < 3 ? l : l - 3, h, e));
        for (Index e = 0; e < 7; ++e)
          EXPECT_EQ(segment.values.at<float>(b, l, h)[e], from.values(b, l < 3 ? l : l - 3, h, e));
      }
    }
  }
}

/// The bits of what is kept: halfway cases go to the even neighbour, what is too large becomes infinite.
template <class Half>
void expect_rounded(std::array<float, 4> numbers, std::array<std::uint16_t, 4> bits) {
  ef::KeyValueCache<float, Half> cache({.capacity = 3, .kv_heads = 2, .head_dim = 2});
  ef::Tensor<float, 4> keys(1, 1, 2, 2), values(1, 1, 2, 2);
  std::copy(numbers.begin(), numbers.end(), keys.data());
  std::copy(numbers.rbegin(), numbers.rend(), values.data());
  cache.append(values, keys);
  cache.append(keys, values);
  const ef::KeyValueSegment<float> segment = cache.segment();
  EXPECT_EQ(segment.keys.shape(), ef::Shape({1, 2, 2, 2}));
  EXPECT_NE(segment.keys.storage(), ef::StoredAs::scalar);
  for (Index i = 0; i < 4; ++i) {
    const auto at = static_cast<std::size_t>(i);
    EXPECT_EQ(std::bit_cast<std::uint16_t>(segment.keys.at<Half>(0, 1, i / 2)[i % 2]), bits[at]) << i;
    EXPECT_EQ(std::bit_cast<std::uint16_t>(segment.values.at<Half>(0, 1, i / 2)[i % 2]), bits[3 - at]) << i;
  }
}

TEST(KeyValueCache, rounds_to_half_precision_as_it_appends) {
  expect_rounded<ef::Bfloat16>({1 + 0x1p-8F, 1 + 0x3p-8F, -0x1.ffp127F, -3.5F}, {0x3f80, 0x3f82, 0xff80, 0xc060});
  expect_rounded<ef::Float16>({1 + 0x1p-11F, 1 + 0x3p-11F, -65520.0F, -3.5F}, {0x3c00, 0x3c02, 0xfc00, 0xc300});
}

TEST(KeyValueCache, a_full_cache_refuses_and_stays_as_it_is) {
  ef::KeyValueCache<float> cache(options);
  const Positions three(3);
  cache.append(three.keys, three.values);
  const float before = cache.segment().keys.at<float>(1, 2, 1)[0];
  try {
    cache.append(three.keys, three.values);
    FAIL() << "nothing thrown";
  } catch (const ef::ValueError& error) {
    EXPECT_STREQ(error.what(), "KeyValueCache: expected room for 3 more positions, got a capacity of 5 with 3 in use");
  }
  EXPECT_EQ(cache.length(), 3);
  EXPECT_EQ(cache.segment().keys.at<float>(1, 2, 1)[0], before);
}

TEST(KeyValueCache, forgets_what_it_is_told_to) {
  ef::KeyValueCache<float> cache(options);
  const Positions three(3);
  cache.append(three.keys, three.values);
  EXPECT_THROW(cache.truncate(4), ef::ValueError);
  EXPECT_THROW(cache.truncate(-1), ef::ValueError);
  cache.truncate(1);
  EXPECT_EQ(cache.length(), 1);
  cache.append(three.keys, three.values);
  EXPECT_EQ(cache.segment().keys.at<float>(0, 1, 0)[0], three.keys(0, 0, 0, 0));
  cache.clear();
  EXPECT_EQ(cache.length(), 0);
}

TEST(KeyValueCache, a_copy_goes_its_own_way) {
  ef::KeyValueCache<float> cache(options);
  const Positions three(3);
  const Positions two(2);
  cache.append(three.keys, three.values);
  ef::KeyValueCache<float> copy = cache;
  copy.append(two.keys, two.values);
  EXPECT_EQ(cache.length(), 3);
  EXPECT_EQ(copy.length(), 5);
  EXPECT_NE(cache.segment().keys.at<float>(0, 0, 0), copy.segment().keys.at<float>(0, 0, 0));
}

TEST(KeyValueCache, copies_a_sequence_over_another) {
  ef::KeyValueCache<float> cache(options);
  const Positions three(3);
  cache.append(three.keys, three.values);
  const ef::KeyValueCache<float> before = cache;
  cache.copy_sequence(1, 0);
  EXPECT_EQ(cache.length(), 3);
  for (Index b = 0; b < 2; ++b) {
    for (Index l = 0; l < 3; ++l) {
      for (Index h = 0; h < 3; ++h) {
        for (Index d = 0; d < 2; ++d) EXPECT_EQ(cache.segment().keys.at<float>(b, l, h)[d], three.keys(1, l, h, d));
        for (Index e = 0; e < 7; ++e) EXPECT_EQ(cache.segment().values.at<float>(b, l, h)[e], three.values(1, l, h, e));
      }
    }
  }
  const Positions two(2);
  cache.append(two.keys, two.values);  // each goes its own way again
  EXPECT_EQ(cache.segment().keys.at<float>(0, 4, 2)[1], two.keys(0, 1, 2, 1));
  EXPECT_EQ(cache.segment().values.at<float>(1, 3, 0)[6], two.values(1, 0, 0, 6));
  cache.copy_sequence(1, 1);
  EXPECT_EQ(cache.segment().values.at<float>(1, 3, 0)[6], two.values(1, 0, 0, 6));
  EXPECT_EQ(before.segment().keys.at<float>(0, 0, 0)[0], three.keys(0, 0, 0, 0));
  EXPECT_THROW(cache.copy_sequence(2, 0), ef::ValueError);
  EXPECT_THROW(cache.copy_sequence(0, -1), ef::ValueError);
}

TEST(KeyValueCache, rejects_options_and_tensors_that_do_not_fit) {
  EXPECT_THROW(ef::KeyValueCache<float>({.batch = 0, .capacity = 5, .kv_heads = 3, .head_dim = 2}), ef::OptionError);
  EXPECT_THROW(ef::KeyValueCache<float>({.capacity = -1, .kv_heads = 3, .head_dim = 2}), ef::OptionError);
  EXPECT_THROW(ef::KeyValueCache<float>({.capacity = 5, .kv_heads = 0, .head_dim = 2}), ef::OptionError);
  EXPECT_THROW(ef::KeyValueCache<float>({.capacity = 5, .kv_heads = 3, .head_dim = 0}), ef::OptionError);
  EXPECT_THROW(ef::KeyValueCache<float>({.capacity = 5, .kv_heads = 3, .head_dim = 2, .value_dim = 0}),
               ef::OptionError);
  ef::KeyValueCache<float> cache(options);
  const Positions two(2);
  EXPECT_THROW(cache.append(two.values, two.values), ef::ShapeError);
  EXPECT_THROW(cache.append(two.keys, two.keys), ef::ShapeError);
  EXPECT_EQ(cache.length(), 0);
}

}  // namespace
