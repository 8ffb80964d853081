#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/kernels/simd/target.hpp>

#include <cstddef>
#include <cstdint>
#include <type_traits>

#if defined(__x86_64__)

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c"))), \
                             apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c,prefer-vector-width=512")
#endif

namespace eigenformer::inline EIGENFORMER_ABI::simd::avx512 {

// 512 bits, AVX-512 F, BW, DQ and VL. What each operation means is said in portable.hpp.

inline constexpr int registers = 32;

template <class T>
struct Mask;
template <class T>
struct Vec;

template <>
struct Mask<float> {
  __mmask16 value;
};
template <>
struct Mask<double> {
  __mmask8 value;
};

// Here and below the zero-masking forms with every lane on: g++ 12 calls the unmasked ones uses of an uninitialised
// value.

/// Sixteen or eight halves as float.
template <HalfPrecision S>
EIGENFORMER_INLINE __m512 widen(__m256i halves) {
  if constexpr (std::is_same_v<S, Bfloat16>) {
    return _mm512_castsi512_ps(_mm512_maskz_slli_epi32(0xFFFF, _mm512_maskz_cvtepu16_epi32(0xFFFF, halves), 16));
  } else {
    return _mm512_maskz_cvtph_ps(0xFFFF, halves);
  }
}
template <HalfPrecision S>
EIGENFORMER_INLINE __m256 widen(__m128i halves) {
  if constexpr (std::is_same_v<S, Bfloat16>) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16));
  } else {
    return _mm256_cvtph_ps(halves);
  }
}

template <>
struct Vec<float> {
  static constexpr int lanes = 16;
  __m512 value;

  EIGENFORMER_INLINE static Vec zero() { return {_mm512_setzero_ps()}; }
  EIGENFORMER_INLINE static Vec broadcast(float x) { return {_mm512_set1_ps(x)}; }
  EIGENFORMER_INLINE static Vec load(const float* p) { return {_mm512_loadu_ps(p)}; }
  EIGENFORMER_INLINE static Vec load(const float* p, Mask<float> mask) {
    return {_mm512_maskz_loadu_ps(mask.value, p)};
  }
  template <HalfPrecision S>
  EIGENFORMER_INLINE static Vec load(const S* p) {
    return {widen<S>(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
  }
  template <HalfPrecision S>
  EIGENFORMER_INLINE static Vec load(const S* p, Mask<float> mask) {
    return {widen<S>(_mm256_maskz_loadu_epi16(mask.value, p))};
  }
  EIGENFORMER_INLINE void store(float* p) const { _mm512_storeu_ps(p, value); }
  EIGENFORMER_INLINE void store(float* p, Mask<float> mask) const { _mm512_mask_storeu_ps(p, mask.value, value); }
};

template <>
struct Vec<double> {
  static constexpr int lanes = 8;
  __m512d value;

  EIGENFORMER_INLINE static Vec zero() { return {_mm512_setzero_pd()}; }
  EIGENFORMER_INLINE static Vec broadcast(double x) { return {_mm512_set1_pd(x)}; }
  EIGENFORMER_INLINE static Vec load(const double* p) { return {_mm512_loadu_pd(p)}; }
  EIGENFORMER_INLINE static Vec load(const double* p, Mask<double> mask) {
    return {_mm512_maskz_loadu_pd(mask.value, p)};
  }
  template <HalfPrecision S>
  EIGENFORMER_INLINE static Vec load(const S* p) {
    return {_mm512_maskz_cvtps_pd(0xFF, widen<S>(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))))};
  }
  template <HalfPrecision S>
  EIGENFORMER_INLINE static Vec load(const S* p, Mask<double> mask) {
    return {_mm512_maskz_cvtps_pd(0xFF, widen<S>(_mm_maskz_loadu_epi16(mask.value, p)))};
  }
  EIGENFORMER_INLINE void store(double* p) const { _mm512_storeu_pd(p, value); }
  EIGENFORMER_INLINE void store(double* p, Mask<double> mask) const { _mm512_mask_storeu_pd(p, mask.value, value); }
};

template <class T>
EIGENFORMER_INLINE Mask<T> first_lanes(std::ptrdiff_t n) {
  return {static_cast<decltype(Mask<T>::value)>((std::uint32_t{1} << n) - 1)};
}

