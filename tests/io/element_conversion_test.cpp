// SPDX-License-Identifier: MIT

#include <eigenformer/io/element_conversion.hpp>

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>
#include <optional>

namespace {

using namespace eigenformer;

static_assert(detail::convertible<float, float> && detail::convertible<Eigen::half, double>);
static_assert(detail::convertible<double, float> && detail::convertible<std::int64_t, std::uint8_t>);
static_assert(!detail::convertible<std::uint8_t, float> && !detail::convertible<float, std::int32_t>);  // L18
static_assert(!detail::convertible<std::uint8_t, bool> && !detail::convertible<bool, std::uint8_t>);
static_assert(detail::convertible<float, Bfloat16> && detail::convertible<Float16, Bfloat16>);
static_assert(!detail::convertible<std::int16_t, Float16> && !detail::convertible<Bfloat16, std::uint16_t>);

template <class T, class Stored>
std::optional<T> converted(Stored stored, Narrowing narrowing = Narrowing::exact) {
  std::array<std::byte, sizeof(Stored)> bytes;
  std::memcpy(bytes.data(), static_cast<const void*>(&stored), sizeof stored);
  T value{};
  if (!detail::convert<Stored>(bytes.data(), value, narrowing)) return std::nullopt;
  return value;
}

TEST(ElementConversion, widens_every_half_exactly) {
  int finite = 0;
  for (unsigned bits = 0; bits < 65536; ++bits) {
    const auto half = Eigen::numext::bit_cast<Eigen::half>(static_cast<std::uint16_t>(bits));
    const int exponent = static_cast<int>(bits >> 10U & 31U);
    const double fraction = bits & 1023U;
    const double sign = bits >= 32768 ? -1 : 1;
    EXPECT_EQ(detail::is_finite(half), exponent != 31);
    if (exponent == 31) continue;
    const double expected =
        sign * (exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25));
    ASSERT_EQ(converted<float>(half), static_cast<float>(expected)) << bits;
    ASSERT_EQ(converted<double>(half), expected) << bits;
    ++finite;
  }
  EXPECT_EQ(finite, 63488);
}

TEST(ElementConversion, widens_every_bfloat16_exactly) {
  int finite = 0;
  for (unsigned bits = 0; bits < 65536; ++bits) {
    const auto narrow = Eigen::numext::bit_cast<Eigen::bfloat16>(static_cast<std::uint16_t>(bits));
    const auto expected = std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16U);
    const bool is_finite = (bits & 0x7f80U) != 0x7f80U;
    EXPECT_EQ(detail::is_finite(narrow), is_finite);
    if (!is_finite) continue;
    ASSERT_EQ(converted<float>(narrow), expected) << bits;
    ++finite;
  }
  EXPECT_EQ(finite, 65280);
}

TEST(ElementConversion, narrows_doubles_only_without_loss_or_on_request) {
  for (const double fits : {0.0, -0.0, 1.5, 0x1.fffffep127, -0x1p-126, std::numeric_limits<double>::infinity()}) {
    EXPECT_EQ(converted<float>(fits), static_cast<float>(fits)) << fits;
  }
  for (const double lost : {0.1, 1e300, 16777217.0, 0x1.ffffffp127}) {
    EXPECT_EQ(converted<float>(lost), std::nullopt) << lost;
    EXPECT_EQ(converted<float>(lost, Narrowing::rounded), static_cast<float>(lost)) << lost;
  }
  EXPECT_TRUE(converted<float>(std::numeric_limits<double>::quiet_NaN()).has_value());
}

// Compared by bits: under -ffast-math such numbers equal zero.
TEST(ElementConversion, narrows_to_denormals_even_where_they_are_flushed) {
  struct Case {
    double wide;
    std::uint32_t bits;
    bool exact;
  };
  for (const Case& one : std::array<Case, 9>{{{0x1p-149, 1, true},
                                              {-0x1.8p-148, 0x80000003U, true},
                                              {0x1.fffffcp-127, 0x7fffffU, true},
                                              {0x1p-150, 0, false},
                                              {0x1.8p-149, 2, false},
                                              {-0x1.4p-149, 0x80000001U, false},
                                              {0x1.fffffep-127, 0x800000U, false},
                                              {1e-300, 0, false},
                                              {-0x1p-1074, 0x80000000U, false}}}) {
    const std::optional<float> rounded = converted<float>(one.wide, Narrowing::rounded);
    ASSERT_TRUE(rounded.has_value());
    EXPECT_EQ(std::bit_cast<std::uint32_t>(*rounded), one.bits);
    EXPECT_EQ(converted<float>(one.wide).has_value(), one.exact) << one.bits;
  }
}

