// SPDX-License-Identifier: MIT

#include <eigenformer/core/half.hpp>

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <random>
#include <type_traits>
#include <vector>

namespace ef = eigenformer;

static_assert(ef::HalfPrecision<ef::Bfloat16> && ef::HalfPrecision<ef::Float16> && !ef::HalfPrecision<float>);
static_assert(ef::StorageOf<float, float> && ef::StorageOf<ef::Bfloat16, float> && ef::StorageOf<ef::Float16, double>);
static_assert(!ef::StorageOf<float, double> && !ef::StorageOf<double, float>, "float is a type to compute in");
static_assert(!ef::StorageOf<ef::Bfloat16, ef::Bfloat16>, "half precision is never computed in");
static_assert(sizeof(ef::Bfloat16) == 2 && std::is_trivially_copyable_v<ef::Bfloat16>);
static_assert(sizeof(ef::Float16) == 2 && std::is_trivially_copyable_v<ef::Float16>);

namespace {

struct Format {
  int exponent_bits;
  int mantissa_bits;
};
template <class S>
constexpr Format format = std::is_same_v<S, ef::Float16> ? Format{5, 10} : Format{8, 7};

/// What the bits mean by the definition of the format, for finite ones.
long double meaning(std::uint16_t bits, Format f) {
  const int exponent = bits >> f.mantissa_bits & ((1 << f.exponent_bits) - 1);
  const int mantissa = bits & ((1 << f.mantissa_bits) - 1);
  const int bias = (1 << (f.exponent_bits - 1)) - 1;
  const long double magnitude =
      exponent == 0
          ? std::ldexp(static_cast<long double>(mantissa), 1 - bias - f.mantissa_bits)
          : std::ldexp(static_cast<long double>(mantissa + (1 << f.mantissa_bits)), exponent - bias - f.mantissa_bits);
  return (bits & 0x8000) != 0 ? -magnitude : magnitude;
}
template <class S>
std::uint16_t infinity() {
  return static_cast<std::uint16_t>(((1 << format<S>.exponent_bits) - 1) << format<S>.mantissa_bits);
}
template <class S>
S from_bits(unsigned bits) {
  return std::bit_cast<S>(static_cast<std::uint16_t>(bits));
}
template <class S>
std::uint16_t bits_of(S x) {
  return std::bit_cast<std::uint16_t>(x);
}
template <class T>
std::uint64_t wide_bits(T x) {
  if constexpr (sizeof(T) == 4) {
    return std::bit_cast<std::uint32_t>(x);
  } else {
    return std::bit_cast<std::uint64_t>(x);
  }
}
template <class T>
constexpr std::uint64_t wide_infinity = sizeof(T) == 4 ? 0x7f800000U : 0x7ff0000000000000U;
template <class T>
constexpr std::uint64_t wide_sign = sizeof(T) == 4 ? 0x80000000U : 0x8000000000000000U;

template <class Pair>
class Half : public testing::Test {};
template <class S_, class T_>
struct Types {
  using S = S_;
  using T = T_;
};
using Pairs = testing::Types<Types<ef::Bfloat16, float>, Types<ef::Bfloat16, double>, Types<ef::Float16, float>,
                             Types<ef::Float16, double>>;
TYPED_TEST_SUITE(Half, Pairs);

/// Programs linked with -ffast-math flush what is denormal in float; that is no part of float16.
template <class S>
bool may_be_flushed(unsigned bits) {
#if defined(__FAST_MATH__)
  return std::is_same_v<S, ef::Bfloat16> && (bits & 0x7fffU) < 0x0080U;
#else
  return bits > 0xffffU;
#endif
}

}  // namespace

TYPED_TEST(Half, widening_is_exact_for_all_patterns) {
  using S = typename TypeParam::S;
  using T = typename TypeParam::T;
  int finite = 0;
  for (unsigned bits = 0; bits < 0x10000U; ++bits) {
    const std::uint64_t wide = wide_bits(ef::widened<T>(from_bits<S>(bits)));
    EXPECT_EQ((wide & wide_sign<T>) != 0, (bits & 0x8000U) != 0) << bits;
    const std::uint64_t magnitude = wide & (wide_sign<T> - 1);
    if ((bits & 0x7fffU) > infinity<S>()) {
      EXPECT_GT(magnitude, wide_infinity<T>) << bits;
    } else if ((bits & 0x7fffU) == infinity<S>()) {
      EXPECT_EQ(magnitude, wide_infinity<T>) << bits;
    } else if (!(may_be_flushed<S>(bits) && sizeof(T) == 8)) {
      ++finite;
      EXPECT_EQ(wide, wide_bits(static_cast<T>(meaning(static_cast<std::uint16_t>(bits), format<S>)))) << bits;
    }
  }
  EXPECT_GT(finite, 63000);
}

