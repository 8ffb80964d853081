#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/kernels/simd/target.hpp>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#if defined(__aarch64__)

namespace eigenformer::inline EIGENFORMER_ABI::simd::neon {

// 128 bits, Advanced SIMD of AArch64. What each operation means is said in portable.hpp.

inline constexpr int registers = 32;

template <class T>
struct Mask;
template <class T>
struct Vec;

template <>
struct Mask<float> {
  uint32x4_t value;
};
template <>
struct Mask<double> {
  uint64x2_t value;
};

/// Four halves as float; conversion is part of every AArch64, arithmetic on halves is not.
template <HalfPrecision S>
EIGENFORMER_INLINE float32x4_t widen(uint16x4_t halves) {
  if constexpr (std::is_same_v<S, Bfloat16>) {
    return vreinterpretq_f32_u32(vshll_n_u16(halves, 16));
  } else {
    return vcvt_f32_f16(vreinterpret_f16_u16(halves));
  }
}

/// Four of eight codes as float.
EIGENFORMER_INLINE float32x4_t widen(int8x8_t codes) { return vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(codes)))); }

template <>
struct Vec<float> {
  static constexpr int lanes = 4;
  float32x4_t value;

  EIGENFORMER_INLINE static Vec zero() { return {vdupq_n_f32(0)}; }
  EIGENFORMER_INLINE static Vec broadcast(float x) { return {vdupq_n_f32(x)}; }
  EIGENFORMER_INLINE static Vec load(const float* p) { return {vld1q_f32(p)}; }
  EIGENFORMER_INLINE static Vec load(const float* p, Mask<float> mask) {
    Vec result = zero();
    for (int i = 0; i < lanes; ++i) {
      if (mask.value[i] != 0) result.value[i] = p[i];
    }
    return result;
  }
  template <HalfPrecision S>
  EIGENFORMER_INLINE static Vec load(const S* p) {
    uint16x4_t halves = vdup_n_u16(0);
    __builtin_memcpy(&halves, p, 8);
    return {widen<S>(halves)};
  }
  template <HalfPrecision S>
  EIGENFORMER_INLINE static Vec load(const S* p, Mask<float> mask) {
    uint16x4_t halves = vdup_n_u16(0);
    for (int i = 0; i < lanes; ++i) {
      if (mask.value[i] != 0) halves[i] = std::bit_cast<std::uint16_t>(p[i]);
    }
    return {widen<S>(halves)};
  }
  EIGENFORMER_INLINE static Vec load(const Int8* p) {
    int8x8_t codes = vdup_n_s8(0);
    __builtin_memcpy(&codes, p, lanes);
    return {widen(codes)};
  }
  EIGENFORMER_INLINE static Vec load(const Int8* p, Mask<float> mask) {
    int8x8_t codes = vdup_n_s8(0);
    for (int i = 0; i < lanes; ++i) {
      if (mask.value[i] != 0) codes[i] = static_cast<std::int8_t>(p[i]);
    }
    return {widen(codes)};
  }
  EIGENFORMER_INLINE void store(float* p) const { vst1q_f32(p, value); }
  EIGENFORMER_INLINE void store(float* p, Mask<float> mask) const {
    for (int i = 0; i < lanes; ++i) {
      if (mask.value[i] != 0) p[i] = value[i];
    }
  }
};

template <>
struct Vec<double> {
  static constexpr int lanes = 2;
  float64x2_t value;

