#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/half.hpp>
#include <eigenformer/io/dtype.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstring>
#include <type_traits>
#include <utility>

namespace eigenformer::inline EIGENFORMER_ABI {

/// What to do with a value that the type asked for cannot hold (F64 read as float, F32 read as bfloat16).
enum class Narrowing {
  exact,   ///< an error
  rounded  ///< round to nearest; integers out of range stay an error, for a wrapped token is not a rounded one
};

namespace detail {

template <class T>
concept StoredFloat = std::floating_point<T> || std::same_as<T, Eigen::half> || std::same_as<T, Eigen::bfloat16>;
template <class T>
concept StoredInteger = std::integral<T> && !std::same_as<T, bool>;

/// Whether elements stored as Stored may be read as T at all: floating types as wider or (checked) narrower ones,
/// integers as any integer that holds the value, everything as itself.
template <class Stored, class T>
inline constexpr bool convertible = std::same_as<Stored, T> || (StoredFloat<Stored> && StoredFloat<T>) ||
                                    (StoredInteger<Stored> && StoredInteger<T>);

/// A value from bytes of any alignment, least significant byte first.
template <class T>
T load_little_endian(const std::byte* from) {
  std::array<std::byte, sizeof(T)> bytes;
  std::copy_n(from, sizeof(T), bytes.begin());
  if constexpr (std::endian::native == std::endian::big) std::reverse(bytes.begin(), bytes.end());
  T value;
  std::memcpy(static_cast<void*>(&value), bytes.data(), sizeof(T));
  return value;
}

/// Neither infinite nor NaN, by the exponent's bits, so that no compiler flag can change the answer.
template <class T>
bool is_finite(const T& value) {
  if constexpr (std::same_as<T, double>) {
    return (~std::bit_cast<std::uint64_t>(value) & 0x7ff0000000000000U) != 0;
  } else if constexpr (std::same_as<T, float>) {
    return (~std::bit_cast<std::uint32_t>(value) & 0x7f800000U) != 0;
  } else if constexpr (StoredFloat<T>) {
    return is_finite(static_cast<float>(value));
  } else {
    return true;
  }
}

/// The float nearest to a double; false if they differ (a NaN counts as equal to a NaN). Below the smallest normal
/// float the result is put together from its bits, because programs linked with -ffast-math run in a mode that flushes
/// such numbers to zero.
inline bool narrow(double wide, float& narrowed) {
  const auto bits = std::bit_cast<std::uint64_t>(wide);
  const std::uint64_t magnitude = bits & 0x7fffffffffffffffU;
  if (magnitude < std::bit_cast<std::uint64_t>(0x1p-126)) {
    const double steps = std::bit_cast<double>(magnitude) * 0x1p149;
    const long whole = std::lrint(steps);
    narrowed =
        std::bit_cast<float>(static_cast<std::uint32_t>(bits >> 32U & 0x80000000U) | static_cast<std::uint32_t>(whole));
    return static_cast<double>(whole) == steps && (magnitude == 0 || whole != 0);
  }
  narrowed = static_cast<float>(wide);
  return std::bit_cast<std::uint64_t>(static_cast<double>(narrowed)) == bits || magnitude > 0x7ff0000000000000U;
}

/// The half nearest to a float or double; false if they differ (a NaN counts as equal to a NaN).
template <HalfPrecision T, std::floating_point Wide>
bool narrow(Wide wide, T& narrowed) {
  using Bits = typename FloatFormat<Wide>::Bits;
  narrowed = rounded<T>(wide);
  const Bits bits = std::bit_cast<Bits>(wide);
  return std::bit_cast<Bits>(widened<Wide>(narrowed)) == bits ||
         (bits & (FloatFormat<Wide>::sign - 1)) > FloatFormat<Wide>::infinity;
}

/// Reads one element as T; false if the value cannot be held, or is a truth value other than 0 and 1.
template <class Stored, class T>
bool convert(const std::byte* from, T& to, Narrowing narrowing) {
  if constexpr (std::same_as<T, bool>) {
    to = *from != std::byte{0};
    return *from <= std::byte{1};
  } else {
    const Stored stored = load_little_endian<Stored>(from);
    if constexpr (StoredInteger<Stored>) {
      to = static_cast<T>(stored);
      return std::in_range<T>(stored);
    } else if constexpr (std::same_as<Stored, double> && std::same_as<T, float>) {
      return narrow(stored, to) || narrowing == Narrowing::rounded;
    } else if constexpr (std::same_as<Stored, T>) {
      to = stored;
      return true;
    } else if constexpr (HalfPrecision<T>) {
      using Wide = std::conditional_t<std::floating_point<Stored>, Stored, float>;
      return narrow(widened<Wide>(stored), to) || narrowing == Narrowing::rounded;
    } else if constexpr (HalfPrecision<Stored>) {
      to = widened<T>(stored);
      return true;
    } else {
      to = static_cast<T>(stored);
      return true;
    }
  }
}

/// Whether every element can be read as T, and need not be looked at.
template <class Stored, class T>
inline constexpr bool always_convertible =
    !std::same_as<T, bool> && (std::same_as<Stored, T> || (HalfPrecision<Stored> && std::floating_point<T>) ||
                               (std::same_as<Stored, float> && std::same_as<T, double>));

/// Calls `visitor.template operator()<Stored>()` with the C++ type of a dtype, or returns `otherwise` if there is none.
template <class Visitor, class Answer>
Answer with_stored_type(Dtype dtype, Answer otherwise, Visitor&& visitor) {
  const auto visit = [&]<class... Stored>(std::type_identity<Stored>...) {
    Answer answer = std::move(otherwise);
    (void)((dtype_of<Stored> == dtype && (answer = visitor.template operator()<Stored>(), true)) || ...);
    return answer;
  };
  return visit(std::type_identity<bool>{}, std::type_identity<std::uint8_t>{}, std::type_identity<std::int8_t>{},
               std::type_identity<std::int16_t>{}, std::type_identity<std::uint16_t>{},
               std::type_identity<Eigen::half>{}, std::type_identity<Eigen::bfloat16>{},
               std::type_identity<std::int32_t>{}, std::type_identity<std::uint32_t>{}, std::type_identity<float>{},
               std::type_identity<double>{}, std::type_identity<std::int64_t>{}, std::type_identity<std::uint64_t>{});
}

}  // namespace detail
}  // namespace eigenformer::inline EIGENFORMER_ABI
