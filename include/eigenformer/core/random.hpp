#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/shape.hpp>

#include <bit>
#include <cmath>
#include <cstdint>

namespace eigenformer::inline EIGENFORMER_ABI {

/// A small random generator whose every draw is the same on every platform and compiler: xoshiro256** (Blackman & Vigna
/// 2021, "Scrambled Linear Pseudorandom Number Generators") seeded through splitmix64. Real numbers come from exact
/// operations alone (integer arithmetic, division, square root, fused multiply-add), never from a library's log or cos.
/// @code
/// ef::Random random(42);
/// ef::Linear<float> first({.in_features = 3, .out_features = 2}, random.split());
/// ef::Linear<float> second({.in_features = 3, .out_features = 2}, random.split());  // other weights
/// @endcode
class Random {
 public:
  /// Every seed gives a stream of its own, the same everywhere.
  explicit Random(std::uint64_t seed) {
    for (std::uint64_t& word : state_) word = splitmix(seed);
  }
  /// Copying is said aloud: blocks take a Random by value, and two blocks handed the same one by mistake would start
  /// from the same weights. `random.split()` is what they should be given.
  explicit Random(const Random&) = default;
  /// Takes over the stream.
  Random(Random&&) = default;
  /// Both go on with the same numbers.
  Random& operator=(const Random&) = default;
  /// Takes over the stream.
  Random& operator=(Random&&) = default;
  ~Random() = default;

  /// 64 random bits.
  std::uint64_t bits() {
    const std::uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
    const std::uint64_t shifted = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= shifted;
    state_[3] = std::rotl(state_[3], 45);
    return result;
  }

  /// Uniform in [0, 1), a multiple of 2^-53.
  double uniform() { return static_cast<double>(bits() >> 11) * 0x1p-53; }
  /// Uniform in [low, high).
  double uniform(double low, double high) { return std::fma(uniform(), high - low, low); }
  /// Uniform among 0 .. count - 1, without bias; count must be positive.
  Index index(Index count) {
    const auto range = static_cast<std::uint64_t>(count);
    const std::uint64_t first_unbiased = (0 - range) % range;  // 2^64 mod range: draws below it would be counted twice
    std::uint64_t draw = bits();
    while (draw < first_unbiased) draw = bits();
    return static_cast<Index>(draw % range);
  }
  /// Standard normal, by the inverse of the distribution function (algorithm AS 241, Wichura 1988, full precision).
  double normal() {
    const double probability = (static_cast<double>(bits() >> 12) + 0.5) * 0x1p-52;  // never 0 or 1
    const double q = probability - 0.5;
    if (std::fabs(q) <= 0.425) {
      const double r = std::fma(-q, q, 0.180625);
      return q * polynomial(r, central_numerator) / polynomial(r, central_denominator);
    }
    const double r = std::sqrt(-logarithm(q < 0 ? probability : 1 - probability));
    const double tail = r <= 5 ? polynomial(r - 1.6, tail_numerator) / polynomial(r - 1.6, tail_denominator)
                               : polynomial(r - 5, far_numerator) / polynomial(r - 5, far_denominator);
    return q < 0 ? -tail : tail;
  }
  /// A generator with a stream of its own, so that what one part of a model draws does not depend on what another does.
  Random split() { return Random(bits()); }

  /// The four words of the state, to save and restore a stream.
  const std::array<std::uint64_t, 4>& state() const { return state_; }
  /// Goes on where `state` was read.
  void restore(const std::array<std::uint64_t, 4>& state) { state_ = state; }

 private:
  using Coefficients = std::array<double, 8>;  // of r^0 .. r^7; AS 241's a, b, c, d, e, f
  static constexpr Coefficients central_numerator = {
      3.3871328727963666080e0, 1.3314166789178437745e2, 1.9715909503065514427e3, 1.3731693765509461125e4,
      4.5921953931549871457e4, 6.7265770927008700853e4, 3.3430575583588128105e4, 2.5090809287301226727e3};
  static constexpr Coefficients central_denominator = {1.0,
                                                       4.2313330701600911252e1,
                                                       6.8718700749205790830e2,
                                                       5.3941960214247511077e3,
                                                       2.1213794301586595867e4,
                                                       3.9307895800092710610e4,
                                                       2.8729085735721942674e4,
                                                       5.2264952788528545610e3};
  static constexpr Coefficients tail_numerator = {
      1.42343711074968357734e0, 4.63033784615654529590e0,  5.76949722146069140550e0,  3.64784832476320460504e0,
      1.27045825245236838258e0, 2.41780725177450611770e-1, 2.27238449892691845833e-2, 7.74545014278341407640e-4};
  static constexpr Coefficients tail_denominator = {1.0,
                                                    2.05319162663775882187e0,
                                                    1.67638483018380384940e0,
                                                    6.89767334985100004550e-1,
                                                    1.48103976427480074590e-1,
                                                    1.51986665636164571966e-2,
                                                    5.47593808499534494600e-4,
                                                    1.05075007164441684324e-9};
  static constexpr Coefficients far_numerator = {
      6.65790464350110377720e0,  5.46378491116411436990e0,  1.78482653991729133580e0,  2.96560571828504891230e-1,
      2.65321895265761230930e-2, 1.24266094738807843860e-3, 2.71155556874348757815e-5, 2.01033439929228813265e-7};
  static constexpr Coefficients far_denominator = {1.0,
                                                   5.99832206555887937690e-1,
                                                   1.36929880922735805310e-1,
                                                   1.48753612908506148525e-2,
                                                   7.86869131145613259100e-4,
                                                   1.84631831751005468180e-5,
                                                   1.42151175831644588870e-7,
                                                   2.04426310338993978564e-15};

  static double polynomial(double x, const Coefficients& coefficients) {
    double sum = coefficients[7];
    for (int i = 6; i >= 0; --i) sum = std::fma(sum, x, coefficients[static_cast<std::size_t>(i)]);
    return sum;
  }

  /// log(x) = exponent log 2 + 2 artanh((m - 1) / (m + 1)) with m in [sqrt(1/2), sqrt(2)).
  static double logarithm(double x) {
    int exponent = 0;
    double mantissa = std::frexp(x, &exponent);
    if (mantissa < 0.70710678118654752) {
      mantissa *= 2;
      --exponent;
    }
    const double t = (mantissa - 1) / (mantissa + 1);
    const double square = t * t;
    double series = 1.0 / 25;
    for (int odd = 23; odd >= 1; odd -= 2) series = std::fma(series, square, 1.0 / odd);
    return std::fma(static_cast<double>(exponent), 0.69314718055994530942, 2 * t * series);
  }

  static std::uint64_t splitmix(std::uint64_t& seed) {
    seed += 0x9e3779b97f4a7c15u;
    std::uint64_t mixed = seed;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
    return mixed ^ (mixed >> 31);
  }

  std::array<std::uint64_t, 4> state_{};
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
