// SPDX-License-Identifier: MIT

#include <eigenformer/io/safetensors_header.hpp>

#include <eigenformer/io/safetensors.hpp>

#include "reference/safetensors.hpp"
#include "support/allocation.hpp"
#include "support/safetensors_files.hpp"

#include <gtest/gtest.h>

#include <map>

namespace {

using namespace eigenformer;
using support::Bytes;
using support::safetensors_bytes;
using support::tensor_json;

constexpr int accepted = 0;

/// The rule that refuses the bytes, or `accepted`.
int verdict(const Bytes& bytes, const SafetensorsLimits& limits = {}) {
  const Result<SafetensorsFile> file = SafetensorsFile::try_open(bytes, limits);
  return file ? accepted : file.fault().rule;
}

struct Case {
  int expected;
  std::string header;
  std::size_t data_bytes = 0;
};

std::string one(const std::string& shape, std::uint64_t end, const std::string& dtype = "U8") {
  return "{" + tensor_json("a", dtype, shape, 0, end) + "}";
}
std::string named(const std::string& name) { return "{" + tensor_json(name, "U8", "", 0, 1) + "}"; }
std::string fields(const std::string& inside) { return "{\"a\":{" + inside + "}}"; }
std::string times(const std::string& text, int count) {
  std::string all;
  for (int i = 0; i < count; ++i) all += text;
  return all;
}

/// Checks a table against our verdict and, where the rules are those of everyone, against the plain reader.
void expect_verdicts(const std::vector<Case>& cases) {
  for (const Case& one_case : cases) {
    const Bytes bytes = safetensors_bytes(one_case.header, one_case.data_bytes);
    EXPECT_EQ(verdict(bytes), one_case.expected) << one_case.header.substr(0, 300);
    const std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    EXPECT_EQ(reference::is_safetensors(text), one_case.expected == accepted) << one_case.header.substr(0, 300);
  }
}

TEST(SafetensorsRules, r01_file_has_at_least_eight_bytes) {
  EXPECT_EQ(verdict(safetensors_bytes("{}", 0)), accepted);
  Bytes bytes = safetensors_bytes("", 0, 0);
  EXPECT_EQ(verdict(bytes), 6);
  while (!bytes.empty()) {
    bytes.pop_back();
    EXPECT_EQ(verdict(bytes), 1) << bytes.size();
  }
}

TEST(SafetensorsRules, r02_length_is_little_endian) {
  Bytes bytes = safetensors_bytes("{" + std::string(400, ' ') + "}", 0);
  EXPECT_EQ(verdict(bytes), accepted);  // 402 = 0x192
  EXPECT_EQ(bytes[0], std::byte{0x92});
  EXPECT_EQ(bytes[1], std::byte{0x01});
  std::swap(bytes[0], bytes[1]);
  EXPECT_EQ(verdict(bytes), 5);
  std::reverse(bytes.begin(), bytes.begin() + 8);
  EXPECT_EQ(verdict(bytes), 4);
}

// L1: each length that made some reader allocate what the file does not have, or wrap around.
TEST(SafetensorsRules, r03_to_r06_length_fits_limit_and_file) {
  const std::string header = "{}" + std::string(62, ' ');
  const std::map<std::uint64_t, int> expected = {{0, 6},
                                                 {1, 6},
                                                 {2, 30},
                                                 {63, 30},
                                                 {64, accepted},
                                                 {65, 5},
                                                 {72, 5},
                                                 {99'999'999, 5},
                                                 {100'000'000, 5},
                                                 {100'000'001, 4},
                                                 {std::uint64_t{1} << 31, 4},
                                                 {std::uint64_t{1} << 32, 4},
                                                 {(std::uint64_t{1} << 32) + 64, 4},
                                                 {std::uint64_t{1} << 63, 4},
                                                 {(std::uint64_t{1} << 63) + 64, 4}};
  for (const auto& [length, rule] : expected) {
    const Bytes bytes = safetensors_bytes(header, 0, length);
    const support::AllocationCounter counter;
    const int got = verdict(bytes);
    const std::size_t allocated = counter.bytes();
    EXPECT_EQ(got, rule) << length;
    if (support::AllocationCounter::available()) {
      EXPECT_LE(allocated, bytes.size() + 8) << length;
    }
  }
  for (std::uint64_t below = 1; below <= 9; ++below) EXPECT_EQ(verdict(safetensors_bytes(header, 0, 0 - below)), 4);
  EXPECT_EQ(verdict(safetensors_bytes(header, 0), {.header_bytes = 64}), accepted);
  EXPECT_EQ(verdict(safetensors_bytes(header, 0), {.header_bytes = 63}), 4);
  EXPECT_EQ(verdict(safetensors_bytes(header, 0), {.header_bytes = 0}), 4);
  // A limit beyond 32 bits does not let 64-bit lengths through.
  EXPECT_EQ(verdict(safetensors_bytes(header, 0, ~std::uint64_t{0}), {.header_bytes = ~std::uint64_t{0}}), 4);
}

TEST(SafetensorsRules, r07_header_is_utf8) {
  expect_verdicts({
      {accepted, named("\x7e"), 1},
      {accepted,
       named("\xc2\xa0\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"), 1},
      {7, named("\x80"), 1},
      {7, named("\xc0\x80"), 1},          // overlong
      {7, named("\xc1\xbf"), 1},          //
      {7, named("\xe0\x9f\xbf"), 1},      //
      {7, named("\xf0\x8f\xbf\xbf"), 1},  //
      {7, named("\xed\xa0\x80"), 1},      // surrogates
      {7, named("\xed\xbf\xbf"), 1},      //
      {7, named("\xf4\x90\x80\x80"), 1},  // above U+10FFFF
      {7, named("\xf5\x80\x80\x80"), 1},  //
      {7, named("\xff"), 1},              //
      {7, named("\xe2\x82"), 1},          // cut short
      {7, "{}\xe2\x82", 0},               //
      {7, "\xef\xbb\xbf{}", 0},           // byte-order mark
      {7, "\xff\xfe{\0}", 0},             // that of UTF-16
  });
}

TEST(SafetensorsRules, r08_begins_with_a_brace) {
  expect_verdicts({{accepted, " {}", 0}, {accepted, "\r\n\t {}", 0}, {10, "\f{}", 0}, {10, "\xc2\xa0{}", 0}});
  const SafetensorsLimits strict = {.style = HeaderStyle::strict};
  EXPECT_EQ(verdict(safetensors_bytes("{}", 0), strict), accepted);
  EXPECT_EQ(verdict(safetensors_bytes(" {}", 0), strict), 8);
  EXPECT_EQ(verdict(safetensors_bytes(std::string(1000, '\n') + "{}", 0), strict), 8);
}

TEST(SafetensorsRules, r09_only_padding_after_the_object) {
  expect_verdicts({{accepted, "{} \t\r\n ", 0},
                   {9, "{} x", 0},
                   {9, "{}{}", 0},
                   {9, "{}\f", 0},
                   {9, "{},", 0},
                   {9, std::string("{}\0", 3), 0},
                   {9, std::string("{}\0garbage", 10), 0},
                   {9, "{}" + std::string(500, ' ') + "}", 0}});
  const SafetensorsLimits strict = {.style = HeaderStyle::strict};
  EXPECT_EQ(verdict(safetensors_bytes("{}      ", 0), strict), accepted);
  EXPECT_EQ(verdict(safetensors_bytes("{}  \n", 0), strict), 9);
  EXPECT_EQ(verdict(safetensors_bytes("{}\t\t\t\t", 0), strict), 9);
}

TEST(SafetensorsRules, r10_is_json_and_nothing_more) {
  expect_verdicts({
      {accepted, one("1", 1), 1},
      {10, "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1],}}", 1},
      {10, "{" + tensor_json("a", "U8", "1", 0, 1) + ",}", 1},
      {10, "{," + tensor_json("a", "U8", "1", 0, 1) + "}", 1},
      {10, one("1,", 1), 1},
      {10, one(",1", 1), 1},
      {10, one("1 1", 1), 1},
      {10, one("01", 1), 1},
      {10, one("00", 0), 0},
      {10, one("+1", 1), 1},
      {10, one("0x1", 1), 1},
      {10, one("NaN", 1), 1},
      {10, one("Infinity", 1), 1},
      {10, one("/*1*/1", 1), 1},
      {10, "{'a':{}}", 0},
      {10, "{a:{}}", 0},
      {10, "{\"a\" {}}", 0},
      {10, "{\"a\"=1}", 0},
      {10, "// \n{}", 0},
      {10, "{/**/}", 0},
      {10, "{ ", 0},
      {10, "{\"", 0},
      {10, "{\"a\"", 0},
      {10, "{\"a\":", 0},
      {10, "{\"a\\", 0},
      {10, "{\"a\\u00", 0},
      {10, std::string("{\0}", 3), 0},
      {10, std::string(1000, ' '), 0},
      {10, "{\"__metadata__\":{\"a\":\"b\",}}", 0},
      {10, "{\"__metadata__\":{\"a\":\"b\"", 0},
  });
}

TEST(SafetensorsRules, r11_strings_hold_no_controls_and_whole_escapes) {
  const auto value = [](const std::string& text) { return "{\"__metadata__\":{\"k\":\"" + text + "\"}}"; };
  expect_verdicts({
      {accepted, value("\\u0000\\u001f\\b\\f\\n\\r\\t\\/\\\\\\\"\\uFfFf\\ud834\\uDD1E \x7f"), 0},
      {11, value("\x1f"), 0},
      {11, value("\n"), 0},
      {11, value(std::string(1, '\0')), 0},
      {11, value("\\x41"), 0},
      {11, value("\\'"), 0},
      {11, value("\\u12"), 0},
      {11, value("\\u123g"), 0},
      {11, value("\\u 123"), 0},
      {11, value("\\ud800"), 0},
      {11, value("\\udc00"), 0},
      {11, value("\\ud800\\ud800"), 0},
      {11, value("\\ud800x"), 0},
      {11, value("\\ud800\\n"), 0},
      {11, value("\\udfff\\ud800"), 0},
      {11, named("\t"), 1},
      {11, "{\"a\":{\"dtype\\q\":1}}", 0},
  });
}

// L10: a recursive parser would overflow its stack, a tree would overflow it when destroyed.
TEST(SafetensorsRules, r12_nests_three_deep_at_most) {
  expect_verdicts({
      {accepted, one("1", 1), 1},
      {12, one("[1]", 1), 1},
      {12, one("{}", 1), 1},
      {12, "{\"__metadata__\":{\"a\":{}}}", 0},
      {12, "{\"a\":{\"dtype\":{}}}", 0},
      {12, "{\"a\":{\"shape\":{}}}", 0},
      {12, "{\"a\":{\"data_offsets\":[[0,1]]}}", 0},
  });
  EXPECT_EQ(verdict(safetensors_bytes(one(times("[", 1'000'000), 1), 1)), 12);
  EXPECT_EQ(verdict(safetensors_bytes(times("{\"a\":", 1'000'000), 1)), 19);
  EXPECT_EQ(verdict(safetensors_bytes(times("[", 1'000'000), 1)), 13);
  EXPECT_EQ(verdict(safetensors_bytes("{\"__metadata__\":{\"a\":" + times("{\"a\":", 1'000'000), 1)), 12);
}

TEST(SafetensorsRules, r13_top_level_is_one_object) {
  expect_verdicts({{accepted, "{}", 0},
                   {13, "[]", 0},
                   {13, "[{}]", 0},
                   {13, "\"{}\"", 0},
                   {13, "17", 0},
                   {13, "null", 0},
                   {13, "true", 0}});
}

// L8
TEST(SafetensorsRules, r14_keys_are_unique_after_unescaping) {
  const std::string a = tensor_json("a", "U8", "", 0, 1);
  expect_verdicts({
      {accepted, "{" + a + "," + tensor_json("A", "U8", "", 1, 2) + "}", 2},
      {14, "{" + a + "," + tensor_json("a", "U8", "", 1, 2) + "}", 2},
      {14, "{" + a + "," + tensor_json("\\u0061", "U8", "", 1, 2) + "}", 2},
      {14,
       "{" + tensor_json("e", "U8", "0", 0, 0) + "," + tensor_json("b", "U8", "", 0, 1) + "," +
           tensor_json("e", "U8", "0", 1, 1) + "}",
       1},
      {14, fields("\"dtype\":\"U8\",\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]"), 1},
      {14, fields("\"dtype\":\"U8\",\"shape\":[],\"sh\\u0061pe\":[],\"data_offsets\":[0,1]"), 1},
      {14, fields("\"data_offsets\":[0,1],\"data_offsets\":[0,1]"), 1},
      {14, "{\"__metadata__\":{\"k\":\"1\",\"l\":\"\",\"k\":\"1\"}}", 0},
      {14, "{\"__metadata__\":{\"/\":\"1\",\"\\/\":\"2\"}}", 0},
  });
}

TEST(SafetensorsRules, r15_keys_and_counts_are_bounded) {
  expect_verdicts({
      {accepted, named("n"), 1},
      {accepted, named(std::string(4096, 'n')), 1},
      {accepted, named(times("\\u00e9", 2048)), 1},
      {15, named(""), 1},
      {15, named(std::string(4097, 'n')), 1},
      {15, named(times("\\u00e9", 2048) + "n"), 1},
      {15, named("nn" + times("\\u20ac", 1365)), 1},  // bytes 4095 .. 4097: the limit falls into a character
      {15, named(std::string(1'000'000, 'n')), 1},
      {15, "{\"__metadata__\":{\"\":\"x\"}}", 0},
      {15, "{\"__metadata__\":{\"" + std::string(4097, 'n') + "\":\"x\"}}", 0},
  });
  const Bytes three =
      safetensors_bytes("{" + tensor_json("a", "U8", "0", 0, 0) + "," + tensor_json("b", "U8", "0", 0, 0) + "," +
                            tensor_json("c", "U8", "0", 0, 0) + "}",
                        0);
  EXPECT_EQ(verdict(three, {.tensors = 3}), accepted);
  EXPECT_EQ(verdict(three, {.tensors = 2}), 15);
  EXPECT_EQ(verdict(three, {.tensors = 0}), 15);
  EXPECT_EQ(verdict(three, {.name_bytes = 1}), accepted);
  EXPECT_EQ(verdict(safetensors_bytes(named("nn"), 1), {.name_bytes = 1}), 15);
}

TEST(SafetensorsRules, r16_names_hold_no_control_characters) {
  expect_verdicts({
      {accepted, named("\\u0020\\u007e\\u00a0"), 1},
      {accepted, named("\xc2\xa0"), 1},
      {16, named("\\u0000"), 1},
      {16, named("a\\u0000b"), 1},
      {16, named("\\n"), 1},
      {16, named("\\u001f"), 1},
      {16, named("\x7f"), 1},
      {16, named("\\u0080"), 1},
      {16, named("\xc2\x9f"), 1},
      {16, named(times("\\u0001", 500)), 1},
  });
}

TEST(SafetensorsRules, r17_metadata_is_one_object_of_strings) {
  const auto metadata = [](const std::string& value) { return "{\"__metadata__\":" + value + "}"; };
  expect_verdicts({
      {accepted, metadata("{}"), 0},
      {accepted, metadata("{\"a\":\"b\"}"), 0},
      {17, metadata("null"), 0},
      {17, metadata("[]"), 0},
      {17, metadata("\"a\""), 0},
      {17, metadata("{\"a\":1}"), 0},
      {17, metadata("{\"a\":null}"), 0},
      {17, metadata("{\"a\":[]}"), 0},
      {17, metadata("{\"a\":\"b\",\"c\":true}"), 0},
      {17, "{\"__metadata__\":{},\"__metadata__\":{}}", 0},
      {17, "{\"__metadata__\":{},\"\\u005f_metadata__\":{\"a\":\"b\"}}", 0},
      {17, "{" + tensor_json("__metadata__", "U8", "", 0, 1) + "}", 1},
  });
}

TEST(SafetensorsRules, r18_metadata_is_handed_out_by_key_and_not_interpreted) {
  const Bytes bytes =
      safetensors_bytes("{\"__metadata__\":{\"format\":\"pickle\",\"a\\n\":\"\\u00e4\",\"shape\":\"[9]\"}," +
                            tensor_json("x", "U8", "", 0, 1) + "}",
                        1);
  const SafetensorsFile file{std::span(bytes)};
  EXPECT_EQ(file.metadata("format"), "pickle");
  EXPECT_EQ(file.metadata("a\n"), "\xc3\xa4");
  EXPECT_EQ(file.metadata("b"), std::nullopt);
  EXPECT_EQ(file.header().metadata_size(), 3U);
  EXPECT_EQ(file.header().metadata(0).key, "a\n");
  EXPECT_EQ(file.header().metadata(2).value, "[9]");
  EXPECT_EQ(file.find("x")->shape, Shape{});
}

TEST(SafetensorsRules, r19_tensor_has_exactly_three_fields) {
  expect_verdicts({
      {accepted, fields("\"data_offsets\":[0,1],\"shape\":[],\"dtype\":\"U8\""), 1},
      {19, fields(""), 0},
      {19, fields("\"dtype\":\"U8\",\"shape\":[]"), 0},
      {19, fields("\"dtype\":\"U8\",\"data_offsets\":[0,1]"), 1},
      {19, fields("\"shape\":[],\"data_offsets\":[0,1]"), 1},
      {19, fields("\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1],\"x\":0"), 1},
      {19, fields("\"Dtype\":\"U8\""), 1},
      {19, fields("\"\":\"U8\""), 1},
      {19, fields("\"" + std::string(10'000, 'd') + "\":\"U8\""), 1},
      {19, "{\"a\":null}", 0},
      {19, "{\"a\":[]}", 0},
      {19, "{\"a\":\"U8\"}", 0},
  });
}

// L5
TEST(SafetensorsRules, r20_dtype_is_of_the_closed_list) {
  const std::map<std::string, std::size_t> bytes_of_eight = {
      {"BOOL", 8},    {"F4", 4},      {"F6_E2M3", 6}, {"F6_E3M2", 6},     {"U8", 8},          {"I8", 8},
      {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8}, {"I16", 16},
      {"U16", 16},    {"F16", 16},    {"BF16", 16},   {"I32", 32},        {"U32", 32},        {"F32", 32},
      {"C64", 64},    {"F64", 64},    {"I64", 64},    {"U64", 64}};
  EXPECT_EQ(bytes_of_eight.size(), 22U);
  for (const auto& [dtype, size] : bytes_of_eight) expect_verdicts({{accepted, one("8", size, dtype), size}});
  for (const std::string dtype :
       {"", "f32", "F128", "FLOAT", "F32 ", " F32", "F3", "F320", "bool", "\\u0000", "F8_E5M2FNUZZZZZZZ"}) {
    expect_verdicts({{20, one("8", 8, dtype), 8}});
  }
  expect_verdicts({{20, one("8", 8, std::string(10'000, 'F')), 8},
                   {20, fields("\"dtype\":32"), 0},
                   {20, fields("\"dtype\":null"), 0},
                   {12, fields("\"dtype\":[\"F32\"]"), 0}});
}

TEST(SafetensorsRules, r21_shape_is_an_array_of_integers) {
  expect_verdicts({
      {accepted, one("2,3", 6), 6},
      {21, one("-1", 1), 1},
      {21, one("-0", 0), 0},
      {21, one("1.0", 1), 1},
      {21, one("1e0", 1), 1},
      {21, one("1E2", 100), 100},
      {21, one("0.5", 1), 1},
      {21, one("\"1\"", 1), 1},
      {21, one("null", 1), 1},
      {21, one("true", 1), 1},
      {21, fields("\"shape\":1"), 1},
      {21, fields("\"shape\":null"), 1},
      {21, fields("\"shape\":\"[1]\""), 1},
  });
}

TEST(SafetensorsRules, r22_dimensions_and_rank_are_bounded) {
  expect_verdicts({
      {accepted, one("0,281474976710655", 0), 0},
      {22, one("0,281474976710656", 0), 0},
      {22, one("0,18446744073709551615", 0), 0},
      {22, one("0,18446744073709551616", 0), 0},
      {22, one("0,1" + std::string(5000, '0'), 0), 0},
      {accepted, one("", 1), 1},
      {accepted, one("1,1,1,1,1,1,1,2", 2), 2},
      {22, one("1,1,1,1,1,1,1,1,1", 1), 1},
      {22, one("1" + times(",1", 10'000), 1), 1},
  });
  EXPECT_EQ(verdict(safetensors_bytes(one("1,1", 1), 1), {.rank = 2}), accepted);
  EXPECT_EQ(verdict(safetensors_bytes(one("1,1,1", 1), 1), {.rank = 2}), 22);
  EXPECT_EQ(verdict(safetensors_bytes(one("1,1,1,1,1,1,1,1,1", 1), 1), {.rank = 99}), 22);
}

// L2, L3, L15, L16
TEST(SafetensorsRules, r23_product_of_dimensions_does_not_overflow) {
  expect_verdicts({
      {23, one("4294967296,4294967296", 0), 0},
      {23, one("0,4294967296,4294967296", 0), 0},
      {23, one("4294967296,0,4294967296", 0), 0},
      {23, one("4294967296,4294967296,0", 0), 0},
      {23, one("281474976710655,281474976710655,281474976710655,281474976710655", 0), 0},
      {23, one("140737488355328,65536,0", 0), 0},
      {accepted, one("140737488355328,32768,0", 0), 0},
      {accepted, one("0,140737488355328,32768", 0), 0},
      {accepted, one("0,1,2,3", 0), 0},
      {accepted, one("1,0,2,3", 0), 0},
      {accepted, one("1,2,0,3", 0), 0},
      {accepted, one("1,2,3,0", 0), 0},
  });
  for (const char* dtype : {"U8", "F16", "F32", "F64"}) {
    expect_verdicts(
        {{23, one("1099511627776,16777216", 0, dtype), 0}, {23, one("70368744177664,8,32768", 0, dtype), 0}});
  }
}

TEST(SafetensorsRules, r24_elements_fill_whole_bytes) {
  expect_verdicts({
      {accepted, one("2", 1, "F4"), 1},
      {24, one("1", 1, "F4"), 1},
      {24, one("3", 1, "F4"), 1},
      {24, one("", 1, "F4"), 1},
      {accepted, one("4", 3, "F6_E2M3"), 3},
      {24, one("3", 2, "F6_E2M3"), 2},
      {24, one("2,3", 4, "F6_E3M2"), 4},
      {accepted, one("0", 0, "F4"), 0},
      {27, one("140737488355328,8192", 0), 0},  // 2^60 bytes: no overflow, only wrong
      {24, one("140737488355328,16384", 0), 0},
      {24, one("140737488355328,2048", 0, "F64"), 0},
      {24, one("140737488355328,32768", 0, "C64"), 0},
  });
}

TEST(SafetensorsRules, r25_data_offsets_are_two_integers) {
  const auto offsets = [](const std::string& text) {
    return fields("\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":" + text);
  };
  expect_verdicts({
      {accepted, offsets("[0,1]"), 1},
      {25, offsets("[]"), 1},
      {25, offsets("[0]"), 1},
      {25, offsets("[0,1,2]"), 1},
      {25, offsets("[-1,0]"), 1},
      {25, offsets("[-0,1]"), 1},
      {25, offsets("[0.0,1]"), 1},
      {25, offsets("[0,1e0]"), 1},
      {25, offsets("[\"0\",1]"), 1},
      {25, offsets("[0,null]"), 1},
      {25, offsets("null"), 1},
      {25, offsets("\"0,1\""), 1},
      {25, offsets("[0,18446744073709551616]"), 1},
      {25, offsets("[0,1" + std::string(4000, '0') + "]"), 1},
      {10, offsets("[0,]"), 1},
  });
}

// L4
TEST(SafetensorsRules, r26_begin_is_not_behind_end) {
  const auto range = [](std::uint64_t begin, std::uint64_t end, const std::string& shape) {
    return "{" + tensor_json("a", "U8", shape, begin, end) + "}";
  };
  constexpr std::uint64_t top = ~std::uint64_t{0};
  expect_verdicts({
      {accepted, range(0, 0, "0"), 0},
      {26, range(1, 0, "0"), 1},
      {26, range(1, 0, "1"), 1},
      {26, range(top, 0, "1"), 1},
      {26, range(top - 7, 0, "8"), 8},
      {26, range(top - 7, 7, "16"), 16},
      {29, range(1, 1, "0"), 1},
      {28, range(top - 7, top, "7"), 7},
  });
}

// L2
TEST(SafetensorsRules, r27_range_is_as_long_as_shape_and_dtype_say) {
  expect_verdicts({
      {accepted, one("2,3", 24, "F32"), 24},
      {27, one("2,3", 23, "F32"), 23},
      {27, one("2,3", 25, "F32"), 25},
      {27, one("2,3", 20, "F32"), 20},
      {27, one("2,3", 28, "F32"), 28},
      {27, one("2,3", 24 * 64, "F32"), 24 * 64},
      {27, one("2,3", 0, "F32"), 0},
      {27, one("0", 1, "F32"), 1},
      {27, one("", 0), 0},
      {27, one("281474976710655", 0), 0},
  });
}

TEST(SafetensorsRules, r28_ranges_end_inside_the_file) {
  expect_verdicts({
      {accepted, one("9", 9), 9},
      {28, one("9", 9), 8},
      {28, one("9", 9), 0},
      {28, one("281474976710655", 281474976710655), 9},
      {28, "{" + tensor_json("a", "U8", "9", 0, 9) + "," + tensor_json("b", "U8", "0", 10, 10) + "}", 9},
      {28, "{" + tensor_json("a", "U8", "0", ~std::uint64_t{0}, ~std::uint64_t{0}) + "}", 9},
  });
}

// L6, L7
TEST(SafetensorsRules, r29_ranges_tile_the_data) {
  const auto two = [](std::uint64_t b0, std::uint64_t e0, std::uint64_t b1, std::uint64_t e1) {
    return "{" + tensor_json("a", "U8", std::to_string(e0 - b0), b0, e0) + "," +
           tensor_json("b", "U8", std::to_string(e1 - b1), b1, e1) + "}";
  };
  expect_verdicts({
      {accepted, two(0, 5, 5, 9), 9},
      {accepted, two(5, 9, 0, 5), 9},
      {29, two(1, 5, 5, 9), 9},
      {29, two(0, 5, 6, 9), 9},
      {29, two(0, 4, 5, 9), 9},
      {29, two(0, 5, 4, 9), 9},
      {29, two(0, 9, 0, 9), 9},
      {29, two(0, 9, 3, 5), 9},
      {29, two(0, 1, 8, 9), 9},
      {29, two(0, 9, 8, 9), 9},
  });
  std::string many = "{";
  for (int i = 0; i < 1000; ++i) many += tensor_json("t" + std::to_string(i), "U8", "100", 0, 100) + ",";
  many.back() = '}';
  expect_verdicts({{29, many, 100}});
}

// L7
TEST(SafetensorsRules, r30_no_byte_follows_the_last_tensor) {
  expect_verdicts({{accepted, one("9", 9), 9},
                   {30, one("9", 9), 10},
                   {30, one("9", 9), 1000},
                   {30, "{}", 1},
                   {30, "{}", 4096},
                   {30, one("0", 0), 1}});
}

// L9
TEST(SafetensorsRules, r31_empty_tensors_lie_at_boundaries) {
  const std::string full = tensor_json("f", "F32", "2", 0, 8);
  const auto with_empty = [&](std::uint64_t at) {
    return "{" + tensor_json("e", "F32", "2,0", at, at) + "," + full + "," + tensor_json("d", "I64", "0", at, at) + "}";
  };
  expect_verdicts({{accepted, with_empty(0), 8},
                   {accepted, with_empty(8), 8},
                   {29, with_empty(1), 8},
                   {29, with_empty(4), 8},
                   {29, with_empty(7), 8},
                   {28, with_empty(9), 8},
                   {accepted, one("0", 0), 0}});
  std::string many = "{" + full;
  for (int i = 0; i < 1000; ++i) many += "," + tensor_json(std::to_string(i), "F64", "0", 8, 8);
  expect_verdicts({{accepted, many + "}", 8}});
}

TEST(SafetensorsRules, r32_names_come_sorted) {
  const Bytes bytes =
      safetensors_bytes("{" + tensor_json("b", "U8", "", 1, 2) + "," + tensor_json("\u00e4", "U8", "", 2, 3) + "," +
                            tensor_json("ab", "U8", "", 0, 1) + "," + tensor_json("a", "U8", "", 3, 4) + "}",
                        4);
  const SafetensorsFile file{std::span(bytes)};
  EXPECT_EQ(file.names(), (std::vector<std::string>{"a", "ab", "b", "\xc3\xa4"}));
  EXPECT_EQ(file.find("b")->begin, 1U);
  EXPECT_EQ(file.find("a")->begin, 3U);
  for (const char* absent : {"", "0", "aa", "abc", "c", "\xc3\xa5"}) EXPECT_FALSE(file.contains(absent)) << absent;
}

TEST(SafetensorsRules, r33_a_file_of_nothing_is_valid) {
  const Bytes bytes = safetensors_bytes("{}", 0);
  const SafetensorsFile file{std::span(bytes)};
  EXPECT_EQ(file.size(), 0U);
  EXPECT_FALSE(file.contains("a"));
  EXPECT_FALSE(file.metadata("a").has_value());
  expect_verdicts({{accepted, "{\"__metadata__\":{}}", 0}, {accepted, "{ }", 0}});
}

TEST(SafetensorsHeader, describes_every_kind_of_entry) {
  const support::ValidFile odd = support::valid_files().back();
  const Bytes bytes = safetensors_bytes(odd.header, odd.data_bytes);
  const SafetensorsFile file{std::span(bytes)};
  ASSERT_EQ(file.size(), 4U);
  EXPECT_EQ(file[0].name, "q");
  EXPECT_EQ(file[0].dtype, Dtype::f6_e2m3);
  EXPECT_EQ(file[0].bytes(), 3U);
  EXPECT_EQ(file[2].shape, (Shape{1, 1, 1, 1, 1, 1, 1, 1}));
  EXPECT_EQ(file[3].shape, (Shape{0, 281474976710655}));
  EXPECT_EQ(file[1].position, 8U + odd.header.find("\"x\""));
}

TEST(SafetensorsHeader, faults_name_rule_tensor_and_position) {
  const std::string header = "{" + tensor_json("a", "U8", "", 0, 1) + ", " +
                             tensor_json("b\\n\u00e9" + std::string(200, 'x'), "F32", "2", 1, 8) + "}";
  const Bytes bytes = safetensors_bytes(header, 8);
  const Result<SafetensorsFile> file = SafetensorsFile::try_open(std::span(bytes));
  ASSERT_FALSE(file);
  EXPECT_EQ(file.fault().rule, 16);
  EXPECT_EQ(file.fault().position, 8 + header.find("\"b"));
  EXPECT_LE(file.fault().tensor.view().size(), 80U);
  EXPECT_EQ(file.fault().tensor.view().substr(0, 15), "b\\x0a\\xc3\\xa9xx");
  try {
    const Bytes wrong = safetensors_bytes(one("2", 7, "F32"), 7);
    const SafetensorsFile opened{std::span(wrong)};
    FAIL() << "opened";
  } catch (const FileError& error) {
    EXPECT_STREQ(
        error.what(),
        "safetensors: bytes in memory: rule 27 at byte 9, tensor \"a\": expected 8 bytes from shape and dtype, got 7");
    EXPECT_EQ(error.rule(), 27);
    EXPECT_EQ(error.tensor(), "a");
    EXPECT_EQ(error.position(), 9U);
  }
}

// The tightest headers: shortest possible text for each record, so that records and indices fill the text's own memory.
TEST(SafetensorsHeader, fits_into_the_memory_of_its_text) {
  for (int count = 1; count <= 40; ++count) {
    std::string tensors;
    for (int i = 0; i < count; ++i) {
      tensors += (i == 0 ? "" : ",") + tensor_json(std::string(1, static_cast<char>('0' + i)), "U8",
                                                   i % 2 == 0 ? "0" : "0,9,9,9,9,9,9,9", 0, 0);
    }
    expect_verdicts({{accepted, "{" + tensors + "}", 0}});
    std::string metadata;
    for (int i = 0; i < count; ++i)
      metadata += (i == 0 ? "\"" : ",\"") + std::string(1, static_cast<char>('0' + i)) + "\":\"\"";
    expect_verdicts({{accepted, "{\"__metadata__\":{" + metadata + "}}", 0},
                     {accepted, "{" + tensors + ",\"__metadata__\":{" + metadata + "}}", 0}});
    const Bytes bytes = safetensors_bytes("{" + tensors + ",\"__metadata__\":{" + metadata + "}}", 0);
    const support::AllocationCounter counter;
    const Result<SafetensorsFile> file = SafetensorsFile::try_open(std::span(bytes));
    const std::size_t allocated = counter.bytes();
    ASSERT_TRUE(file);
    EXPECT_EQ(file->size(), static_cast<std::size_t>(count));
    EXPECT_EQ(file->header().metadata_size(), static_cast<std::size_t>(count));
    if (support::AllocationCounter::available()) {
      EXPECT_LE(allocated, bytes.size());
    }
  }
}

// L6, L17, L23, rule 43: what 100,000 tensors cost, empty ones that no data pays for.
TEST(SafetensorsHeader, takes_no_more_memory_than_the_text_for_100000_tensors) {
  std::string header = "{";
  for (int i = 0; i < 100'000; ++i) header += tensor_json(std::to_string(i * 7919 % 100'003), "F4", "0", 0, 0) + ",";
  header.back() = '}';
  const Bytes bytes = safetensors_bytes(header, 0);
  const support::AllocationCounter counter;
  const Result<SafetensorsFile> file = SafetensorsFile::try_open(std::span(bytes));
  const std::size_t allocated = counter.bytes();
  const std::size_t calls = counter.count();
  ASSERT_TRUE(file) << file.fault().reason.view();
  EXPECT_EQ(file->size(), 100'000U);
  EXPECT_TRUE(file->contains("99999"));
  if (support::AllocationCounter::available()) {
    EXPECT_LE(allocated, bytes.size());
    EXPECT_EQ(calls, 1U);
  }
}

TEST(SafetensorsHeader, refuses_huge_strings_without_taking_memory_for_them) {
  for (const std::string& header :
       {"{\"" + std::string(20'000'000, 'x'), "{\"__metadata__\":{\"k\":\"" + std::string(20'000'000, 'x') + "\"}",
        "{\"a\":{\"dtype\":\"" + std::string(20'000'000, 'x'), "{\"a\":{\"shape\":[" + std::string(20'000'000, '1')}) {
    const Bytes bytes = safetensors_bytes(header, 0);
    const support::AllocationCounter counter;
    const int rule = verdict(bytes);
    const std::size_t allocated = counter.bytes();
    EXPECT_NE(rule, accepted);
    if (support::AllocationCounter::available()) {
      EXPECT_LE(allocated, bytes.size());
    }
  }
}

}  // namespace
