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

TEST(JsonScanner, reads_numbers_of_any_form) {
  double value = 9;
  const auto read = [&](const char* json) { return JsonScanner(json).number(value); };
  EXPECT_EQ(read(" 1e-05,"), JsonFault::none);
  EXPECT_EQ(value, 1e-5);
  EXPECT_EQ(read("-12.5E+2"), JsonFault::none);
  EXPECT_EQ(value, -1250);
  EXPECT_EQ(read("-0"), JsonFault::none);
  EXPECT_EQ(value, 0);
  EXPECT_EQ(read("123456789012345678901234567890"), JsonFault::none);
  EXPECT_EQ(value, 123456789012345678901234567890.0);
  EXPECT_EQ(read("1e309"), JsonFault::too_large);
  for (const char* bad : {"", "-", "01", "-01", "1.", ".5", "1e", "1e+", "+1", "NaN", "Infinity", "-Infinity"})
    EXPECT_EQ(read(bad), JsonFault::not_json) << bad;
  for (const char* kind : {"\"1\"", "null", "true", "[1]", "{"}) EXPECT_EQ(read(kind), JsonFault::other_kind) << kind;
}

TEST(JsonScanner, reads_words) {
  bool value = false;
  EXPECT_EQ(JsonScanner(" true").boolean(value), JsonFault::none);
  EXPECT_TRUE(value);
  EXPECT_EQ(JsonScanner("false").boolean(value), JsonFault::none);
  EXPECT_FALSE(value);
  EXPECT_EQ(JsonScanner("null").boolean(value), JsonFault::other_kind);
  EXPECT_EQ(JsonScanner("True").boolean(value), JsonFault::not_json);
  EXPECT_TRUE(JsonScanner("\nnull").take_word("null"));
  EXPECT_FALSE(JsonScanner("nul").take_word("null"));
}

TEST(JsonScanner, passes_over_values_that_are_json_and_no_others) {
  const auto skip = [](std::string_view json, std::size_t& end) {
    JsonScanner scanner(json);
    const JsonFault fault = scanner.skip_value(4);
    end = scanner.position();
    return fault;
  };
  std::size_t end = 0;
  for (const std::string json : {"1", "-1.5e7", "\"a\\u00e9\\\"\"", "true", "null", "[]", "{}", "[ 1 , [ ] , {} ]",
                                 "{\"a\" : [1,{\"b\":[0]}], \"a\": null }", "[[[[]]]]"}) {
    EXPECT_EQ(skip(json, end), JsonFault::none) << json;
    EXPECT_EQ(end, json.size()) << json;
    EXPECT_EQ(skip(" " + json + ",x", end), JsonFault::none) << json;
    EXPECT_EQ(end, json.size() + 1) << json;
    for (std::size_t cut = 0; cut < json.size(); ++cut) {
      const bool shorter_number = json[0] == '1' || json[0] == '-';
      if (!shorter_number) {
        EXPECT_NE(skip(json.substr(0, cut), end), JsonFault::none) << json.substr(0, cut);
      }
    }
  }
  for (const char* bad : {"", "x", "[1,]", "[,1]", "[1 2]", "{\"a\"}", "{\"a\":}", "{a:1}", "{\"a\":1,}", "{1:2}", "[}",
                          "{]", "[1}", "{\"a\":1]", "tru", "nulll]", "'a'", "[01]"}) {
    const JsonFault fault = skip(bad, end);
    EXPECT_TRUE(fault != JsonFault::none || end < std::string_view(bad).size()) << bad;
  }
  EXPECT_EQ(skip("[\"\x01\"]", end), JsonFault::control_character);
  EXPECT_EQ(skip("[\"\\x\"]", end), JsonFault::bad_escape);
}

// Depth costs no stack: a million brackets are refused at the fifth.
TEST(JsonScanner, refuses_what_is_nested_too_deep) {
  EXPECT_EQ(JsonScanner("[[[[[]]]]]").skip_value(4), JsonFault::too_deep);
  EXPECT_EQ(JsonScanner("[[[[{}]]]]").skip_value(4), JsonFault::too_deep);
  EXPECT_EQ(JsonScanner("[]").skip_value(0), JsonFault::too_deep);
  EXPECT_EQ(JsonScanner("1").skip_value(0), JsonFault::none);
  const std::string deep(1'000'000, '[');
  JsonScanner scanner(deep);
  EXPECT_EQ(scanner.skip_value(1'000'000), JsonFault::too_deep);
  EXPECT_EQ(scanner.position(), static_cast<std::size_t>(JsonScanner::max_depth));
  std::string nested;
  for (int i = 0; i < JsonScanner::max_depth; ++i) nested += i % 2 == 0 ? "{\"a\":" : "[";
  nested += "7";
  for (int i = JsonScanner::max_depth - 1; i >= 0; --i) nested += i % 2 == 0 ? '}' : ']';
  EXPECT_EQ(JsonScanner(nested).skip_value(JsonScanner::max_depth), JsonFault::none);
}

TEST(JsonScanner, skips_json_whitespace_only) {
  EXPECT_TRUE(JsonScanner(" \t\r\n{").take('{'));
  EXPECT_FALSE(JsonScanner("\v{").take('{'));
  EXPECT_FALSE(JsonScanner(std::string_view("\0{", 2)).take('{'));
  EXPECT_FALSE(JsonScanner("").take('{'));
}

}  // namespace
