// SPDX-License-Identifier: MIT
#include <eigenformer/core/int8.hpp>

#include "support/compare.hpp"
#include "support/inputs.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <type_traits>
#include <vector>

namespace {

namespace ef = eigenformer;
using ef::Index;

static_assert(sizeof(ef::Int8) == 1 && std::is_trivially_copyable_v<ef::Int8>);
static_assert(!std::is_convertible_v<ef::Int8, int> && !std::is_convertible_v<ef::Int8, float>,
              "a code means nothing without its scale");

template <class T>
struct Quantized {
  explicit Quantized(const std::vector<T>& numbers) : codes(numbers.size(), ef::Int8{77}) {
    scale = ef::quantize(numbers.data(), static_cast<Index>(numbers.size()), codes.data());
  }
  int code(std::size_t i) const { return static_cast<int>(static_cast<std::int8_t>(codes[i])); }
  double number(std::size_t i) const { return static_cast<double>(ef::widened(codes[i], scale)); }

  std::vector<ef::Int8> codes;
  T scale;
};

template <class T>
class Int8 : public testing::Test {};
using Scalars = testing::Types<float, double>;
TYPED_TEST_SUITE(Int8, Scalars);

TYPED_TEST(Int8, rounds_to_the_nearest_code_and_ties_to_even) {
  using T = TypeParam;
  const std::vector<T> numbers = {T(127),  T(0.5),   T(1.5),    T(2.5),    T(-0.5),    T(-1.5),
                                  T(-2.5), T(126.5), T(-126.5), T(0.4375), T(-3.5625), T(-127)};
  const std::vector<int> codes = {127, 0, 2, 2, 0, -2, -2, 126, -126, 0, -4, -127};
  for (const T factor : {T(1), T(0x1p-60), T(0x1p90)}) {  // powers of two leave the digits as they are
    std::vector<T> scaled;
    for (const T x : numbers) scaled.push_back(x * factor);
    const Quantized<T> q(scaled);
    EXPECT_EQ(q.scale, factor);
    for (std::size_t i = 0; i < codes.size(); ++i) EXPECT_EQ(q.code(i), codes[i]) << numbers[i];
  }
}

/// Every number is off by at most half a scale, and no code by more than the rounding of a quotient.
TYPED_TEST(Int8, is_off_by_at_most_half_a_scale) {
  using T = TypeParam;
  constexpr double eps = static_cast<double>(std::numeric_limits<T>::epsilon());
  for (const support::Distribution distribution : support::distributions) {
    for (const std::size_t count : {1U, 2U, 7U, 61U, 128U, 257U}) {
      support::Generator random(count);
      const std::vector<T> x = support::sample<T>(distribution, static_cast<std::ptrdiff_t>(count), random);
      const Quantized<T> q(x);
      double largest = 0;
      for (const T number : x) largest = (std::max)(largest, std::abs(static_cast<double>(number)));
      if (distribution == support::Distribution::denormal) {
        EXPECT_EQ(q.scale, T(0));
        continue;
      }
      const double scale = static_cast<double>(q.scale);
      EXPECT_NEAR(scale, largest / 127, eps * scale);
      for (std::size_t i = 0; i < count; ++i) {
        const double exact = static_cast<double>(x[i]);
        EXPECT_LE(std::abs(q.code(i)), 127);
        EXPECT_LE(std::abs(q.code(i) - exact / scale), 0.5 + 128 * eps);
        EXPECT_LE(std::abs(q.number(i) - exact), scale * (0.5 + 256 * eps));
      }
    }
  }
}

/// Of normal numbers the largest of 128 is about 2.7 deviations: a step of 0.021, whose square over 12 is the error's.
TYPED_TEST(Int8, loses_of_normal_numbers_what_the_step_says) {
  using T = TypeParam;
  double error = 0, square = 0;
  for (std::uint64_t row = 0; row < 1000; ++row) {
    support::Generator random(row);
    const std::vector<T> x = support::normal<T>(128, random);
    const Quantized<T> q(x);
    for (std::size_t i = 0; i < x.size(); ++i) {
      error += std::pow(q.number(i) - static_cast<double>(x[i]), 2);
      square += std::pow(static_cast<double>(x[i]), 2);
    }
  }
  EXPECT_GT(error / square, 3e-5);
  EXPECT_LT(error / square, 5e-5);
}

TYPED_TEST(Int8, keeps_extremes_finite_and_zeros_zero) {
  using T = TypeParam;
  constexpr T most = (std::numeric_limits<T>::max)();
  constexpr T least = (std::numeric_limits<T>::min)();
  const Quantized<T> huge({most, -most, most / 2, T(1)});
  EXPECT_EQ(huge.code(0), 127);
  EXPECT_EQ(huge.code(1), -127);
  EXPECT_EQ(huge.code(3), 0);
  EXPECT_TRUE(support::is_finite(static_cast<double>(ef::widened(huge.codes[0], huge.scale)))) << huge.scale;
  EXPECT_LE(ef::widened(huge.codes[0], huge.scale), most);
  EXPECT_GE(ef::widened(huge.codes[0], huge.scale) / most, 1 - 4 * std::numeric_limits<T>::epsilon());
  const Quantized<T> zeros({T(0), -T(0), T(0)});
  EXPECT_EQ(zeros.scale, T(0));
  const Quantized<T> small({127 * least, -least});  // the smallest scale there is
  EXPECT_EQ(small.scale, least);
  EXPECT_EQ(small.code(0), 127);
  EXPECT_EQ(small.code(1), -1);
  const Quantized<T> smaller({126 * least, -least, T(0)});
  EXPECT_EQ(smaller.scale, T(0));
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(zeros.code(i) + smaller.code(i), 0);
  const Quantized<T> spike({T(0.25), T(-10'000), T(78.7), T(-39.3)});
  EXPECT_EQ(spike.code(0), 0);
  EXPECT_EQ(spike.code(1), -127);
  EXPECT_EQ(spike.code(2), 1);
  EXPECT_EQ(spike.code(3), 0);
  EXPECT_EQ(Quantized<T>({}).scale, T(0));
}

/// No number that is not finite becomes one that is, and none beside it stays what it was.
TYPED_TEST(Int8, is_not_a_number_altogether_if_one_is_not_finite) {
  using T = TypeParam;
  for (const T bad : {std::numeric_limits<T>::quiet_NaN(), -std::numeric_limits<T>::quiet_NaN(),
                      std::numeric_limits<T>::infinity(), -std::numeric_limits<T>::infinity()}) {
    for (std::size_t at = 0; at < 5; ++at) {
      std::vector<T> x = {T(1), T(2), T(0), (std::numeric_limits<T>::max)(), T(5)};
      x[at] = bad;
      const Quantized<T> q(x);
      EXPECT_TRUE(support::is_nan(static_cast<double>(q.scale)));
      for (std::size_t i = 0; i < x.size(); ++i) EXPECT_EQ(q.code(i), 0);
    }
  }
}

}  // namespace
