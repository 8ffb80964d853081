#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/kernels/simd/avx2.hpp>
#include <eigenformer/kernels/simd/x86.hpp>

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

typedef float Floats __attribute__((vector_size(64)));
typedef double Doubles __attribute__((vector_size(64)));
typedef std::int32_t Words __attribute__((vector_size(64)));
typedef long long Longs __attribute__((vector_size(64)));
typedef float EightFloats __attribute__((vector_size(32)));
typedef double FourDoubles __attribute__((vector_size(32)));
typedef short SixteenShorts __attribute__((vector_size(32)));
typedef short EightShorts __attribute__((vector_size(16)));
typedef char Codes __attribute__((vector_size(16)));
typedef std::int32_t EightWords __attribute__((vector_size(32)));
typedef long long TwoLongs __attribute__((vector_size(16)));
// The same in memory, of any alignment.
typedef float FloatsInMemory __attribute__((vector_size(64), aligned(1), may_alias));
typedef double DoublesInMemory __attribute__((vector_size(64), aligned(1), may_alias));
typedef float EightFloatsInMemory __attribute__((vector_size(32), aligned(1), may_alias));
typedef double FourDoublesInMemory __attribute__((vector_size(32), aligned(1), may_alias));
typedef short SixteenShortsInMemory __attribute__((vector_size(32), aligned(1), may_alias));
typedef short EightShortsInMemory __attribute__((vector_size(16), aligned(1), may_alias));
typedef char CodesInMemory __attribute__((vector_size(16), aligned(1), may_alias));
typedef long long LongInMemory __attribute__((aligned(1), may_alias));

template <class T>
struct Mask;
template <class T>
struct Vec;

template <>
struct Mask<float> {
  std::uint16_t value;
};
template <>
struct Mask<double> {
  std::uint8_t value;
};

// Here and below the zero-masking forms with every lane on: g++ 12 calls the unmasked ones uses of an uninitialised
// value.

inline constexpr std::uint16_t all16 = 0xFFFF;
inline constexpr std::uint8_t all8 = 0xFF;

/// Sixteen or eight halves as float.
template <HalfPrecision S>
EIGENFORMER_INLINE Floats widen(SixteenShorts halves) {
  if constexpr (std::is_same_v<S, Bfloat16>) {
    const auto wide = (Words)EIGENFORMER_X86(_mm512_maskz_cvtepu16_epi32(all16, (__m256i)halves),
                                             __builtin_ia32_pmovzxwd512_mask(halves, Words{}, all16));
    return (Floats)(wide << 16);
  } else {
    return EIGENFORMER_X86(_mm512_maskz_cvtph_ps(all16, (__m256i)halves),
                           __builtin_ia32_vcvtph2ps512_mask(halves, Floats{}, all16, current_rounding));
  }
}
template <HalfPrecision S>
EIGENFORMER_INLINE EightFloats widen(EightShorts halves) {
  if constexpr (std::is_same_v<S, Bfloat16>) {
    const auto wide =
        (EightWords)EIGENFORMER_X86(_mm256_cvtepu16_epi32((__m128i)halves), __builtin_ia32_pmovzxwd256(halves));
    return (EightFloats)(wide << 16);
  } else {
    return EIGENFORMER_X86(_mm256_cvtph_ps((__m128i)halves), __builtin_ia32_vcvtph2ps256(halves));
  }
}

/// Sixteen codes, or the first eight of sixteen.
EIGENFORMER_INLINE Floats widen_sixteen(Codes codes) {
  return __builtin_convertvector((Words)EIGENFORMER_X86(_mm512_maskz_cvtepi8_epi32(all16, (__m128i)codes),
                                                        __builtin_ia32_pmovsxbd512_mask(codes, Words{}, all16)),
                                 Floats);
}
EIGENFORMER_INLINE Doubles widen_eight(Codes codes) {
  return __builtin_convertvector(
      (EightWords)EIGENFORMER_X86(_mm256_cvtepi8_epi32((__m128i)codes), __builtin_ia32_pmovsxbd256(codes)), Doubles);
}
/// The codes that a mask lets through, the others zero and not looked at.
EIGENFORMER_INLINE Codes load_masked(const Int8* p, std::uint16_t mask) {
  return (Codes)EIGENFORMER_X86(_mm_maskz_loadu_epi8(mask, p),
                                __builtin_ia32_loaddquqi128_mask(reinterpret_cast<const char*>(p), Codes{}, mask));
}

