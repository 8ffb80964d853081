#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/io/safetensors_limits.hpp>

#include "support/safetensors_files.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// Files written by hand for every rule about content, 1 to 33 of one file and 45 to 48 of a folder: for each rule one
// that just keeps it, one that just breaks it, and one that is far out; where a rule forbids nothing (18, 32, 33), files
// that are odd in its way and must be read all the same. Rules 34 to 44 are about reading: hand_made_reading_test.cpp.
namespace hand_made {

inline constexpr int accepted = 0;

struct File {
  int rule;          ///< that the file is about
  std::string name;  ///< what is odd about it
  int verdict;       ///< the rule that refuses it, or `accepted`
  std::string bytes;
  std::optional<std::uint64_t> position = {};  ///< of the fault, where it is worth saying
  std::optional<std::string> tensor = {};      ///< as the fault names it
  eigenformer::SafetensorsLimits limits = {};
  /// The plain reader knows neither limits nor the strict style.
  bool is_for_everyone() const { return limits.style == eigenformer::HeaderStyle::reference && !has_own_limits; }
  bool has_own_limits = false;

  File& at(std::uint64_t where, std::string named = {}) {
    position = where;
    tensor = std::move(named);
    return *this;
  }
  File& under(const eigenformer::SafetensorsLimits& chosen) {
    limits = chosen;
    has_own_limits = true;
    return *this;
  }
};

struct Folder {
  int rule;
  std::string name;
  int verdict;
  std::string index;
  std::map<std::string, std::string> files;
  std::optional<std::uint64_t> position = {};
  std::optional<std::string> tensor = {};

