#pragma once
// SPDX-License-Identifier: MIT

#include <report/entry.hpp>

#include <eigenformer/core/tensor.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>

namespace bench {

using Doubles = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
inline constexpr double epsilon = std::numeric_limits<float>::epsilon();

/// Compares an answer with what double makes of the same inputs. `tolerance` is the largest error allowed of each
/// number, or one for all; comparisons fail for NaN.
template <class Actual, class Expected, class Tolerance>
Error compare(const Actual& actual, const Expected& expected, const Tolerance& tolerance) {
  const Doubles wanted = expected;
  const Doubles difference = (actual.template cast<double>() - wanted).cwiseAbs();
  const Doubles allowed = [&]() -> Doubles {
    if constexpr (std::is_arithmetic_v<Tolerance>) {
      return Doubles::Constant(wanted.rows(), wanted.cols(), tolerance);
    } else {
      return tolerance;
    }
  }();
  const double scale = wanted.cwiseAbs().maxCoeff();
  double largest = 0;
  bool all = wanted.rows() == actual.rows() && wanted.cols() == actual.cols();
  for (Index i = 0; i < difference.size(); ++i) {
    const double error = difference.data()[i];
    if (!(error <= largest)) largest = error;  // NaN stays
    if (!(error <= allowed.data()[i])) all = false;
  }
  return {scale > 0 ? largest / scale : largest, all};
}

/// What is computed when first asked for, and then kept: an answer in double takes longer than what is measured.
template <class T>
class Once {
 public:
  template <class Make>
  const T& operator()(const Make& make) const {
    if (!value_) value_ = make();
    return *value_;
  }

 private:
  mutable std::optional<T> value_;
};

/// An answer in double, and the error allowed of each of its numbers.
struct Exact {
  Doubles numbers;
  Doubles tolerance;
};

/// The worse of two.
inline Error worse(const Error& a, const Error& b) {
  return {!(a.largest >= b.largest) ? b.largest : a.largest, a.allowed && b.allowed};
}

/// Numbers of mean 0 and deviation `deviation`, uniform, the same in every run: Knuth's MMIX generator, faster than the
/// library's where tens of millions are needed.
template <class Numbers>
void fill(Numbers& numbers, std::uint64_t seed, double deviation = 1) {
  std::uint64_t bits = seed;
  const float scale = static_cast<float>(deviation * 1.7320508) * 0x1p-31F;
  for (Index i = 0; i < static_cast<Index>(numbers.size()); ++i) {
    bits = bits * 6364136223846793005U + 1442695040888963407U;
    numbers.data()[i] = static_cast<float>(static_cast<std::int64_t>(bits) >> 32) * scale;
  }
}

inline ef::Matrix<float> random_matrix(Index rows, Index columns, std::uint64_t seed, double deviation = 1) {
  ef::Matrix<float> numbers(rows, columns);
  fill(numbers, seed, deviation);
  return numbers;
}

/// Bytes of so many numbers of type T.
template <class T = float>
double bytes(Index numbers) {
  return static_cast<double>(numbers) * static_cast<double>(sizeof(T));
}

}  // namespace bench
