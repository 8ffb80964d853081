#pragma once
// SPDX-License-Identifier: MIT

#include "reference/array.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace reference {

// Rows are the last dimension of any rank. A row of nothing but -infinity attends to nothing: its softmax is zero and
// its log-sum-exp -infinity.

/// The largest of a row: what is subtracted before exp, so that exp cannot overflow.
template <class T>
T row_maximum(const Array<T>& x, long row) {
  T maximum = -std::numeric_limits<T>::infinity();
  for (long j = 0; j < x.row_length(); ++j) maximum = (std::max)(maximum, x.data()[row * x.row_length() + j]);
  return maximum;
}

/// log sum_j exp(x_j) for each row.   x: [..., D]   returns [rows]
template <class T>
Array<T> log_sum_exp(const Array<T>& x) {
  const long width = x.row_length();
  Array<T> result({x.rows()});
  for (long n = 0; n < x.rows(); ++n) {
    const T maximum = row_maximum(x, n);
    if (maximum < std::numeric_limits<T>::lowest()) {
      result(n) = maximum;
      continue;
    }
    T sum = 0;
    for (long j = 0; j < width; ++j) sum += std::exp(x.data()[n * width + j] - maximum);
    result(n) = maximum + std::log(sum);
  }
  return result;
}

/// y_j = exp(x_j) / sum_i exp(x_i).   x, y: [..., D]
template <class T>
Array<T> softmax(const Array<T>& x) {
  const long width = x.row_length();
  Array<T> y(x.shape);
  for (long n = 0; n < x.rows(); ++n) {
    const T maximum = row_maximum(x, n);
    if (maximum < std::numeric_limits<T>::lowest()) continue;
    T sum = 0;
    for (long j = 0; j < width; ++j) sum += std::exp(x.data()[n * width + j] - maximum);
    for (long j = 0; j < width; ++j) y.data()[n * width + j] = std::exp(x.data()[n * width + j] - maximum) / sum;
  }
  return y;
}

/// dx_j = y_j (dy_j - sum_i y_i dy_i).   y = softmax(x)
template <class T>
Array<T> softmax_backward(const Array<T>& y, const Array<T>& dy) {
  const long width = y.row_length();
  Array<T> dx(y.shape);
  for (long n = 0; n < y.rows(); ++n) {
    T along = 0;
    for (long j = 0; j < width; ++j) along += y.data()[n * width + j] * dy.data()[n * width + j];
    for (long j = 0; j < width; ++j) {
      dx.data()[n * width + j] = y.data()[n * width + j] * (dy.data()[n * width + j] - along);
    }
  }
  return dx;
}

/// y_j = x_j - log sum_i exp(x_i).   x, y: [..., D]
/// Not max + log of the sum first: subtracting the maximum from x_j before the logarithm keeps the digits of large x.
template <class T>
Array<T> log_softmax(const Array<T>& x) {
  const long width = x.row_length();
  Array<T> y(x.shape);
  for (long n = 0; n < x.rows(); ++n) {
    const T maximum = row_maximum(x, n);
    T sum = 0;
    for (long j = 0; j < width; ++j) sum += std::exp(x.data()[n * width + j] - maximum);
    for (long j = 0; j < width; ++j) y.data()[n * width + j] = (x.data()[n * width + j] - maximum) - std::log(sum);
  }
  return y;
}

/// dx_j = dy_j - exp(y_j) sum_i dy_i.   y = log_softmax(x)
template <class T>
Array<T> log_softmax_backward(const Array<T>& y, const Array<T>& dy) {
  const long width = y.row_length();
  Array<T> dx(y.shape);
  for (long n = 0; n < y.rows(); ++n) {
    T sum = 0;
    for (long j = 0; j < width; ++j) sum += dy.data()[n * width + j];
    for (long j = 0; j < width; ++j) {
      dx.data()[n * width + j] = dy.data()[n * width + j] - std::exp(y.data()[n * width + j]) * sum;
    }
  }
  return dx;
}

}  // namespace reference
