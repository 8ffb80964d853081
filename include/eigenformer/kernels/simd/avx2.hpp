#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/kernels/simd/x86.hpp>

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

typedef float Floats __attribute__((vector_size(32)));
typedef double Doubles __attribute__((vector_size(32)));
typedef std::int32_t Words __attribute__((vector_size(32)));
typedef std::uint32_t UnsignedWords __attribute__((vector_size(32)));
typedef long long Longs __attribute__((vector_size(32)));
typedef unsigned long long UnsignedLongs __attribute__((vector_size(32)));
typedef short Halves __attribute__((vector_size(16)));
typedef char Codes __attribute__((vector_size(16)));
typedef std::int32_t FourWords __attribute__((vector_size(16)));
typedef long long TwoLongs __attribute__((vector_size(16)));
// The same in memory, of any alignment.
typedef float FloatsInMemory __attribute__((vector_size(32), aligned(1), may_alias));
typedef double DoublesInMemory __attribute__((vector_size(32), aligned(1), may_alias));
typedef short HalvesInMemory __attribute__((vector_size(16), aligned(1), may_alias));
typedef long long LongInMemory __attribute__((aligned(1), may_alias));
typedef std::int32_t WordInMemory __attribute__((aligned(1), may_alias));

template <class T>
struct Mask;
template <class T>
struct Vec;

template <>
struct Mask<float> {
  Floats value;
};
template <>
struct Mask<double> {
  Doubles value;
};

/// One bit for each lane.
EIGENFORMER_INLINE int lane_bits(Mask<float> a) {
  return EIGENFORMER_X86(_mm256_movemask_ps(a.value), __builtin_ia32_movmskps256(a.value));
}
EIGENFORMER_INLINE int lane_bits(Mask<double> a) {
  return EIGENFORMER_X86(_mm256_movemask_pd(a.value), __builtin_ia32_movmskpd256(a.value));
}

/// Eight halves, or the four in the lower half of the register, as float.
template <HalfPrecision S>
EIGENFORMER_INLINE Floats widen_eight(Halves halves) {
  if constexpr (std::is_same_v<S, Bfloat16>) {
    return (Floats)((Words)EIGENFORMER_X86(_mm256_cvtepu16_epi32((__m128i)halves), __builtin_ia32_pmovzxwd256(halves))
                    << 16);
  } else {
    return EIGENFORMER_X86(_mm256_cvtph_ps((__m128i)halves), __builtin_ia32_vcvtph2ps256(halves));
  }
}
template <HalfPrecision S>
EIGENFORMER_INLINE __m128 widen_four(Halves halves) {
  if constexpr (std::is_same_v<S, Bfloat16>) {
    return (__m128)((FourWords)EIGENFORMER_X86(_mm_cvtepu16_epi32((__m128i)halves), __builtin_ia32_pmovzxwd128(halves))
                    << 16);
  } else {
    return EIGENFORMER_X86(_mm_cvtph_ps((__m128i)halves), __builtin_ia32_vcvtph2ps(halves));
  }
}
/// The first eight or four of sixteen codes.
EIGENFORMER_INLINE Floats widen_eight(Codes codes) {
  return __builtin_convertvector(
      (Words)EIGENFORMER_X86(_mm256_cvtepi8_epi32((__m128i)codes), __builtin_ia32_pmovsxbd256(codes)), Floats);
}
EIGENFORMER_INLINE Doubles widen_four(Codes codes) {
  return __builtin_convertvector(
      (FourWords)EIGENFORMER_X86(_mm_cvtepi8_epi32((__m128i)codes), __builtin_ia32_pmovsxbd128(codes)), Doubles);
}
/// The halves whose bit of `present` is set, the others zero and not looked at: there is no such instruction.
template <HalfPrecision S>
EIGENFORMER_INLINE Halves load_present(const S* p, int present) {
  std::uint16_t halves[8] = {};
  for (int i = 0; i < 8; ++i) {
    if ((present >> i & 1) != 0) __builtin_memcpy(halves + i, p + i, 2);
  }
  return *reinterpret_cast<const HalvesInMemory*>(halves);
}
/// The same of codes.
EIGENFORMER_INLINE Codes load_present(const Int8* p, int present) {
  Codes codes = {};
  for (int i = 0; i < 8; ++i) {
    if ((present >> i & 1) != 0) codes[i] = static_cast<char>(p[i]);
  }
  return codes;
}

template <>
struct Vec<float> {
  static constexpr int lanes = 8;
  Floats value;

  EIGENFORMER_INLINE static Vec zero() { return {Floats{}}; }
  EIGENFORMER_INLINE static Vec broadcast(float x) { return {x - Floats{}}; }
  EIGENFORMER_INLINE static Vec load(const float* p) { return {*reinterpret_cast<const FloatsInMemory*>(p)}; }
  EIGENFORMER_INLINE static Vec load(const float* p, Mask<float> mask) {
    return {EIGENFORMER_X86(_mm256_maskload_ps(p, (__m256i)mask.value),
                            __builtin_ia32_maskloadps256(reinterpret_cast<const Floats*>(p), (Words)mask.value))};
  }
  template <HalfPrecision S>
  EIGENFORMER_INLINE static Vec load(const S* p) {
    return {widen_eight<S>(*reinterpret_cast<const HalvesInMemory*>(p))};
  }
  template <HalfPrecision S>
  EIGENFORMER_INLINE static Vec load(const S* p, Mask<float> mask) {
    return {widen_eight<S>(load_present(p, lane_bits(mask)))};
  }
  EIGENFORMER_INLINE static Vec load(const Int8* p) {
    return {widen_eight((Codes)TwoLongs{*reinterpret_cast<const LongInMemory*>(p), 0})};
  }
  EIGENFORMER_INLINE static Vec load(const Int8* p, Mask<float> mask) {
    return {widen_eight(load_present(p, lane_bits(mask)))};
  }
  EIGENFORMER_INLINE void store(float* p) const { *reinterpret_cast<FloatsInMemory*>(p) = value; }
  EIGENFORMER_INLINE void store(float* p, Mask<float> mask) const {
    EIGENFORMER_X86(_mm256_maskstore_ps(p, (__m256i)mask.value, value),
                    __builtin_ia32_maskstoreps256(reinterpret_cast<Floats*>(p), (Words)mask.value, value));
  }
};

template <>
struct Vec<double> {
  static constexpr int lanes = 4;
  Doubles value;

  EIGENFORMER_INLINE static Vec zero() { return {Doubles{}}; }
  EIGENFORMER_INLINE static Vec broadcast(double x) { return {x - Doubles{}}; }
  EIGENFORMER_INLINE static Vec load(const double* p) { return {*reinterpret_cast<const DoublesInMemory*>(p)}; }
  EIGENFORMER_INLINE static Vec load(const double* p, Mask<double> mask) {
    return {EIGENFORMER_X86(_mm256_maskload_pd(p, (__m256i)mask.value),
                            __builtin_ia32_maskloadpd256(reinterpret_cast<const Doubles*>(p), (Longs)mask.value))};
  }
  template <HalfPrecision S>
  EIGENFORMER_INLINE static Vec load(const S* p) {
    Halves halves = {};
    __builtin_memcpy(&halves, p, lanes * sizeof(S));
    return {__builtin_convertvector(widen_four<S>(halves), Doubles)};
  }
  template <HalfPrecision S>
  EIGENFORMER_INLINE static Vec load(const S* p, Mask<double> mask) {
    return {__builtin_convertvector(widen_four<S>(load_present(p, lane_bits(mask))), Doubles)};
  }
  EIGENFORMER_INLINE static Vec load(const Int8* p) {
    return {widen_four((Codes)FourWords{*reinterpret_cast<const WordInMemory*>(p), 0, 0, 0})};
  }
  EIGENFORMER_INLINE static Vec load(const Int8* p, Mask<double> mask) {
    return {widen_four(load_present(p, lane_bits(mask)))};
  }
  EIGENFORMER_INLINE void store(double* p) const { *reinterpret_cast<DoublesInMemory*>(p) = value; }
  EIGENFORMER_INLINE void store(double* p, Mask<double> mask) const {
    EIGENFORMER_X86(_mm256_maskstore_pd(p, (__m256i)mask.value, value),
                    __builtin_ia32_maskstorepd256(reinterpret_cast<Doubles*>(p), (Longs)mask.value, value));
  }
};