template <>
struct Vec<float> {
  static constexpr int lanes = 16;
  Floats value;

  EIGENFORMER_INLINE static Vec zero() { return {Floats{}}; }
  EIGENFORMER_INLINE static Vec broadcast(float x) { return {x - Floats{}}; }
  EIGENFORMER_INLINE static Vec load(const float* p) { return {*reinterpret_cast<const FloatsInMemory*>(p)}; }
  EIGENFORMER_INLINE static Vec load_in_halves(const float* p) {
    EightFloats lower = *reinterpret_cast<const EightFloatsInMemory*>(p);
    __asm__("" : "+v"(lower));  // the compiler would make one load of two
    const EightFloats upper = *reinterpret_cast<const EightFloatsInMemory*>(p + 8);
    return {
        EIGENFORMER_X86(_mm512_maskz_insertf32x8(all16, _mm512_castps256_ps512(lower), upper, 1),
                        __builtin_ia32_insertf32x8_mask(__builtin_ia32_ps512_256ps(lower), upper, 1, Floats{}, all16))};
  }
  EIGENFORMER_INLINE static Vec load(const float* p, Mask<float> mask) {
    return {
        EIGENFORMER_X86(_mm512_maskz_loadu_ps(mask.value, p), __builtin_ia32_loadups512_mask(p, Floats{}, mask.value))};
  }
  template <HalfPrecision S>
  EIGENFORMER_INLINE static Vec load(const S* p) {
    return {widen<S>(*reinterpret_cast<const SixteenShortsInMemory*>(p))};
  }
  template <HalfPrecision S>
  EIGENFORMER_INLINE static Vec load(const S* p, Mask<float> mask) {
    return {widen<S>((SixteenShorts)EIGENFORMER_X86(
        _mm256_maskz_loadu_epi16(mask.value, p),
        __builtin_ia32_loaddquhi256_mask(reinterpret_cast<const short*>(p), SixteenShorts{}, mask.value)))};
  }
  EIGENFORMER_INLINE static Vec load(const Int8* p) {
    return {widen_sixteen(*reinterpret_cast<const CodesInMemory*>(p))};
  }
  EIGENFORMER_INLINE static Vec load(const Int8* p, Mask<float> mask) {
    return {widen_sixteen(load_masked(p, mask.value))};
  }
  EIGENFORMER_INLINE void store(float* p) const { *reinterpret_cast<FloatsInMemory*>(p) = value; }
  EIGENFORMER_INLINE void store(float* p, Mask<float> mask) const {
    EIGENFORMER_X86(_mm512_mask_storeu_ps(p, mask.value, value), __builtin_ia32_storeups512_mask(p, value, mask.value));
  }
};

template <>
struct Vec<double> {
  static constexpr int lanes = 8;
  Doubles value;

