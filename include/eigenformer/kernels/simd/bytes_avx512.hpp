#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/kernels/simd/avx512.hpp>
#include <eigenformer/kernels/simd/bytes_avx2.hpp>

#if defined(__x86_64__)

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c"))), \
                             apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c,prefer-vector-width=512")
#endif

namespace eigenformer::inline EIGENFORMER_ABI::simd::avx512 {

// What each operation means is said in bytes_portable.hpp.

inline constexpr bool has_byte_lookup = true;

typedef std::uint8_t ByteLanes __attribute__((vector_size(64)));
typedef std::uint16_t HalfLanes __attribute__((vector_size(64)));
typedef std::uint32_t WordLanes __attribute__((vector_size(64)));
typedef char SignedBytes __attribute__((vector_size(64)));
typedef short SignedHalves __attribute__((vector_size(64)));
typedef short SixteenHalves __attribute__((vector_size(32)));
typedef std::int32_t FourWords __attribute__((vector_size(16)));
typedef long long EightLongs __attribute__((vector_size(64)));
typedef std::int32_t SixteenWords __attribute__((vector_size(64)));
typedef std::uint8_t BytesInMemory __attribute__((vector_size(64), aligned(1), may_alias));
typedef std::int32_t FourWordsInMemory __attribute__((vector_size(16), aligned(1), may_alias));
typedef std::uint32_t WordsInMemory __attribute__((vector_size(64), aligned(1), may_alias));

struct Bytes {
  static constexpr int lanes = 64;
  ByteLanes value;

  EIGENFORMER_INLINE static Bytes load(const std::uint8_t* p) { return {*reinterpret_cast<const BytesInMemory*>(p)}; }
  EIGENFORMER_INLINE static Bytes load_blocks(const std::uint8_t* p) {
    const FourWords block = *reinterpret_cast<const FourWordsInMemory*>(p);
    return {(ByteLanes)EIGENFORMER_X86(_mm512_maskz_broadcast_i32x4(0xFFFF, (__m128i)block),
                                       __builtin_ia32_broadcasti32x4_512(block, SixteenWords{}, -1))};
  }
};
EIGENFORMER_INLINE Bytes operator+(Bytes a, Bytes b) { return {a.value + b.value}; }
EIGENFORMER_INLINE Bytes opaque(Bytes a) {
  __asm__("" : "+v"(a.value));
  return a;
}
EIGENFORMER_INLINE Bytes lookup(Bytes table, Bytes index) {
  return {(ByteLanes)EIGENFORMER_X86(
      _mm512_shuffle_epi8((__m512i)table.value, (__m512i)index.value),
      __builtin_ia32_pshufb512_mask((SignedBytes)table.value, (SignedBytes)index.value, SignedBytes{}, ~0ULL))};
}
EIGENFORMER_INLINE Bytes low_digits(Bytes a) { return {a.value & 15}; }
EIGENFORMER_INLINE Bytes high_digits(Bytes a) { return {(ByteLanes)((HalfLanes)a.value >> 4) & 15}; }

EIGENFORMER_INLINE HalfLanes multiply_pairs(ByteLanes a, ByteLanes b) {
  return (HalfLanes)EIGENFORMER_X86(
      _mm512_maddubs_epi16((__m512i)a, (__m512i)b),
      __builtin_ia32_pmaddubsw512_mask((SignedBytes)a, (SignedBytes)b, SignedHalves{}, ~0U));
}

struct HalfSums {
  HalfLanes low = {};
  HalfLanes high = {};
};
EIGENFORMER_INLINE void add_digits(Bytes low, Bytes high, HalfSums& sums) {
  const ByteLanes weights = (ByteLanes)(HalfLanes{} + (1 + 32 * 256));
  const ByteLanes first = __builtin_shufflevector(
      low.value, high.value, 0, 64, 1, 65, 2, 66, 3, 67, 4, 68, 5, 69, 6, 70, 7, 71, 16, 80, 17, 81, 18, 82, 19, 83, 20,
      84, 21, 85, 22, 86, 23, 87, 32, 96, 33, 97, 34, 98, 35, 99, 36, 100, 37, 101, 38, 102, 39, 103, 48, 112, 49, 113,
      50, 114, 51, 115, 52, 116, 53, 117, 54, 118, 55, 119);
  const ByteLanes second = __builtin_shufflevector(
      low.value, high.value, 8, 72, 9, 73, 10, 74, 11, 75, 12, 76, 13, 77, 14, 78, 15, 79, 24, 88, 25, 89, 26, 90, 27,
      91, 28, 92, 29, 93, 30, 94, 31, 95, 40, 104, 41, 105, 42, 106, 43, 107, 44, 108, 45, 109, 46, 110, 47, 111, 56,
      120, 57, 121, 58, 122, 59, 123, 60, 124, 61, 125, 62, 126, 63, 127);
  sums.low += multiply_pairs(first, weights);
  sums.high += multiply_pairs(second, weights);
}
EIGENFORMER_INLINE void add_to_words(SixteenHalves halves, std::uint32_t* words) {
  WordsInMemory* const to = reinterpret_cast<WordsInMemory*>(words);
  *to = *to + (WordLanes)EIGENFORMER_X86(_mm512_maskz_cvtepu16_epi32(0xFFFF, (__m256i)halves),
                                         __builtin_ia32_pmovzxwd512_mask(halves, SixteenWords{}, -1));
}
EIGENFORMER_INLINE void add_to_words(HalfSums sums, std::uint32_t* words) {
  const auto low = (EightLongs)sums.low;
  const auto high = (EightLongs)sums.high;
  add_to_words((SixteenHalves)__builtin_shufflevector(low, high, 0, 1, 8, 9), words);
  add_to_words((SixteenHalves)__builtin_shufflevector(low, high, 2, 3, 10, 11), words + 16);
  add_to_words((SixteenHalves)__builtin_shufflevector(low, high, 4, 5, 12, 13), words + 32);
  add_to_words((SixteenHalves)__builtin_shufflevector(low, high, 6, 7, 14, 15), words + 48);
}

using avx2::lookup_table;
using avx2::make_lookup_table;

}  // namespace eigenformer::inline EIGENFORMER_ABI::simd::avx512

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif
