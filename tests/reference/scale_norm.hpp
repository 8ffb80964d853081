#pragma once
// SPDX-License-Identifier: MIT

#include "reference/array.hpp"

#include <cmath>

namespace reference {

template <class T>
struct Scaled {
  Array<T> y;     ///< [..., D]
  Array<T> norm;  ///< [rows], clamped
};

/// y = x (g / max(||x||, epsilon)) over the last dimension (Nguyen & Salazar 2019). A zero row over an epsilon of zero
/// counts as zeros.
template <class T>
Scaled<T> scale_norm(const Array<T>& x, T g, T epsilon) {
  Scaled<T> result{Array<T>(x.shape), Array<T>({x.rows()})};
  for (long n = 0; n < x.rows(); ++n) {
    const T* row = x.data() + n * x.row_length();
    T square = 0;
    for (long j = 0; j < x.row_length(); ++j) square += row[j] * row[j];
    const T norm = std::sqrt(square) > epsilon ? std::sqrt(square) : epsilon;
    result.norm(n) = norm;
    for (long j = 0; j < x.row_length(); ++j) {
      result.y.data()[n * x.row_length() + j] = norm > 0 ? row[j] * (g / norm) : T(0);
    }
  }
  return result;
}

template <class T>
struct ScaleGradients {
  Array<T> dx;  ///< [..., D]
  T dg;
};

/// The norm is a constant where it was clamped:  dx_j = g dy_j / n  -  g x_j (x . dy) / n^3 unless clamped,
/// dg = sum (x . dy) / n.
template <class T>
ScaleGradients<T> scale_norm_backward(const Array<T>& x, T g, T epsilon, const Array<T>& dy) {
  const Scaled<T> forward = scale_norm(x, g, epsilon);
  ScaleGradients<T> gradients{Array<T>(x.shape), T(0)};
  for (long n = 0; n < x.rows(); ++n) {
    const T* row = x.data() + n * x.row_length();
    const T* upstream = dy.data() + n * x.row_length();
    const T norm = forward.norm(n);
    T dot = 0;
    for (long j = 0; j < x.row_length(); ++j) dot += row[j] / norm * upstream[j];
    gradients.dg += dot;
    for (long j = 0; j < x.row_length(); ++j) {
      const T through_norm = norm > epsilon ? row[j] / norm * dot : T(0);
      gradients.dx.data()[n * x.row_length() + j] = g / norm * (upstream[j] - through_norm);
    }
  }
  return gradients;
}

}  // namespace reference