  EIGENFORMER_INLINE static Vec zero() { return {Doubles{}}; }
  EIGENFORMER_INLINE static Vec broadcast(double x) { return {x - Doubles{}}; }
  EIGENFORMER_INLINE static Vec load(const double* p) { return {*reinterpret_cast<const DoublesInMemory*>(p)}; }
  EIGENFORMER_INLINE static Vec load_in_halves(const double* p) {
    FourDoubles lower = *reinterpret_cast<const FourDoublesInMemory*>(p);
    __asm__("" : "+v"(lower));
    const FourDoubles upper = *reinterpret_cast<const FourDoublesInMemory*>(p + 4);
    return {
        EIGENFORMER_X86(_mm512_maskz_insertf64x4(all8, _mm512_castpd256_pd512(lower), upper, 1),
                        __builtin_ia32_insertf64x4_mask(__builtin_ia32_pd512_256pd(lower), upper, 1, Doubles{}, all8))};
  }
  EIGENFORMER_INLINE static Vec load(const double* p, Mask<double> mask) {
    return {EIGENFORMER_X86(_mm512_maskz_loadu_pd(mask.value, p),
                            __builtin_ia32_loadupd512_mask(p, Doubles{}, mask.value))};
  }
  template <HalfPrecision S>
  EIGENFORMER_INLINE static Vec load(const S* p) {
    return {__builtin_convertvector(widen<S>(*reinterpret_cast<const EightShortsInMemory*>(p)), Doubles)};
  }
  template <HalfPrecision S>
  EIGENFORMER_INLINE static Vec load(const S* p, Mask<double> mask) {
    const EightShorts halves = (EightShorts)EIGENFORMER_X86(
        _mm_maskz_loadu_epi16(mask.value, p),
        __builtin_ia32_loaddquhi128_mask(reinterpret_cast<const short*>(p), EightShorts{}, mask.value));
    return {__builtin_convertvector(widen<S>(halves), Doubles)};
  }
  EIGENFORMER_INLINE static Vec load(const Int8* p) {
    return {widen_eight((Codes)TwoLongs{*reinterpret_cast<const LongInMemory*>(p), 0})};
  }
  EIGENFORMER_INLINE static Vec load(const Int8* p, Mask<double> mask) {
    return {widen_eight(load_masked(p, mask.value))};
  }
  EIGENFORMER_INLINE void store(double* p) const { *reinterpret_cast<DoublesInMemory*>(p) = value; }
  EIGENFORMER_INLINE void store(double* p, Mask<double> mask) const {
    EIGENFORMER_X86(_mm512_mask_storeu_pd(p, mask.value, value), __builtin_ia32_storeupd512_mask(p, value, mask.value));
  }
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
  return {EIGENFORMER_X86(_mm512_fmadd_ps(a.value, b.value, c.value),
                          __builtin_ia32_vfmaddps512_mask(a.value, b.value, c.value, all16, current_rounding))};
}
EIGENFORMER_INLINE Vec<double> fma(Vec<double> a, Vec<double> b, Vec<double> c) {
  return {EIGENFORMER_X86(_mm512_fmadd_pd(a.value, b.value, c.value),
                          __builtin_ia32_vfmaddpd512_mask(a.value, b.value, c.value, all8, current_rounding))};
}
EIGENFORMER_INLINE Vec<float> fnma(Vec<float> a, Vec<float> b, Vec<float> c) {
  return {EIGENFORMER_X86(_mm512_fnmadd_ps(a.value, b.value, c.value),
                          __builtin_ia32_vfnmaddps512_mask(a.value, b.value, c.value, all16, current_rounding))};
}
EIGENFORMER_INLINE Vec<double> fnma(Vec<double> a, Vec<double> b, Vec<double> c) {
  return {EIGENFORMER_X86(_mm512_fnmadd_pd(a.value, b.value, c.value),
                          __builtin_ia32_vfnmaddpd512_mask(a.value, b.value, c.value, all8, current_rounding))};
}

