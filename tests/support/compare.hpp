#pragma once
// SPDX-License-Identifier: MIT

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <stdexcept>
#include <string>
#include <type_traits>

namespace support {

// NaN and infinity are told by their bits, because -ffast-math lets the compiler assume that neither exists.
inline constexpr std::uint64_t exponent_bits = 0x7ff0000000000000U;
inline std::uint64_t magnitude_bits(double x) { return std::bit_cast<std::uint64_t>(x) & 0x7fffffffffffffffU; }
inline bool is_nan(double x) { return magnitude_bits(x) > exponent_bits; }
inline bool is_finite(double x) { return magnitude_bits(x) < exponent_bits; }
inline bool is_infinite(double x) { return magnitude_bits(x) == exponent_bits; }

/// The number that stands for "not comparable": larger than any tolerance, and an ordinary number.
inline constexpr double hopeless = (std::numeric_limits<double>::max)();

/// The numbers of anything contiguous with data() and size(): Tensor, Matrix, std::vector, reference::Array.
template <class Container>
auto flat(const Container& container) {
  using Scalar = std::remove_cvref_t<decltype(*container.data())>;
  if constexpr (requires { container.outerStride(), container.innerSize(), container.innerStride(); }) {
    const bool contiguous = container.innerStride() == 1 &&
                            (container.outerSize() <= 1 || container.outerStride() == container.innerSize());
    if (!contiguous) throw std::invalid_argument("support::flat: a view with gaps; compare it row by row");
  }
  return std::span<const Scalar>(container.data(), static_cast<std::size_t>(container.size()));
}

/// The worst disagreement of a comparison and where it is.
struct ErrorReport {
  std::string measure;
  double worst = 0;
  std::ptrdiff_t index = 0;
  double actual = 0;
  double expected = 0;
  std::ptrdiff_t compared = 0;
  std::string trouble;  ///< why nothing could be compared