TYPED_TEST(Half, rounding_gives_every_pattern_back) {
  using S = typename TypeParam::S;
  using T = typename TypeParam::T;
  for (unsigned bits = 0; bits < 0x10000U; ++bits) {
    if (may_be_flushed<S>(bits)) continue;
    const std::uint16_t back = bits_of(ef::rounded<S>(ef::widened<T>(from_bits<S>(bits))));
    if ((bits & 0x7fffU) > infinity<S>()) {
      EXPECT_GT(back & 0x7fff, infinity<S>()) << bits;
    } else {
      EXPECT_EQ(back, bits);
    }
  }
}

TYPED_TEST(Half, rounding_is_to_the_nearest_and_ties_to_even) {
  using S = typename TypeParam::S;
  using T = typename TypeParam::T;
  int ties = 0;
  for (unsigned bits = 0; bits < infinity<S>(); ++bits) {
    if (may_be_flushed<S>(bits)) continue;
    const long double low = meaning(static_cast<std::uint16_t>(bits), format<S>);
    // Above the largest there would be a number of the next exponent; half way to it begins infinity.
    const long double high = meaning(static_cast<std::uint16_t>(bits + 1), format<S>);
    const T middle = static_cast<T>((low + high) / 2);
    if (static_cast<long double>(middle) != (low + high) / 2) continue;  // below the smallest float
    const T above = std::bit_cast<T>(static_cast<typename ef::detail::FloatFormat<T>::Bits>(wide_bits(middle) + 1));
    const T below = std::bit_cast<T>(static_cast<typename ef::detail::FloatFormat<T>::Bits>(wide_bits(middle) - 1));
    ++ties;
    EXPECT_EQ(bits_of(ef::rounded<S>(middle)), bits % 2 == 0 ? bits : bits + 1) << bits;
    EXPECT_EQ(bits_of(ef::rounded<S>(above)), bits + 1) << bits;
    EXPECT_EQ(bits_of(ef::rounded<S>(below)), bits) << bits;
    EXPECT_EQ(bits_of(ef::rounded<S>(-middle)), 0x8000U + (bits % 2 == 0 ? bits : bits + 1)) << bits;
  }
  EXPECT_GT(ties, 31000);
}

TYPED_TEST(Half, rounding_keeps_zeros_infinities_and_what_lies_beyond_the_range) {
  using S = typename TypeParam::S;
  using T = typename TypeParam::T;
  constexpr T largest = (std::numeric_limits<T>::max)();
  EXPECT_EQ(bits_of(ef::rounded<S>(T(0))), 0x0000);
  EXPECT_EQ(bits_of(ef::rounded<S>(T(-0.0))), 0x8000);
  EXPECT_EQ(bits_of(ef::rounded<S>(largest)), infinity<S>());
  EXPECT_EQ(bits_of(ef::rounded<S>(-largest)), 0x8000 + infinity<S>());
  EXPECT_EQ(bits_of(ef::rounded<S>(std::numeric_limits<T>::infinity())), infinity<S>());
  const std::uint16_t denormal = std::is_same_v<S, ef::Bfloat16> && sizeof(T) == 4 ? 0x0040 : 0x0000;
  EXPECT_EQ(bits_of(ef::rounded<S>((std::numeric_limits<T>::min)() / 2)), denormal);
}

TEST(Half, rounds_as_eigen_does) {
  std::mt19937 random(1);
  for (int i = 0; i < 200000; ++i) {
    const float x = std::bit_cast<float>(static_cast<std::uint32_t>(random()));
    if ((std::bit_cast<std::uint32_t>(x) & 0x7f800000U) == 0x7f800000U) continue;
    if ((std::bit_cast<std::uint32_t>(x) & 0x7f800000U) == 0) continue;
    EXPECT_EQ(bits_of(ef::rounded<ef::Bfloat16>(x)), bits_of(ef::Bfloat16(x))) << x;
    EXPECT_EQ(bits_of(ef::rounded<ef::Float16>(x)), bits_of(ef::Float16(x))) << x;
  }
}

TEST(Half, rounds_double_once) {
  // Half way between two float16 after rounding to float, but above it before.
  const double x = 1 + 0x1p-11 + 0x1p-40;
  EXPECT_EQ(bits_of(ef::rounded<ef::Float16>(x)), 0x3c01);
  EXPECT_EQ(bits_of(ef::rounded<ef::Float16>(static_cast<float>(x))), 0x3c00);
}