EIGENFORMER_INLINE Mask<float> operator<(Vec<float> a, Vec<float> b) {
  return {EIGENFORMER_X86(_mm512_cmp_ps_mask(a.value, b.value, less),
                          __builtin_ia32_cmpps512_mask(a.value, b.value, less, all16, current_rounding))};
}
EIGENFORMER_INLINE Mask<double> operator<(Vec<double> a, Vec<double> b) {
  return {EIGENFORMER_X86(_mm512_cmp_pd_mask(a.value, b.value, less),
                          __builtin_ia32_cmppd512_mask(a.value, b.value, less, all8, current_rounding))};
}
EIGENFORMER_INLINE Mask<float> operator<=(Vec<float> a, Vec<float> b) {
  return {EIGENFORMER_X86(_mm512_cmp_ps_mask(a.value, b.value, less_equal),
                          __builtin_ia32_cmpps512_mask(a.value, b.value, less_equal, all16, current_rounding))};
}
EIGENFORMER_INLINE Mask<double> operator<=(Vec<double> a, Vec<double> b) {
  return {EIGENFORMER_X86(_mm512_cmp_pd_mask(a.value, b.value, less_equal),
                          __builtin_ia32_cmppd512_mask(a.value, b.value, less_equal, all8, current_rounding))};
}
EIGENFORMER_INLINE Mask<float> operator==(Vec<float> a, Vec<float> b) {
  return {EIGENFORMER_X86(_mm512_cmp_ps_mask(a.value, b.value, equal),
                          __builtin_ia32_cmpps512_mask(a.value, b.value, equal, all16, current_rounding))};
}
EIGENFORMER_INLINE Mask<double> operator==(Vec<double> a, Vec<double> b) {
  return {EIGENFORMER_X86(_mm512_cmp_pd_mask(a.value, b.value, equal),
                          __builtin_ia32_cmppd512_mask(a.value, b.value, equal, all8, current_rounding))};
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
  return {EIGENFORMER_X86(_mm512_mask_blend_ps(mask.value, no.value, yes.value),
                          __builtin_ia32_blendmps_512_mask(no.value, yes.value, mask.value))};
}
EIGENFORMER_INLINE Vec<double> select(Mask<double> mask, Vec<double> yes, Vec<double> no) {
  return {EIGENFORMER_X86(_mm512_mask_blend_pd(mask.value, no.value, yes.value),
                          __builtin_ia32_blendmpd_512_mask(no.value, yes.value, mask.value))};
}

