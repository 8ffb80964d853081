// SPDX-License-Identifier: MIT

#include <eigenformer/io/json_config_parser.hpp>

#include <gtest/gtest.h>

#include <string>

namespace {

using namespace eigenformer;

/// A configuration with one field that counts, `n`, an integer up to 7; a key has at most 4 bytes.
class OneField : private detail::JsonConfigParser<4> {
 public:
  explicit OneField(std::string_view text) : detail::JsonConfigParser<4>(text, "test") {}

  std::string judge() {
    const bool good = check_text() && object([this] { return member(); }) && check_rest();
    return good ? said_ : describe(fault_, "f");
  }

 private:
  bool member() {
    begin_value();
    if (key_ != "n") {
      said_ += key_.empty() ? "(long)" : std::string(key_);
      return skip();
    }
    Index n = 0;
    if (read_integer(n, 7)) {
      said_ += "n=" + std::to_string(n);
      return true;
    }
    const std::optional<FixedText<60>> got = shown();
    if (got) said_ += "n is " + std::string(got->view());
    return got.has_value();
  }

  std::string said_;
};
std::string judge(std::string_view text) { return OneField(text).judge(); }

TEST(JsonConfigParser, reads_what_counts_and_passes_over_the_rest) {
  EXPECT_EQ(judge("{}"), "");
  EXPECT_EQ(judge(" {\"n\" : 7 , \"a\":[{\"b\":[1]}],\"abcd\":null, \"abcde\":\"x\"}\n"), "n=7aabcd(long)");
}
TEST(JsonConfigParser, shows_a_value_that_was_not_expected_and_goes_on) {
  EXPECT_EQ(judge("{\"n\": 8, \"b\": 1}"), "n is 8b");
  EXPECT_EQ(judge("{\"n\": {\"x\": \"\\u00e9\xc3\xa9\"}, \"b\": 1}"), "n is {\"x\": \"\\x5cu00e9\\xc3\\xa9\"}b");
  EXPECT_EQ(judge("{\"n\": \"" + std::string(100, 'x') + "\"}"), "n is \"" + std::string(56, 'x') + "...");
}
TEST(JsonConfigParser, says_where_it_stopped_being_json) {
  EXPECT_EQ(judge(""), "test: f: expected an object");
  EXPECT_EQ(judge("{\"n\": 1,}"), "test: f: at byte 8: expected a key in quotes");
  EXPECT_EQ(judge("{\"n\" 1}"), "test: f: at byte 5: expected ':'");
  EXPECT_EQ(judge("{\"n\": 1 2"), "test: f: at byte 8: expected ',' or '}'");
  EXPECT_EQ(judge("{\"n\": tru}"), "test: f: at byte 6: expected JSON");
  EXPECT_EQ(judge("{} x"), "test: f: at byte 3: expected nothing behind the object");
  EXPECT_EQ(judge("{\"a\xff\": 1}"), "test: f: at byte 3: expected UTF-8");
  EXPECT_EQ(judge("{\"a\": " + std::string(100, '[')), "test: f: at byte 22: expected values nested less deeply");
}

}  // namespace
