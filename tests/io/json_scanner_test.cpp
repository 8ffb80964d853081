// SPDX-License-Identifier: MIT

#include <eigenformer/io/json_scanner.hpp>

#include <gtest/gtest.h>

#include <array>
#include <string>

namespace {

using namespace eigenformer;

struct Read {
  JsonFault fault;
  std::string text;
  std::size_t position;
};
Read string_from(const std::string& json, std::size_t room = 64) {
  std::string out(room, '#');
  JsonScanner scanner(json);
  std::size_t length = 0;
  const JsonFault fault = scanner.string(out, length);
  return {fault, out.substr(0, length), scanner.position()};
}
JsonFault integer_from(const std::string& json, std::uint64_t& value) { return JsonScanner(json).integer(value); }

TEST(JsonScanner, unescapes_strings) {
  EXPECT_EQ(string_from(R"("")").text, "");
  EXPECT_EQ(string_from(R"( "a\"\\\/\b\f\n\r\t")").text, "a\"\\/\b\f\n\r\t");
  EXPECT_EQ(string_from(R"("\u0041\u00e9\u20AC\uD83D\uDE00")").text, "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
  EXPECT_EQ(string_from(R"("\u0000")").text, std::string(1, '\0'));
  EXPECT_EQ(string_from("\"\xc3\xa9\"x").position, 4U);
}

TEST(JsonScanner, reports_bad_strings_where_they_go_wrong) {
  EXPECT_EQ(string_from("").fault, JsonFault::not_json);
  EXPECT_EQ(string_from("17").fault, JsonFault::other_kind);
  EXPECT_EQ(string_from("x").fault, JsonFault::not_json);
  EXPECT_EQ(string_from("\"abc").fault, JsonFault::not_json);
  EXPECT_EQ(string_from("\"abc\\").fault, JsonFault::not_json);
  EXPECT_EQ(string_from("\"a\x01\"").fault, JsonFault::control_character);
  EXPECT_EQ(string_from("\"a\x01\"").position, 2U);
  for (const char* escape : {R"("\a")", R"("\U0041")", R"("\u004")", R"("\u00g0")", R"("\ud800")", R"("\udc00\ud800")",
                             R"("\ud800\u0041")"}) {
    EXPECT_EQ(string_from(escape).fault, JsonFault::bad_escape) << escape;
  }
}

TEST(JsonScanner, never_writes_beyond_the_room) {
  EXPECT_EQ(string_from("\"abcd\"", 4).text, "abcd");
  EXPECT_EQ(string_from("\"abcde\"", 4).fault, JsonFault::too_long);
  EXPECT_EQ(string_from(R"("ab\u00e9")", 4).text, "ab\xc3\xa9");
  EXPECT_EQ(string_from(R"("abc\u00e9")", 4).fault, JsonFault::too_long);
  EXPECT_EQ(string_from(R"("\ud83d\ude00")", 3).fault, JsonFault::too_long);
  EXPECT_EQ(string_from("\"a\"", 0).fault, JsonFault::too_long);
  EXPECT_EQ(string_from("\"\"", 0).fault, JsonFault::none);
}

TEST(JsonScanner, unescapes_in_place) {
  std::string text = R"(x"\u0061\u00e9\ud83d\ude00\n")";
  JsonScanner scanner(text);
  ASSERT_TRUE(scanner.take('x'));
  std::size_t length = 0;
  ASSERT_EQ(scanner.string(text, length), JsonFault::none);
  EXPECT_EQ(text.substr(0, length), "a\xc3\xa9\xf0\x9f\x98\x80\n");
}

TEST(JsonScanner, reads_integers_written_as_integers) {
  std::uint64_t value = 9;
  EXPECT_EQ(integer_from("0", value), JsonFault::none);
  EXPECT_EQ(value, 0U);
  EXPECT_EQ(integer_from(" 18446744073709551615]", value), JsonFault::none);
  EXPECT_EQ(value, 18446744073709551615U);
  for (const char* large : {"18446744073709551616", "18446744073709551620", "99999999999999999999999"}) {
    EXPECT_EQ(integer_from(large, value), JsonFault::too_large) << large;
  }
  for (const char* other : {"-1", "-0", "1.0", "0.", "1e3", "0E0", "12.5"})
    EXPECT_EQ(integer_from(other, value), JsonFault::not_written_as_int) << other;
  for (const char* bad : {"01", "00", "", "+1", "x", ",", "]"})
    EXPECT_EQ(integer_from(bad, value), JsonFault::not_json) << bad;
  for (const char* kind : {"\"1\"", "null", "true", "false", "[", "{"})
    EXPECT_EQ(integer_from(kind, value), JsonFault::other_kind) << kind;
}

TEST(JsonScanner, skips_json_whitespace_only) {
  EXPECT_TRUE(JsonScanner(" \t\r\n{").take('{'));
  EXPECT_FALSE(JsonScanner("\v{").take('{'));
  EXPECT_FALSE(JsonScanner(std::string_view("\0{", 2)).take('{'));
  EXPECT_FALSE(JsonScanner("").take('{'));
}

}  // namespace