/// A window of eight words into this, n words before the zeros, is the mask of the first n lanes.
inline constexpr std::int32_t lane_window[16] = {-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0};

template <class T>
EIGENFORMER_INLINE Mask<T> first_lanes(std::ptrdiff_t n) {
  constexpr int words = sizeof(T) / 4;
  return {(decltype(Mask<T>::value))(*reinterpret_cast<const FloatsInMemory*>(lane_window + 8 - words * n))};
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
  return {EIGENFORMER_X86(_mm256_fmadd_ps(a.value, b.value, c.value),
                          __builtin_ia32_vfmaddps256(a.value, b.value, c.value))};
}
EIGENFORMER_INLINE Vec<double> fma(Vec<double> a, Vec<double> b, Vec<double> c) {
  return {EIGENFORMER_X86(_mm256_fmadd_pd(a.value, b.value, c.value),
                          __builtin_ia32_vfmaddpd256(a.value, b.value, c.value))};
}
EIGENFORMER_INLINE Vec<float> fnma(Vec<float> a, Vec<float> b, Vec<float> c) {
  return {EIGENFORMER_X86(_mm256_fnmadd_ps(a.value, b.value, c.value),
                          __builtin_ia32_vfnmaddps256(a.value, b.value, c.value))};
}
EIGENFORMER_INLINE Vec<double> fnma(Vec<double> a, Vec<double> b, Vec<double> c) {
  return {EIGENFORMER_X86(_mm256_fnmadd_pd(a.value, b.value, c.value),
                          __builtin_ia32_vfnmaddpd256(a.value, b.value, c.value))};
}

