#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/dropout.hpp>
#include <eigenformer/core/shape.hpp>
#include <eigenformer/kernels/seeded_bug.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>

// What is dropped is drawn by counting, not from a state that goes on (Salmon et al. 2011, "Parallel Random Numbers: As
// Easy as 1, 2, 3"): draw t of a stream is a function of the stream's 64 bits and of t, so that any part of it can be made
// anywhere, by any instruction set, on any thread, and made again by backward.
//
// A stream's 64 bits are mixed from the seed and three indices by splitmix64's finaliser (Steele, Lea & Flood 2014).
// Their halves are start and key, and draw t is
//   x = start + t 0x9E3779B9;  x ^= x >> 16;  x = x 0x7FEB352D + key;  x ^= x >> 15;  x = x 0x846CA68B    (mod 2^32)
// of which the upper 23 bits count: Wellons's lowbias32 (2018, "Prospecting for Hash Functions") over a Weyl sequence,
// with half of the key in its midst, so that streams whose counters meet go apart again.

namespace eigenformer::inline EIGENFORMER_ABI::kernels {

/// Where a sequence of draws begins, and what makes it differ from others that begin there.
struct DropoutStream {
  std::uint32_t start = 0;  ///< the lower half of the stream's bits: the counter of draw 0
  std::uint32_t key = 0;    ///< the upper half

  static constexpr std::uint32_t step = 0x9E3779B9U;  ///< from a draw's counter to the next's

  /// A stream of its own for each seed and indices, such as batch, head and query.
  static DropoutStream of(std::uint64_t seed, Index first, Index second, Index third) {
    std::uint64_t bits = mixed(seed + weyl);
    for (const Index index : {first, second, third}) {
      bits = mixed(bits + weyl * (static_cast<std::uint64_t>(index) + 1));
    }
    return {static_cast<std::uint32_t>(bits), static_cast<std::uint32_t>(bits >> 32)};
  }

 private:
  static constexpr std::uint64_t weyl = 0x9E3779B97F4A7C15U;
  static std::uint64_t mixed(std::uint64_t bits) {
    bits = (bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9U;
    bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EBU;
    return bits ^ (bits >> 31);
  }
};

/// Dropout as the kernels see it: a draw's upper 23 bits are the digits of a number in [1, 2), and what draws one below
/// `limit` is dropped.
template <class T>
struct DropoutRule {
  std::uint64_t seed = 0;  ///< of the streams
  T limit = 1;             ///< 1 drops nothing
  T factor = 1;            ///< of what is kept

  /// Drops nothing.
  DropoutRule() = default;
  /// Drops at that rate.
  explicit DropoutRule(const Dropout& dropout) : seed(dropout.seed) {
    constexpr double steps = 8388608;  // 2^23
    const double dropped = (std::min)(std::nearbyint(dropout.rate * steps), steps - 1);
    if (dropped == 0) return;
    limit = static_cast<T>(1 + dropped / steps);
    if (seeded_bug != 18) factor = static_cast<T>(1 / (1 - dropout.rate));
  }

  /// Whether anything is dropped.
  bool drops() const { return limit > T(1); }
};

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels
