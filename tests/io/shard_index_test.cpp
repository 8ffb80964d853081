// SPDX-License-Identifier: MIT

#include <eigenformer/io/shard_index.hpp>

#include "support/allocation.hpp"

#include <gtest/gtest.h>

#include <string>

namespace {

using namespace eigenformer;

Result<ShardIndex> parse(const std::string& text, const SafetensorsLimits& limits = {}) {
  Result<HeaderText> memory = HeaderText::allocate(text.size());
  std::copy(text.begin(), text.end(), memory->characters().begin());
  return ShardIndex::parse(std::move(*memory), limits);
}

TEST(ShardIndex, finds_the_file_of_every_tensor) {
  const Result<ShardIndex> index = parse(
      R"({"metadata":{"total_size":17,"format":"pt\n"},"weight_map":{"b":"2.safetensors","a":"1.safetensors","ab":"2.safetensors"}})");
  ASSERT_TRUE(index);
  ASSERT_EQ(index->size(), 3U);
  EXPECT_EQ((*index)[0].name, "a");
  EXPECT_EQ((*index)[1].name, "ab");
  EXPECT_EQ((*index)[2].name, "b");
  ASSERT_EQ(index->shards(), 2U);
  EXPECT_EQ(index->shard_name(0).view(), "2.safetensors");
  EXPECT_EQ(index->shard_name(1).view(), "1.safetensors");
  EXPECT_EQ(index->find("ab")->shard, 0U);
  EXPECT_EQ(index->find("a")->shard, 1U);
  EXPECT_EQ(index->find("a")->position, 80U);
  EXPECT_FALSE(index->find("") || index->find("aa") || index->find("c"));
  EXPECT_EQ(index->find_metadata("total_size"), "17");
  EXPECT_EQ(index->find_metadata("format"), "pt\n");
  EXPECT_EQ(index->find_metadata("weight_map"), std::nullopt);
}

// Rule 14, L8
TEST(ShardIndex, names_are_unique_after_unescaping) {
  const std::string text = R"({"weight_map":{"a":"1.safetensors","b":"1.safetensors","\u0061":"2.safetensors"}})";
  const Result<ShardIndex> index = parse(text);
  ASSERT_FALSE(index);
  EXPECT_EQ(index.fault().rule, 14);
  EXPECT_EQ(index.fault().tensor.view(), "a");
  EXPECT_EQ(index.fault().position, text.find("\"\\u0061"));
}

TEST(ShardIndex, may_be_empty) {
  const Result<ShardIndex> index = parse(R"({"weight_map":{}})");
  ASSERT_TRUE(index);
  EXPECT_EQ(index->size() + index->shards(), 0U);
  EXPECT_FALSE(index->find("a") || index->find_metadata("a"));
}

// The tightest texts: shortest names of tensors and files, all files different or all the same.
TEST(ShardIndex, fits_into_the_memory_of_its_text) {
  for (int count = 1; count <= 300; ++count) {
    for (const bool one_file : {true, false}) {
      std::string text = "{\"weight_map\":{";
      for (int i = 0; i < count; ++i) {
        const std::string name = std::to_string((i * 7919) % 10'007);
        text += "\"" + name + "\":\"" + (one_file ? "" : name) + ".safetensors\",";
      }
      text.back() = '}';
      text += '}';
      const support::AllocationCounter counter;
      const Result<ShardIndex> index = parse(text);
      const std::size_t allocated = counter.bytes();
      ASSERT_TRUE(index) << index.fault().reason.view();
      ASSERT_EQ(index->size(), static_cast<std::size_t>(count));
      ASSERT_EQ(index->shards(), one_file ? 1U : static_cast<std::size_t>(count));
      for (int i = 0; i < count; ++i) {
        const std::string name = std::to_string((i * 7919) % 10'007);
        const auto place = index->find(name);
        ASSERT_TRUE(place) << name;
        ASSERT_EQ(index->shard_name(place->shard).view(), (one_file ? "" : name) + ".safetensors");
      }
      if (support::AllocationCounter::available()) {
        EXPECT_LE(allocated, text.size() + 4 + 6 * (text.size() / 12));
      }
    }
  }
}

}  // namespace