EIGENFORMER_INLINE Vec<float> minimum(Vec<float> a, Vec<float> b) {
  return {EIGENFORMER_X86(_mm512_maskz_min_ps(all16, a.value, b.value),
                          __builtin_ia32_minps512_mask(a.value, b.value, Floats{}, all16, current_rounding))};
}
EIGENFORMER_INLINE Vec<double> minimum(Vec<double> a, Vec<double> b) {
  return {EIGENFORMER_X86(_mm512_maskz_min_pd(all8, a.value, b.value),
                          __builtin_ia32_minpd512_mask(a.value, b.value, Doubles{}, all8, current_rounding))};
}
EIGENFORMER_INLINE Vec<float> maximum(Vec<float> a, Vec<float> b) {
  return {EIGENFORMER_X86(_mm512_maskz_max_ps(all16, a.value, b.value),
                          __builtin_ia32_maxps512_mask(a.value, b.value, Floats{}, all16, current_rounding))};
}
EIGENFORMER_INLINE Vec<double> maximum(Vec<double> a, Vec<double> b) {
  return {EIGENFORMER_X86(_mm512_maskz_max_pd(all8, a.value, b.value),
                          __builtin_ia32_maxpd512_mask(a.value, b.value, Doubles{}, all8, current_rounding))};
}
EIGENFORMER_INLINE Floats sign_bit(Vec<float>) { return (Floats)(Words{} + INT32_MIN); }
EIGENFORMER_INLINE Doubles sign_bit(Vec<double>) { return (Doubles)(Longs{} + INT64_MIN); }
EIGENFORMER_INLINE Vec<float> abs(Vec<float> a) {
  return {EIGENFORMER_X86(_mm512_andnot_ps(sign_bit(a), a.value),
                          __builtin_ia32_andnps512_mask(sign_bit(a), a.value, Floats{}, all16))};
}
EIGENFORMER_INLINE Vec<double> abs(Vec<double> a) {
  return {EIGENFORMER_X86(_mm512_andnot_pd(sign_bit(a), a.value),
                          __builtin_ia32_andnpd512_mask(sign_bit(a), a.value, Doubles{}, all8))};
}
EIGENFORMER_INLINE Vec<float> copysign(Vec<float> magnitude, Vec<float> sign) {
  const auto sign_alone = EIGENFORMER_X86(_mm512_and_ps(sign_bit(sign), sign.value),
                                          __builtin_ia32_andps512_mask(sign_bit(sign), sign.value, Floats{}, all16));
  return {EIGENFORMER_X86(_mm512_or_ps(abs(magnitude).value, sign_alone),
                          __builtin_ia32_orps512_mask(abs(magnitude).value, sign_alone, Floats{}, all16))};
}
EIGENFORMER_INLINE Vec<double> copysign(Vec<double> magnitude, Vec<double> sign) {
  const auto sign_alone = EIGENFORMER_X86(_mm512_and_pd(sign_bit(sign), sign.value),
                                          __builtin_ia32_andpd512_mask(sign_bit(sign), sign.value, Doubles{}, all8));
  return {EIGENFORMER_X86(_mm512_or_pd(abs(magnitude).value, sign_alone),
                          __builtin_ia32_orpd512_mask(abs(magnitude).value, sign_alone, Doubles{}, all8))};
}
EIGENFORMER_INLINE Vec<float> sqrt(Vec<float> a) {
  return {EIGENFORMER_X86(_mm512_maskz_sqrt_ps(all16, a.value),
                          __builtin_ia32_sqrtps512_mask(a.value, Floats{}, all16, current_rounding))};
}
EIGENFORMER_INLINE Vec<double> sqrt(Vec<double> a) {
  return {EIGENFORMER_X86(_mm512_maskz_sqrt_pd(all8, a.value),
                          __builtin_ia32_sqrtpd512_mask(a.value, Doubles{}, all8, current_rounding))};
}
EIGENFORMER_INLINE Vec<float> round(Vec<float> a) {
  return {EIGENFORMER_X86(_mm512_maskz_roundscale_ps(all16, a.value, to_nearest),
                          __builtin_ia32_rndscaleps_mask(a.value, to_nearest, Floats{}, all16, current_rounding))};
}
EIGENFORMER_INLINE Vec<double> round(Vec<double> a) {
  return {EIGENFORMER_X86(_mm512_maskz_roundscale_pd(all8, a.value, to_nearest),
                          __builtin_ia32_rndscalepd_mask(a.value, to_nearest, Doubles{}, all8, current_rounding))};
}
EIGENFORMER_INLINE Vec<float> floor(Vec<float> a) {
  return {EIGENFORMER_X86(_mm512_maskz_roundscale_ps(all16, a.value, downwards),
                          __builtin_ia32_rndscaleps_mask(a.value, downwards, Floats{}, all16, current_rounding))};
}
EIGENFORMER_INLINE Vec<double> floor(Vec<double> a) {
  return {EIGENFORMER_X86(_mm512_maskz_roundscale_pd(all8, a.value, downwards),
                          __builtin_ia32_rndscalepd_mask(a.value, downwards, Doubles{}, all8, current_rounding))};
}
EIGENFORMER_INLINE Vec<float> ldexp(Vec<float> a, Vec<float> n) {
  return {EIGENFORMER_X86(_mm512_maskz_scalef_ps(all16, a.value, n.value),
                          __builtin_ia32_scalefps512_mask(a.value, n.value, Floats{}, all16, current_rounding))};
}
EIGENFORMER_INLINE Vec<double> ldexp(Vec<double> a, Vec<double> n) {
  return {EIGENFORMER_X86(_mm512_maskz_scalef_pd(all8, a.value, n.value),
                          __builtin_ia32_scalefpd512_mask(a.value, n.value, Doubles{}, all8, current_rounding))};
}

