#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/kernels/simd/target.hpp>

#include <cstddef>
#include <cstdint>
#include <type_traits>

#if defined(__x86_64__)

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c")
#endif

namespace eigenformer::inline EIGENFORMER_ABI::simd::avx2 {

// 256 bits, AVX2 and FMA. What each operation means is said in portable.hpp.

inline constexpr int registers = 16;

template <class T>
struct Mask;
template <class T>
struct Vec;

template <>
struct Mask<float> {
  __m256 value;
};
template <>
struct Mask<double> {
  __m256d value;
};

/// Eight halves, or four in the lower half of the register, as float.
template <HalfPrecision S>
EIGENFORMER_INLINE __m256 widen_eight(__m128i halves) {
  if constexpr (std::is_same_v<S, Bfloat16>) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16));
  } else {
    return _mm256_cvtph_ps(halves);
  }
}
template <HalfPrecision S>
EIGENFORMER_INLINE __m128 widen_four(__m128i halves) {
  if constexpr (std::is_same_v<S, Bfloat16>) {
    return _mm_castsi128_ps(_mm_slli_epi32(_mm_cvtepu16_epi32(halves), 16));
  } else {
    return _mm_cvtph_ps(halves);
  }
}
/// The halves whose bit of `present` is set, the others zero and not looked at: there is no such instruction.
template <HalfPrecision S>
EIGENFORMER_INLINE __m128i load_present(const S* p, int present) {
  std::uint16_t halves[8] = {};
  for (int i = 0; i < 8; ++i) {
    if ((present >> i & 1) != 0) __builtin_memcpy(halves + i, p + i, 2);
  }
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(halves));
}

template <>
struct Vec<float> {
  static constexpr int lanes = 8;
  __m256 value;

  EIGENFORMER_INLINE static Vec zero() { return {_mm256_setzero_ps()}; }
  EIGENFORMER_INLINE static Vec broadcast(float x) { return {_mm256_set1_ps(x)}; }
  EIGENFORMER_INLINE static Vec load(const float* p) { return {_mm256_loadu_ps(p)}; }
  EIGENFORMER_INLINE static Vec load(const float* p, Mask<float> mask) {
    return {_mm256_maskload_ps(p, _mm256_castps_si256(mask.value))};
  }
  template <HalfPrecision S>
  EIGENFORMER_INLINE static Vec load(const S* p) {
    return {widen_eight<S>(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)))};
  }
  template <HalfPrecision S>
  EIGENFORMER_INLINE static Vec load(const S* p, Mask<float> mask) {
    return {widen_eight<S>(load_present(p, _mm256_movemask_ps(mask.value)))};
  }
  EIGENFORMER_INLINE void store(float* p) const { _mm256_storeu_ps(p, value); }
  EIGENFORMER_INLINE void store(float* p, Mask<float> mask) const {
    _mm256_maskstore_ps(p, _mm256_castps_si256(mask.value), value);
  }
};

template <>
struct Vec<double> {
  static constexpr int lanes = 4;
  __m256d value;

  EIGENFORMER_INLINE static Vec zero() { return {_mm256_setzero_pd()}; }
  EIGENFORMER_INLINE static Vec broadcast(double x) { return {_mm256_set1_pd(x)}; }
  EIGENFORMER_INLINE static Vec load(const double* p) { return {_mm256_loadu_pd(p)}; }
  EIGENFORMER_INLINE static Vec load(const double* p, Mask<double> mask) {
    return {_mm256_maskload_pd(p, _mm256_castpd_si256(mask.value))};
  }
  template <HalfPrecision S>
  EIGENFORMER_INLINE static Vec load(const S* p) {
    return {_mm256_cvtps_pd(widen_four<S>(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))))};
  }
  template <HalfPrecision S>
  EIGENFORMER_INLINE static Vec load(const S* p, Mask<double> mask) {
    return {_mm256_cvtps_pd(widen_four<S>(load_present(p, _mm256_movemask_pd(mask.value))))};
  }
  EIGENFORMER_INLINE void store(double* p) const { _mm256_storeu_pd(p, value); }
  EIGENFORMER_INLINE void store(double* p, Mask<double> mask) const {
    _mm256_maskstore_pd(p, _mm256_castpd_si256(mask.value), value);
  }
};