EIGENFORMER_INLINE Mask<float> operator<(Vec<float> a, Vec<float> b) {
  return {EIGENFORMER_X86(_mm256_cmp_ps(a.value, b.value, less), __builtin_ia32_cmpps256(a.value, b.value, less))};
}
EIGENFORMER_INLINE Mask<double> operator<(Vec<double> a, Vec<double> b) {
  return {EIGENFORMER_X86(_mm256_cmp_pd(a.value, b.value, less), __builtin_ia32_cmppd256(a.value, b.value, less))};
}
EIGENFORMER_INLINE Mask<float> operator<=(Vec<float> a, Vec<float> b) {
  return {EIGENFORMER_X86(_mm256_cmp_ps(a.value, b.value, less_equal),
                          __builtin_ia32_cmpps256(a.value, b.value, less_equal))};
}
EIGENFORMER_INLINE Mask<double> operator<=(Vec<double> a, Vec<double> b) {
  return {EIGENFORMER_X86(_mm256_cmp_pd(a.value, b.value, less_equal),
                          __builtin_ia32_cmppd256(a.value, b.value, less_equal))};
}
EIGENFORMER_INLINE Mask<float> operator==(Vec<float> a, Vec<float> b) {
  return {EIGENFORMER_X86(_mm256_cmp_ps(a.value, b.value, equal), __builtin_ia32_cmpps256(a.value, b.value, equal))};
}
EIGENFORMER_INLINE Mask<double> operator==(Vec<double> a, Vec<double> b) {
  return {EIGENFORMER_X86(_mm256_cmp_pd(a.value, b.value, equal), __builtin_ia32_cmppd256(a.value, b.value, equal))};
}
template <class T>
EIGENFORMER_INLINE Mask<T> operator>(Vec<T> a, Vec<T> b) {
  return b < a;
}
template <class T>
EIGENFORMER_INLINE Mask<T> operator>=(Vec<T> a, Vec<T> b) {
  return b <= a;
}
EIGENFORMER_INLINE Words bits(Floats a) { return (Words)a; }
EIGENFORMER_INLINE Longs bits(Doubles a) { return (Longs)a; }
template <class T>
EIGENFORMER_INLINE Mask<T> operator&(Mask<T> a, Mask<T> b) {
  return {(decltype(a.value))(bits(a.value) & bits(b.value))};
}
template <class T>
EIGENFORMER_INLINE Mask<T> operator|(Mask<T> a, Mask<T> b) {
  return {(decltype(a.value))(bits(a.value) | bits(b.value))};
}
template <class T>
EIGENFORMER_INLINE Mask<T> operator!(Mask<T> a) {
  return {(decltype(a.value))~bits(a.value)};
}
template <class T>
EIGENFORMER_INLINE bool any(Mask<T> a) {
  return lane_bits(a) != 0;
}
template <class T>
EIGENFORMER_INLINE bool all(Mask<T> a) {
  return lane_bits(a) == (1 << Vec<T>::lanes) - 1;
}
EIGENFORMER_INLINE Vec<float> select(Mask<float> mask, Vec<float> yes, Vec<float> no) {
  return {EIGENFORMER_X86(_mm256_blendv_ps(no.value, yes.value, mask.value),
                          __builtin_ia32_blendvps256(no.value, yes.value, mask.value))};
}
EIGENFORMER_INLINE Vec<double> select(Mask<double> mask, Vec<double> yes, Vec<double> no) {
  return {EIGENFORMER_X86(_mm256_blendv_pd(no.value, yes.value, mask.value),
                          __builtin_ia32_blendvpd256(no.value, yes.value, mask.value))};
}

EIGENFORMER_INLINE Vec<float> minimum(Vec<float> a, Vec<float> b) {
  return {EIGENFORMER_X86(_mm256_min_ps(a.value, b.value), __builtin_ia32_minps256(a.value, b.value))};
}
EIGENFORMER_INLINE Vec<double> minimum(Vec<double> a, Vec<double> b) {
  return {EIGENFORMER_X86(_mm256_min_pd(a.value, b.value), __builtin_ia32_minpd256(a.value, b.value))};
}
EIGENFORMER_INLINE Vec<float> maximum(Vec<float> a, Vec<float> b) {
  return {EIGENFORMER_X86(_mm256_max_ps(a.value, b.value), __builtin_ia32_maxps256(a.value, b.value))};
}
EIGENFORMER_INLINE Vec<double> maximum(Vec<double> a, Vec<double> b) {
  return {EIGENFORMER_X86(_mm256_max_pd(a.value, b.value), __builtin_ia32_maxpd256(a.value, b.value))};
}
EIGENFORMER_INLINE Floats sign_bit(Vec<float>) { return (Floats)(Words{} + INT32_MIN); }
EIGENFORMER_INLINE Doubles sign_bit(Vec<double>) { return (Doubles)(Longs{} + INT64_MIN); }
EIGENFORMER_INLINE Vec<float> abs(Vec<float> a) {
  return {EIGENFORMER_X86(_mm256_andnot_ps(sign_bit(a), a.value), __builtin_ia32_andnps256(sign_bit(a), a.value))};
}
EIGENFORMER_INLINE Vec<double> abs(Vec<double> a) {
  return {EIGENFORMER_X86(_mm256_andnot_pd(sign_bit(a), a.value), __builtin_ia32_andnpd256(sign_bit(a), a.value))};
}
EIGENFORMER_INLINE Vec<float> copysign(Vec<float> magnitude, Vec<float> sign) {
  const auto sign_alone =
      EIGENFORMER_X86(_mm256_and_ps(sign_bit(sign), sign.value), __builtin_ia32_andps256(sign_bit(sign), sign.value));
  return {EIGENFORMER_X86(_mm256_or_ps(abs(magnitude).value, sign_alone),
                          __builtin_ia32_orps256(abs(magnitude).value, sign_alone))};
}
EIGENFORMER_INLINE Vec<double> copysign(Vec<double> magnitude, Vec<double> sign) {
  const auto sign_alone =
      EIGENFORMER_X86(_mm256_and_pd(sign_bit(sign), sign.value), __builtin_ia32_andpd256(sign_bit(sign), sign.value));
  return {EIGENFORMER_X86(_mm256_or_pd(abs(magnitude).value, sign_alone),
                          __builtin_ia32_orpd256(abs(magnitude).value, sign_alone))};
}
EIGENFORMER_INLINE Vec<float> sqrt(Vec<float> a) {
  return {EIGENFORMER_X86(_mm256_sqrt_ps(a.value), __builtin_ia32_sqrtps256(a.value))};
}
EIGENFORMER_INLINE Vec<double> sqrt(Vec<double> a) {
  return {EIGENFORMER_X86(_mm256_sqrt_pd(a.value), __builtin_ia32_sqrtpd256(a.value))};
}
EIGENFORMER_INLINE Vec<float> round(Vec<float> a) {
  return {EIGENFORMER_X86(_mm256_round_ps(a.value, to_nearest), __builtin_ia32_roundps256(a.value, to_nearest))};
}
EIGENFORMER_INLINE Vec<double> round(Vec<double> a) {
  return {EIGENFORMER_X86(_mm256_round_pd(a.value, to_nearest), __builtin_ia32_roundpd256(a.value, to_nearest))};
}
EIGENFORMER_INLINE Vec<float> floor(Vec<float> a) {
  return {EIGENFORMER_X86(_mm256_round_ps(a.value, downwards), __builtin_ia32_roundps256(a.value, downwards))};
}
EIGENFORMER_INLINE Vec<double> floor(Vec<double> a) {
  return {EIGENFORMER_X86(_mm256_round_pd(a.value, downwards), __builtin_ia32_roundpd256(a.value, downwards))};
}

