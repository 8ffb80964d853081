#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/kernels/simd/target.hpp>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

namespace eigenformer::inline EIGENFORMER_ABI::simd::portable {

// The plain version of the vector type: 128 bits in the compiler's vector extension, which every architecture has in
// some form. Its operations are the contract of the other files; all have the same names and the same meaning:
//   minimum(a, b) = a < b ? a : b, and maximum likewise, so a NaN in a gives b and a NaN in b stays;
//   fma(a, b, c) = a b + c, rounded once where the machine can (here twice); fnma(a, b, c) = c - a b;
//   ldexp(a, n) = a 2^n for integral |n| <= 2 x the largest exponent, with a single rounding where it is denormal;
//   ldexp_normal(a, n) = a 2^n where 2^n itself is a normal number, in fewer steps;
//   product(a, b) = a b, where there is fma as fast as ever if it is denormal or vanishes, and with a zero of any sign;
//   shrink<n>(a) = a 2^-n, rounded once where it is denormal; without a product that vanishes, which some processors
//     need a hundred cycles for;
//   exp2_of_low_bits(a) = 2^(n / exp2_steps<T>) where the low bits of a, a number near 1.5 2^m, hold n and the bias of
//     the exponent exp2_steps<T> times, rounded to nearest; as fine as a register serves as a table;
//   stream(x, p) stores at a multiple of the vector's size, past the cache where there is a way (here not), and
//     finish_streams() puts what was stored so before all later stores, for other threads to see;
//   load widens what memory holds as Bfloat16 or Float16, exactly, whatever flushes denormal numbers, and codes of Int8;
//   reduce_add and reduce_max fold the upper half onto the lower half until one lane is left;
//   reduce_add(rows) of as many vectors as there are lanes is that of rows[i] in lane i, in any order, and destroys them.

/// Vector registers that a kernel may count on. SSE2 has 16, but a multiplication apart from its addition occupies
/// some.
inline constexpr int registers = 12;

template <class T>
struct Mask {
  using Bits = std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t>;
  typedef Bits Native __attribute__((vector_size(16)));
  Native value;
};

typedef std::uint16_t Halves __attribute__((vector_size(8)));
typedef std::int8_t Codes __attribute__((vector_size(4)));
typedef float Floats __attribute__((vector_size(16)));

/// Four halves as float; eigenformer::widened says why so.
template <HalfPrecision S>
EIGENFORMER_INLINE Floats widen(Halves halves) {
  typedef std::int32_t Words __attribute__((vector_size(16)));
  const Words words = __builtin_convertvector(halves, Words);
  if constexpr (std::is_same_v<S, Bfloat16>) {
    return (Floats)(words << 16);
  } else {
    const Words magnitude = words & 0x7fff;
    const Words special = (magnitude > 0x7bff) & (112 << 23);  // infinite or NaN
    const Words normal = (magnitude << 13) + (112 << 23) + special;
    const Words denormal = (Words)(__builtin_convertvector(magnitude, Floats) * 0x1p-24F);
    const Words is_normal = magnitude > 0x03ff;
    return (Floats)((is_normal & normal) | (~is_normal & denormal) | (words & 0x8000) << 16);
  }
}
/// Four codes as float.
EIGENFORMER_INLINE Floats widen(Codes codes) { return __builtin_convertvector(codes, Floats); }
/// The first numbers of four, as many as fit.
template <class Native>
EIGENFORMER_INLINE Native first(Floats four) {
  if constexpr (std::is_same_v<Native, Floats>) {
    return four;
  } else {
    return Native{four[0], four[1]};
  }
}

template <class T>
struct Vec {
  typedef T Native __attribute__((vector_size(16)));
  static constexpr int lanes = 16 / static_cast<int>(sizeof(T));
  Native value;

