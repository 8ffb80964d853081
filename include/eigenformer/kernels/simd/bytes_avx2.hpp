#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/kernels/simd/avx2.hpp>

#if defined(__x86_64__)

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c")
#endif

namespace eigenformer::inline EIGENFORMER_ABI::simd::avx2 {

// What each operation means is said in bytes_portable.hpp.

inline constexpr bool has_byte_lookup = true;

typedef std::uint8_t ByteLanes __attribute__((vector_size(32)));
typedef std::uint16_t HalfLanes __attribute__((vector_size(32)));
typedef std::uint32_t WordLanes __attribute__((vector_size(32)));
typedef std::uint16_t EightHalves __attribute__((vector_size(16)));
typedef char SignedBytes __attribute__((vector_size(32)));    // as g++'s built-in functions name bytes
typedef short SignedHalves __attribute__((vector_size(32)));  // and halves
typedef long long TwoLongs __attribute__((vector_size(16)));
typedef std::uint8_t BytesInMemory __attribute__((vector_size(32), aligned(1), may_alias));
typedef long long TwoLongsInMemory __attribute__((vector_size(16), aligned(1), may_alias));
typedef std::uint32_t WordsInMemory __attribute__((vector_size(32), aligned(1), may_alias));

struct Bytes {
  static constexpr int lanes = 32;
  ByteLanes value;

  EIGENFORMER_INLINE static Bytes load(const std::uint8_t* p) { return {*reinterpret_cast<const BytesInMemory*>(p)}; }
  EIGENFORMER_INLINE static Bytes load_blocks(const std::uint8_t* p) {
    const TwoLongs block = *reinterpret_cast<const TwoLongsInMemory*>(p);
    return {
        (ByteLanes)EIGENFORMER_X86(_mm256_broadcastsi128_si256((__m128i)block), __builtin_ia32_vbroadcastsi256(block))};
  }
};
EIGENFORMER_INLINE Bytes operator+(Bytes a, Bytes b) { return {a.value + b.value}; }
EIGENFORMER_INLINE Bytes opaque(Bytes a) {
  __asm__("" : "+x"(a.value));
  return a;
}
EIGENFORMER_INLINE Bytes lookup(Bytes table, Bytes index) {
  return {(ByteLanes)EIGENFORMER_X86(_mm256_shuffle_epi8((__m256i)table.value, (__m256i)index.value),
                                     __builtin_ia32_pshufb256((SignedBytes)table.value, (SignedBytes)index.value))};
}
EIGENFORMER_INLINE Bytes low_digits(Bytes a) { return {a.value & 15}; }
EIGENFORMER_INLINE Bytes high_digits(Bytes a) { return {(ByteLanes)((HalfLanes)a.value >> 4) & 15}; }

/// a u8 times b s8, neighbours added up.
EIGENFORMER_INLINE HalfLanes multiply_pairs(ByteLanes a, ByteLanes b) {
  return (HalfLanes)EIGENFORMER_X86(_mm256_maddubs_epi16((__m256i)a, (__m256i)b),
                                    __builtin_ia32_pmaddubsw256((SignedBytes)a, (SignedBytes)b));
}

/// Of the first eight lanes of each 128-bit block, and of the others.
struct HalfSums {
  HalfLanes low = {};
  HalfLanes high = {};
};
EIGENFORMER_INLINE void add_digits(Bytes low, Bytes high, HalfSums& sums) {
  const ByteLanes weights = (ByteLanes)(HalfLanes{} + (1 + 32 * 256));
  const ByteLanes first =
      __builtin_shufflevector(low.value, high.value, 0, 32, 1, 33, 2, 34, 3, 35, 4, 36, 5, 37, 6, 38, 7, 39, 16, 48, 17,
                              49, 18, 50, 19, 51, 20, 52, 21, 53, 22, 54, 23, 55);
  const ByteLanes second =
      __builtin_shufflevector(low.value, high.value, 8, 40, 9, 41, 10, 42, 11, 43, 12, 44, 13, 45, 14, 46, 15, 47, 24,
                              56, 25, 57, 26, 58, 27, 59, 28, 60, 29, 61, 30, 62, 31, 63);
  sums.low += multiply_pairs(first, weights);
  sums.high += multiply_pairs(second, weights);
}
EIGENFORMER_INLINE void add_to_words(EightHalves halves, std::uint32_t* words) {
  WordsInMemory* const to = reinterpret_cast<WordsInMemory*>(words);
  *to = *to +
        (WordLanes)EIGENFORMER_X86(_mm256_cvtepu16_epi32((__m128i)halves), __builtin_ia32_pmovzxwd256((Halves)halves));
}
EIGENFORMER_INLINE void add_to_words(HalfSums sums, std::uint32_t* words) {
  add_to_words(__builtin_shufflevector(sums.low, sums.low, 0, 1, 2, 3, 4, 5, 6, 7), words);
  add_to_words(__builtin_shufflevector(sums.high, sums.high, 0, 1, 2, 3, 4, 5, 6, 7), words + 8);
  add_to_words(__builtin_shufflevector(sums.low, sums.low, 8, 9, 10, 11, 12, 13, 14, 15), words + 16);
  add_to_words(__builtin_shufflevector(sums.high, sums.high, 8, 9, 10, 11, 12, 13, 14, 15), words + 24);
}

EIGENFORMER_INLINE void make_digit_table(const std::int8_t* four, std::uint8_t* table) {
  // The four bits of the numbers 0 .. 15, as bytes: the first two of each number, and the last two.
  constexpr ByteLanes first_bits = {0, 0, 1, 0, 0, 1, 1, 1, 0, 0, 1, 0, 0, 1, 1, 1,
                                    0, 0, 1, 0, 0, 1, 1, 1, 0, 0, 1, 0, 0, 1, 1, 1};
  constexpr ByteLanes last_bits = {0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 1, 0, 1, 0,
                                   0, 1, 0, 1, 0, 1, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1};
  std::uint16_t pairs[2];
  __builtin_memcpy(pairs, four, sizeof pairs);
  const SignedHalves sums = (SignedHalves)(multiply_pairs(first_bits, (ByteLanes)(HalfLanes{} + pairs[0])) +
                                           multiply_pairs(last_bits, (ByteLanes)(HalfLanes{} + pairs[1])));
  const SignedHalves high = (sums >> 5) + 16;
  const ByteLanes digits = (ByteLanes)((sums & 31) | high << 8);  // in turns
  const ByteLanes apart = __builtin_shufflevector(digits, digits, 0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15,
                                                  16, 18, 20, 22, 24, 26, 28, 30, 17, 19, 21, 23, 25, 27, 29, 31);
  const Longs ordered = __builtin_shufflevector((Longs)apart, (Longs)apart, 0, 2, 1, 3);
  *reinterpret_cast<BytesInMemory*>(table) = (ByteLanes)ordered;
}

inline constexpr std::ptrdiff_t lookup_table = 64;
EIGENFORMER_INLINE std::int32_t make_lookup_table(const std::int8_t* eight, std::uint8_t* table) {
  make_digit_table(eight, table);
  make_digit_table(eight + 4, table + 32);
  return table[15] + table[47] + 32 * (table[31] + table[63] - 32);
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::simd::avx2

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif
