// SPDX-License-Identifier: MIT

#include "reference/safetensors.hpp"

#include "reference/json.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <map>
#include <utility>
#include <vector>

namespace reference {

namespace {

bool is_plain_integer(const nlohmann::json& value) { return value.is_number_unsigned(); }

/// Bits of one element, 0 for a name that is no dtype.
unsigned element_bits(const std::string& dtype) {
  static const std::map<std::string, unsigned> table = {
      {"F4", 4},          {"F6_E2M3", 6},     {"F6_E3M2", 6}, {"BOOL", 8}, {"U8", 8},   {"I8", 8},
      {"F8_E5M2", 8},     {"F8_E4M3", 8},     {"F8_E8M0", 8}, {"I16", 16}, {"U16", 16}, {"F16", 16},
      {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8}, {"BF16", 16},   {"I32", 32}, {"U32", 32}, {"F32", 32},
      {"C64", 64},        {"F64", 64},        {"I64", 64},    {"U64", 64}};
  const auto found = table.find(dtype);
  return found == table.end() ? 0 : found->second;
}

/// Whether a tensor's object agrees with itself; adds its range to `ranges`.
bool is_valid_tensor(const nlohmann::json& tensor, std::vector<std::pair<std::uint64_t, std::uint64_t>>& ranges) {
  if (!tensor.is_object() || tensor.size() != 3) return false;
  if (!tensor.contains("dtype") || !tensor.contains("shape") || !tensor.contains("data_offsets")) return false;
  const nlohmann::json& shape = tensor["shape"];
  const nlohmann::json& offsets = tensor["data_offsets"];
  if (!tensor["dtype"].is_string() || !shape.is_array() || shape.size() > 8) return false;
  if (!offsets.is_array() || offsets.size() != 2) return false;
  const unsigned bits = element_bits(tensor["dtype"].get<std::string>());
  if (bits == 0) return false;
  __extension__ using Wide = unsigned __int128;
  Wide elements = 1;
  bool empty = false;
  for (const nlohmann::json& dimension : shape) {
    if (!is_plain_integer(dimension) || dimension.get<std::uint64_t>() >= (std::uint64_t{1} << 48)) return false;
    if (dimension.get<std::uint64_t>() == 0) {
      empty = true;
    } else {
      elements *= dimension.get<std::uint64_t>();
    }
    if (elements >= Wide{1} << 63) return false;
  }
  if (empty) elements = 0;
  if (elements * bits >= Wide{1} << 64 || elements * bits % 8 != 0) return false;
  if (!is_plain_integer(offsets[0]) || !is_plain_integer(offsets[1])) return false;
  const auto begin = offsets[0].get<std::uint64_t>();
  const auto end = offsets[1].get<std::uint64_t>();
  ranges.emplace_back(begin, end);
  return begin <= end && end - begin == elements * bits / 8;
}

}  // namespace

bool is_safetensors(const std::string& file) {
  if (file.size() < 8) return false;
  std::uint64_t length = 0;
  std::memcpy(&length, file.data(), 8);
  if (length > 100'000'000 || length > file.size() - 8 || length < 2) return false;
  const std::string header = file.substr(8, length);
  // The general parser takes a zero byte for the end of the text and skips a byte-order mark.
  if (header.find('\0') != std::string::npos || header[0] == '\xef') return false;
  const nlohmann::json tree = parse_without_duplicates(header);
  if (tree.is_discarded() || !tree.is_object()) return false;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> ranges;
  for (const auto& [name, value] : tree.items()) {
    if (name == "__metadata__") {
      if (!value.is_object()) return false;
      for (const auto& [key, text] : value.items()) {
        if (key.empty() || key.size() > 4096 || !text.is_string()) return false;
      }
    } else if (!is_valid_tensor_name(name) || !is_valid_tensor(value, ranges)) {
      return false;
    }
  }
  std::sort(ranges.begin(), ranges.end());
  std::uint64_t expected = 0;
  for (const auto& [begin, end] : ranges) {
    if (begin != expected) return false;
    expected = end;
  }
  return expected == file.size() - 8 - length;
}

}  // namespace reference
