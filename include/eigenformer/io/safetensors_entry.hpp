#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/shape.hpp>
#include <eigenformer/io/dtype.hpp>

#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <string_view>

namespace eigenformer::inline EIGENFORMER_ABI {

/// One tensor of a file: what the header says about it. The name lives as long as the header that gave it.
struct SafetensorsEntry {
  std::string_view name;
  Dtype dtype = Dtype::f32;  ///< type of its elements
  Shape shape;
  std::uint64_t begin = 0;     ///< first byte, counted from the start of the data section
  std::uint64_t end = 0;       ///< one past the last byte
  std::uint32_t position = 0;  ///< where the header describes it, counted from the start of the file
  std::uint32_t shard = 0;     ///< in which file of a folder it lies

  /// Size in bytes.
  std::uint64_t bytes() const { return end - begin; }
};

/// a * b, or nothing if it does not fit 64 bits.
constexpr std::optional<std::uint64_t> checked_product(std::uint64_t a, std::uint64_t b) {
  if (b != 0 && a > (std::numeric_limits<std::uint64_t>::max)() / b) return std::nullopt;
  return a * b;
}

namespace detail {

/// Between the texts of a record; no UTF-8 text contains it.
inline constexpr char record_separator = static_cast<char>(static_cast<unsigned char>(0xff));

/// The form in which a parsed header keeps an entry: the name, a separator, the fixed
/// fields, and the dimensions in base 128. Its length is at most
///   name + 23 + sum over dimensions of (decimal digits),
/// while the shortest JSON for it, `"":{"dtype":"U8","shape":[],"data_offsets":[0,0]}`, has 49 bytes plus the name plus
/// at least as many digits: that is why a parsed header fits into the memory of its own text.
template <class Number>
char* store(Number number, char* out) {
  std::memcpy(out, &number, sizeof number);
  return out + sizeof number;
}
template <class Number>
const char* fetch(const char* in, Number& number) {
  std::memcpy(&number, in, sizeof number);
  return in + sizeof number;
}

/// Text up to the separator; `in` is moved behind it.
inline std::string_view fetch_text(const char*& in) {
  const char* const begin = in;
  while (*in != record_separator) ++in;
  return {begin, static_cast<std::size_t>(in++ - begin)};
}

/// Writes all but the name, which the parser has already put in front of `out`; returns the end.
inline char* encode_after_name(const SafetensorsEntry& entry, char* out) {
  *out++ = record_separator;
  out = store(entry.position, out);
  out = store(entry.begin, out);
  out = store(entry.end, out);
  out = store(entry.dtype, out);
  out = store(static_cast<std::uint8_t>(entry.shape.rank()), out);
  for (int i = 0; i < entry.shape.rank(); ++i) {
    auto rest = static_cast<std::uint64_t>(entry.shape[i]);
    for (; rest >= 128; rest >>= 7U) *out++ = static_cast<char>(static_cast<unsigned char>((rest & 127U) | 128U));
    *out++ = static_cast<char>(rest);
  }
  return out;
}

/// Reads a record; `in` is moved behind it.
inline SafetensorsEntry decode(const char*& in) {
  SafetensorsEntry entry;
  entry.name = fetch_text(in);
  in = fetch(in, entry.position);
  in = fetch(in, entry.begin);
  in = fetch(in, entry.end);
  in = fetch(in, entry.dtype);
  std::uint8_t rank = 0;
  in = fetch(in, rank);
  std::array<Index, Shape::max_rank> extents{};
  for (std::size_t i = 0; i < rank; ++i) {
    std::uint64_t value = 0;
    unsigned shift = 0;
    unsigned char byte = 0;
    do {
      byte = static_cast<unsigned char>(*in++);
      value |= std::uint64_t{byte & 127U} << shift;
      shift += 7;
    } while (byte >= 128);
    extents[i] = static_cast<Index>(value);
  }
  entry.shape = Shape(extents.data(), rank);
  return entry;
}

}  // namespace detail
}  // namespace eigenformer::inline EIGENFORMER_ABI