  EIGENFORMER_INLINE static Vec zero() { return {vdupq_n_f64(0)}; }
  EIGENFORMER_INLINE static Vec broadcast(double x) { return {vdupq_n_f64(x)}; }
  EIGENFORMER_INLINE static Vec load(const double* p) { return {vld1q_f64(p)}; }
  EIGENFORMER_INLINE static Vec load(const double* p, Mask<double> mask) {
    Vec result = zero();
    for (int i = 0; i < lanes; ++i) {
      if (mask.value[i] != 0) result.value[i] = p[i];
    }
    return result;
  }
  template <HalfPrecision S>
  EIGENFORMER_INLINE static Vec load(const S* p) {
    uint16x4_t halves = vdup_n_u16(0);
    __builtin_memcpy(&halves, p, 4);
    return {vcvt_f64_f32(vget_low_f32(widen<S>(halves)))};
  }
  template <HalfPrecision S>
  EIGENFORMER_INLINE static Vec load(const S* p, Mask<double> mask) {
    uint16x4_t halves = vdup_n_u16(0);
    for (int i = 0; i < lanes; ++i) {
      if (mask.value[i] != 0) halves[i] = std::bit_cast<std::uint16_t>(p[i]);
    }
    return {vcvt_f64_f32(vget_low_f32(widen<S>(halves)))};
  }
  EIGENFORMER_INLINE static Vec load(const Int8* p) {
    int8x8_t codes = vdup_n_s8(0);
    __builtin_memcpy(&codes, p, lanes);
    return {vcvt_f64_f32(vget_low_f32(widen(codes)))};
  }
  EIGENFORMER_INLINE static Vec load(const Int8* p, Mask<double> mask) {
    int8x8_t codes = vdup_n_s8(0);
    for (int i = 0; i < lanes; ++i) {
      if (mask.value[i] != 0) codes[i] = static_cast<std::int8_t>(p[i]);
    }
    return {vcvt_f64_f32(vget_low_f32(widen(codes)))};
  }
  EIGENFORMER_INLINE void store(double* p) const { vst1q_f64(p, value); }
  EIGENFORMER_INLINE void store(double* p, Mask<double> mask) const {
    for (int i = 0; i < lanes; ++i) {
      if (mask.value[i] != 0) p[i] = value[i];
    }
  }
};

template <class T>
EIGENFORMER_INLINE Mask<T> first_lanes(std::ptrdiff_t n) {
  Mask<T> mask{};
  for (int i = 0; i < Vec<T>::lanes; ++i) {
    if (i < n) mask.value[i] -= 1;
  }
  return mask;
}

/// a, in a way that the optimiser cannot see through (see portable.hpp).
template <class T>
EIGENFORMER_INLINE Vec<T> opaque(Vec<T> a) {
  __asm__("" : "+w"(a.value));
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
  return {vfmaq_f32(c.value, a.value, b.value)};
}
EIGENFORMER_INLINE Vec<double> fma(Vec<double> a, Vec<double> b, Vec<double> c) {
  return {vfmaq_f64(c.value, a.value, b.value)};
}
EIGENFORMER_INLINE Vec<float> fnma(Vec<float> a, Vec<float> b, Vec<float> c) {
  return {vfmsq_f32(c.value, a.value, b.value)};
}
EIGENFORMER_INLINE Vec<double> fnma(Vec<double> a, Vec<double> b, Vec<double> c) {
  return {vfmsq_f64(c.value, a.value, b.value)};
}

EIGENFORMER_INLINE Mask<float> operator<(Vec<float> a, Vec<float> b) { return {vcltq_f32(a.value, b.value)}; }
EIGENFORMER_INLINE Mask<double> operator<(Vec<double> a, Vec<double> b) { return {vcltq_f64(a.value, b.value)}; }
EIGENFORMER_INLINE Mask<float> operator<=(Vec<float> a, Vec<float> b) { return {vcleq_f32(a.value, b.value)}; }
EIGENFORMER_INLINE Mask<double> operator<=(Vec<double> a, Vec<double> b) { return {vcleq_f64(a.value, b.value)}; }
EIGENFORMER_INLINE Mask<float> operator>(Vec<float> a, Vec<float> b) { return {vcgtq_f32(a.value, b.value)}; }
EIGENFORMER_INLINE Mask<double> operator>(Vec<double> a, Vec<double> b) { return {vcgtq_f64(a.value, b.value)}; }
EIGENFORMER_INLINE Mask<float> operator>=(Vec<float> a, Vec<float> b) { return {vcgeq_f32(a.value, b.value)}; }
EIGENFORMER_INLINE Mask<double> operator>=(Vec<double> a, Vec<double> b) { return {vcgeq_f64(a.value, b.value)}; }
EIGENFORMER_INLINE Mask<float> operator==(Vec<float> a, Vec<float> b) { return {vceqq_f32(a.value, b.value)}; }
EIGENFORMER_INLINE Mask<double> operator==(Vec<double> a, Vec<double> b) { return {vceqq_f64(a.value, b.value)}; }
template <class T>
EIGENFORMER_INLINE Mask<T> operator&(Mask<T> a, Mask<T> b) {
  return {a.value & b.value};
}
template <class T>
EIGENFORMER_INLINE Mask<T> operator|(Mask<T> a, Mask<T> b) {
  return {a.value | b.value};
}
template <class T>
EIGENFORMER_INLINE Mask<T> operator!(Mask<T> a) {
  return {~a.value};
}
EIGENFORMER_INLINE bool any(Mask<float> a) { return vmaxvq_u32(a.value) != 0; }
EIGENFORMER_INLINE bool any(Mask<double> a) { return vmaxvq_u32(vreinterpretq_u32_u64(a.value)) != 0; }
template <class T>
EIGENFORMER_INLINE bool all(Mask<T> a) {
  return !any(!a);
}
EIGENFORMER_INLINE Vec<float> select(Mask<float> mask, Vec<float> yes, Vec<float> no) {
  return {vbslq_f32(mask.value, yes.value, no.value)};
}
EIGENFORMER_INLINE Vec<double> select(Mask<double> mask, Vec<double> yes, Vec<double> no) {
  return {vbslq_f64(mask.value, yes.value, no.value)};
}

