#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/kernels/simd/neon.hpp>

#if defined(__aarch64__)

namespace eigenformer::inline EIGENFORMER_ABI::simd::neon {

// What each operation means is said in bytes_portable.hpp.

inline constexpr bool has_byte_lookup = true;

struct Bytes {
  static constexpr int lanes = 16;
  uint8x16_t value;

  EIGENFORMER_INLINE static Bytes load(const std::uint8_t* p) { return {vld1q_u8(p)}; }
  EIGENFORMER_INLINE static Bytes load_blocks(const std::uint8_t* p) { return {vld1q_u8(p)}; }
};
EIGENFORMER_INLINE Bytes operator+(Bytes a, Bytes b) { return {vaddq_u8(a.value, b.value)}; }
EIGENFORMER_INLINE Bytes opaque(Bytes a) {
  __asm__("" : "+w"(a.value));
  return a;
}
EIGENFORMER_INLINE Bytes lookup(Bytes table, Bytes index) { return {vqtbl1q_u8(table.value, index.value)}; }
EIGENFORMER_INLINE Bytes low_digits(Bytes a) { return {vandq_u8(a.value, vdupq_n_u8(15))}; }
EIGENFORMER_INLINE Bytes high_digits(Bytes a) { return {vshrq_n_u8(a.value, 4)}; }

/// Of the first eight lanes, and of the others.
struct HalfSums {
  uint16x8_t low = vdupq_n_u16(0);
  uint16x8_t high = vdupq_n_u16(0);
};
EIGENFORMER_INLINE void add_digits(Bytes low, Bytes high, HalfSums& sums) {
  const uint8x16_t weight = vdupq_n_u8(32);
  sums.low = vaddw_u8(vmlal_u8(sums.low, vget_low_u8(high.value), vget_low_u8(weight)), vget_low_u8(low.value));
  sums.high = vaddw_high_u8(vmlal_high_u8(sums.high, high.value, weight), low.value);
}
EIGENFORMER_INLINE void add_to_words(HalfSums sums, std::uint32_t* words) {
  vst1q_u32(words, vaddw_u16(vld1q_u32(words), vget_low_u16(sums.low)));
  vst1q_u32(words + 4, vaddw_high_u16(vld1q_u32(words + 4), sums.low));
  vst1q_u32(words + 8, vaddw_u16(vld1q_u32(words + 8), vget_low_u16(sums.high)));
  vst1q_u32(words + 12, vaddw_high_u16(vld1q_u32(words + 12), sums.high));
}

EIGENFORMER_INLINE void make_digit_table(const std::int8_t* four, std::uint8_t* table) {
  constexpr std::int16_t bits[4][8] = {
      {0, 1, 0, 1, 0, 1, 0, 1}, {0, 0, 1, 1, 0, 0, 1, 1}, {0, 0, 0, 0, 1, 1, 1, 1}, {1, 1, 1, 1, 1, 1, 1, 1}};
  int16x8_t first = vmulq_n_s16(vld1q_s16(bits[0]), four[0]);
  first = vmlaq_n_s16(first, vld1q_s16(bits[1]), four[1]);
  first = vmlaq_n_s16(first, vld1q_s16(bits[2]), four[2]);
  const int16x8_t second = vmlaq_n_s16(first, vld1q_s16(bits[3]), four[3]);
  const int16x8_t digit = vdupq_n_s16(31);
  const int16x8_t offset = vdupq_n_s16(16);
  vst1q_u8(table, vcombine_u8(vreinterpret_u8_s8(vmovn_s16(vandq_s16(first, digit))),
                              vreinterpret_u8_s8(vmovn_s16(vandq_s16(second, digit)))));
  vst1q_u8(table + 16, vcombine_u8(vreinterpret_u8_s8(vmovn_s16(vaddq_s16(vshrq_n_s16(first, 5), offset))),
                                   vreinterpret_u8_s8(vmovn_s16(vaddq_s16(vshrq_n_s16(second, 5), offset)))));
}

inline constexpr std::ptrdiff_t lookup_table = 64;
EIGENFORMER_INLINE std::int32_t make_lookup_table(const std::int8_t* eight, std::uint8_t* table) {
  make_digit_table(eight, table);
  make_digit_table(eight + 4, table + 32);
  return table[15] + table[47] + 32 * (table[31] + table[63] - 32);
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::simd::neon

#endif