template <class T>
EIGENFORMER_INLINE Vec<T> ldexp_normal(Vec<T> a, Vec<T> n) {
  return ldexp(a, n);
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
  EIGENFORMER_X86(_mm512_stream_ps(p, x.value), __builtin_ia32_movntps512(p, x.value));
}
EIGENFORMER_INLINE void stream(Vec<double> x, double* p) {
  EIGENFORMER_X86(_mm512_stream_pd(p, x.value), __builtin_ia32_movntpd512(p, x.value));
}
EIGENFORMER_INLINE void finish_streams() { _mm_sfence(); }

template <class T>
inline constexpr int exp2_steps = sizeof(T) == 4 ? 16 : 1;
/// The bits of 2^(k / 16) without exponent, less k 2^19, which a shift by 19 brings along with the exponent.
inline constexpr std::int32_t exp2_mantissas[16] = {0,       -152893, -289342, -408621, -509968, -592590,
                                                    -655657, -698305, -719629, -718684, -694486, -646004,
                                                    -572163, -471841, -343865, -187011};
EIGENFORMER_INLINE Vec<float> exp2_of_low_bits(Vec<float> a) {
  const Words table = (Words)(*reinterpret_cast<const FloatsInMemory*>(exp2_mantissas));
  const Words mantissa =
      (Words)EIGENFORMER_X86(_mm512_maskz_permutexvar_epi32(all16, (__m512i)a.value, (__m512i)table),
                             __builtin_ia32_permvarsi512_mask(table, (Words)a.value, Words{}, all16));
  typedef std::uint32_t Unsigned __attribute__((vector_size(64)));
  return {(Floats)(((Unsigned)a.value << 19) + (Unsigned)mantissa)};
}
EIGENFORMER_INLINE Vec<double> exp2_of_low_bits(Vec<double> a) {
  typedef std::uint64_t Unsigned __attribute__((vector_size(64)));
  return {(Doubles)((Unsigned)a.value << 52)};
}

EIGENFORMER_INLINE Vec<float> swap_pairs(Vec<float> a) {
  return {__builtin_shufflevector(a.value, a.value, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14)};
}
EIGENFORMER_INLINE Vec<double> swap_pairs(Vec<double> a) {
  return {__builtin_shufflevector(a.value, a.value, 1, 0, 3, 2, 5, 4, 7, 6)};
}

EIGENFORMER_INLINE float reduce_add(Vec<float> a) {
  const Floats x = a.value;
  const EightFloats eight = __builtin_shufflevector(x, x, 0, 1, 2, 3, 4, 5, 6, 7) +
                            __builtin_shufflevector(x, x, 8, 9, 10, 11, 12, 13, 14, 15);
  return avx2::reduce_add(avx2::Vec<float>{eight});
}
EIGENFORMER_INLINE double reduce_add(Vec<double> a) {
  const Doubles x = a.value;
  return avx2::reduce_add(
      avx2::Vec<double>{__builtin_shufflevector(x, x, 0, 1, 2, 3) + __builtin_shufflevector(x, x, 4, 5, 6, 7)});
}
EIGENFORMER_INLINE float reduce_max(Vec<float> a) {
  const Floats x = a.value;
  return avx2::reduce_max(avx2::maximum(avx2::Vec<float>{__builtin_shufflevector(x, x, 0, 1, 2, 3, 4, 5, 6, 7)},
                                        avx2::Vec<float>{__builtin_shufflevector(x, x, 8, 9, 10, 11, 12, 13, 14, 15)}));
}
EIGENFORMER_INLINE double reduce_max(Vec<double> a) {
  const Doubles x = a.value;
  return avx2::reduce_max(avx2::maximum(avx2::Vec<double>{__builtin_shufflevector(x, x, 0, 1, 2, 3)},
                                        avx2::Vec<double>{__builtin_shufflevector(x, x, 4, 5, 6, 7)}));
}

