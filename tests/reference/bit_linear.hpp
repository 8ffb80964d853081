#pragma once
// SPDX-License-Identifier: MIT

#include "reference/array.hpp"
#include "reference/norm.hpp"

#include <algorithm>
#include <cmath>

// BitLinear by the formulas of Wang et al. 2023 ("BitNet", section 2.1 and 2.2) and Ma et al. 2024 (BitNet b1.58).
namespace reference {

struct BitLinearCase {
  bool ternary = false;  ///< b1.58: absmean and 2^(b-1) - 1 levels; else sign and 2^(b-1) levels
  bool is_unsigned = false;
  bool adds_minimum = false;
  bool rounds = true;  ///< else the paper's literal clip
  bool per_tensor = false;
  long bits = 8;
  long output_groups = 1;
  long input_groups = 1;
};

template <class T>
struct BitLinearResult {
  Array<T> codes;         ///< [N, in], of x
  Array<T> weight_codes;  ///< [out, in]
  Array<T> scales;        ///< [output_groups, input_groups]
  Array<T> gamma;         ///< [N, input_groups]
  Array<T> y;             ///< [N, out]
  Array<T> x_deq;         ///< [N, in]
  Array<T> x_size;        ///< [N, in], magnitudes of the terms of x_deq, which rounding errors are proportional to
  Array<T> w_deq;         ///< [out, in]
};

/// half to even
template <class T>
T to_even(T x) {
  const T down = std::floor(x);
  const T rest = x - down;
  if (rest > T(0.5)) return down + 1;
  if (rest < T(0.5)) return down;
  return std::fmod(down, T(2)) == 0 ? down : down + 1;
}

/// xn: [N, in], normed already   weight: [out, in]   bias: [out] or empty
template <class T>
BitLinearResult<T> bit_linear(const Array<T>& xn, const Array<T>& weight, const Array<T>& bias,
                              const BitLinearCase& c) {
  const long rows = xn.rows(), in = xn.row_length(), out = weight.dimension(0);
  const long part = in / c.input_groups, block = out / c.output_groups;
  BitLinearResult<T> r;
  r.codes = r.x_deq = r.x_size = Array<T>({rows, in});
  r.weight_codes = r.w_deq = Array<T>({out, in});
  r.scales = Array<T>({c.output_groups, c.input_groups});
  r.gamma = Array<T>({rows, c.input_groups});
  r.y = Array<T>({rows, out});
  const Array<T> flat = xn.reshaped({rows, in});
  for (long go = 0; go < c.output_groups; ++go) {
    for (long gi = 0; gi < c.input_groups; ++gi) {
      T mean = 0, magnitude = 0;
      for (long o = go * block; o < (go + 1) * block; ++o) {
        for (long i = gi * part; i < (gi + 1) * part; ++i) {
          mean += weight(o, i);
          magnitude += std::abs(weight(o, i));
        }
      }
      mean /= static_cast<T>(block * part);
      magnitude /= static_cast<T>(block * part);
      const T scale = c.ternary ? std::max(magnitude, T(1e-5L)) : magnitude;
      r.scales(go, gi) = scale;
      for (long o = go * block; o < (go + 1) * block; ++o) {
        for (long i = gi * part; i < (gi + 1) * part; ++i) {
          const T code = c.ternary ? std::min(std::max(to_even(weight(o, i) / scale), T(-1)), T(1))
                                   : T(weight(o, i) - mean > 0 ? 1 : -1);
          r.weight_codes(o, i) = code;
          r.w_deq(o, i) = code * scale;
        }
      }
    }
  }
  const T levels = c.ternary ? T((1L << (c.bits - 1)) - 1) : T(1L << (c.bits - 1));
  for (long gi = 0; gi < c.input_groups; ++gi) {
    const auto range_of = [&](long first, long last, T& gamma, T& minimum) {
      gamma = 0;
      minimum = flat(first, gi * part);
      for (long n = first; n < last; ++n) {
        for (long i = gi * part; i < (gi + 1) * part; ++i) {
          gamma = std::max(gamma, std::abs(flat(n, i)));
          minimum = std::min(minimum, flat(n, i));
        }
      }
      if (c.ternary) gamma = std::max(gamma, T(1e-5L));
    };
    for (long n = 0; n < rows; ++n) {
      T gamma, minimum;
      range_of(c.per_tensor ? 0 : n, c.per_tensor ? rows : n + 1, gamma, minimum);
      r.gamma(n, gi) = gamma;
      for (long i = gi * part; i < (gi + 1) * part; ++i) {
        const T scaled = gamma == 0 ? T(0) : (flat(n, i) - (c.is_unsigned ? minimum : T(0))) * levels / gamma;
        T code;
        if (c.rounds) {
          const T largest = c.ternary ? levels : levels - 1;
          code = std::min(std::max(to_even(scaled), c.is_unsigned ? T(0) : -largest), largest);
        } else {
          const T epsilon = T(1e-5L);
          code = std::min(std::max(scaled, c.is_unsigned ? epsilon : epsilon - levels), levels - epsilon);
        }
        r.codes(n, i) = code;
        r.x_deq(n, i) = code * gamma / levels + (c.adds_minimum ? minimum : T(0));
        r.x_size(n, i) = std::abs(code) * gamma / levels + (c.adds_minimum ? std::abs(minimum) : T(0));
      }
    }
  }
  for (long n = 0; n < rows; ++n) {
    for (long o = 0; o < out; ++o) {
      T sum = bias.empty() ? T(0) : bias(o);
      for (long gi = 0; gi < c.input_groups; ++gi) {
        T codes = 0, row_sum = 0;
        for (long i = gi * part; i < (gi + 1) * part; ++i) {
          codes += r.codes(n, i) * r.weight_codes(o, i);
          row_sum += r.weight_codes(o, i);
        }
        sum += codes * r.gamma(n, gi) / levels * r.scales(o / block, gi);
        if (c.adds_minimum) {
          const long i = gi * part;
          const T minimum = r.x_deq(n, i) - r.codes(n, i) * r.gamma(n, gi) / levels;
          sum += minimum * row_sum * r.scales(o / block, gi);
        }
      }
      r.y(n, o) = sum;
    }
  }
  return r;
}

}  // namespace reference
