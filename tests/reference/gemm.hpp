#pragma once
// SPDX-License-Identifier: MIT

#include "reference/array.hpp"

#include <cmath>
#include <stdexcept>

namespace reference {

template <class T>
struct Product {
  Array<T> value;      ///< [M, N]
  Array<T> magnitude;  ///< [M, N] the sum of |a||b| (+ |c|), which rounding errors are proportional to
};

/// C + A B.   a: [M, K]   b: [K, N]   c: [M, N]
template <class T>
Product<T> product(const Array<T>& a, const Array<T>& b, const Array<T>& c) {
  const long m = a.dimension(0);
  const long depth = a.dimension(1);
  const long n = b.dimension(1);
  if (b.dimension(0) != depth || c.dimension(0) != m || c.dimension(1) != n) {
    throw std::invalid_argument("reference::product: shapes do not fit");
  }
  Product<T> result{Array<T>({m, n}), Array<T>({m, n})};
  for (long i = 0; i < m; ++i) {
    for (long j = 0; j < n; ++j) {
      T sum = c(i, j);
      T magnitude = std::abs(c(i, j));
      for (long k = 0; k < depth; ++k) {
        sum += a.data()[i * depth + k] * b.data()[k * n + j];
        magnitude += std::abs(a.data()[i * depth + k] * b.data()[k * n + j]);
      }
      result.value(i, j) = sum;
      result.magnitude(i, j) = magnitude;
    }
  }
  return result;
}

/// A B.   a: [M, K]   b: [K, N]
template <class T>
Product<T> product(const Array<T>& a, const Array<T>& b) {
  return product(a, b, Array<T>({a.dimension(0), b.dimension(1)}));
}

/// y = x W^T + bias, row by row, as PyTorch's Linear.   x: [..., in]   weight: [out, in]   bias: [out] or empty
template <class T>
Product<T> linear(const Array<T>& x, const Array<T>& weight, const Array<T>& bias = {}) {
  const long out = weight.dimension(0);
  Array<T> start({x.rows(), out});
  for (long i = 0; i < x.rows() && !bias.empty(); ++i) {
    for (long j = 0; j < out; ++j) start(i, j) = bias(j);
  }
  Product<T> result = product(x.reshaped({x.rows(), x.row_length()}), transposed(weight), start);
  result.value.shape = x.shape;
  result.value.shape.back() = out;
  result.magnitude.shape = result.value.shape;
  return result;
}

template <class T>
struct LinearGradients {
  Array<T> dx;       ///< [..., in]
  Array<T> dweight;  ///< [out, in]
  Array<T> dbias;    ///< [out]
};

/// dx = dy W,  dW = dy^T x,  db = the sum of dy over its rows.
template <class T>
LinearGradients<T> linear_backward(const Array<T>& x, const Array<T>& weight, const Array<T>& dy) {
  const Array<T> x_rows = x.reshaped({x.rows(), x.row_length()});
  const Array<T> dy_rows = dy.reshaped({dy.rows(), dy.row_length()});
  LinearGradients<T> gradients;
  gradients.dx = product(dy_rows, weight).value.reshaped(x.shape);
  gradients.dweight = product(transposed(dy_rows), x_rows).value;
  gradients.dbias = Array<T>({weight.dimension(0)});
  for (long i = 0; i < dy_rows.dimension(0); ++i) {
    for (long j = 0; j < weight.dimension(0); ++j) gradients.dbias(j) += dy_rows(i, j);
  }
  return gradients;
}

}  // namespace reference