  EIGENFORMER_INLINE static Vec zero() { return {Native{}}; }
  EIGENFORMER_INLINE static Vec broadcast(T x) {
    if constexpr (lanes == 4) {  // not Native{} + x, an addition that stays one because of -0
      return {Native{x, x, x, x}};
    } else {
      return {Native{x, x}};
    }
  }
  EIGENFORMER_INLINE static Vec load(const T* p) {
    Vec result;
    __builtin_memcpy(&result.value, p, sizeof(Native));
    return result;
  }
  EIGENFORMER_INLINE static Vec load(const T* p, Mask<T> mask) {
    Vec result = zero();
    for (int i = 0; i < lanes; ++i) {
      if (mask.value[i] != 0) result.value[i] = p[i];
    }
    return result;
  }
  template <HalfPrecision S>
  EIGENFORMER_INLINE static Vec load(const S* p) {
    Halves halves = {};
    __builtin_memcpy(&halves, p, lanes * sizeof(S));
    return {first<Native>(widen<S>(halves))};
  }
  template <HalfPrecision S>
  EIGENFORMER_INLINE static Vec load(const S* p, Mask<T> mask) {
    Halves halves = {};
    for (int i = 0; i < lanes; ++i) {
      if (mask.value[i] != 0) halves[i] = std::bit_cast<std::uint16_t>(p[i]);
    }
    return {first<Native>(widen<S>(halves))};
  }
  EIGENFORMER_INLINE static Vec load(const Int8* p) {
    Codes codes = {};
    __builtin_memcpy(&codes, p, lanes);
    return {first<Native>(widen(codes))};
  }
  EIGENFORMER_INLINE static Vec load(const Int8* p, Mask<T> mask) {
    Codes codes = {};
    for (int i = 0; i < lanes; ++i) {
      if (mask.value[i] != 0) codes[i] = static_cast<std::int8_t>(p[i]);
    }
    return {first<Native>(widen(codes))};
  }
  EIGENFORMER_INLINE void store(T* p) const { __builtin_memcpy(p, &value, sizeof(Native)); }
  EIGENFORMER_INLINE void store(T* p, Mask<T> mask) const {
    for (int i = 0; i < lanes; ++i) {
      if (mask.value[i] != 0) p[i] = value[i];
    }
  }
};

/// The mask of lanes 0..n-1, for n in 0..lanes: what `load` and `store` with a mask never look beyond.
template <class T>
EIGENFORMER_INLINE Mask<T> first_lanes(std::ptrdiff_t n) {
  Mask<T> mask;
  for (int i = 0; i < Vec<T>::lanes; ++i) mask.value[i] = i < n ? -1 : 0;
  return mask;
}

template <class T>
EIGENFORMER_INLINE typename Mask<T>::Native bits(Vec<T> a) {
  return (typename Mask<T>::Native)a.value;
}
template <class T>
EIGENFORMER_INLINE Vec<T> from_bits(typename Mask<T>::Native a) {
  return {(typename Vec<T>::Native)a};
}

/// a, in a way that the optimiser cannot see through: -ffast-math must not cancel what rounding needs.
template <class T>
EIGENFORMER_INLINE Vec<T> opaque(Vec<T> a) {
#if defined(__x86_64__)
  __asm__("" : "+x"(a.value));
#elif defined(__aarch64__)
  __asm__("" : "+w"(a.value));
#else
  __asm__("" : "+m"(a.value));
#endif
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
template <class T>
EIGENFORMER_INLINE Vec<T> fma(Vec<T> a, Vec<T> b, Vec<T> c) {
  return {a.value * b.value + c.value};
}
template <class T>
EIGENFORMER_INLINE Vec<T> fnma(Vec<T> a, Vec<T> b, Vec<T> c) {
  return opaque<T>({c.value - a.value * b.value});
}

template <class T>
EIGENFORMER_INLINE Mask<T> operator<(Vec<T> a, Vec<T> b) {
  return {a.value < b.value};
}
template <class T>
EIGENFORMER_INLINE Mask<T> operator<=(Vec<T> a, Vec<T> b) {
  return {a.value <= b.value};
}
template <class T>
EIGENFORMER_INLINE Mask<T> operator>(Vec<T> a, Vec<T> b) {
  return {a.value > b.value};
}
template <class T>
EIGENFORMER_INLINE Mask<T> operator>=(Vec<T> a, Vec<T> b) {
  return {a.value >= b.value};
}
template <class T>
EIGENFORMER_INLINE Mask<T> operator==(Vec<T> a, Vec<T> b) {
  return {a.value == b.value};
}
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
#if defined(__x86_64__)
EIGENFORMER_INLINE bool any(Mask<float> a) { return _mm_movemask_ps((__m128)a.value) != 0; }
EIGENFORMER_INLINE bool any(Mask<double> a) { return _mm_movemask_pd((__m128d)a.value) != 0; }
#else
template <class T>
EIGENFORMER_INLINE bool any(Mask<T> a) {
  bool result = false;
  for (int i = 0; i < Vec<T>::lanes; ++i) result = result || a.value[i] != 0;
  return result;
}
#endif
template <class T>
EIGENFORMER_INLINE bool all(Mask<T> a) {
  return !any(!a);
}
template <class T>
EIGENFORMER_INLINE Vec<T> select(Mask<T> mask, Vec<T> yes, Vec<T> no) {
  return from_bits<T>((mask.value & bits(yes)) | (~mask.value & bits(no)));
}

#if defined(__x86_64__)
EIGENFORMER_INLINE Vec<float> minimum(Vec<float> a, Vec<float> b) { return {_mm_min_ps(a.value, b.value)}; }
EIGENFORMER_INLINE Vec<double> minimum(Vec<double> a, Vec<double> b) { return {_mm_min_pd(a.value, b.value)}; }
EIGENFORMER_INLINE Vec<float> maximum(Vec<float> a, Vec<float> b) { return {_mm_max_ps(a.value, b.value)}; }
EIGENFORMER_INLINE Vec<double> maximum(Vec<double> a, Vec<double> b) { return {_mm_max_pd(a.value, b.value)}; }
#else
template <class T>
EIGENFORMER_INLINE Vec<T> minimum(Vec<T> a, Vec<T> b) {
  return select(a < b, a, b);
}
template <class T>
EIGENFORMER_INLINE Vec<T> maximum(Vec<T> a, Vec<T> b) {
  return select(a > b, a, b);
}
#endif
template <class T>
EIGENFORMER_INLINE Vec<T> abs(Vec<T> a) {
  using Bits = typename Mask<T>::Bits;
  return from_bits<T>(bits(a) & (std::numeric_limits<Bits>::max)());
}
template <class T>
EIGENFORMER_INLINE Vec<T> copysign(Vec<T> magnitude, Vec<T> sign) {
  using Bits = typename Mask<T>::Bits;
  return from_bits<T>(bits(abs(magnitude)) | (bits(sign) & (std::numeric_limits<Bits>::min)()));
}
#if defined(__x86_64__)
EIGENFORMER_INLINE Vec<float> sqrt(Vec<float> a) { return {_mm_sqrt_ps(a.value)}; }
EIGENFORMER_INLINE Vec<double> sqrt(Vec<double> a) { return {_mm_sqrt_pd(a.value)}; }
#else
template <class T>
EIGENFORMER_INLINE Vec<T> sqrt(Vec<T> a) {
  for (int i = 0; i < Vec<T>::lanes; ++i) a.value[i] = std::sqrt(a.value[i]);
  return a;
}
#endif

/// To the nearest integer, ties to even: adding 2^(mantissa bits) leaves no room for a fraction.
template <class T>
EIGENFORMER_INLINE Vec<T> round(Vec<T> a) {
  const Vec<T> whole = Vec<T>::broadcast(T(1) / std::numeric_limits<T>::epsilon());
  const Vec<T> rounded = opaque(opaque(abs(a)) + whole) - whole;
  // clang 14 with -mavx512vl merges the sign and the selection into one wrong vpternlog unless they are kept apart.
  return select(abs(a) < whole, opaque(copysign(rounded, a)), a);
}
template <class T>
EIGENFORMER_INLINE Vec<T> floor(Vec<T> a) {
  const Vec<T> rounded = round(a);
  return select(rounded > a, rounded - Vec<T>::broadcast(T(1)), rounded);
}
template <class T>
EIGENFORMER_INLINE Vec<T> ldexp(Vec<T> a, Vec<T> n) {
  // n sits in the low bits of n + 1.5 2^m. It is applied in two halves, as 2^n itself may be out of range.
  constexpr int mantissa = std::numeric_limits<T>::digits - 1;
  const Vec<T> shifted = opaque(n + Vec<T>::broadcast(T(1.5) / std::numeric_limits<T>::epsilon()));
  const typename Mask<T>::Native half = bits(shifted) >> 1;
  const typename Mask<T>::Native one = bits(Vec<T>::broadcast(T(1)));
  using Unsigned = std::make_unsigned_t<typename Mask<T>::Bits>;
  typedef Unsigned UnsignedNative __attribute__((vector_size(16)));
  const auto first = (UnsignedNative)half << mantissa;
  const auto second = (UnsignedNative)(bits(shifted) - half) << mantissa;
  const Vec<T> low = from_bits<T>((typename Mask<T>::Native)(first + (UnsignedNative)one));
  const Vec<T> high = from_bits<T>((typename Mask<T>::Native)(second + (UnsignedNative)one));
  return opaque(a * low) * high;
}

template <class T>
EIGENFORMER_INLINE Vec<T> ldexp_normal(Vec<T> a, Vec<T> n) {
  constexpr int mantissa = std::numeric_limits<T>::digits - 1;
  const Vec<T> shifted = opaque(n + Vec<T>::broadcast(T(1.5) / std::numeric_limits<T>::epsilon()));
  using Unsigned = std::make_unsigned_t<typename Mask<T>::Bits>;
  typedef Unsigned UnsignedNative __attribute__((vector_size(16)));
  const auto power = ((UnsignedNative)bits(shifted) << mantissa) + (UnsignedNative)bits(Vec<T>::broadcast(T(1)));
  return a * from_bits<T>((typename Mask<T>::Native)power);
}

template <class T>
EIGENFORMER_INLINE Vec<T> product(Vec<T> a, Vec<T> b) {
  return a * b;
}

/// x in every lane, for places that are seldom reached: read there, and kept in no register.
template <class T>
EIGENFORMER_INLINE Vec<T> read_here(T x) {
  return opaque(from_bits<T>(typename Mask<T>::Native{} + std::bit_cast<typename Mask<T>::Bits>(x)));
}

/// a 2^-n where that is denormal or zero, counted in steps of the smallest number: a product with a denormal result holds
/// up some processors until all before it is done.
template <int n, class T>
EIGENFORMER_INLINE Vec<T> shrink_to_denormal(Vec<T> a) {
  using Limits = std::numeric_limits<T>;
  using Bits = typename Mask<T>::Bits;
  constexpr T whole = 1 / Limits::epsilon();  // beside it there is no room for a fraction
  constexpr T steps = whole / ((Limits::min)() / inverse_power_of_two<T>(n));
  const Vec<T> counted = opaque(opaque(abs(a) * read_here(steps)) + read_here(whole));
  return from_bits<T>((bits(counted) - std::bit_cast<Bits>(whole)) | (bits(a) & (std::numeric_limits<Bits>::min)()));
}
/// shrink<n>(a) in that way. Compared by bits, so that NaN stays whatever the compiler assumes.
template <int n, class T>
EIGENFORMER_INLINE Vec<T> shrink_in_steps(Vec<T> a) {
  constexpr T factor = inverse_power_of_two<T>(n);
  constexpr T limit = (std::numeric_limits<T>::min)() / factor;
  const Mask<T> denormals = {bits(abs(a)) < std::bit_cast<typename Mask<T>::Bits>(limit)};
  const Vec<T> denormal = shrink_to_denormal<n>(select(denormals, a, Vec<T>::zero()));
  return from_bits<T>(bits(denormal) | bits(opaque(select(denormals, Vec<T>::zero(), a) * read_here(factor))));
}
/// What would vanish is zero before.
template <int n, class T>
EIGENFORMER_INLINE Vec<T> shrink(Vec<T> a) {
  using Limits = std::numeric_limits<T>;
  constexpr T half_step = (Limits::min)() / inverse_power_of_two<T>(n) * (Limits::epsilon() / 2);
  const typename Mask<T>::Native stays = bits(abs(a)) > std::bit_cast<typename Mask<T>::Bits>(half_step);
  return opaque(from_bits<T>(bits(a) & stays) * Vec<T>::broadcast(inverse_power_of_two<T>(n)));
}

template <class T>
EIGENFORMER_INLINE void stream(Vec<T> x, T* p) {
  x.store(p);
}
EIGENFORMER_INLINE void finish_streams() {}

template <class T>
inline constexpr int exp2_steps = 1;
template <class T>
EIGENFORMER_INLINE Vec<T> exp2_of_low_bits(Vec<T> a) {
  using Unsigned = std::make_unsigned_t<typename Mask<T>::Bits>;
  typedef Unsigned UnsignedNative __attribute__((vector_size(16)));
  return from_bits<T>((typename Mask<T>::Native)((UnsignedNative)bits(a) << (std::numeric_limits<T>::digits - 1)));
}

/// Lane 2i and lane 2i + 1 change places.
EIGENFORMER_INLINE Vec<float> swap_pairs(Vec<float> a) {
  return {__builtin_shufflevector(a.value, a.value, 1, 0, 3, 2)};
}
EIGENFORMER_INLINE Vec<double> swap_pairs(Vec<double> a) { return {__builtin_shufflevector(a.value, a.value, 1, 0)}; }

EIGENFORMER_INLINE float reduce_add(Vec<float> a) {
  const Vec<float> two = opaque(a + Vec<float>{__builtin_shufflevector(a.value, a.value, 2, 3, 2, 3)});
  return two.value[0] + two.value[1];
}
EIGENFORMER_INLINE double reduce_add(Vec<double> a) { return a.value[0] + a.value[1]; }
EIGENFORMER_INLINE float reduce_max(Vec<float> a) {
  const Vec<float> half = maximum(a, {__builtin_shufflevector(a.value, a.value, 2, 3, 2, 3)});
  return half.value[0] > half.value[1] ? half.value[0] : half.value[1];
}
EIGENFORMER_INLINE double reduce_max(Vec<double> a) { return a.value[0] > a.value[1] ? a.value[0] : a.value[1]; }

/// rows[i] lane j and rows[j] lane i change places.
EIGENFORMER_INLINE void transpose(Vec<float> (&rows)[4]) {
  const auto a = __builtin_shufflevector(rows[0].value, rows[1].value, 0, 4, 1, 5);
  const auto b = __builtin_shufflevector(rows[0].value, rows[1].value, 2, 6, 3, 7);
  const auto c = __builtin_shufflevector(rows[2].value, rows[3].value, 0, 4, 1, 5);
  const auto d = __builtin_shufflevector(rows[2].value, rows[3].value, 2, 6, 3, 7);
  rows[0].value = __builtin_shufflevector(a, c, 0, 1, 4, 5);
  rows[1].value = __builtin_shufflevector(a, c, 2, 3, 6, 7);
  rows[2].value = __builtin_shufflevector(b, d, 0, 1, 4, 5);
  rows[3].value = __builtin_shufflevector(b, d, 2, 3, 6, 7);
}
EIGENFORMER_INLINE void transpose(Vec<double> (&rows)[2]) {
  const auto a = rows[0].value;
  rows[0].value = __builtin_shufflevector(a, rows[1].value, 0, 2);
  rows[1].value = __builtin_shufflevector(a, rows[1].value, 1, 3);
}

EIGENFORMER_INLINE Vec<float> reduce_add(Vec<float> (&rows)[4]) {
  transpose(rows);
  return (rows[0] + rows[2]) + (rows[1] + rows[3]);
}
EIGENFORMER_INLINE Vec<double> reduce_add(Vec<double> (&rows)[2]) {
  transpose(rows);
  return rows[0] + rows[1];
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::simd::portable