/// a, in a way that the optimiser cannot see through (see portable.hpp).
template <class T>
EIGENFORMER_INLINE Vec<T> opaque(Vec<T> a) {
  __asm__("" : "+v"(a.value));
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
  return {_mm512_fmadd_ps(a.value, b.value, c.value)};
}
EIGENFORMER_INLINE Vec<double> fma(Vec<double> a, Vec<double> b, Vec<double> c) {
  return {_mm512_fmadd_pd(a.value, b.value, c.value)};
}
EIGENFORMER_INLINE Vec<float> fnma(Vec<float> a, Vec<float> b, Vec<float> c) {
  return {_mm512_fnmadd_ps(a.value, b.value, c.value)};
}
EIGENFORMER_INLINE Vec<double> fnma(Vec<double> a, Vec<double> b, Vec<double> c) {
  return {_mm512_fnmadd_pd(a.value, b.value, c.value)};
}

EIGENFORMER_INLINE Mask<float> operator<(Vec<float> a, Vec<float> b) {
  return {_mm512_cmp_ps_mask(a.value, b.value, _CMP_LT_OQ)};
}
EIGENFORMER_INLINE Mask<double> operator<(Vec<double> a, Vec<double> b) {
  return {_mm512_cmp_pd_mask(a.value, b.value, _CMP_LT_OQ)};
}
EIGENFORMER_INLINE Mask<float> operator<=(Vec<float> a, Vec<float> b) {
  return {_mm512_cmp_ps_mask(a.value, b.value, _CMP_LE_OQ)};
}
EIGENFORMER_INLINE Mask<double> operator<=(Vec<double> a, Vec<double> b) {
  return {_mm512_cmp_pd_mask(a.value, b.value, _CMP_LE_OQ)};
}
EIGENFORMER_INLINE Mask<float> operator==(Vec<float> a, Vec<float> b) {
  return {_mm512_cmp_ps_mask(a.value, b.value, _CMP_EQ_OQ)};
}
EIGENFORMER_INLINE Mask<double> operator==(Vec<double> a, Vec<double> b) {
  return {_mm512_cmp_pd_mask(a.value, b.value, _CMP_EQ_OQ)};
}
template <class T>
EIGENFORMER_INLINE Mask<T> operator>(Vec<T> a, Vec<T> b) {
  return b < a;
}
template <class T>
EIGENFORMER_INLINE Mask<T> operator>=(Vec<T> a, Vec<T> b) {
  return b <= a;
}
template <class T>
EIGENFORMER_INLINE Mask<T> operator&(Mask<T> a, Mask<T> b) {
  return {static_cast<decltype(a.value)>(a.value & b.value)};
}
template <class T>
EIGENFORMER_INLINE Mask<T> operator|(Mask<T> a, Mask<T> b) {
  return {static_cast<decltype(a.value)>(a.value | b.value)};
}
template <class T>
EIGENFORMER_INLINE Mask<T> operator!(Mask<T> a) {
  return {static_cast<decltype(a.value)>(~a.value)};
}
template <class T>
EIGENFORMER_INLINE bool any(Mask<T> a) {
  return a.value != 0;
}
template <class T>
EIGENFORMER_INLINE bool all(Mask<T> a) {
  return !any(!a);
}
EIGENFORMER_INLINE Vec<float> select(Mask<float> mask, Vec<float> yes, Vec<float> no) {
  return {_mm512_mask_blend_ps(mask.value, no.value, yes.value)};
}
EIGENFORMER_INLINE Vec<double> select(Mask<double> mask, Vec<double> yes, Vec<double> no) {
  return {_mm512_mask_blend_pd(mask.value, no.value, yes.value)};
}

