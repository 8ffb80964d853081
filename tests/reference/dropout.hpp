#pragma once
// SPDX-License-Identifier: MIT

#include <cmath>
#include <cstdint>

namespace reference {

/// One draw of 23 bits: number `count` of the stream that a seed and three indices name. Four rounds of splitmix64's
/// finaliser (Steele, Lea & Flood 2014) make its 64 bits, and two rounds of a 32-bit hash (Wellons's lowbias32) the draw.
inline std::uint32_t dropout_draw(std::uint64_t seed, std::uint64_t first, std::uint64_t second, std::uint64_t third,
                                  std::uint64_t count) {
  const std::uint64_t odd = 0x9E3779B97F4A7C15;
  std::uint64_t state = 0;
  const std::uint64_t added[] = {seed + odd, first * odd + odd, second * odd + odd, third * odd + odd};
  for (const std::uint64_t number : added) {
    state += number;
    state ^= state >> 30;
    state *= 0xBF58476D1CE4E5B9;
    state ^= state >> 27;
    state *= 0x94D049BB133111EB;
    state ^= state >> 31;
  }
  const std::uint64_t word = 0xFFFFFFFF;
  std::uint64_t x = (state + count * 0x9E3779B9) & word;
  x ^= x >> 16;
  x = (x * 0x7FEB352D + (state >> 32)) & word;
  x ^= x >> 15;
  x = (x * 0x846CA68B) & word;
  return static_cast<std::uint32_t>(x >> 9);
}

/// What dropout multiplies by: 0, or 1 / (1 - rate).
inline double dropout_factor(double rate, std::uint32_t draw) {
  const double dropped = std::fmin(std::nearbyint(rate * 8388608), 8388607);
  return draw < dropped ? 0 : 1 / (1 - rate);
}

}  // namespace reference
