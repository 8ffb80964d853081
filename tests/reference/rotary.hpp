#pragma once
// SPDX-License-Identifier: MIT

#include "reference/array.hpp"

#include <cmath>

namespace reference {

/// Which two features turn together: (2i, 2i + 1) as published and in Llama's own code, or (i, i + dim / 2) as in
/// GPT-NeoX and HuggingFace.
enum class RotaryPairs { interleaved, half_split };

struct RotaryOptions {
  long dim = 0;  ///< how many leading features of a head are rotated, even; the rest pass through
  RotaryPairs pairs = RotaryPairs::interleaved;
  long offset = 0;  ///< position of the first row
  double base = 10000;
};

/// Turns pair i of the row at position p by  direction p base^(-2i / dim)  (Su et al. 2021, equation 15).
template <class T>
Array<T> rotate(const Array<T>& x, const RotaryOptions& options, T direction) {
  Array<T> y = x;
  for (long b = 0; b < x.dimension(0); ++b) {
    for (long s = 0; s < x.dimension(1); ++s) {
      for (long h = 0; h < x.dimension(2); ++h) {
        for (long i = 0; i < options.dim / 2; ++i) {
          const bool interleaved = options.pairs == RotaryPairs::interleaved;
          const long first = interleaved ? 2 * i : i;
          const long second = interleaved ? 2 * i + 1 : i + options.dim / 2;
          const T frequency = std::pow(T(options.base), -2 * T(i) / T(options.dim));
          const T angle = direction * T(options.offset + s) * frequency;
          y(b, s, h, first) = x(b, s, h, first) * std::cos(angle) - x(b, s, h, second) * std::sin(angle);
          y(b, s, h, second) = x(b, s, h, first) * std::sin(angle) + x(b, s, h, second) * std::cos(angle);
        }
      }
    }
  }
  return y;
}

/// x, y: [B, S, H, D]
template <class T>
Array<T> rotary(const Array<T>& x, const RotaryOptions& options) {
  return rotate(x, options, T(1));
}

/// A rotation's transpose is the rotation back.   dy, dx: [B, S, H, D]
template <class T>
Array<T> rotary_backward(const Array<T>& dy, const RotaryOptions& options) {
  return rotate(dy, options, T(-1));
}

/// PE(p, 2i) = sin(p / 10000^(2i / D)),  PE(p, 2i + 1) = cos(p / 10000^(2i / D))  (Vaswani et al. 2017, section 3.5).
///   returns [length, dim], the first row at position `offset`
template <class T = double>
Array<T> sinusoidal_positions(long length, long dim, long offset = 0, double base = 10000) {
  Array<T> table({length, dim});
  for (long p = 0; p < length; ++p) {
    for (long j = 0; j < dim; ++j) {
      const long i = j / 2;
      const T angle = T(offset + p) / std::pow(T(base), 2 * T(i) / T(dim));
      table(p, j) = j % 2 == 0 ? std::sin(angle) : std::cos(angle);
    }
  }
  return table;
}

}  // namespace reference
