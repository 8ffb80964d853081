// SPDX-License-Identifier: MIT

#include <eigenformer/io/shard_index_parser.hpp>

#include "reference/shard_index.hpp"

#include <gtest/gtest.h>

#include <string>

namespace {

using namespace eigenformer;
using namespace std::string_literals;

int verdict(std::string text, const SafetensorsLimits& limits = {}) {
  detail::ShardTable shards;
  const Result<detail::ParsedIndex> parsed = detail::ShardIndexParser(text, limits, shards).parse();
  return parsed ? 0 : parsed.fault().rule;
}
std::string map(const std::string& inside) { return "{\"weight_map\":{" + inside + "}}"; }
std::string shard(const std::string& name) { return map("\"a\":\"" + name + "\""); }
std::string metadata(const std::string& value) { return "{\"metadata\":" + value + ",\"weight_map\":{}}"; }

/// Against our verdict and that of the plain reader.
void expect_verdict(int expected, const std::string& text) {
  EXPECT_EQ(verdict(text), expected) << text.substr(0, 300);
  EXPECT_EQ(reference::is_shard_index(text), expected == 0) << text.substr(0, 300);
}

TEST(ShardIndexParser, takes_a_map_and_metadata_in_any_order) {
  expect_verdict(0, map(""));
  expect_verdict(0, shard("a.safetensors"));
  expect_verdict(0, "{\"metadata\":{\"total_size\":1},\"weight_map\":{\"a\":\"x.safetensors\"}}");
  expect_verdict(0, " {\"weight_map\":{\"a\":\"x.safetensors\",\"b\":\"x.safetensors\"},\n\"metadata\":{} } \n");
  expect_verdict(0, "{\"w\\u0065ight_map\":{\"\\u00e4\":\"\\u0078.safetensors\"}}");
}

// Rule 45: the rules of a header's text hold too.
TEST(ShardIndexParser, keeps_the_rules_of_json) {
  expect_verdict(10, "");
  expect_verdict(7, map("\"\xff\":\"x.safetensors\""));
  expect_verdict(7, "\xef\xbb\xbf" + map(""));
  expect_verdict(9, map("") + "x");
  expect_verdict(9, map("") + "\0"s);
  expect_verdict(10, "{\"weight_map\":{},}");
  expect_verdict(10, map("\"a\":\"x.safetensors\","));
  expect_verdict(10, "{\"weight_map\":{\"a\":\"x.safetensors\"");
  expect_verdict(11, shard("x\n.safetensors"));
  expect_verdict(11, shard("x\\ud800.safetensors"));
  expect_verdict(12, map("\"a\":{}"));
  expect_verdict(12, "{\"weight_map\":[]}");
  expect_verdict(12, metadata("{\"a\":[1]}"));
  expect_verdict(13, "[]");
  expect_verdict(14, "{\"weight_map\":{},\"weight_m\\u0061p\":{}}");
  expect_verdict(14, metadata("{\"a\":1,\"a\":2}"));
  expect_verdict(15, map("\"\":\"x.safetensors\""));
  expect_verdict(15, map("\"" + std::string(4097, 'n') + "\":\"x.safetensors\""));
  expect_verdict(0, map("\"" + std::string(4096, 'n') + "\":\"x.safetensors\""));
  expect_verdict(16, map("\"a\\n\":\"x.safetensors\""));
  EXPECT_EQ(verdict(std::string(1'000'000, '[')), 13);
  EXPECT_EQ(verdict("{\"weight_map\":" + std::string(1'000'000, '[')), 12);
  std::string deep;
  for (int i = 0; i < 1'000'000; ++i) deep += "{\"metadata\":";
  EXPECT_EQ(verdict(deep), 12);
}

TEST(ShardIndexParser, map_is_an_object_of_strings) {
  expect_verdict(45, "{}");
  expect_verdict(45, "{\"metadata\":{}}");
  expect_verdict(45, "{\"weight_map\":null}");
  expect_verdict(45, "{\"weight_map\":\"x.safetensors\"}");
  expect_verdict(45, map("\"a\":1"));
  expect_verdict(45, map("\"a\":null"));
  expect_verdict(45, "{\"weight_map\":{},\"other\":1}");
  expect_verdict(45, "{\"weight_map\":{},\"" + std::string(1000, 'x') + "\":1}");
  expect_verdict(45, "{\"metadata\":7,\"weight_map\":{}}");
}

/// A stem of that length and the ending. (g++ 12 warns of `std::string(n, 'x') + ending`.)
std::string shard_name(std::size_t length) {
  std::string name = ".safetensors";
  name.insert(0, length, 'x');
  return name;
}

TEST(ShardIndexParser, shards_are_files_of_the_folder) {
  expect_verdict(0, shard(shard_name(243)));
  for (const char* name : {"", ".", "..", "x", "x.bin", "../x.safetensors", "/x.safetensors", "a/x.safetensors",
                           "a\\\\x.safetensors", "C:x.safetensors", "x\\u0000.safetensors", "x.safetensors\\u0000"}) {
    expect_verdict(46, shard(name));
  }
  expect_verdict(46, shard(shard_name(244)));
  expect_verdict(46, shard(shard_name(100'000)));
}

TEST(ShardIndexParser, metadata_are_scalars) {
  expect_verdict(0, metadata("{\"a\":-1.5e+3,\"b\":0,\"c\":\"x\",\"d\":true,\"e\":false,\"f\":null,\"g\":-0}"));
  for (const char* wrong : {"01", "1.", ".5", "-", "1e", "+1", "tru", "nul", "NaN", "0x1", "1 2"}) {
    expect_verdict(10, metadata("{\"a\":" + std::string(wrong) + "}"));
  }
  std::string many;
  for (int i = 0; i < 64; ++i) many += (i == 0 ? "\"" : ",\"") + std::to_string(i) + "\":0";
  expect_verdict(0, metadata("{" + many + "}"));
  expect_verdict(15, metadata("{" + many + ",\"64\":0}"));
}

TEST(ShardIndexParser, number_of_files_and_tensors_is_bounded) {
  const auto files = [](int count) {
    std::string text;
    for (int i = 0; i < count; ++i) {
      text +=
          (i == 0 ? "\"" : ",\"") + std::to_string(i) + "\":\"" + std::to_string(i * 7919 % 10'007) + ".safetensors\"";
    }
    return map(text);
  };
  expect_verdict(0, files(10'000));
  expect_verdict(48, files(10'001));
  EXPECT_EQ(verdict(files(3), {.shards = 3}), 0);
  EXPECT_EQ(verdict(files(3), {.shards = 2}), 48);
  EXPECT_EQ(verdict(files(3), {.shards = 0}), 48);
  EXPECT_EQ(verdict(files(3), {.shards = ~std::uint64_t{0}}), 0);
  EXPECT_EQ(verdict(files(3), {.tensors = 3}), 0);
  EXPECT_EQ(verdict(files(3), {.tensors = 2}), 15);
}

TEST(ShardIndexParser, faults_name_position_and_tensor) {
  std::string text = map("\"a\":\"x.safetensors\", \"b\\u00e9\":\"y\"");
  detail::ShardTable shards;
  const Result<detail::ParsedIndex> parsed = detail::ShardIndexParser(text, {}, shards).parse();
  ASSERT_FALSE(parsed);
  EXPECT_EQ(parsed.fault().position, text.find("\"y\""));
  EXPECT_EQ(parsed.fault().tensor.view(), "b\\xc3\\xa9");
}

}  // namespace