/// To the nearest integers, as such.
EIGENFORMER_INLINE Words whole_numbers(Vec<float> a) {
  return (Words)EIGENFORMER_X86(_mm256_cvtps_epi32(a.value), __builtin_ia32_cvtps2dq256(a.value));
}
/// There is no conversion to 64-bit integers: they sit in the low bits of a + 1.5 2^52.
EIGENFORMER_INLINE UnsignedLongs whole_numbers(Vec<double> a) {
  return (UnsignedLongs)opaque(a + Vec<double>::broadcast(0x1.8p52)).value;
}
/// 2^n from the low bits of n.
EIGENFORMER_INLINE Vec<float> power_of_two(Words n) {
  return {(Floats)(((UnsignedWords)n << 23) + (UnsignedWords)Vec<float>::broadcast(1.0F).value)};
}
EIGENFORMER_INLINE Vec<double> power_of_two(UnsignedLongs n) {
  return {(Doubles)((n << 52) + (UnsignedLongs)Vec<double>::broadcast(1.0).value)};
}

/// n in two halves, as 2^n itself may be out of range.
template <class T>
EIGENFORMER_INLINE Vec<T> ldexp(Vec<T> a, Vec<T> n) {
  const auto whole = whole_numbers(n);
  const auto half = whole >> 1;
  return opaque(a * power_of_two(half)) * power_of_two(whole - half);
}
template <class T>
EIGENFORMER_INLINE Vec<T> ldexp_normal(Vec<T> a, Vec<T> n) {
  return a * power_of_two(whole_numbers(n));
}

/// By fma, as a product alone is slow on some processors where it is denormal or vanishes.
template <class T>
EIGENFORMER_INLINE Vec<T> product(Vec<T> a, Vec<T> b) {
  return fma(a, b, Vec<T>::zero());
}
template <int n, class T>
EIGENFORMER_INLINE Vec<T> shrink(Vec<T> a) {
  return product(a, Vec<T>::broadcast(inverse_power_of_two<T>(n)));
}

EIGENFORMER_INLINE void stream(Vec<float> x, float* p) {
  EIGENFORMER_X86(_mm256_stream_ps(p, x.value), __builtin_ia32_movntps256(p, x.value));
}
EIGENFORMER_INLINE void stream(Vec<double> x, double* p) {
  EIGENFORMER_X86(_mm256_stream_pd(p, x.value), __builtin_ia32_movntpd256(p, x.value));
}
EIGENFORMER_INLINE void finish_streams() { _mm_sfence(); }

template <class T>
inline constexpr int exp2_steps = sizeof(T) == 4 ? 8 : 1;
/// The bits of 2^(k / 8) without exponent, less k 2^20, which a shift by 20 brings along with the exponent.
inline constexpr std::int32_t exp2_mantissas[8] = {0, -289342, -509968, -655657, -719629, -694486, -572163, -343865};
EIGENFORMER_INLINE Vec<float> exp2_of_low_bits(Vec<float> a) {
  const Words table = (Words)(*reinterpret_cast<const FloatsInMemory*>(exp2_mantissas));
  const Words mantissa = (Words)EIGENFORMER_X86(_mm256_permutevar8x32_epi32((__m256i)table, (__m256i)a.value),
                                                __builtin_ia32_permvarsi256(table, (Words)a.value));
  return {(Floats)(((UnsignedWords)a.value << 20) + (UnsignedWords)mantissa)};
}
EIGENFORMER_INLINE Vec<double> exp2_of_low_bits(Vec<double> a) { return {(Doubles)((UnsignedLongs)a.value << 52)}; }

EIGENFORMER_INLINE Vec<float> swap_pairs(Vec<float> a) {
  return {__builtin_shufflevector(a.value, a.value, 1, 0, 3, 2, 5, 4, 7, 6)};
}
EIGENFORMER_INLINE Vec<double> swap_pairs(Vec<double> a) {
  return {__builtin_shufflevector(a.value, a.value, 1, 0, 3, 2)};
}

EIGENFORMER_INLINE __m128 lower(Floats a) { return __builtin_shufflevector(a, a, 0, 1, 2, 3); }
EIGENFORMER_INLINE __m128 upper(Floats a) {
  return EIGENFORMER_X86(_mm256_extractf128_ps(a, 1), __builtin_ia32_vextractf128_ps256(a, 1));
}
EIGENFORMER_INLINE __m128d lower(Doubles a) { return __builtin_shufflevector(a, a, 0, 1); }
EIGENFORMER_INLINE __m128d upper(Doubles a) {
  return EIGENFORMER_X86(_mm256_extractf128_pd(a, 1), __builtin_ia32_vextractf128_pd256(a, 1));
}

EIGENFORMER_INLINE float reduce_add(Vec<float> a) {
  const __m128 four = _mm_add_ps(lower(a.value), upper(a.value));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, EIGENFORMER_X86(_mm_movehdup_ps(two), __builtin_ia32_movshdup(two))));
}
EIGENFORMER_INLINE double reduce_add(Vec<double> a) {
  const __m128d two = _mm_add_pd(lower(a.value), upper(a.value));
  return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
}
EIGENFORMER_INLINE float reduce_max(Vec<float> a) {
  const __m128 four = _mm_max_ps(lower(a.value), upper(a.value));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, EIGENFORMER_X86(_mm_movehdup_ps(two), __builtin_ia32_movshdup(two))));
}
EIGENFORMER_INLINE double reduce_max(Vec<double> a) {
  const __m128d two = _mm_max_pd(lower(a.value), upper(a.value));
  return _mm_cvtsd_f64(_mm_max_sd(two, _mm_unpackhi_pd(two, two)));
}