  Folder& at(std::uint64_t where, std::string named = {}) {
    position = where;
    tensor = std::move(named);
    return *this;
  }
};

/// The bytes of a file: the header behind its length, and so many bytes of data.
inline std::string file_bytes(const std::string& header, std::size_t data_bytes = 0) {
  const support::Bytes bytes = support::safetensors_bytes(header, data_bytes);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
/// The same with another length in front.
inline std::string with_length(const std::string& header, std::uint64_t length) {
  const support::Bytes bytes = support::safetensors_bytes(header, 0, length);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
inline std::string times(std::string_view text, int count) {
  std::string all;
  for (int i = 0; i < count; ++i) all += text;
  return all;
}
/// A file of one tensor `a`.
inline std::string one(const std::string& dtype, const std::string& shape, std::uint64_t begin, std::uint64_t end,
                       std::size_t data_bytes) {
  return file_bytes("{" + support::tensor_json("a", dtype, shape, begin, end) + "}", data_bytes);
}
inline std::string one(const std::string& dtype, const std::string& shape, std::uint64_t bytes) {
  return one(dtype, shape, 0, bytes, bytes);
}
/// A file of one byte under that name.
inline std::string named(const std::string& name) {
  return file_bytes("{" + support::tensor_json(name, "U8", "", 0, 1) + "}", 1);
}
inline std::string metadata(const std::string& value) { return file_bytes("{\"__metadata__\":" + value + "}"); }
inline std::string tensor_of(const std::string& fields, std::size_t data_bytes) {
  return file_bytes("{\"a\":{" + fields + "}}", data_bytes);
}
/// Two tensors of bytes.
inline std::string two(std::uint64_t b0, std::uint64_t e0, std::uint64_t b1, std::uint64_t e1, std::size_t data_bytes) {
  return file_bytes("{" + support::tensor_json("a", "U8", std::to_string(e0 - b0), b0, e0) + "," +
                        support::tensor_json("b", "U8", std::to_string(e1 - b1), b1, e1) + "}",
                    data_bytes);
}

class Table {
 public:
  Table() {
    framing();
    text();
    keys();
    about_metadata();
    entries();
    sizes();
    layout();
    folders();
  }
  std::vector<File> files;
  std::vector<Folder> shards;

 private:
  File& add(int rule, const char* name, int verdict, std::string bytes) {
    return files.emplace_back(File{.rule = rule, .name = name, .verdict = verdict, .bytes = std::move(bytes)});
  }
  static eigenformer::SafetensorsLimits strict() { return {.style = eigenformer::HeaderStyle::strict}; }

  void framing() {
    const std::string header = "{}" + std::string(62, ' ');
    add(1, "eight bytes", 6, std::string(8, '\0')).at(0);
    add(1, "seven bytes", 1, std::string(7, '\2')).at(7);
    add(1, "no byte", 1, "").at(0);
    std::string swapped = with_length("{" + std::string(400, ' ') + "}", 402);
    add(2, "402 as 92 01", accepted, swapped);
    std::swap(swapped[0], swapped[1]);
    add(2, "402 as 01 92", 5, swapped).at(0);
    std::reverse(swapped.begin(), swapped.begin() + 8);
    add(2, "402 from the most significant byte", 4, swapped).at(0);
    add(3, "fits 32 bits and the file", accepted, with_length(header, 64));
    add(3, "one more than 32 bits hold", 4, with_length(header, (std::uint64_t{1} << 32) + 64)).at(0);
    add(3, "the top bit", 4, with_length(header, (std::uint64_t{1} << 63) + 64)).at(0);
    add(4, "at the limit", accepted, with_length(header, 64)).under({.header_bytes = 64});
    add(4, "one beyond the limit", 4, with_length(header, 64)).under({.header_bytes = 63}).at(0);
    add(4, "one beyond the default limit", 4, with_length(header, 100'000'001)).at(0);
    add(4, "all bits", 4, with_length(header, ~std::uint64_t{0})).at(0);
    add(5, "as long as the file", accepted, with_length(header, 64));
    add(5, "one longer than the file", 5, with_length(header, 65)).at(0);
    add(5, "longer by the eight bytes in front", 5, with_length(header, 72)).at(0);
    add(5, "the default limit in a small file", 5, with_length(header, 100'000'000)).at(0);
    add(6, "two bytes", accepted, file_bytes("{}"));
    add(6, "one byte", 6, file_bytes("{")).at(0);
    add(6, "no byte, before data", 6, file_bytes("", 100)).at(0);
    add(8, "a space first", accepted, file_bytes(" {}"));
    add(8, "a brace first, strictly", accepted, file_bytes("{}")).under(strict());
    add(8, "a space first, strictly", 8, file_bytes(" {}")).under(strict()).at(8);
    add(8, "a thousand lines first, strictly", 8, file_bytes(std::string(1000, '\n') + "{}")).under(strict()).at(8);
    add(8, "a form feed first", 10, file_bytes("\f{}")).at(8);
    add(9, "all JSON whitespace behind", accepted, file_bytes("{} \t\r\n"));
    add(9, "spaces behind, strictly", accepted, file_bytes("{}   ")).under(strict());
    add(9, "a tab behind, strictly", 9, file_bytes("{} \t")).under(strict()).at(11);
    add(9, "a form feed behind", 9, file_bytes("{}\f")).at(10);
    add(9, "another object behind", 9, file_bytes("{}{}")).at(10);
    add(9, "a zero byte and garbage behind", 9, file_bytes(std::string("{}\0PK\3\4", 7))).at(10);
  }

  void text() {
    using support::tensor_json;
    add(7, "two, three and four bytes", accepted, named("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"));
    add(7, "the last code point", accepted, named("\xf4\x8f\xbf\xbf"));
    add(7, "one beyond the last code point", 7, named("\xf4\x90\x80\x80")).at(10);
    add(7, "a surrogate", 7, named("\xed\xa0\x80")).at(10);
    add(7, "an overlong slash", 7, named("\xc0\xaf")).at(10);
    add(7, "a byte-order mark", 7, file_bytes("\xef\xbb\xbf{}")).at(8);
    add(7, "UTF-16", 7, file_bytes(std::string("\xff\xfe{\0}\0", 6))).at(8);
    add(10, "plain JSON", accepted, one("U8", "1", 1));
    add(10, "a comma behind the last dimension", 10, one("U8", "1,", 1));
    add(10, "a leading zero", 10, one("U8", "01", 1));
    add(10, "a comment", 10, one("U8", "/**/1", 1));
    add(10, "a comma behind the last tensor", 10, file_bytes("{" + tensor_json("a", "U8", "", 0, 1) + ",}", 1));
    add(10, "NaN", 10, one("U8", "NaN", 1));
    add(10, "single quotes", 10, file_bytes("{'a':{}}")).at(9);
    add(10, "nothing but spaces", 10, file_bytes(std::string(10'000, ' ')));
    add(11, "every escape", accepted, metadata(R"({"k":"\"\\\/\b\f\n\r\t\u0000\uffff\ud83d\uDE00"})"));
    add(11, "a raw byte 1F", 11, metadata("{\"k\":\"\x1f\"}")).at(30);
    add(11, "a raw line feed in a name", 11, named("a\nb")).at(11);
    add(11, "three hexadecimal digits", 11, metadata(R"({"k":"\u12g"})"));
    add(11, "half a surrogate pair", 11, metadata(R"({"k":"\ud800"})"));
    add(11, "the halves exchanged", 11, metadata(R"({"k":"\udc00\ud800"})"));
    add(11, "an escape of other languages", 11, metadata(R"({"k":"\x41"})"));
    add(12, "two objects and an array", accepted, one("U8", "1", 1));
    add(12, "an array in the shape", 12, one("U8", "[1]", 1)).at(36, "a");
    add(12, "an object in the metadata", 12, metadata("{\"k\":{}}"));
    add(12, "a million arrays", 12, one("U8", times("[", 1'000'000), 1)).at(36, "a");
    add(12, "a million objects", 19, file_bytes(times("{\"a\":", 1'000'000))).at(14, "a");
    add(13, "an object", accepted, file_bytes("{ }"));
    add(13, "an array of the object", 13, file_bytes("[{}]")).at(8);
    add(13, "null", 13, file_bytes("null")).at(8);
    add(13, "a million arrays", 13, file_bytes(times("[", 1'000'000))).at(8);
  }

  void keys() {
    using support::tensor_json;
    const std::string a = tensor_json("a", "U8", "", 0, 1);
    add(14, "names that differ in case", accepted,
        file_bytes("{" + a + "," + tensor_json("A", "U8", "", 1, 2) + "}", 2));
    add(14, "a name twice", 14, file_bytes("{" + a + "," + tensor_json("a", "U8", "", 1, 2) + "}", 2))
        .at(8 + 2 + a.size(), "a");
    add(14, "a name twice, once escaped", 14,
        file_bytes("{" + a + "," + tensor_json("\\u0061", "U8", "", 1, 2) + "}", 2))
        .at(8 + 2 + a.size(), "a");
    add(14, "a field twice", 14, tensor_of(R"("dtype":"U8","shape":[],"sh\u0061pe":[],"data_offsets":[0,1])", 1))
        .at(38, "a");
    add(14, "a metadata key twice", 14, metadata(R"({"k":"1","l":"","\u006b":"1"})"));
    std::string thousand;
    for (int i = 0; i < 1000; ++i) thousand += (i == 0 ? "" : ",") + tensor_json("e", "U8", "0", 0, 0);
    add(14, "a name a thousand times", 14, file_bytes("{" + thousand + "}"));
    add(15, "4096 bytes of name", accepted, named(std::string(4096, 'n')));
    add(15, "4096 bytes of name, escaped", accepted, named(times("\\u00e9", 2048)));
    add(15, "4097 bytes of name", 15, named(std::string(4097, 'n')));
    add(15, "no byte of name", 15, named("")).at(9);
    add(15, "a million bytes of name", 15, named(std::string(1'000'000, 'n')));
    add(15, "a metadata key of 4097 bytes", 15, metadata("{\"" + std::string(4097, 'n') + "\":\"\"}"));
    add(15, "as many tensors as allowed", accepted, two(0, 1, 1, 2, 2)).under({.tensors = 2});
    add(15, "one tensor too many", 15, two(0, 1, 1, 2, 2)).under({.tensors = 1}).at(8 + 2 + a.size() + 1, "b");
    add(16, "a space and a no-break space", accepted, named("\\u0020\\u00a0"));
    add(16, "the last control character", 16, named("\\u001f")).at(9, "\\x1f");
    add(16, "delete", 16, named("\x7f")).at(9, "\\x7f");
    add(16, "the last of the second block", 16, named("\xc2\x9f")).at(9, "\\xc2\\x9f");
    add(16, "a zero byte inside", 16, named("weight\\u0000.bin")).at(9, "weight\\x00.bin");
    add(16, "nothing but zero bytes", 16, named(times("\\u0000", 600))).at(9);
  }

  void about_metadata() {
    using support::tensor_json;
    add(17, "no pair", accepted, metadata("{}"));
    add(17, "null", 17, metadata("null")).at(24);
    add(17, "a number as value", 17, metadata("{\"k\":1}")).at(29);
    add(17, "twice", 17, file_bytes("{\"__metadata__\":{},\"__metadata__\":{}}")).at(27);
    add(17, "twice, once escaped", 17, file_bytes("{\"__metadata__\":{},\"\\u005f_metadata__\":{}}")).at(27);
    add(17, "a tensor of that name", 17, file_bytes("{" + tensor_json("__metadata__", "U8", "", 0, 1) + "}", 1));
    add(17, "an array of a million numbers", 17, metadata("[1" + times(",1", 1'000'000) + "]")).at(24);
    const std::string x = tensor_json("x", "U8", "", 0, 1);
    add(18, "says another format", accepted, file_bytes("{\"__metadata__\":{\"format\":\"pickle\"}," + x + "}", 1));
    add(18, "says another shape and dtype", accepted,
        file_bytes("{" + x + ",\"__metadata__\":{\"x\":\"[9]\",\"dtype\":\"F64\",\"data_offsets\":\"[0,8]\"}}", 1));
    add(18, "a million bytes of script", accepted,
        file_bytes("{\"__metadata__\":{\"__reduce__\":\"" + times("os.system(1)", 83'000) + "\"}," + x + "}", 1));
  }

  void entries() {
    add(19, "three fields in another order", accepted, tensor_of(R"("data_offsets":[0,1],"shape":[],"dtype":"U8")", 1));
    add(19, "no offsets", 19, tensor_of(R"("dtype":"U8","shape":[])", 1)).at(9, "a");
    add(19, "a fourth field", 19, tensor_of(R"("dtype":"U8","shape":[],"data_offsets":[0,1],"x":0)", 1)).at(59, "a");
    add(19, "a field in another case", 19, tensor_of(R"("Dtype":"U8","shape":[],"data_offsets":[0,1])", 1)).at(14, "a");
    add(19, "no field", 19, tensor_of("", 0)).at(9, "a");
    add(19, "null", 19, file_bytes("{\"a\":null}")).at(13, "a");
    add(19, "a field of ten thousand bytes", 19, tensor_of("\"" + std::string(10'000, 'd') + "\":0", 0)).at(14, "a");
    for (const char* dtype : {"BOOL", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"}) {
      add(20, dtype, accepted, one(dtype, "1", 1));
    }
    add(20, "lower case", 20, one("f32", "1", 4)).at(22, "a");
    add(20, "a space behind", 20, one("F32 ", "1", 4)).at(22, "a");
    add(20, "one of other libraries", 20, one("F128", "1", 16)).at(22, "a");
    add(20, "nothing", 20, one("", "1", 1)).at(22, "a");
    add(20, "a number", 20, tensor_of(R"("dtype":32,"shape":[],"data_offsets":[0,4])", 4)).at(22, "a");
    add(20, "ten thousand bytes", 20, one(std::string(10'000, 'F'), "1", 4)).at(22, "a");
    add(21, "zero and one", accepted, one("U8", "0,1", 0));
    add(21, "minus zero", 21, one("U8", "-0", 0)).at(36, "a");
    add(21, "a fraction that is none", 21, one("U8", "1.0", 1));
    add(21, "an exponent", 21, one("U8", "1e0", 1));
    add(21, "negative", 21, one("U8", "-1", 1)).at(36, "a");
    add(21, "a string", 21, one("U8", "\"1\"", 1)).at(36, "a");
    add(21, "no array", 21, tensor_of(R"("dtype":"U8","shape":1,"data_offsets":[0,1])", 1)).at(35, "a");
    add(22, "the largest dimension", accepted, one("U8", "0,281474976710655", 0));
    add(22, "one beyond the largest dimension", 22, one("U8", "0,281474976710656", 0));
    add(22, "a dimension of 5000 digits", 22, one("U8", "0,1" + std::string(5000, '0'), 0));
    add(22, "rank 8", accepted, one("U8", "1,1,1,1,1,1,1,2", 2));
    add(22, "rank 9", 22, one("U8", "1,1,1,1,1,1,1,1,2", 2));
    add(22, "rank 10,001", 22, one("U8", "1" + times(",1", 10'000), 1));
  }

  void sizes() {
    add(23, "2^62 elements beside a zero", accepted, one("U8", "0,140737488355328,32768", 0));
    add(23, "2^63 elements beside a zero", 23, one("U8", "0,140737488355328,65536", 0)).at(9, "a");
    add(23, "the same with the zero last", 23, one("U8", "140737488355328,65536,0", 0)).at(9, "a");
    add(23, "2^64 elements, which wrap to zero", 23, one("U8", "4294967296,4294967296", 0)).at(9, "a");
    add(23, "2^192 elements", 23, one("U8", "281474976710655,281474976710655,281474976710655,281474976710655", 0));
    add(24, "two halves of a byte", accepted, one("F4", "2", 1));
    add(24, "half a byte", 24, one("F4", "1", 1)).at(9, "a");
    add(24, "three quarters of four bytes", accepted, one("F6_E2M3", "4", 3));
    add(24, "18 bits", 24, one("F6_E3M2", "3", 3)).at(9, "a");
    add(24, "2^61 elements of 8 bytes, which wrap to zero", 24, one("F64", "140737488355328,16384", 0)).at(9, "a");
    const auto offsets = [](const std::string& text) {
      return tensor_of("\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":" + text, 1);
    };
    add(25, "two integers", accepted, offsets("[0,1]"));
    add(25, "one integer", 25, offsets("[1]"));
    add(25, "three integers", 25, offsets("[0,1,1]"));
    add(25, "a negative begin", 25, offsets("[-1,0]"));
    add(25, "a fraction", 25, offsets("[0,1.0]"));
    add(25, "2^64", 25, offsets("[0,18446744073709551616]"));
    add(25, "no array", 25, offsets("\"0,1\""));
    add(25, "5000 digits", 25, offsets("[0,1" + std::string(5000, '0') + "]"));
    add(26, "begin is end", accepted, one("U8", "0", 0, 0, 0));
    add(26, "begin is behind end by one", 26, one("U8", "0", 1, 0, 1)).at(9, "a");
    add(26, "begin + size wraps around to end", 26, one("U8", "15", ~std::uint64_t{0} - 7, 7, 16)).at(9, "a");
    add(26, "the largest begin", 26, one("U8", "1", ~std::uint64_t{0}, 0, 1)).at(9, "a");
    add(27, "24 bytes of 2 x 3 floats", accepted, one("F32", "2,3", 24));
    add(27, "one byte less", 27, one("F32", "2,3", 23)).at(9, "a");
    add(27, "one byte more", 27, one("F32", "2,3", 25)).at(9, "a");
    add(27, "one element less", 27, one("F32", "2,3", 20)).at(9, "a");
    add(27, "64 times as much", 27, one("F32", "2,3", 1536)).at(9, "a");
    add(27, "a byte for an empty tensor", 27, one("F32", "0", 1)).at(9, "a");
  }

  void layout() {
    using support::tensor_json;
    add(28, "ends with the file", accepted, one("U8", "9", 0, 9, 9));
    add(28, "ends one byte behind the file", 28, one("U8", "9", 0, 9, 8)).at(9, "a");
    add(28, "ends at the largest offset", 28, one("U8", "7", ~std::uint64_t{0} - 7, ~std::uint64_t{0}, 7)).at(9, "a");
    add(28, "an empty tensor behind the file", 28, one("U8", "0", 10, 10, 9)).at(9, "a");
    add(29, "the second where the first ends", accepted, two(0, 5, 5, 9, 9));
    add(29, "a hole of a byte in front", 29, two(1, 5, 5, 9, 9)).at(9, "a");
    add(29, "a hole of a byte between", 29, two(0, 4, 5, 9, 9)).at(61, "b");
    add(29, "an overlap of a byte", 29, two(0, 5, 4, 9, 9)).at(61, "b");
    add(29, "the same range twice", 29, two(0, 9, 0, 9, 9)).at(61, "b");
    add(29, "one inside the other", 29, two(0, 9, 3, 5, 9)).at(61, "b");
    std::string many;
    for (int i = 0; i < 1000; ++i) many += (i == 0 ? "" : ",") + tensor_json(std::to_string(i), "U8", "100", 0, 100);
    add(29, "a range a thousand times", 29, file_bytes("{" + many + "}", 100));
    add(30, "no byte behind", accepted, one("U8", "9", 0, 9, 9));
    add(30, "a byte behind", 30, one("U8", "9", 0, 9, 10)).at(8);
    add(30, "data without a tensor", 30, file_bytes("{}", 1)).at(8);
    add(30, "an archive behind", 30, one("U8", "9", 0, 9, 9) + "PK\3\4" + std::string(4000, 'z')).at(8);
    const auto empty_at = [&](std::uint64_t at) {
      return file_bytes("{" + tensor_json("f", "F32", "2", 0, 8) + "," + tensor_json("e", "I64", "3,0", at, at) + "}",
                        8);
    };
    add(31, "in front", accepted, empty_at(0));
    add(31, "behind", accepted, empty_at(8));
    add(31, "one byte inside another's range", 29, empty_at(1)).at(62, "e");
    add(31, "amid another's range", 29, empty_at(4)).at(62, "e");
    std::string empties;
    for (int i = 0; i < 1000; ++i) empties += (i == 0 ? "" : ",") + tensor_json(std::to_string(i), "F64", "0", 0, 0);
    add(31, "a thousand at one boundary", accepted, file_bytes("{" + empties + "}"));
    add(32, "sorted", accepted, two(0, 1, 1, 2, 2));
    add(32, "in reverse", accepted,
        file_bytes("{" + tensor_json("b", "U8", "", 0, 1) + "," + tensor_json("a", "U8", "", 1, 2) + "}", 2));
    add(32, "places in no order either", accepted,
        file_bytes("{" + tensor_json("b", "U8", "", 2, 3) + "," + tensor_json("\xc3\xa4", "U8", "", 0, 1) + "," +
                       tensor_json("ab", "U8", "", 3, 4) + "," + tensor_json("a", "U8", "", 1, 2) + "}",
                   4));
    add(33, "nothing", accepted, file_bytes("{}"));
    add(33, "nothing but empty metadata", accepted, metadata("{}"));
    add(33, "nothing but padding", accepted, file_bytes("{" + std::string(5000, ' ') + "}" + std::string(5000, ' ')));
  }

  Folder& add_folder(int rule, const char* name, int verdict, std::string index,
                     std::map<std::string, std::string> held) {
    return shards.emplace_back(
        Folder{.rule = rule, .name = name, .verdict = verdict, .index = std::move(index), .files = std::move(held)});
  }

  void folders() {
    using Files = std::map<std::string, std::string>;
    const std::string x = named("x");
    const Files both = {{"1.safetensors", x}, {"2.safetensors", named("y")}};
    const auto map = [](const std::string& inside) { return "{\"weight_map\":{" + inside + "}}"; };
    const auto in = [&](const std::string& shard) { return map("\"x\":\"" + shard + "\""); };
    const std::string good = map(R"("x":"1.safetensors","y":"2.safetensors")");

    add_folder(45, "a map and metadata", accepted,
               R"({"metadata":{"total_size":2,"f":-1.5e3},"weight_map":{"x":"1.safetensors"}})",
               {{"1.safetensors", x}});
    add_folder(45, "an empty map", accepted, map(""), {});
    add_folder(45, "a number in the map", 45, map("\"x\":1"), both).at(19, "x");
    add_folder(45, "no map", 45, "{\"metadata\":{}}", both).at(0);
    add_folder(45, "another field", 45, "{\"weight_map\":{},\"shards\":[]}", both).at(17);
    add_folder(45, "a map of maps", 12, map("\"x\":{}"), both).at(19, "x");
    add_folder(45, "no JSON", 10, "", both).at(0);
    add_folder(45, "a million arrays", 13, times("[", 1'000'000), both).at(0);
    add_folder(45, "a name twice, once escaped", 14, map(R"("x":"1.safetensors","\u0078":"2.safetensors")"), both)
        .at(35, "x");
    const std::string long_stem(243, 'x');
    add_folder(46, "255 bytes", accepted, in(long_stem + ".safetensors"), {{long_stem + ".safetensors", x}});
    add_folder(46, "256 bytes", 46, in(long_stem + "x.safetensors"), {}).at(19, "x");
    add_folder(46, "dots that lead nowhere", accepted, in("..safetensors"), {{"..safetensors", x}});
    add_folder(46, "the parent", 46, in("../x.safetensors"), both).at(19, "x");
    add_folder(46, "from the root", 46, in("/1.safetensors"), both).at(19, "x");
    add_folder(46, "down and up", 46, in("a/../1.safetensors"), both).at(19, "x");
    add_folder(46, "with backslashes", 46, in("a\\\\..\\\\1.safetensors"), both).at(19, "x");
    add_folder(46, "of a drive", 46, in("C:1.safetensors"), both).at(19, "x");
    add_folder(46, "with a zero byte", 46, in("1.safetensors\\u0000.safetensors"), both).at(19, "x");
    add_folder(46, "nothing", 46, in(""), both).at(19, "x");
    add_folder(46, "a dot", 46, in("."), both).at(19, "x");
    add_folder(46, "two dots", 46, in(".."), both).at(19, "x");
    add_folder(46, "another ending", 46, in("1.bin"), both).at(19, "x");
    add_folder(46, "a hundred thousand bytes", 46, in(std::string(100'000, 'x') + ".safetensors"), both).at(19, "x");
    add_folder(48, "each in its file", accepted, good, both);
    add_folder(48, "one more in the map", 48, map(R"("x":"1.safetensors","y":"2.safetensors","z":"1.safetensors")"),
               both)
        .at(55, "z");
    add_folder(48, "one less in the map", 48, in("1.safetensors"), {{"1.safetensors", two(0, 1, 1, 2, 2)}}).at(15, "x");
    add_folder(48, "files exchanged", 48, map(R"("y":"1.safetensors","x":"2.safetensors")"), both).at(35, "x");
    add_folder(48, "a file that is not there", 48, map(R"("x":"1.safetensors","y":"3.safetensors")"), both).at(0);
    add_folder(48, "a name in two files", 48, good, {{"1.safetensors", x}, {"2.safetensors", two(0, 1, 1, 2, 2)}});
    std::string ten_thousand;
    for (int i = 0; i <= 10'000; ++i)
      ten_thousand += (i == 0 ? "\"" : ",\"") + std::to_string(i) + "\":\"" + std::to_string(i) + ".safetensors\"";
    add_folder(48, "10,001 files", 48, map(ten_thousand), both);
  }
};

}  // namespace hand_made
