#pragma once
// SPDX-License-Identifier: MIT

#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace support {

/// What all seeds start from; the environment variable EIGENFORMER_TEST_SEED gives every test other numbers.
inline std::uint64_t base_seed() {
  const char* chosen = std::getenv("EIGENFORMER_TEST_SEED");
  return chosen == nullptr ? 1 : std::strtoull(chosen, nullptr, 10);
}

/// Random numbers of the tests' own: SplitMix64 (Steele et al. 2014, figure 17), so that nothing is shared with the
/// library's generator. While it lives, a failing expectation prints the seed that reproduces it.
class Generator {
 public:
  explicit Generator(std::uint64_t salt = 0, const char* file = __builtin_FILE(), int line = __builtin_LINE())
      : state_(base_seed() * 0x9e3779b97f4a7c15U + salt),
        trace_(file, line, "EIGENFORMER_TEST_SEED=" + std::to_string(base_seed()) + " salt " + std::to_string(salt)) {}

  std::uint64_t bits() {
    state_ += 0x9e3779b97f4a7c15U;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27U)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31U);
  }

  /// In [low, high).
  double uniform(double low = 0, double high = 1) {
    return low + (high - low) * static_cast<double>(bits() >> 11U) * 0x1p-53;
  }

  /// Mean 0, deviation 1 (Box & Muller 1958).
  double normal() {
    const double radius = std::sqrt(-2 * std::log(1 - uniform()));
    return radius * std::cos(2 * std::acos(-1.0) * uniform());
  }

  /// One of 0 .. count - 1.
  std::ptrdiff_t integer(std::ptrdiff_t count) {
    return static_cast<std::ptrdiff_t>(bits() % static_cast<std::uint64_t>(count));
  }

 private:
  std::uint64_t state_;
  testing::ScopedTrace trace_;
};

/// The inputs that numerical code is swept over.
enum class Distribution {
  normal,
  uniform,      ///< in [-1, 1)
  all_equal,    ///< one random number everywhere
  alternating,  ///< one random number with alternating sign
  spike,        ///< normal with one 1e4
  mean_1e6,     ///< normal around 1e6
  tiny,         ///< normal of deviation 1e-30
  huge,         ///< normal of deviation 1e30
  denormal      ///< below the smallest normal number of the type, either sign
};

inline constexpr std::array distributions = {Distribution::normal,      Distribution::uniform, Distribution::all_equal,
                                             Distribution::alternating, Distribution::spike,   Distribution::mean_1e6,
                                             Distribution::tiny,        Distribution::huge,    Distribution::denormal};

constexpr std::string_view name(Distribution distribution) {
  constexpr std::array<std::string_view, 9> names = {"normal",   "uniform", "all_equal", "alternating", "spike",
                                                     "mean_1e6", "tiny",    "huge",      "denormal"};
  return names[static_cast<std::size_t>(distribution)];
}

/// A number below the smallest normal one, put together from bits: under -ffast-math arithmetic would give zero.
template <class T>
T denormal(Generator& random) {
  const std::uint64_t mantissa = random.bits() >> (65U - static_cast<unsigned>(std::numeric_limits<T>::digits));
  const std::uint64_t sign = random.bits() >> 63U << (8 * sizeof(T) - 1);
  const std::uint64_t bits = sign | mantissa;
  T result;
  static_assert(std::endian::native == std::endian::little && sizeof(T) <= sizeof(bits));
  std::memcpy(&result, &bits, sizeof(T));
  return result;
}

template <class T>
std::vector<T> sample(Distribution distribution, std::ptrdiff_t count, Generator& random) {
  std::vector<T> result(static_cast<std::size_t>(count));
  const double constant = random.uniform(0.5, 2);
  const std::ptrdiff_t spike = count > 0 ? random.integer(count) : 0;
  for (std::ptrdiff_t i = 0; i < count; ++i) {
    double x = 0;
    switch (distribution) {
      case Distribution::normal: x = random.normal(); break;
      case Distribution::uniform: x = random.uniform(-1, 1); break;
      case Distribution::all_equal: x = constant; break;
      case Distribution::alternating: x = i % 2 == 0 ? constant : -constant; break;
      case Distribution::spike: x = i == spike ? 1e4 : random.normal(); break;
      case Distribution::mean_1e6: x = 1e6 + random.normal(); break;
      case Distribution::tiny: x = 1e-30 * random.normal(); break;
      case Distribution::huge: x = 1e30 * random.normal(); break;
      case Distribution::denormal: break;
    }
    result[static_cast<std::size_t>(i)] =
        distribution == Distribution::denormal ? denormal<T>(random) : static_cast<T>(x);
  }
  return result;
}

/// Normal numbers of mean 0 and deviation `scale`.
template <class T>
std::vector<T> normal(std::ptrdiff_t count, Generator& random, double scale = 1) {
  std::vector<T> result(static_cast<std::size_t>(count));
  for (T& x : result) x = static_cast<T>(scale * random.normal());
  return result;
}

/// Fills anything contiguous with data() and size().
template <class Container>
void fill(Container& container, Distribution distribution, Generator& random) {
  using Scalar = std::remove_cvref_t<decltype(*container.data())>;
  const auto count = static_cast<std::ptrdiff_t>(container.size());
  const std::vector<Scalar> numbers = sample<Scalar>(distribution, count, random);
  for (std::size_t i = 0; i < numbers.size(); ++i) container.data()[i] = numbers[i];
}

/// What is put where nothing may look: one read of it and the result is spoilt.
template <class T>
constexpr std::array<T, 4> poisons() {
  using Limits = std::numeric_limits<T>;
  return {Limits::quiet_NaN(), Limits::infinity(), -Limits::infinity(), (Limits::max)()};
}

}  // namespace support