  void take(double error, std::ptrdiff_t at, double actual_value, double expected_value) {
    ++compared;
    if (is_nan(error)) error = hopeless;
    if (error <= worst && compared > 1) return;
    worst = error;
    index = at;
    actual = actual_value;
    expected = expected_value;
  }
};

/// Fails on NaN, on a size mismatch, and if nothing was compared.
inline testing::AssertionResult within(const ErrorReport& report, double tolerance) {
  if (!report.trouble.empty()) return testing::AssertionFailure() << report.measure << ": " << report.trouble;
  if (report.compared == 0) return testing::AssertionFailure() << report.measure << ": nothing was compared";
  testing::AssertionResult result =
      is_nan(tolerance) || !(report.worst <= tolerance) ? testing::AssertionFailure() : testing::AssertionSuccess();
  result << report.measure << " " << report.worst << ", tolerance " << tolerance << ", worst of " << report.compared
         << " at " << report.index << ": " << report.actual << " for " << report.expected;
  return result;
}

/// |actual - expected|. Equal infinities agree, and so does an infinity with a number too large for its type.
template <class T, class U>
double distance(T actual, U expected) {
  const double a = static_cast<double>(actual);
  const double e = static_cast<double>(expected);
  if (is_nan(a) || is_nan(e)) return hopeless;
  if (is_infinite(a)) {
    const bool too_large = is_infinite(e) || std::abs(e) > static_cast<double>((std::numeric_limits<T>::max)());
    return too_large && std::signbit(a) == std::signbit(e) ? 0 : hopeless;
  }
  if (is_infinite(e)) return hopeless;
  return static_cast<double>(std::abs(static_cast<U>(actual) - expected));
}

template <class Actual, class Expected, class Measure>
ErrorReport compare(std::string measure, const Actual& actual, const Expected& expected, Measure&& error_at) {
  ErrorReport report;
  report.measure = std::move(measure);
  const auto a = flat(actual);
  const auto e = flat(expected);
  if (a.size() != e.size()) {
    report.trouble = std::to_string(a.size()) + " numbers for " + std::to_string(e.size()) + " expected";
    return report;
  }
  for (std::size_t i = 0; i < a.size(); ++i) {
    report.take(error_at(a[i], e[i], i), static_cast<std::ptrdiff_t>(i), static_cast<double>(a[i]),
                static_cast<double>(e[i]));
  }
  return report;
}

/// max |actual - expected| / scale, the scale being the largest |V| for attention, 1 for norms and softmax.
template <class Actual, class Expected>
ErrorReport max_error(const Actual& actual, const Expected& expected, double scale = 1) {
  return compare("max abs error", actual, expected,
                 [scale](auto a, auto e, std::size_t) { return distance(a, e) / scale; });
}

/// max |actual - expected| / (absolute + relative |expected|): within 1 is what numpy and PyTorch call close.
template <class Actual, class Expected>
ErrorReport mixed_error(const Actual& actual, const Expected& expected, double absolute, double relative) {
  return compare("error in units of its tolerance", actual, expected, [=](auto a, auto e, std::size_t) {
    const double size = static_cast<double>(e);
    return distance(a, e) / (absolute + (is_finite(size) ? relative * std::abs(size) : 0));
  });
}

/// The c-measure of dot products: max |actual - expected| / (eps sum |a||b|), eps of the type of `actual`. Below the
/// smallest normal number the unit is the distance between denormal ones.
template <class Actual, class Expected, class Magnitude>
ErrorReport dot_product_error(const Actual& actual, const Expected& expected, const Magnitude& magnitude) {
  const auto sums = flat(magnitude);
  if (sums.size() != flat(expected).size()) throw std::invalid_argument("dot_product_error: magnitude does not fit");
  return compare("dot product error c", actual, expected, [sums](auto a, auto e, std::size_t i) {
    using Limits = std::numeric_limits<decltype(a)>;
    const double epsilon = static_cast<double>(Limits::epsilon());
    const double smallest = static_cast<double>((Limits::min)()) * epsilon;
    const double off = distance(a, e);  // the unit itself is zero where -ffast-math flushes denormal numbers
    return off > 0 ? off / (std::max)(epsilon * static_cast<double>(sums[i]), smallest) : off;
  });
}

/// The largest |actual - expected|^2 / |expected|^2 of any row of `row_length` numbers; the index is the row's. Rows
/// not longer than `negligible` are nearly zero by cancellation and left to max_error.
template <class Actual, class Expected>
ErrorReport worst_row_nmse(const Actual& actual, const Expected& expected, std::ptrdiff_t row_length,
                           double negligible = 0) {
  ErrorReport report;
  report.measure = "worst row NMSE";
  const auto a = flat(actual);
  const auto e = flat(expected);
  if (a.size() != e.size()) {
    report.trouble = std::to_string(a.size()) + " numbers for " + std::to_string(e.size()) + " expected";
    return report;
  }
  if (row_length <= 0 || e.size() % static_cast<std::size_t>(row_length) != 0) {
    report.trouble = "rows of " + std::to_string(row_length) + " do not divide " + std::to_string(e.size());
    return report;
  }
  const std::size_t width = static_cast<std::size_t>(row_length);
  for (std::size_t row = 0; row < e.size() / width; ++row) {
    // Divided by the largest number first: rows of 1e-30 and 1e30 must not vanish or overflow when squared.
    double largest = 0;
    for (std::size_t i = row * width; i < (row + 1) * width; ++i) {
      largest = (std::max)(largest, std::abs(static_cast<double>(e[i])));
    }
    double error = 0;
    double size = 0;
    for (std::size_t i = row * width; i < (row + 1) * width; ++i) {
      const double off = distance(a[i], e[i]);
      const double relative = largest > 0 && off < hopeless ? off / largest : off;
      error += off >= hopeless ? hopeless : relative * relative;
      size += largest > 0 ? std::pow(static_cast<double>(e[i]) / largest, 2) : 0;
    }
    if (largest * std::sqrt(size) <= negligible && negligible > 0) continue;
    const bool zero_row = !(size > 0);
    const double nmse = error > 0 ? (zero_row || error >= hopeless ? hopeless : error / size) : 0;
    report.take(nmse, static_cast<std::ptrdiff_t>(row), static_cast<double>(a[row * width]),
                static_cast<double>(e[row * width]));
  }
  return report;
}

/// How far apart two floating-point numbers of a type would be, near x: one unit in the last place.
template <class T>
double unit_in_last_place(double x) {
  using Limits = std::numeric_limits<T>;
  const double size = (std::max)(std::abs(x), static_cast<double>((Limits::min)()));
  return std::ldexp(static_cast<double>(Limits::epsilon()), std::ilogb(size));
}

/// max |actual - expected| in units in the last place of `expected`, for elementwise functions.
template <class Actual, class Expected>
ErrorReport ulp_error(const Actual& actual, const Expected& expected) {
  return compare("error in ulp", actual, expected, [](auto a, auto e, std::size_t) {
    const double off = distance(a, e);
    return off > 0 && off < hopeless ? off / unit_in_last_place<decltype(a)>(static_cast<double>(e)) : off;
  });
}

/// How many representable numbers lie between x and y, plus one if they differ; the largest integer for NaN.
template <class T>
std::int64_t ulp_distance(T x, T y) {
  using Integer = std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t>;
  static_assert(sizeof(T) == sizeof(Integer) && std::is_floating_point_v<T>);
  constexpr std::int64_t far = (std::numeric_limits<std::int64_t>::max)();
  if (is_nan(static_cast<double>(x)) || is_nan(static_cast<double>(y))) return far;
  // Negative numbers count downwards from zero, so that the order of the integers is the order of the numbers.
  const auto ordered = [](T number) -> std::int64_t {
    const Integer bits = std::bit_cast<Integer>(number);
    return bits >= 0 ? bits : -std::int64_t{bits & (std::numeric_limits<Integer>::max)()};
  };
  const std::int64_t a = ordered(x);
  const std::int64_t b = ordered(y);
  const std::uint64_t apart = a > b ? static_cast<std::uint64_t>(a) - static_cast<std::uint64_t>(b)
                                    : static_cast<std::uint64_t>(b) - static_cast<std::uint64_t>(a);
  return apart > static_cast<std::uint64_t>(far) ? far : static_cast<std::int64_t>(apart);
}

/// Every bit the same: -0 is not 0, and a NaN equals itself.
template <class Actual, class Expected>
testing::AssertionResult bit_equal(const Actual& actual, const Expected& expected) {
  const auto a = flat(actual);
  const auto e = flat(expected);
  static_assert(std::is_same_v<decltype(a), decltype(e)>, "bits of different types cannot be equal");
  if (a.size() != e.size()) {
    return testing::AssertionFailure() << a.size() << " numbers for " << e.size() << " expected";
  }
  for (std::size_t i = 0; i < a.size(); ++i) {
    // NOLINTNEXTLINE(bugprone-suspicious-memory-comparison): that equal numbers may differ in bits is the point.
    if (std::memcmp(&a[i], &e[i], sizeof(a[i])) == 0) continue;
    return testing::AssertionFailure() << "bits differ first at " << i << ": " << a[i] << " for " << e[i]
                                       << ", apart by " << distance(a[i], e[i]);
  }
  return testing::AssertionSuccess();
}

template <class Container>
testing::AssertionResult all_finite(const Container& container) {
  const auto numbers = flat(container);
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    if (is_finite(static_cast<double>(numbers[i]))) continue;
    return testing::AssertionFailure() << "not finite at " << i << " of " << numbers.size();
  }
  return testing::AssertionSuccess();
}

}  // namespace support
