// SPDX-License-Identifier: MIT

#include <eigenformer/io/shard_index.hpp>

#include "reference/shard_index.hpp"
#include "support/allocation.hpp"
#include "support/damage.hpp"

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

// Rule 45: every way to damage three valid indices a little, judged as the plain reader judges it.
TEST(ShardIndex, judges_every_damaged_text_as_the_plain_reader_does) {
  const std::vector<std::string> valid = {
      R"({"weight_map":{}})",
      R"({"metadata":{"total_size":17,"f":-1.5,"s":"\n","t":true},"weight_map":{"b":"2.safetensors","a":"1.safetensors"}})",
      "{\n  \"weight_map\" : { \"\\u00e4\\ud83d\\ude00\":\"\\u0078.safetensors\",\"b\":\"y\xc3\xa9.safetensors\" } ,"
      "\t\"metadata\" : { } }\r\n"};
  std::vector<std::string> others = support::telling_tokens();
  for (const char* more : {"\"weight_map\"", "\"metadata\"", "\"x.safetensors\"", "\"../x.safetensors\""}) {
    others.emplace_back(more);
  }
  int accepted = 0;
  const auto judge = [&](const std::string& text) {
    const Result<ShardIndex> index = parse(text);
    ASSERT_EQ(static_cast<bool>(index), reference::is_shard_index(text)) << testing::PrintToString(text);
    if (index) {
      ++accepted;
      for (std::size_t i = 0; i < index->size(); ++i) {
        ASSERT_TRUE(index->find((*index)[i].name));
        ASSERT_TRUE(is_shard_name(index->shard_name((*index)[i].shard).view()));
      }
    } else {
      ASSERT_LE(index.fault().position, text.size());
    }
  };
  int tried = 0;
  for (const std::string& text : valid) {
    judge(text);
    tried += 1 + support::for_each_prefix(text, judge);
    tried += support::for_each_flipped_bit(text, text.size(), judge);
    tried += support::for_each_token_edit(text, others, judge);
  }
  EXPECT_EQ(tried, 5613);
  EXPECT_EQ(accepted, 678);
}

}  // namespace