EIGENFORMER_INLINE Vec<float> minimum(Vec<float> a, Vec<float> b) {
  return {_mm512_maskz_min_ps(0xFFFF, a.value, b.value)};
}
EIGENFORMER_INLINE Vec<double> minimum(Vec<double> a, Vec<double> b) {
  return {_mm512_maskz_min_pd(0xFF, a.value, b.value)};
}
EIGENFORMER_INLINE Vec<float> maximum(Vec<float> a, Vec<float> b) {
  return {_mm512_maskz_max_ps(0xFFFF, a.value, b.value)};
}
EIGENFORMER_INLINE Vec<double> maximum(Vec<double> a, Vec<double> b) {
  return {_mm512_maskz_max_pd(0xFF, a.value, b.value)};
}
EIGENFORMER_INLINE __m512 sign_bit(Vec<float>) { return _mm512_castsi512_ps(_mm512_set1_epi32(INT32_MIN)); }
EIGENFORMER_INLINE __m512d sign_bit(Vec<double>) { return _mm512_castsi512_pd(_mm512_set1_epi64(INT64_MIN)); }
EIGENFORMER_INLINE Vec<float> abs(Vec<float> a) { return {_mm512_andnot_ps(sign_bit(a), a.value)}; }
EIGENFORMER_INLINE Vec<double> abs(Vec<double> a) { return {_mm512_andnot_pd(sign_bit(a), a.value)}; }
EIGENFORMER_INLINE Vec<float> copysign(Vec<float> magnitude, Vec<float> sign) {
  return {_mm512_or_ps(abs(magnitude).value, _mm512_and_ps(sign_bit(sign), sign.value))};
}
EIGENFORMER_INLINE Vec<double> copysign(Vec<double> magnitude, Vec<double> sign) {
  return {_mm512_or_pd(abs(magnitude).value, _mm512_and_pd(sign_bit(sign), sign.value))};
}
EIGENFORMER_INLINE Vec<float> sqrt(Vec<float> a) { return {_mm512_maskz_sqrt_ps(0xFFFF, a.value)}; }
EIGENFORMER_INLINE Vec<double> sqrt(Vec<double> a) { return {_mm512_maskz_sqrt_pd(0xFF, a.value)}; }
EIGENFORMER_INLINE Vec<float> round(Vec<float> a) {
  return {_mm512_maskz_roundscale_ps(0xFFFF, a.value, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
EIGENFORMER_INLINE Vec<double> round(Vec<double> a) {
  return {_mm512_maskz_roundscale_pd(0xFF, a.value, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
EIGENFORMER_INLINE Vec<float> floor(Vec<float> a) {
  return {_mm512_maskz_roundscale_ps(0xFFFF, a.value, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC)};
}
EIGENFORMER_INLINE Vec<double> floor(Vec<double> a) {
  return {_mm512_maskz_roundscale_pd(0xFF, a.value, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC)};
}
EIGENFORMER_INLINE Vec<float> ldexp(Vec<float> a, Vec<float> n) {
  return {_mm512_maskz_scalef_ps(0xFFFF, a.value, n.value)};
}
EIGENFORMER_INLINE Vec<double> ldexp(Vec<double> a, Vec<double> n) {
  return {_mm512_maskz_scalef_pd(0xFF, a.value, n.value)};
}

template <class T>
EIGENFORMER_INLINE Vec<T> ldexp_normal(Vec<T> a, Vec<T> n) {
  return ldexp(a, n);
}

EIGENFORMER_INLINE void stream(Vec<float> x, float* p) { _mm512_stream_ps(p, x.value); }
EIGENFORMER_INLINE void stream(Vec<double> x, double* p) { _mm512_stream_pd(p, x.value); }
EIGENFORMER_INLINE void finish_streams() { _mm_sfence(); }

template <class T>
inline constexpr int exp2_steps = sizeof(T) == 4 ? 16 : 1;
/// The bits of 2^(k / 16) without exponent, less k 2^19, which a shift by 19 brings along with the exponent.
inline constexpr std::int32_t exp2_mantissas[16] = {0,       -152893, -289342, -408621, -509968, -592590,
                                                    -655657, -698305, -719629, -718684, -694486, -646004,
                                                    -572163, -471841, -343865, -187011};
EIGENFORMER_INLINE Vec<float> exp2_of_low_bits(Vec<float> a) {
  const __m512i bits = _mm512_castps_si512(a.value);
  const __m512i mantissa = _mm512_maskz_permutexvar_epi32(0xFFFF, bits, _mm512_loadu_si512(exp2_mantissas));
  return {_mm512_castsi512_ps(_mm512_add_epi32(_mm512_maskz_slli_epi32(0xFFFF, bits, 19), mantissa))};
}
EIGENFORMER_INLINE Vec<double> exp2_of_low_bits(Vec<double> a) {
  return {_mm512_castsi512_pd(_mm512_maskz_slli_epi64(0xFF, _mm512_castpd_si512(a.value), 52))};
}

EIGENFORMER_INLINE Vec<float> swap_pairs(Vec<float> a) { return {_mm512_maskz_permute_ps(0xFFFF, a.value, 0xB1)}; }
EIGENFORMER_INLINE Vec<double> swap_pairs(Vec<double> a) { return {_mm512_maskz_permute_pd(0xFF, a.value, 0x55)}; }

EIGENFORMER_INLINE __m256 lower(__m512 a) { return __builtin_shufflevector(a, a, 0, 1, 2, 3, 4, 5, 6, 7); }
EIGENFORMER_INLINE __m256 upper(__m512 a) { return __builtin_shufflevector(a, a, 8, 9, 10, 11, 12, 13, 14, 15); }
EIGENFORMER_INLINE __m256d lower(__m512d a) { return __builtin_shufflevector(a, a, 0, 1, 2, 3); }
EIGENFORMER_INLINE __m256d upper(__m512d a) { return __builtin_shufflevector(a, a, 4, 5, 6, 7); }

EIGENFORMER_INLINE float reduce_add(Vec<float> a) {
  const __m256 eight = _mm256_add_ps(lower(a.value), upper(a.value));
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
EIGENFORMER_INLINE double reduce_add(Vec<double> a) {
  const __m256d four = _mm256_add_pd(lower(a.value), upper(a.value));
  const __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
  return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
}
EIGENFORMER_INLINE float reduce_max(Vec<float> a) {
  const __m256 eight = _mm256_max_ps(lower(a.value), upper(a.value));
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}
EIGENFORMER_INLINE double reduce_max(Vec<double> a) {
  const __m256d four = _mm256_max_pd(lower(a.value), upper(a.value));
  const __m128d two = _mm_max_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
  return _mm_cvtsd_f64(_mm_max_sd(two, _mm_unpackhi_pd(two, two)));
}

/// The four 128-bit blocks of four registers as a matrix, transposed: to[i] = block i of each.
EIGENFORMER_INLINE void transpose_blocks(__m512 (&to)[4], __m512 a, __m512 b, __m512 c, __m512 d) {
  const __m512 low_ab = _mm512_maskz_shuffle_f32x4(0xFFFF, a, b, 0x44);
  const __m512 high_ab = _mm512_maskz_shuffle_f32x4(0xFFFF, a, b, 0xEE);
  const __m512 low_cd = _mm512_maskz_shuffle_f32x4(0xFFFF, c, d, 0x44);
  const __m512 high_cd = _mm512_maskz_shuffle_f32x4(0xFFFF, c, d, 0xEE);
  to[0] = _mm512_maskz_shuffle_f32x4(0xFFFF, low_ab, low_cd, 0x88);
  to[1] = _mm512_maskz_shuffle_f32x4(0xFFFF, low_ab, low_cd, 0xDD);
  to[2] = _mm512_maskz_shuffle_f32x4(0xFFFF, high_ab, high_cd, 0x88);
  to[3] = _mm512_maskz_shuffle_f32x4(0xFFFF, high_ab, high_cd, 0xDD);
}
EIGENFORMER_INLINE void transpose(Vec<float> (&rows)[16]) {
  __m512 quad[16];  // block b of quad[4 g + j] is column 4 b + j of rows 4 g .. 4 g + 3
#pragma GCC unroll 4
  for (int i = 0; i < 16; i += 4) {
    const __m512 a = _mm512_maskz_unpacklo_ps(0xFFFF, rows[i].value, rows[i + 1].value);
    const __m512 b = _mm512_maskz_unpackhi_ps(0xFFFF, rows[i].value, rows[i + 1].value);
    const __m512 c = _mm512_maskz_unpacklo_ps(0xFFFF, rows[i + 2].value, rows[i + 3].value);
    const __m512 d = _mm512_maskz_unpackhi_ps(0xFFFF, rows[i + 2].value, rows[i + 3].value);
    quad[i] = _mm512_maskz_shuffle_ps(0xFFFF, a, c, 0x44);
    quad[i + 1] = _mm512_maskz_shuffle_ps(0xFFFF, a, c, 0xEE);
    quad[i + 2] = _mm512_maskz_shuffle_ps(0xFFFF, b, d, 0x44);
    quad[i + 3] = _mm512_maskz_shuffle_ps(0xFFFF, b, d, 0xEE);
  }
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) {
    __m512 to[4];
    transpose_blocks(to, quad[j], quad[4 + j], quad[8 + j], quad[12 + j]);
    rows[j].value = to[0];
    rows[4 + j].value = to[1];
    rows[8 + j].value = to[2];
    rows[12 + j].value = to[3];
  }
}

/// The four 128-bit blocks of four registers as a matrix, transposed: to[i] = block i of each.
EIGENFORMER_INLINE void transpose_blocks(__m512d (&to)[4], __m512d a, __m512d b, __m512d c, __m512d d) {
  const __m512d low_ab = _mm512_maskz_shuffle_f64x2(0xFF, a, b, 0x44);
  const __m512d high_ab = _mm512_maskz_shuffle_f64x2(0xFF, a, b, 0xEE);
  const __m512d low_cd = _mm512_maskz_shuffle_f64x2(0xFF, c, d, 0x44);
  const __m512d high_cd = _mm512_maskz_shuffle_f64x2(0xFF, c, d, 0xEE);
  to[0] = _mm512_maskz_shuffle_f64x2(0xFF, low_ab, low_cd, 0x88);
  to[1] = _mm512_maskz_shuffle_f64x2(0xFF, low_ab, low_cd, 0xDD);
  to[2] = _mm512_maskz_shuffle_f64x2(0xFF, high_ab, high_cd, 0x88);
  to[3] = _mm512_maskz_shuffle_f64x2(0xFF, high_ab, high_cd, 0xDD);
}
EIGENFORMER_INLINE void transpose(Vec<double> (&rows)[8]) {
  __m512d pair[8];  // block b of pair[2 g + j] is column 2 b + j of rows 2 g and 2 g + 1
#pragma GCC unroll 4
  for (int i = 0; i < 8; i += 2) {
    pair[i] = _mm512_maskz_unpacklo_pd(0xFF, rows[i].value, rows[i + 1].value);
    pair[i + 1] = _mm512_maskz_unpackhi_pd(0xFF, rows[i].value, rows[i + 1].value);
  }
#pragma GCC unroll 2
  for (int j = 0; j < 2; ++j) {
    __m512d to[4];
    transpose_blocks(to, pair[j], pair[2 + j], pair[4 + j], pair[6 + j]);
    rows[j].value = to[0];
    rows[2 + j].value = to[1];
    rows[4 + j].value = to[2];
    rows[6 + j].value = to[3];
  }
}

/// The sums of the four 128-bit blocks of each of four registers, as blocks of one.
EIGENFORMER_INLINE __m512 add_blocks(__m512 a, __m512 b, __m512 c, __m512 d) {
  const __m512 ab = _mm512_maskz_shuffle_f32x4(0xFFFF, a, b, 0x44) + _mm512_maskz_shuffle_f32x4(0xFFFF, a, b, 0xEE);
  const __m512 cd = _mm512_maskz_shuffle_f32x4(0xFFFF, c, d, 0x44) + _mm512_maskz_shuffle_f32x4(0xFFFF, c, d, 0xEE);
  return _mm512_maskz_shuffle_f32x4(0xFFFF, ab, cd, 0x88) + _mm512_maskz_shuffle_f32x4(0xFFFF, ab, cd, 0xDD);
}
EIGENFORMER_INLINE __m512d add_blocks(__m512d a, __m512d b, __m512d c, __m512d d) {
  const __m512d ab = _mm512_maskz_shuffle_f64x2(0xFF, a, b, 0x44) + _mm512_maskz_shuffle_f64x2(0xFF, a, b, 0xEE);
  const __m512d cd = _mm512_maskz_shuffle_f64x2(0xFF, c, d, 0x44) + _mm512_maskz_shuffle_f64x2(0xFF, c, d, 0xEE);
  return _mm512_maskz_shuffle_f64x2(0xFF, ab, cd, 0x88) + _mm512_maskz_shuffle_f64x2(0xFF, ab, cd, 0xDD);
}
EIGENFORMER_INLINE Vec<float> reduce_add(Vec<float> (&rows)[16]) {
  __m512 sum[4];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    sum[i] = add_blocks(rows[i].value, rows[4 + i].value, rows[8 + i].value, rows[12 + i].value);
  }
  const __m512 a = _mm512_maskz_unpacklo_ps(0xFFFF, sum[0], sum[1]) + _mm512_maskz_unpackhi_ps(0xFFFF, sum[0], sum[1]);
  const __m512 b = _mm512_maskz_unpacklo_ps(0xFFFF, sum[2], sum[3]) + _mm512_maskz_unpackhi_ps(0xFFFF, sum[2], sum[3]);
  return {_mm512_maskz_shuffle_ps(0xFFFF, a, b, 0x44) + _mm512_maskz_shuffle_ps(0xFFFF, a, b, 0xEE)};
}
EIGENFORMER_INLINE Vec<double> reduce_add(Vec<double> (&rows)[8]) {
  const __m512d a = add_blocks(rows[0].value, rows[2].value, rows[4].value, rows[6].value);
  const __m512d b = add_blocks(rows[1].value, rows[3].value, rows[5].value, rows[7].value);
  return {_mm512_maskz_unpacklo_pd(0xFF, a, b) + _mm512_maskz_unpackhi_pd(0xFF, a, b)};
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::simd::avx512

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif
