// SPDX-License-Identifier: MIT

#include <eigenformer/model/llama_config_parser.hpp>

#include <gtest/gtest.h>

#include <string>

namespace {

using namespace eigenformer;

TEST(LlamaConfigParser, refuses_what_is_not_json_and_says_where) {
  const auto fault = [](const std::string& text) {
    const Result<LlamaConfig> result = detail::LlamaConfigParser(text).parse();
    return result ? "accepted" : describe(result.fault(), "c.json");
  };
  EXPECT_EQ(fault(""), "config: c.json: expected an object");
  EXPECT_EQ(fault("[]"), "config: c.json: expected an object");
  EXPECT_EQ(fault("\xef\xbb\xbf{}"), "config: c.json: expected an object");
  EXPECT_EQ(fault("{} x"), "config: c.json: at byte 3: expected nothing behind the object");
  EXPECT_EQ(fault("{\"a\" 1}"), "config: c.json: at byte 5: expected ':'");
  EXPECT_EQ(fault("{\"a\": 1,}"), "config: c.json: at byte 8: expected a key in quotes");
  EXPECT_EQ(fault("{\"a\": 01}"), "config: c.json: at byte 8: expected JSON");
  EXPECT_EQ(fault("{\"hidden_size\": 1 2"), "config: c.json: at byte 18: expected ',' or '}'");
  EXPECT_EQ(fault("{\"hidden_size\": x"), "config: c.json: at byte 16: expected JSON");
  EXPECT_EQ(fault("{\"a\xff\": 1}"), "config: c.json: at byte 3: expected UTF-8");
  EXPECT_EQ(fault("{\"head_dim\": 8, \"head_\\u0064im\": 8}"), "config: c.json: at byte 16: head_dim: expected once");
  EXPECT_EQ(fault("{\"a\": " + std::string(1'000'000, '[')),
            "config: c.json: at byte 22: expected values nested less deeply");
  EXPECT_EQ(fault("{\"rope_scaling\": " + std::string(1'000'000, '{')), "config: c.json: at byte 18: expected JSON");
}

}  // namespace
