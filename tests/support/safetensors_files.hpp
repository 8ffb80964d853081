#pragma once
// SPDX-License-Identifier: MIT

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include <unistd.h>

namespace support {

using Bytes = std::vector<std::byte>;

/// A file's bytes: the length given, least significant byte first, the header, and data that count 0, 1, 2, ...
inline Bytes safetensors_bytes(std::string_view header, std::size_t data_bytes, std::uint64_t length) {
  Bytes bytes;
  for (unsigned i = 0; i < 8; ++i) bytes.push_back(static_cast<std::byte>(length >> (8 * i) & 0xffU));
  for (const char character : header) bytes.push_back(static_cast<std::byte>(character));
  for (std::size_t i = 0; i < data_bytes; ++i) bytes.push_back(static_cast<std::byte>(i & 0xffU));
  return bytes;
}
inline Bytes safetensors_bytes(std::string_view header, std::size_t data_bytes) {
  return safetensors_bytes(header, data_bytes, header.size());
}

/// `"name":{"dtype":...}` as most writers put it.
inline std::string tensor_json(const std::string& name, const std::string& dtype, const std::string& shape,
                               std::uint64_t begin, std::uint64_t end) {
  return "\"" + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":[" + shape + "],\"data_offsets\":[" +
         std::to_string(begin) + "," + std::to_string(end) + "]}";
}

/// Header and size of the data section of files that every reader must accept, each odd in its own way.
struct ValidFile {
  std::string header;
  std::size_t data_bytes;
};
inline std::vector<ValidFile> valid_files() {
  return {
      {"{}", 0},
      {"{" + tensor_json("w", "F32", "", 0, 4) + "}   ", 4},
      {"{\"__metadata__\":{\"format\":\"pt\",\"\\u00fc\":\"\"}," + tensor_json("b", "BF16", "3", 12, 18) + "," +
           tensor_json("a", "F32", "1,3", 0, 12) + "," + tensor_json("empty", "I64", "2,0", 12, 12) + "}",
       18},
      {"{ \"a\\u0062\\ud83d\\ude00\\\"\" : {\"shape\":[ 2 ],\n\"data_offsets\":[0,16] "
       ",\"dtype\":\"C64\"},\t\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\":"
       "{\"d\\u0074ype\":\"F4\",\"shape\":[2,1,1],\"data_offsets\":[16,17]}}\r\n",
       17},
      {"{" + tensor_json("x", "U8", "5", 8, 13) + "," + tensor_json("y", "F64", "1,1,1,1,1,1,1,1", 0, 8) + "," +
           tensor_json("z", "BOOL", "0,281474976710655", 13, 13) + "," + tensor_json("q", "F6_E2M3", "4", 13, 16) + "}",
       16},
  };
}

/// A directory that disappears with the object.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "eigenformer_XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw std::filesystem::filesystem_error("mkdtemp", std::error_code());
    path_ = pattern;
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::filesystem::path operator/(std::string_view name) const { return path_ / name; }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

inline void write_file(const std::filesystem::path& path, const Bytes& bytes) {
  std::ofstream out(path, std::ios::binary);
  out.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}
inline Bytes read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  Bytes bytes;
  for (const char character : text) bytes.push_back(static_cast<std::byte>(character));
  return bytes;
}

}  // namespace support