// Not vminq and vmaxq, which let a NaN of either side win.
template <class T>
EIGENFORMER_INLINE Vec<T> minimum(Vec<T> a, Vec<T> b) {
  return select(a < b, a, b);
}
template <class T>
EIGENFORMER_INLINE Vec<T> maximum(Vec<T> a, Vec<T> b) {
  return select(a > b, a, b);
}
EIGENFORMER_INLINE Vec<float> abs(Vec<float> a) { return {vabsq_f32(a.value)}; }
EIGENFORMER_INLINE Vec<double> abs(Vec<double> a) { return {vabsq_f64(a.value)}; }
EIGENFORMER_INLINE Vec<float> copysign(Vec<float> magnitude, Vec<float> sign) {
  return {vbslq_f32(vdupq_n_u32(0x80000000U), sign.value, magnitude.value)};
}
EIGENFORMER_INLINE Vec<double> copysign(Vec<double> magnitude, Vec<double> sign) {
  return {vbslq_f64(vdupq_n_u64(0x8000000000000000U), sign.value, magnitude.value)};
}
EIGENFORMER_INLINE Vec<float> sqrt(Vec<float> a) { return {vsqrtq_f32(a.value)}; }
EIGENFORMER_INLINE Vec<double> sqrt(Vec<double> a) { return {vsqrtq_f64(a.value)}; }
EIGENFORMER_INLINE Vec<float> round(Vec<float> a) { return {vrndnq_f32(a.value)}; }
EIGENFORMER_INLINE Vec<double> round(Vec<double> a) { return {vrndnq_f64(a.value)}; }
EIGENFORMER_INLINE Vec<float> floor(Vec<float> a) { return {vrndmq_f32(a.value)}; }
EIGENFORMER_INLINE Vec<double> floor(Vec<double> a) { return {vrndmq_f64(a.value)}; }

// n in two halves, as 2^n itself may be out of range.
EIGENFORMER_INLINE Vec<float> ldexp(Vec<float> a, Vec<float> n) {
  const int32x4_t whole = vcvtq_s32_f32(n.value);
  const int32x4_t half = vshrq_n_s32(whole, 1);
  const int32x4_t one = vreinterpretq_s32_f32(vdupq_n_f32(1));
  const int32x4_t first = vaddq_s32(one, vshlq_n_s32(half, 23));
  const int32x4_t second = vaddq_s32(one, vshlq_n_s32(vsubq_s32(whole, half), 23));
  return opaque(a * Vec<float>{vreinterpretq_f32_s32(first)}) * Vec<float>{vreinterpretq_f32_s32(second)};
}
EIGENFORMER_INLINE Vec<double> ldexp(Vec<double> a, Vec<double> n) {
  const int64x2_t whole = vcvtq_s64_f64(n.value);
  const int64x2_t half = vshrq_n_s64(whole, 1);
  const int64x2_t one = vreinterpretq_s64_f64(vdupq_n_f64(1));
  const int64x2_t first = vaddq_s64(one, vshlq_n_s64(half, 52));
  const int64x2_t second = vaddq_s64(one, vshlq_n_s64(vsubq_s64(whole, half), 52));
  return opaque(a * Vec<double>{vreinterpretq_f64_s64(first)}) * Vec<double>{vreinterpretq_f64_s64(second)};
}