// Pairs of rows, then pairs of pairs, then the two halves.
EIGENFORMER_INLINE void transpose(Vec<float> (&rows)[8]) {
  Floats quad[8];
#pragma GCC unroll 2
  for (int i = 0; i < 8; i += 4) {
    const Floats a = __builtin_shufflevector(rows[i].value, rows[i + 1].value, 0, 8, 1, 9, 4, 12, 5, 13);
    const Floats b = __builtin_shufflevector(rows[i].value, rows[i + 1].value, 2, 10, 3, 11, 6, 14, 7, 15);
    const Floats c = __builtin_shufflevector(rows[i + 2].value, rows[i + 3].value, 0, 8, 1, 9, 4, 12, 5, 13);
    const Floats d = __builtin_shufflevector(rows[i + 2].value, rows[i + 3].value, 2, 10, 3, 11, 6, 14, 7, 15);
    quad[i] = __builtin_shufflevector(a, c, 0, 1, 8, 9, 4, 5, 12, 13);
    quad[i + 1] = __builtin_shufflevector(a, c, 2, 3, 10, 11, 6, 7, 14, 15);
    quad[i + 2] = __builtin_shufflevector(b, d, 0, 1, 8, 9, 4, 5, 12, 13);
    quad[i + 3] = __builtin_shufflevector(b, d, 2, 3, 10, 11, 6, 7, 14, 15);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    rows[i].value = __builtin_shufflevector(quad[i], quad[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
    rows[i + 4].value = __builtin_shufflevector(quad[i], quad[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
  }
}
EIGENFORMER_INLINE void transpose(Vec<double> (&rows)[4]) {
  const Doubles a = __builtin_shufflevector(rows[0].value, rows[1].value, 0, 4, 2, 6);
  const Doubles b = __builtin_shufflevector(rows[0].value, rows[1].value, 1, 5, 3, 7);
  const Doubles c = __builtin_shufflevector(rows[2].value, rows[3].value, 0, 4, 2, 6);
  const Doubles d = __builtin_shufflevector(rows[2].value, rows[3].value, 1, 5, 3, 7);
  rows[0].value = __builtin_shufflevector(a, c, 0, 1, 4, 5);
  rows[1].value = __builtin_shufflevector(b, d, 0, 1, 4, 5);
  rows[2].value = __builtin_shufflevector(a, c, 2, 3, 6, 7);
  rows[3].value = __builtin_shufflevector(b, d, 2, 3, 6, 7);
}

EIGENFORMER_INLINE Floats add_halves(Floats a, Floats b) {
  return __builtin_shufflevector(a, b, 0, 1, 2, 3, 8, 9, 10, 11) +
         __builtin_shufflevector(a, b, 4, 5, 6, 7, 12, 13, 14, 15);
}
EIGENFORMER_INLINE Doubles add_halves(Doubles a, Doubles b) {
  return __builtin_shufflevector(a, b, 0, 1, 4, 5) + __builtin_shufflevector(a, b, 2, 3, 6, 7);
}
EIGENFORMER_INLINE Floats add_neighbours(Floats a, Floats b) {
  return __builtin_shufflevector(a, b, 0, 2, 8, 10, 4, 6, 12, 14) +
         __builtin_shufflevector(a, b, 1, 3, 9, 11, 5, 7, 13, 15);
}
EIGENFORMER_INLINE Doubles add_neighbours(Doubles a, Doubles b) {
  return __builtin_shufflevector(a, b, 0, 4, 2, 6) + __builtin_shufflevector(a, b, 1, 5, 3, 7);
}
EIGENFORMER_INLINE Vec<float> reduce_add(Vec<float> (&rows)[8]) {
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) rows[i].value = add_halves(rows[i].value, rows[4 + i].value);
  return {add_neighbours(add_neighbours(rows[0].value, rows[1].value), add_neighbours(rows[2].value, rows[3].value))};
}
EIGENFORMER_INLINE Vec<double> reduce_add(Vec<double> (&rows)[4]) {
  return {add_neighbours(add_halves(rows[0].value, rows[2].value), add_halves(rows[1].value, rows[3].value))};
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::simd::avx2

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif
