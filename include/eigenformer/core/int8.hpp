#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/half.hpp>
#include <eigenformer/core/tensor.hpp>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <limits>

namespace eigenformer::inline EIGENFORMER_ABI {

/// A code of 8 bits, -127 .. 127, in memory: it stands for itself times the scale of the numbers it lies with. Like half
/// precision it is for memory only.
enum class Int8 : std::int8_t {};

/// The number that a code stands for.
template <std::floating_point T>
T widened(Int8 code, T scale) {
  return static_cast<T>(static_cast<std::int8_t>(code)) * scale;
}

namespace detail {

/// x to the nearest integer, ties to even, of |x| < 2^15; without adding a large number, which -ffast-math would undo.
template <std::floating_point T>
int to_nearest(T x) {
  const int whole = static_cast<int>(x);
  const T rest = x - static_cast<T>(whole);
  const T half = whole % 2 == 0 ? std::bit_cast<T>(std::bit_cast<typename FloatFormat<T>::Bits>(T(0.5)) + 1) : T(0.5);
  return whole + (rest >= half ? 1 : 0) - (rest <= -half ? 1 : 0);
}

}  // namespace detail

/// Codes of numbers by their largest magnitude (absmax quantisation; Dettmers et al. 2022, "LLM.int8()", section 2.1):
///   scale = max_i |x_i| / 127,   code_i = x_i / scale to the nearest integer, ties to even
/// which is off by at most half a scale. Returns the scale: 0, with codes of 0, of numbers that are all zero or below
/// 127 times the smallest normal number; NaN, with codes of 0, if one of them is not finite, so that none of them becomes
/// a number that it is not.   from, to: [count]
template <std::floating_point T>
T quantize(const T* from, Index count, Int8* to) {
  using Format = detail::FloatFormat<T>;
  using Bits = typename Format::Bits;
  constexpr T steps = 127;
  constexpr T least = steps * (std::numeric_limits<T>::min)();
  constexpr T most = (std::numeric_limits<T>::max)() / steps * (1 - std::numeric_limits<T>::epsilon());
  // Magnitudes are in the order of their bits, infinity and NaN above all others.
  Bits largest = 0;
  for (Index i = 0; i < count; ++i) {
    largest = (std::max)(largest, static_cast<Bits>(std::bit_cast<Bits>(from[i]) & (Format::sign - 1)));
  }
  if (largest >= Format::infinity || largest < std::bit_cast<Bits>(least)) {
    std::fill_n(to, count, Int8{0});
    return largest >= Format::infinity ? std::numeric_limits<T>::quiet_NaN() : T(0);
  }
  const T scale = (std::min)(std::bit_cast<T>(largest) / steps, most);  // 127 times that is finite
  for (Index i = 0; i < count; ++i) to[i] = static_cast<Int8>(detail::to_nearest(from[i] / scale));
  return scale;
}

}  // namespace eigenformer::inline EIGENFORMER_ABI
