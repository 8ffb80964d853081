// SPDX-License-Identifier: MIT

#include <eigenformer/io/json_format_parser.hpp>

#include <gtest/gtest.h>

#include <string>

namespace {

using namespace eigenformer;

/// The smallest grammar: an object with one key and nothing else.
class OneKey : private detail::JsonFormatParser {
 public:
  OneKey(std::span<char> text, const SafetensorsLimits& limits) : detail::JsonFormatParser(text, 100, limits) {}
  FileFault judge() {
    const bool good = check_text() && (scanner_.take('{') || fail(13, "")) && name() && check_name() &&
                      (scanner_.take('}') || fail(10, "")) && check_rest();
    return good ? FileFault() : fault_;
  }
};
FileFault judge(std::string text, const SafetensorsLimits& limits = {}) { return OneKey(text, limits).judge(); }

TEST(JsonFormatParser, rules_of_text_and_keys_hold_for_every_grammar) {
  EXPECT_EQ(judge(" { \"a\" } \n").rule, 0);
  EXPECT_EQ(judge("\xef\xbb\xbf{\"a\"}").rule, 7);
  EXPECT_EQ(judge("{\"a\xff\"}").rule, 7);
  EXPECT_EQ(judge(" {\"a\"}", {.style = HeaderStyle::strict}).rule, 8);
  EXPECT_EQ(judge("", {.style = HeaderStyle::strict}).rule, 8);
  EXPECT_EQ(judge("{\"a\"} x").rule, 9);
  EXPECT_EQ(judge("{\"a").rule, 10);
  EXPECT_EQ(judge("{\"\\q\"}").rule, 11);
  EXPECT_EQ(judge("{\"\"}").rule, 15);
  EXPECT_EQ(judge("{\"abc\"}", {.name_bytes = 2}).rule, 15);
  EXPECT_EQ(judge("{\"\\u0001\"}").rule, 16);
}

TEST(JsonFormatParser, positions_count_from_the_start_of_the_file) {
  const FileFault fault = judge("{ \"a\\n\" }");
  EXPECT_EQ(fault.rule, 16);
  EXPECT_EQ(fault.position, 102U);
  EXPECT_EQ(fault.tensor.view(), "a\\x0a");
}

}  // namespace