/// A window of eight words into this, n words before the zeros, is the mask of the first n lanes.
inline constexpr std::int32_t lane_window[16] = {-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0};

template <class T>
EIGENFORMER_INLINE Mask<T> first_lanes(std::ptrdiff_t n) {
  constexpr int words = sizeof(T) / 4;
  const __m256i window = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(lane_window + 8 - words * n));
  if constexpr (words == 1) {
    return {_mm256_castsi256_ps(window)};
  } else {
    return {_mm256_castsi256_pd(window)};
  }
}

/// a, in a way that the optimiser cannot see through (see portable.hpp).
template <class T>
EIGENFORMER_INLINE Vec<T> opaque(Vec<T> a) {
  __asm__("" : "+x"(a.value));
  return a;
}

template <class T>
EIGENFORMER_INLINE Vec<T> operator+(Vec<T> a, Vec<T> b) {
  return {a.value + b.value};
}
template <class T>
EIGENFORMER_INLINE Vec<T> operator-(Vec<T> a, Vec<T> b) {
  return {a.value - b.value};
}
template <class T>
EIGENFORMER_INLINE Vec<T> operator*(Vec<T> a, Vec<T> b) {
  return {a.value * b.value};
}
template <class T>
EIGENFORMER_INLINE Vec<T> operator/(Vec<T> a, Vec<T> b) {
  return {a.value / b.value};
}
template <class T>
EIGENFORMER_INLINE Vec<T> operator-(Vec<T> a) {
  return {-a.value};
}
EIGENFORMER_INLINE Vec<float> fma(Vec<float> a, Vec<float> b, Vec<float> c) {
  return {_mm256_fmadd_ps(a.value, b.value, c.value)};
}
EIGENFORMER_INLINE Vec<double> fma(Vec<double> a, Vec<double> b, Vec<double> c) {
  return {_mm256_fmadd_pd(a.value, b.value, c.value)};
}
EIGENFORMER_INLINE Vec<float> fnma(Vec<float> a, Vec<float> b, Vec<float> c) {
  return {_mm256_fnmadd_ps(a.value, b.value, c.value)};
}
EIGENFORMER_INLINE Vec<double> fnma(Vec<double> a, Vec<double> b, Vec<double> c) {
  return {_mm256_fnmadd_pd(a.value, b.value, c.value)};
}

EIGENFORMER_INLINE Mask<float> operator<(Vec<float> a, Vec<float> b) {
  return {_mm256_cmp_ps(a.value, b.value, _CMP_LT_OQ)};
}
EIGENFORMER_INLINE Mask<double> operator<(Vec<double> a, Vec<double> b) {
  return {_mm256_cmp_pd(a.value, b.value, _CMP_LT_OQ)};
}
EIGENFORMER_INLINE Mask<float> operator<=(Vec<float> a, Vec<float> b) {
  return {_mm256_cmp_ps(a.value, b.value, _CMP_LE_OQ)};
}
EIGENFORMER_INLINE Mask<double> operator<=(Vec<double> a, Vec<double> b) {
  return {_mm256_cmp_pd(a.value, b.value, _CMP_LE_OQ)};
}
EIGENFORMER_INLINE Mask<float> operator==(Vec<float> a, Vec<float> b) {
  return {_mm256_cmp_ps(a.value, b.value, _CMP_EQ_OQ)};
}
EIGENFORMER_INLINE Mask<double> operator==(Vec<double> a, Vec<double> b) {
  return {_mm256_cmp_pd(a.value, b.value, _CMP_EQ_OQ)};
}
template <class T>
EIGENFORMER_INLINE Mask<T> operator>(Vec<T> a, Vec<T> b) {
  return b < a;
}
template <class T>
EIGENFORMER_INLINE Mask<T> operator>=(Vec<T> a, Vec<T> b) {
  return b <= a;
}
EIGENFORMER_INLINE Mask<float> operator&(Mask<float> a, Mask<float> b) { return {_mm256_and_ps(a.value, b.value)}; }
EIGENFORMER_INLINE Mask<double> operator&(Mask<double> a, Mask<double> b) { return {_mm256_and_pd(a.value, b.value)}; }
EIGENFORMER_INLINE Mask<float> operator|(Mask<float> a, Mask<float> b) { return {_mm256_or_ps(a.value, b.value)}; }
EIGENFORMER_INLINE Mask<double> operator|(Mask<double> a, Mask<double> b) { return {_mm256_or_pd(a.value, b.value)}; }
EIGENFORMER_INLINE Mask<float> operator!(Mask<float> a) {
  return {_mm256_xor_ps(a.value, _mm256_castsi256_ps(_mm256_set1_epi32(-1)))};
}
EIGENFORMER_INLINE Mask<double> operator!(Mask<double> a) {
  return {_mm256_xor_pd(a.value, _mm256_castsi256_pd(_mm256_set1_epi32(-1)))};
}
EIGENFORMER_INLINE bool any(Mask<float> a) { return _mm256_movemask_ps(a.value) != 0; }
EIGENFORMER_INLINE bool any(Mask<double> a) { return _mm256_movemask_pd(a.value) != 0; }
EIGENFORMER_INLINE bool all(Mask<float> a) { return _mm256_movemask_ps(a.value) == 0xFF; }
EIGENFORMER_INLINE bool all(Mask<double> a) { return _mm256_movemask_pd(a.value) == 0xF; }
EIGENFORMER_INLINE Vec<float> select(Mask<float> mask, Vec<float> yes, Vec<float> no) {
  return {_mm256_blendv_ps(no.value, yes.value, mask.value)};
}
EIGENFORMER_INLINE Vec<double> select(Mask<double> mask, Vec<double> yes, Vec<double> no) {
  return {_mm256_blendv_pd(no.value, yes.value, mask.value)};
}

