#pragma once
// SPDX-License-Identifier: MIT

#include <limits>
#include <type_traits>

/// Every tolerance of the tests, each with its formula and what plain correct float32 code was measured at. They are
/// never widened to get a test to pass: a change here needs a line in CHANGELOG.md that says why.
/// Three measures must hold at once where they apply: c for dot products, NMSE of the worst row, and the largest error.
namespace support::tolerance {

template <class T>
inline constexpr double epsilon = static_cast<double>(std::numeric_limits<T>::epsilon());

/// One limit for float32 and one for float64.
template <class T>
constexpr double choose(double single, double twice) {
  static_assert(std::is_same_v<T, float> || std::is_same_v<T, double>);
  return std::is_same_v<T, float> ? single : twice;
}

// Products. c = |error| / (eps sum|a||b|); measured 2.3 (K = 16), 1.9 (256), 0.3 (4,096); row NMSE at most 9e-14.
inline constexpr double gemm_c = 6;
/// All roundings to one side: K products and K - 1 sums, half an eps each, and the store.
constexpr double gemm_c_adversarial(double depth) { return depth + 2; }
template <class T>
inline constexpr double gemm_row_nmse = choose<T>(1e-11, 1e-28);

// Softmax. Measured: abs 2.8e-7; relative 3 to 5 eps for logits of deviation 1, 35 eps for 10; the sum off by 3.6e-7 at
// 8,192 numbers. The relative error grows with the distance to the maximum, because x - max is rounded before exp.
template <class T>
inline constexpr double softmax_abs = 1e-6 * epsilon<T> / epsilon<float>;
template <class T>
constexpr double softmax_relative(double distance_to_maximum) {
  return (8 + distance_to_maximum) * epsilon<T>;
}
template <class T>
inline constexpr double softmax_sum = 8 * epsilon<T>;

// Attention, L the largest |logit|. Measured at unit scale: 1.3 eps max|V|, NMSE 9e-14, worst row 9.7e-13 at 4,096
// keys; q of deviation 3: 8 eps and 1.2e-11; 10: 35 eps and 1.2e-10.
template <class T>
constexpr double attention_abs(double largest_logit, double largest_value) {
  return (16 + largest_logit) * epsilon<T> * largest_value;
}
template <class T>
constexpr double attention_row_nmse(double largest_logit) {
  return choose<T>(4e-13, 1e-30) * (1 + largest_logit) * (1 + largest_logit);
}
/// Twice the error of plain code of the same precision, and one eps of the scale for where that was lucky.
template <class T>
constexpr double twice_plain(double plain_error, double scale) {
  return 2 * plain_error + epsilon<T> * scale;
}

// LayerNorm and RmsNorm, mean / deviation up to 1e6. Measured for re-centred two-pass statistics: 4e-7 to 1.2e-6.
template <class T>
constexpr double norm_abs(double largest_gain) {
  return choose<T>(2e-6, 4e-15) * (1 + largest_gain);
}

// exp, GELU, SiLU and the like, in units in the last place of the result.
inline constexpr double elementwise_ulp = 4;

// Backward. Analytic gradients against central differences, in double only.
inline constexpr double difference_step = 1e-6;
inline constexpr double difference_abs = 1e-5;
inline constexpr double difference_rel = 1e-3;
/// Analytic gradients against the reference's; float64 by the square of the ratio of the epsilons.
template <class T>
inline constexpr double backward_row_nmse = 1e-10 * (epsilon<T> / epsilon<float>)*(epsilon<T> / epsilon<float>);

// Stored results of PyTorch in float32: a second check only. Against those in float64, 1e-7 of the largest.
template <class T>
inline constexpr double pytorch_rel = choose<T>(1.3e-6, 1e-7);
template <class T>
inline constexpr double pytorch_abs = choose<T>(1e-5, 1e-7);

}  // namespace support::tolerance
