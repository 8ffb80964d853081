#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/kernels/simd/portable.hpp>

#include <cstring>

namespace eigenformer::inline EIGENFORMER_ABI::simd::portable {

// Registers of unsigned bytes that serve as tables of 16 numbers, and tables of the sums of all subsets of some codes.
// SSE2 cannot look up in a register; the other targets can, and there
//   load_blocks(p) is the 16 bytes at p in every 128-bit block;
//   lookup(table, index) is table[index] of its block in each lane, for indices below 16;
//   low_digits and high_digits are the lower and the upper four bits of each byte;
//   make_lookup_table(eight, table) makes two tables of four codes each. Subset i, of those whose bit is set in i, has the
//     sum s: 16 bytes s mod 32, then 16 bytes s / 32 + 16, rounded down, both in 0 .. 31. It returns the sum of all eight;
//   HalfSums is a sum of 16 bits for each lane: add_digits(low, high, sums) adds low + 32 high, and
//     add_to_words(sums, words) adds them to that many words in memory, in the order of the lanes.

/// Whether Bytes can be looked up in.
inline constexpr bool has_byte_lookup = false;

/// Here the lanes are how many outputs are looked up side by side, in memory.
struct Bytes {
  static constexpr int lanes = 8;
};
struct HalfSums {};

/// Bytes of the table of eight codes: here the sums of all 256 subsets, in 16 bits.
inline constexpr std::ptrdiff_t lookup_table = 512;
EIGENFORMER_INLINE std::int32_t make_lookup_table(const std::int8_t* eight, std::uint8_t* table) {
  std::int16_t sums[256];
  sums[0] = 0;
  for (int i = 0; i < 8; ++i) {
    for (int j = 0; j < 1 << i; ++j) sums[(1 << i) + j] = static_cast<std::int16_t>(sums[j] + eight[i]);
  }
  std::memcpy(table, sums, sizeof sums);
  return sums[255];
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::simd::portable
