#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/abi.hpp>

#include <bit>
#include <concepts>
#include <cstdint>
#include <limits>
#include <type_traits>

namespace eigenformer::inline EIGENFORMER_ABI {

// Half precision is for memory only: weights stored so are widened where they are read, and all arithmetic is that of
// the block's own type. Conversions work on the bits, so that no compiler flag and no flushing of denormal numbers can
// change them, and so that units compiled with different flags share no code of Eigen's for them.

using Bfloat16 = Eigen::bfloat16;  ///< the upper half of a float: 8 bits of exponent, 7 of mantissa
using Float16 = Eigen::half;       ///< binary16 of IEEE 754: 5 bits of exponent, 10 of mantissa; 65504 is the largest

template <class S>
concept HalfPrecision = std::same_as<S, Bfloat16> || std::same_as<S, Float16>;

/// What the weights of a block that computes in T may be stored as: T itself, or half precision.
template <class S, class T>
concept StorageOf = std::floating_point<T> &&(std::same_as<S, T> || HalfPrecision<S>);

namespace detail {

/// Where the bits of a floating-point format are; the exponent's bias is half its range.
template <class S>
struct FloatFormat {
  using Bits = std::conditional_t<sizeof(S) == 2, std::uint16_t,
                                  std::conditional_t<sizeof(S) == 4, std::uint32_t, std::uint64_t>>;
  static constexpr int mantissa = std::same_as<S, Bfloat16>  ? 7
                                  : std::same_as<S, Float16> ? 10
                                                             : std::numeric_limits<S>::digits - 1;
  static constexpr int bias = (1 << (static_cast<int>(8 * sizeof(S)) - 2 - mantissa)) - 1;
  static constexpr std::uint64_t infinity = (std::uint64_t{2} * bias + 1) << mantissa;
  static constexpr std::uint64_t sign = std::uint64_t{1} << (8 * sizeof(S) - 1);
};

/// value / 2^shift to the nearest integer, ties to even.
constexpr std::uint64_t shifted_to_nearest(std::uint64_t value, int shift) {
  if (shift > 62) return 0;
  const std::uint64_t half = std::uint64_t{1} << (shift - 1);
  return (value + half - 1 + (value >> shift & 1U)) >> shift;
}

}  // namespace detail

/// x as T, which holds it exactly. A NaN stays one.
template <std::floating_point T>
T widened(Bfloat16 x) {
  return static_cast<T>(std::bit_cast<float>(std::uint32_t{std::bit_cast<std::uint16_t>(x)} << 16U));
}
/// The same of a Float16.
template <std::floating_point T>
T widened(Float16 x) {
  const std::uint32_t bits = std::bit_cast<std::uint16_t>(x);
  const std::uint32_t magnitude = bits & 0x7fffU;
  const std::uint32_t sign = (bits & 0x8000U) << 16U;
  const std::uint32_t raised = (magnitude << 13U) + (112U << 23U);
  if (magnitude >= 0x0400U && magnitude < 0x7c00U) [[likely]] {
    return static_cast<T>(std::bit_cast<float>(raised | sign));
  }
  // Infinite or NaN, or zero and the denormal ones.
  const float rest =
      magnitude >= 0x7c00U ? std::bit_cast<float>(raised + (112U << 23U)) : static_cast<float>(magnitude) * 0x1p-24F;
  return static_cast<T>(std::bit_cast<float>(std::bit_cast<std::uint32_t>(rest) | sign));
}
/// What is stored in T already.
template <std::floating_point T>
T widened(T x) {
  return x;
}

/// The S nearest to x, ties to even; infinite where S has no number as large. A NaN stays one.
template <class S, std::floating_point T>
requires StorageOf<S, T> S rounded(T x) {
  using From = detail::FloatFormat<T>;
  using To = detail::FloatFormat<S>;
  if constexpr (std::same_as<S, T>) {
    return x;
  } else {
    constexpr int less = From::mantissa - To::mantissa;
    constexpr int rebias = From::bias - To::bias;
    const std::uint64_t bits = std::bit_cast<typename From::Bits>(x);
    const std::uint64_t magnitude = bits & (From::sign - 1);
    const int exponent = static_cast<int>(magnitude >> From::mantissa) - rebias;
    std::uint64_t result = To::infinity;
    if (magnitude > From::infinity) {
      result += std::uint64_t{1} << (To::mantissa - 1);
    } else if (rebias == 0 || exponent > 0) {
      // A carry out of the mantissa goes to the exponent, as it should.
      constexpr std::uint64_t rebiased = static_cast<std::uint64_t>(rebias) << From::mantissa;
      result = detail::shifted_to_nearest(magnitude - rebiased, less);
      if (result > To::infinity) result = To::infinity;
    } else {
      // Denormal in S. What is denormal in T too is far below the smallest of S.
      const std::uint64_t one = std::uint64_t{1} << From::mantissa;
      result = detail::shifted_to_nearest((magnitude & (one - 1)) | one, less + 1 - exponent);
    }
    if ((bits & From::sign) != 0) result |= To::sign;
    return std::bit_cast<S>(static_cast<std::uint16_t>(result));
  }
}

}  // namespace eigenformer::inline EIGENFORMER_ABI