/// The four 128-bit blocks of four registers as a matrix, transposed: to[i] = block i of each.
EIGENFORMER_INLINE void transpose_blocks(Floats (&to)[4], Floats a, Floats b, Floats c, Floats d) {
  const Floats low_ab = __builtin_shufflevector(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23);
  const Floats high_ab = __builtin_shufflevector(a, b, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31);
  const Floats low_cd = __builtin_shufflevector(c, d, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23);
  const Floats high_cd = __builtin_shufflevector(c, d, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31);
  to[0] = __builtin_shufflevector(low_ab, low_cd, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27);
  to[1] = __builtin_shufflevector(low_ab, low_cd, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31);
  to[2] = __builtin_shufflevector(high_ab, high_cd, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27);
  to[3] = __builtin_shufflevector(high_ab, high_cd, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31);
}
/// Within each 128-bit block: the lanes of a and b in turns, from its lower or upper half; the lower or upper pairs.
EIGENFORMER_INLINE Floats unpack_low(Floats a, Floats b) {
  return __builtin_shufflevector(a, b, 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29);
}
EIGENFORMER_INLINE Floats unpack_high(Floats a, Floats b) {
  return __builtin_shufflevector(a, b, 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31);
}
EIGENFORMER_INLINE Floats pairs_low(Floats a, Floats b) {
  return __builtin_shufflevector(a, b, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29);
}
EIGENFORMER_INLINE Floats pairs_high(Floats a, Floats b) {
  return __builtin_shufflevector(a, b, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31);
}
EIGENFORMER_INLINE void transpose(Vec<float> (&rows)[16]) {
  Floats quad[16];  // block b of quad[4 g + j] is column 4 b + j of rows 4 g .. 4 g + 3
#pragma GCC unroll 4
  for (int i = 0; i < 16; i += 4) {
    const Floats ab_low = unpack_low(rows[i].value, rows[i + 1].value);
    const Floats ab_high = unpack_high(rows[i].value, rows[i + 1].value);
    const Floats cd_low = unpack_low(rows[i + 2].value, rows[i + 3].value);
    const Floats cd_high = unpack_high(rows[i + 2].value, rows[i + 3].value);
    quad[i] = pairs_low(ab_low, cd_low);
    quad[i + 1] = pairs_high(ab_low, cd_low);
    quad[i + 2] = pairs_low(ab_high, cd_high);
    quad[i + 3] = pairs_high(ab_high, cd_high);
  }
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) {
    Floats to[4];
    transpose_blocks(to, quad[j], quad[4 + j], quad[8 + j], quad[12 + j]);
    rows[j].value = to[0];
    rows[4 + j].value = to[1];
    rows[8 + j].value = to[2];
    rows[12 + j].value = to[3];
  }
}

/// The four 128-bit blocks of four registers as a matrix, transposed: to[i] = block i of each.
EIGENFORMER_INLINE void transpose_blocks(Doubles (&to)[4], Doubles a, Doubles b, Doubles c, Doubles d) {
  const Doubles low_ab = __builtin_shufflevector(a, b, 0, 1, 2, 3, 8, 9, 10, 11);
  const Doubles high_ab = __builtin_shufflevector(a, b, 4, 5, 6, 7, 12, 13, 14, 15);
  const Doubles low_cd = __builtin_shufflevector(c, d, 0, 1, 2, 3, 8, 9, 10, 11);
  const Doubles high_cd = __builtin_shufflevector(c, d, 4, 5, 6, 7, 12, 13, 14, 15);
  to[0] = __builtin_shufflevector(low_ab, low_cd, 0, 1, 4, 5, 8, 9, 12, 13);
  to[1] = __builtin_shufflevector(low_ab, low_cd, 2, 3, 6, 7, 10, 11, 14, 15);
  to[2] = __builtin_shufflevector(high_ab, high_cd, 0, 1, 4, 5, 8, 9, 12, 13);
  to[3] = __builtin_shufflevector(high_ab, high_cd, 2, 3, 6, 7, 10, 11, 14, 15);
}
EIGENFORMER_INLINE void transpose(Vec<double> (&rows)[8]) {
  Doubles pair[8];  // block b of pair[2 g + j] is column 2 b + j of rows 2 g and 2 g + 1
#pragma GCC unroll 4
  for (int i = 0; i < 8; i += 2) {
    pair[i] = __builtin_shufflevector(rows[i].value, rows[i + 1].value, 0, 8, 2, 10, 4, 12, 6, 14);
    pair[i + 1] = __builtin_shufflevector(rows[i].value, rows[i + 1].value, 1, 9, 3, 11, 5, 13, 7, 15);
  }
#pragma GCC unroll 2
  for (int j = 0; j < 2; ++j) {
    Doubles to[4];
    transpose_blocks(to, pair[j], pair[2 + j], pair[4 + j], pair[6 + j]);
    rows[j].value = to[0];
    rows[2 + j].value = to[1];
    rows[4 + j].value = to[2];
    rows[6 + j].value = to[3];
  }
}

/// The halves of a, then those of b, added up.
EIGENFORMER_INLINE Floats add_halves(Floats a, Floats b) {
  return __builtin_shufflevector(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23) +
         __builtin_shufflevector(a, b, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31);
}
/// Neighbouring quarters of a, then of b, added up.
EIGENFORMER_INLINE Floats add_quarters(Floats a, Floats b) {
  return __builtin_shufflevector(a, b, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27) +
         __builtin_shufflevector(a, b, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31);
}
/// The halves of each quarter, a and b in turns.
EIGENFORMER_INLINE Floats add_unpacked(Floats a, Floats b) {
  return __builtin_shufflevector(a, b, 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29) +
         __builtin_shufflevector(a, b, 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31);
}
/// The halves of each quarter of a, then of b.
EIGENFORMER_INLINE Floats add_pairs(Floats a, Floats b) {
  return __builtin_shufflevector(a, b, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29) +
         __builtin_shufflevector(a, b, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31);
}
// The same of doubles.
EIGENFORMER_INLINE Doubles add_halves(Doubles a, Doubles b) {
  return __builtin_shufflevector(a, b, 0, 1, 2, 3, 8, 9, 10, 11) +
         __builtin_shufflevector(a, b, 4, 5, 6, 7, 12, 13, 14, 15);
}
EIGENFORMER_INLINE Doubles add_quarters(Doubles a, Doubles b) {
  return __builtin_shufflevector(a, b, 0, 1, 4, 5, 8, 9, 12, 13) +
         __builtin_shufflevector(a, b, 2, 3, 6, 7, 10, 11, 14, 15);
}
EIGENFORMER_INLINE Doubles add_unpacked(Doubles a, Doubles b) {
  return __builtin_shufflevector(a, b, 0, 8, 2, 10, 4, 12, 6, 14) +
         __builtin_shufflevector(a, b, 1, 9, 3, 11, 5, 13, 7, 15);
}
/// The sums of the four 128-bit blocks of each of four registers, as blocks of one.
template <class V>
EIGENFORMER_INLINE V add_blocks(V a, V b, V c, V d) {
  return add_quarters(add_halves(a, b), add_halves(c, d));
}
EIGENFORMER_INLINE Vec<float> reduce_add(Vec<float> (&rows)[16]) {
  Floats sum[4];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    sum[i] = add_blocks(rows[i].value, rows[4 + i].value, rows[8 + i].value, rows[12 + i].value);
  }
  return {add_pairs(add_unpacked(sum[0], sum[1]), add_unpacked(sum[2], sum[3]))};
}
EIGENFORMER_INLINE Vec<double> reduce_add(Vec<double> (&rows)[8]) {
  const Doubles a = add_blocks(rows[0].value, rows[2].value, rows[4].value, rows[6].value);
  const Doubles b = add_blocks(rows[1].value, rows[3].value, rows[5].value, rows[7].value);
  return {add_unpacked(a, b)};
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::simd::avx512

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif
