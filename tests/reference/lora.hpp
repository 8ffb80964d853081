#pragma once
// SPDX-License-Identifier: MIT

#include <cmath>

#include "reference/gemm.hpp"

namespace reference {

/// W + scale B A (Hu et al. 2021, section 4.1).   weight: [out, in]   a: [rank, in]   b: [out, rank]
template <class T>
Array<T> lora_weight(const Array<T>& weight, const Array<T>& a, const Array<T>& b, T scale) {
  Array<T> result = weight;
  for (long o = 0; o < weight.dimension(0); ++o) {
    for (long i = 0; i < weight.dimension(1); ++i) {
      T sum = 0;
      for (long r = 0; r < a.dimension(0); ++r) sum += b(o, r) * a(r, i);
      result(o, i) += scale * sum;
    }
  }
  return result;
}

/// The length of each row.   weight: [out, in]
template <class T>
Array<T> row_norms(const Array<T>& weight) {
  Array<T> norms({weight.dimension(0)});
  for (long o = 0; o < weight.dimension(0); ++o) {
    T squares = 0;
    for (long i = 0; i < weight.dimension(1); ++i) squares += weight(o, i) * weight(o, i);
    norms(o) = std::sqrt(squares);
  }
  return norms;
}

/// m V / |V|, V = W + scale B A (Liu et al. 2024, equation 5); 0 where a row of V is.   magnitude: [out]
template <class T>
Array<T> dora_weight(const Array<T>& weight, const Array<T>& a, const Array<T>& b, T scale, const Array<T>& magnitude) {
  Array<T> result = lora_weight(weight, a, b, scale);
  const Array<T> norms = row_norms(result);
  for (long o = 0; o < result.dimension(0); ++o) {
    for (long i = 0; i < result.dimension(1); ++i) {
      result(o, i) = norms(o) > 0 ? result(o, i) * magnitude(o) / norms(o) : T(0);
    }
  }
  return result;
}

}  // namespace reference