EIGENFORMER_INLINE Vec<float> ldexp_normal(Vec<float> a, Vec<float> n) {
  const int32x4_t one = vreinterpretq_s32_f32(vdupq_n_f32(1));
  return a * Vec<float>{vreinterpretq_f32_s32(vaddq_s32(one, vshlq_n_s32(vcvtq_s32_f32(n.value), 23)))};
}
EIGENFORMER_INLINE Vec<double> ldexp_normal(Vec<double> a, Vec<double> n) {
  const int64x2_t one = vreinterpretq_s64_f64(vdupq_n_f64(1));
  return a * Vec<double>{vreinterpretq_f64_s64(vaddq_s64(one, vshlq_n_s64(vcvtq_s64_f64(n.value), 52)))};
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

template <class T>
EIGENFORMER_INLINE void stream(Vec<T> x, T* p) {
  x.store(p);
}
EIGENFORMER_INLINE void finish_streams() {}

template <class T>
inline constexpr int exp2_steps = 1;
EIGENFORMER_INLINE Vec<float> exp2_of_low_bits(Vec<float> a) {
  return {vreinterpretq_f32_s32(vshlq_n_s32(vreinterpretq_s32_f32(a.value), 23))};
}
EIGENFORMER_INLINE Vec<double> exp2_of_low_bits(Vec<double> a) {
  return {vreinterpretq_f64_s64(vshlq_n_s64(vreinterpretq_s64_f64(a.value), 52))};
}

EIGENFORMER_INLINE Vec<float> swap_pairs(Vec<float> a) { return {vrev64q_f32(a.value)}; }
EIGENFORMER_INLINE Vec<double> swap_pairs(Vec<double> a) { return {vextq_f64(a.value, a.value, 1)}; }

EIGENFORMER_INLINE float reduce_add(Vec<float> a) {
  float32x2_t two = vadd_f32(vget_low_f32(a.value), vget_high_f32(a.value));
  __asm__("" : "+w"(two));
  return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
}
EIGENFORMER_INLINE double reduce_add(Vec<double> a) { return vgetq_lane_f64(a.value, 0) + vgetq_lane_f64(a.value, 1); }
EIGENFORMER_INLINE float reduce_max(Vec<float> a) { return vmaxvq_f32(a.value); }
EIGENFORMER_INLINE double reduce_max(Vec<double> a) { return vmaxvq_f64(a.value); }

EIGENFORMER_INLINE void transpose(Vec<float> (&rows)[4]) {
  const float64x2_t a = vreinterpretq_f64_f32(vtrn1q_f32(rows[0].value, rows[1].value));
  const float64x2_t b = vreinterpretq_f64_f32(vtrn2q_f32(rows[0].value, rows[1].value));
  const float64x2_t c = vreinterpretq_f64_f32(vtrn1q_f32(rows[2].value, rows[3].value));
  const float64x2_t d = vreinterpretq_f64_f32(vtrn2q_f32(rows[2].value, rows[3].value));
  rows[0].value = vreinterpretq_f32_f64(vtrn1q_f64(a, c));
  rows[1].value = vreinterpretq_f32_f64(vtrn1q_f64(b, d));
  rows[2].value = vreinterpretq_f32_f64(vtrn2q_f64(a, c));
  rows[3].value = vreinterpretq_f32_f64(vtrn2q_f64(b, d));
}
EIGENFORMER_INLINE void transpose(Vec<double> (&rows)[2]) {
  const float64x2_t a = rows[0].value;
  rows[0].value = vtrn1q_f64(a, rows[1].value);
  rows[1].value = vtrn2q_f64(a, rows[1].value);
}

EIGENFORMER_INLINE Vec<float> reduce_add(Vec<float> (&rows)[4]) {
  return {vpaddq_f32(vpaddq_f32(rows[0].value, rows[1].value), vpaddq_f32(rows[2].value, rows[3].value))};
}
EIGENFORMER_INLINE Vec<double> reduce_add(Vec<double> (&rows)[2]) { return {vpaddq_f64(rows[0].value, rows[1].value)}; }

}  // namespace eigenformer::inline EIGENFORMER_ABI::simd::neon

#endif
