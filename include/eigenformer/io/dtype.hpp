#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/abi.hpp>

#include <Eigen/Core>

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace eigenformer::inline EIGENFORMER_ABI {

/// The element types of the safetensors format, a closed list. A file may hold any of them; those that `dtype_of` maps
/// to a C++ type can be read and written.
// clang-format off: one row per width
enum class Dtype : std::uint8_t {
  boolean,
  f4,
  f6_e2m3,
  f6_e3m2,
  u8,
  i8,
  f8_e5m2,
  f8_e4m3,
  f8_e8m0,
  f8_e4m3fnuz,
  f8_e5m2fnuz,
  i16,
  u16,
  f16,
  bf16,
  i32,
  u32,
  f32,
  c64,
  f64,
  i64,
  u64
};
// clang-format on

/// What the format says about a type.
struct DtypeInfo {
  std::string_view name;  ///< as files spell it, case-sensitive
  unsigned bits;          ///< of one element; some types pack several into a byte
};

/// Row i describes the i-th enumerator of Dtype.
inline constexpr std::array<DtypeInfo, 22> dtype_table = {{
    {"BOOL", 8},    {"F4", 4},      {"F6_E2M3", 6}, {"F6_E3M2", 6},     {"U8", 8},          {"I8", 8},
    {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8}, {"I16", 16},
    {"U16", 16},    {"F16", 16},    {"BF16", 16},   {"I32", 32},        {"U32", 32},        {"F32", 32},
    {"C64", 64},    {"F64", 64},    {"I64", 64},    {"U64", 64},
}};

/// Name and size of a dtype.
constexpr const DtypeInfo& info(Dtype dtype) { return dtype_table[static_cast<std::size_t>(dtype)]; }
/// As files spell it.
constexpr std::string_view name(Dtype dtype) { return info(dtype).name; }
/// Of one element.
constexpr unsigned bits(Dtype dtype) { return info(dtype).bits; }

/// The dtype of that exact spelling, or nothing.
constexpr std::optional<Dtype> dtype_named(std::string_view spelling) {
  for (std::size_t i = 0; i < dtype_table.size(); ++i) {
    if (dtype_table[i].name == spelling) return static_cast<Dtype>(i);
  }
  return std::nullopt;
}

namespace detail {
template <class T>
struct DtypeOf;
// clang-format off
template <> struct DtypeOf<bool> { static constexpr Dtype value = Dtype::boolean; };
template <> struct DtypeOf<std::uint8_t> { static constexpr Dtype value = Dtype::u8; };
template <> struct DtypeOf<std::int8_t> { static constexpr Dtype value = Dtype::i8; };
template <> struct DtypeOf<std::int16_t> { static constexpr Dtype value = Dtype::i16; };
template <> struct DtypeOf<std::uint16_t> { static constexpr Dtype value = Dtype::u16; };
template <> struct DtypeOf<Eigen::half> { static constexpr Dtype value = Dtype::f16; };
template <> struct DtypeOf<Eigen::bfloat16> { static constexpr Dtype value = Dtype::bf16; };
template <> struct DtypeOf<std::int32_t> { static constexpr Dtype value = Dtype::i32; };
template <> struct DtypeOf<std::uint32_t> { static constexpr Dtype value = Dtype::u32; };
template <> struct DtypeOf<float> { static constexpr Dtype value = Dtype::f32; };
template <> struct DtypeOf<double> { static constexpr Dtype value = Dtype::f64; };
template <> struct DtypeOf<std::int64_t> { static constexpr Dtype value = Dtype::i64; };
template <> struct DtypeOf<std::uint64_t> { static constexpr Dtype value = Dtype::u64; };
// clang-format on
}  // namespace detail

/// How a C++ type is stored: float is F32, Eigen::bfloat16 is BF16.
template <class T>
inline constexpr Dtype dtype_of = detail::DtypeOf<T>::value;

/// A C++ type that some dtype stores.
template <class T>
concept StoredElement = requires {
  detail::DtypeOf<T>::value;
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
