// SPDX-License-Identifier: MIT

#include <eigenformer/io/json_text.hpp>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace {

using eigenformer::detail::json_quoted;

TEST(JsonText, is_what_a_general_parser_reads_back) {
  std::string all;
  for (int byte = 0; byte < 128; ++byte) all += static_cast<char>(byte);
  all += "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80";
  EXPECT_EQ(nlohmann::json::parse(json_quoted(all)).get<std::string>(), all);
  EXPECT_EQ(json_quoted(""), "\"\"");
  EXPECT_EQ(json_quoted("a\"\\\n\x1f"), "\"a\\\"\\\\\\u000a\\u001f\"");
}

}  // namespace