template <class Half, class Wide>
void expect_half(Wide wide, std::uint16_t bits, bool exact) {
  const std::optional<Half> rounded = converted<Half>(wide, Narrowing::rounded);
  ASSERT_TRUE(rounded.has_value());
  EXPECT_EQ(std::bit_cast<std::uint16_t>(*rounded), bits) << static_cast<double>(wide);
  EXPECT_EQ(converted<Half>(wide).has_value(), exact) << static_cast<double>(wide);
}

TEST(ElementConversion, narrows_to_halves_only_without_loss_or_on_request) {
  expect_half<Bfloat16>(1.5F, 0x3fc0, true);
  expect_half<Bfloat16>(-0.0, 0x8000, true);
  expect_half<Bfloat16>(0.1F, 0x3dcd, false);
  expect_half<Bfloat16>(0x1.fep127F, 0x7f7f, true);
  expect_half<Bfloat16>(0x1.ffp127F, 0x7f80, false);  // half way to what would come next: infinity
  expect_half<Bfloat16>(1e300, 0x7f80, false);
  expect_half<Float16>(65504.0F, 0x7bff, true);
  expect_half<Float16>(65520.0F, 0x7c00, false);
  expect_half<Float16>(0x1p-24F, 0x0001, true);
  expect_half<Float16>(0x1p-25F, 0x0000, false);
  expect_half<Float16>(std::bit_cast<float>(0xff800000U), 0xfc00, true);
  expect_half<Float16>(std::bit_cast<Bfloat16>(std::uint16_t{0x3fc0}), 0x3e00, true);
  expect_half<Bfloat16>(std::bit_cast<Float16>(std::uint16_t{0x3c01}), 0x3f80, false);
  EXPECT_TRUE(converted<Bfloat16>(std::bit_cast<float>(0x7f800001U)).has_value());
}

TEST(ElementConversion, reads_halves_bit_by_bit) {
  for (unsigned bits = 0; bits < 65536; ++bits) {
    const auto pattern = static_cast<std::uint16_t>(bits);
    ASSERT_EQ(std::bit_cast<std::uint16_t>(*converted<Float16>(std::bit_cast<Float16>(pattern))), pattern);
    ASSERT_EQ(std::bit_cast<std::uint16_t>(*converted<Bfloat16>(std::bit_cast<Bfloat16>(pattern))), pattern);
  }
}

TEST(ElementConversion, keeps_integers_or_refuses_them) {
  EXPECT_EQ(converted<std::int32_t>(std::int64_t{2147483647}), 2147483647);
  EXPECT_EQ(converted<std::int32_t>(std::int64_t{2147483648}), std::nullopt);
  EXPECT_EQ(converted<std::int32_t>(std::int64_t{2147483648}, Narrowing::rounded), std::nullopt);
  EXPECT_EQ(converted<std::int32_t>(std::int64_t{-2147483648}), -2147483647 - 1);
  EXPECT_EQ(converted<std::int32_t>(std::int64_t{-2147483649}), std::nullopt);
  EXPECT_EQ(converted<std::uint64_t>(std::int8_t{-1}), std::nullopt);
  EXPECT_EQ(converted<std::int64_t>(~std::uint64_t{0}), std::nullopt);
  EXPECT_EQ(converted<std::int64_t>(std::uint8_t{255}), 255);
}

TEST(ElementConversion, truth_values_are_zero_and_one) {
  for (unsigned byte = 0; byte < 256; ++byte) {
    const auto stored = static_cast<std::byte>(byte);
    bool value = false;
    EXPECT_EQ((detail::convert<bool>(&stored, value, Narrowing::rounded)), byte <= 1);
    EXPECT_EQ(value, byte != 0);
  }
}

TEST(ElementConversion, sees_what_is_not_finite) {
  EXPECT_FALSE(detail::is_finite(std::bit_cast<float>(0x7f800000U)));
  EXPECT_FALSE(detail::is_finite(std::bit_cast<float>(0xff800001U)));
  EXPECT_TRUE(detail::is_finite(std::bit_cast<float>(0x7f7fffffU)));
  EXPECT_FALSE(detail::is_finite(std::bit_cast<double>(0x7ff0000000000000U)));
  EXPECT_FALSE(detail::is_finite(std::bit_cast<double>(0xfff8000000000000U)));
  EXPECT_TRUE(detail::is_finite(std::bit_cast<double>(0x7fefffffffffffffU)));
  EXPECT_TRUE(detail::is_finite(5));
}

TEST(ElementConversion, dispatches_on_every_dtype) {
  int known = 0;
  for (std::size_t i = 0; i < dtype_table.size(); ++i) {
    const auto dtype = static_cast<Dtype>(i);
    const int got =
        detail::with_stored_type(dtype, -1, [&]<class Stored>() { return dtype_of<Stored> == dtype ? 1 : 0; });
    EXPECT_NE(got, 0);
    known += got == 1 ? 1 : 0;
  }
  EXPECT_EQ(known, 13);
}

}  // namespace