EIGENFORMER_INLINE Vec<float> minimum(Vec<float> a, Vec<float> b) { return {_mm256_min_ps(a.value, b.value)}; }
EIGENFORMER_INLINE Vec<double> minimum(Vec<double> a, Vec<double> b) { return {_mm256_min_pd(a.value, b.value)}; }
EIGENFORMER_INLINE Vec<float> maximum(Vec<float> a, Vec<float> b) { return {_mm256_max_ps(a.value, b.value)}; }
EIGENFORMER_INLINE Vec<double> maximum(Vec<double> a, Vec<double> b) { return {_mm256_max_pd(a.value, b.value)}; }
EIGENFORMER_INLINE __m256 sign_bit(Vec<float>) { return _mm256_castsi256_ps(_mm256_set1_epi32(INT32_MIN)); }
EIGENFORMER_INLINE __m256d sign_bit(Vec<double>) { return _mm256_castsi256_pd(_mm256_set1_epi64x(INT64_MIN)); }
EIGENFORMER_INLINE Vec<float> abs(Vec<float> a) { return {_mm256_andnot_ps(sign_bit(a), a.value)}; }
EIGENFORMER_INLINE Vec<double> abs(Vec<double> a) { return {_mm256_andnot_pd(sign_bit(a), a.value)}; }
EIGENFORMER_INLINE Vec<float> copysign(Vec<float> magnitude, Vec<float> sign) {
  return {_mm256_or_ps(abs(magnitude).value, _mm256_and_ps(sign_bit(sign), sign.value))};
}
EIGENFORMER_INLINE Vec<double> copysign(Vec<double> magnitude, Vec<double> sign) {
  return {_mm256_or_pd(abs(magnitude).value, _mm256_and_pd(sign_bit(sign), sign.value))};
}
EIGENFORMER_INLINE Vec<float> sqrt(Vec<float> a) { return {_mm256_sqrt_ps(a.value)}; }
EIGENFORMER_INLINE Vec<double> sqrt(Vec<double> a) { return {_mm256_sqrt_pd(a.value)}; }
EIGENFORMER_INLINE Vec<float> round(Vec<float> a) {
  return {_mm256_round_ps(a.value, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
EIGENFORMER_INLINE Vec<double> round(Vec<double> a) {
  return {_mm256_round_pd(a.value, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
EIGENFORMER_INLINE Vec<float> floor(Vec<float> a) { return {_mm256_floor_ps(a.value)}; }
EIGENFORMER_INLINE Vec<double> floor(Vec<double> a) { return {_mm256_floor_pd(a.value)}; }

// n in two halves, as 2^n itself may be out of range.
EIGENFORMER_INLINE Vec<float> ldexp(Vec<float> a, Vec<float> n) {
  const __m256i whole = _mm256_cvtps_epi32(n.value);
  const __m256i half = _mm256_srai_epi32(whole, 1);
  const __m256i one = _mm256_castps_si256(_mm256_set1_ps(1.0F));
  const __m256i first = _mm256_add_epi32(one, _mm256_slli_epi32(half, 23));
  const __m256i second = _mm256_add_epi32(one, _mm256_slli_epi32(_mm256_sub_epi32(whole, half), 23));
  return opaque(a * Vec<float>{_mm256_castsi256_ps(first)}) * Vec<float>{_mm256_castsi256_ps(second)};
}
EIGENFORMER_INLINE Vec<double> ldexp(Vec<double> a, Vec<double> n) {
  // There is no conversion to 64-bit integers: n sits in the low bits of n + 1.5 2^52.
  const __m256i whole = _mm256_castpd_si256(_mm256_add_pd(n.value, _mm256_set1_pd(0x1.8p52)));
  const __m256i half = _mm256_srli_epi64(whole, 1);
  const __m256i one = _mm256_castpd_si256(_mm256_set1_pd(1.0));
  const __m256i first = _mm256_add_epi64(one, _mm256_slli_epi64(half, 52));
  const __m256i second = _mm256_add_epi64(one, _mm256_slli_epi64(_mm256_sub_epi64(whole, half), 52));
  return opaque(a * Vec<double>{_mm256_castsi256_pd(first)}) * Vec<double>{_mm256_castsi256_pd(second)};
}

EIGENFORMER_INLINE Vec<float> ldexp_normal(Vec<float> a, Vec<float> n) {
  const __m256i one = _mm256_castps_si256(_mm256_set1_ps(1.0F));
  return a * Vec<float>{_mm256_castsi256_ps(_mm256_add_epi32(one, _mm256_slli_epi32(_mm256_cvtps_epi32(n.value), 23)))};
}
EIGENFORMER_INLINE Vec<double> ldexp_normal(Vec<double> a, Vec<double> n) {
  const __m256i whole = _mm256_castpd_si256(opaque(n + Vec<double>::broadcast(0x1.8p52)).value);
  const __m256i one = _mm256_castpd_si256(_mm256_set1_pd(1.0));
  return a * Vec<double>{_mm256_castsi256_pd(_mm256_add_epi64(one, _mm256_slli_epi64(whole, 52)))};
}

EIGENFORMER_INLINE void stream(Vec<float> x, float* p) { _mm256_stream_ps(p, x.value); }
EIGENFORMER_INLINE void stream(Vec<double> x, double* p) { _mm256_stream_pd(p, x.value); }
EIGENFORMER_INLINE void finish_streams() { _mm_sfence(); }

template <class T>
inline constexpr int exp2_steps = sizeof(T) == 4 ? 8 : 1;
/// The bits of 2^(k / 8) without exponent, less k 2^20, which a shift by 20 brings along with the exponent.
inline constexpr std::int32_t exp2_mantissas[8] = {0, -289342, -509968, -655657, -719629, -694486, -572163, -343865};
EIGENFORMER_INLINE Vec<float> exp2_of_low_bits(Vec<float> a) {
  const __m256i bits = _mm256_castps_si256(a.value);
  const __m256i table = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(exp2_mantissas));
  const __m256i mantissa = _mm256_permutevar8x32_epi32(table, bits);
  return {_mm256_castsi256_ps(_mm256_add_epi32(_mm256_slli_epi32(bits, 20), mantissa))};
}
EIGENFORMER_INLINE Vec<double> exp2_of_low_bits(Vec<double> a) {
  return {_mm256_castsi256_pd(_mm256_slli_epi64(_mm256_castpd_si256(a.value), 52))};
}

EIGENFORMER_INLINE Vec<float> swap_pairs(Vec<float> a) { return {_mm256_permute_ps(a.value, 0xB1)}; }
EIGENFORMER_INLINE Vec<double> swap_pairs(Vec<double> a) { return {_mm256_permute_pd(a.value, 0x5)}; }

EIGENFORMER_INLINE float reduce_add(Vec<float> a) {
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(a.value), _mm256_extractf128_ps(a.value, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
EIGENFORMER_INLINE double reduce_add(Vec<double> a) {
  const __m128d two = _mm_add_pd(_mm256_castpd256_pd128(a.value), _mm256_extractf128_pd(a.value, 1));
  return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
}
EIGENFORMER_INLINE float reduce_max(Vec<float> a) {
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(a.value), _mm256_extractf128_ps(a.value, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}
EIGENFORMER_INLINE double reduce_max(Vec<double> a) {
  const __m128d two = _mm_max_pd(_mm256_castpd256_pd128(a.value), _mm256_extractf128_pd(a.value, 1));
  return _mm_cvtsd_f64(_mm_max_sd(two, _mm_unpackhi_pd(two, two)));
}

// Pairs of rows, then pairs of pairs, then the two halves.
EIGENFORMER_INLINE void transpose(Vec<float> (&rows)[8]) {
  __m256 quad[8];
#pragma GCC unroll 2
  for (int i = 0; i < 8; i += 4) {
    const __m256 a = _mm256_unpacklo_ps(rows[i].value, rows[i + 1].value);
    const __m256 b = _mm256_unpackhi_ps(rows[i].value, rows[i + 1].value);
    const __m256 c = _mm256_unpacklo_ps(rows[i + 2].value, rows[i + 3].value);
    const __m256 d = _mm256_unpackhi_ps(rows[i + 2].value, rows[i + 3].value);
    quad[i] = _mm256_shuffle_ps(a, c, 0x44);
    quad[i + 1] = _mm256_shuffle_ps(a, c, 0xEE);
    quad[i + 2] = _mm256_shuffle_ps(b, d, 0x44);
    quad[i + 3] = _mm256_shuffle_ps(b, d, 0xEE);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    rows[i].value = _mm256_permute2f128_ps(quad[i], quad[i + 4], 0x20);
    rows[i + 4].value = _mm256_permute2f128_ps(quad[i], quad[i + 4], 0x31);
  }
}
EIGENFORMER_INLINE void transpose(Vec<double> (&rows)[4]) {
  const __m256d a = _mm256_unpacklo_pd(rows[0].value, rows[1].value);
  const __m256d b = _mm256_unpackhi_pd(rows[0].value, rows[1].value);
  const __m256d c = _mm256_unpacklo_pd(rows[2].value, rows[3].value);
  const __m256d d = _mm256_unpackhi_pd(rows[2].value, rows[3].value);
  rows[0].value = _mm256_permute2f128_pd(a, c, 0x20);
  rows[1].value = _mm256_permute2f128_pd(b, d, 0x20);
  rows[2].value = _mm256_permute2f128_pd(a, c, 0x31);
  rows[3].value = _mm256_permute2f128_pd(b, d, 0x31);
}

EIGENFORMER_INLINE __m256 add_halves(__m256 a, __m256 b) {
  return _mm256_add_ps(_mm256_permute2f128_ps(a, b, 0x20), _mm256_permute2f128_ps(a, b, 0x31));
}
EIGENFORMER_INLINE __m256d add_halves(__m256d a, __m256d b) {
  return _mm256_add_pd(_mm256_permute2f128_pd(a, b, 0x20), _mm256_permute2f128_pd(a, b, 0x31));
}
EIGENFORMER_INLINE Vec<float> reduce_add(Vec<float> (&rows)[8]) {
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) rows[i].value = add_halves(rows[i].value, rows[4 + i].value);
  return {_mm256_hadd_ps(_mm256_hadd_ps(rows[0].value, rows[1].value), _mm256_hadd_ps(rows[2].value, rows[3].value))};
}
EIGENFORMER_INLINE Vec<double> reduce_add(Vec<double> (&rows)[4]) {
  return {_mm256_hadd_pd(add_halves(rows[0].value, rows[2].value), add_halves(rows[1].value, rows[3].value))};
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::simd::avx2

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif
