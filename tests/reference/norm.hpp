#pragma once
// SPDX-License-Identifier: MIT

#include "reference/array.hpp"

#include <cmath>

namespace reference {

template <class T>
struct Normalised {
  Array<T> y;                  ///< [..., D]
  Array<T> mean;               ///< [rows], zero for RmsNorm
  Array<T> inverse_deviation;  ///< [rows]
};

template <class T>
struct NormGradients {
  Array<T> dx;       ///< [..., D]
  Array<T> dweight;  ///< [D]
  Array<T> dbias;    ///< [D], zero for RmsNorm
};

/// y = (x - mean) / sqrt(variance + epsilon) weight + bias over the last dimension, with the biased variance
/// (Ba et al. 2016). An empty weight counts as ones, an empty bias as zeros.
template <class T>
Normalised<T> layer_norm(const Array<T>& x, const Array<T>& weight, const Array<T>& bias, T epsilon) {
  const long width = x.row_length();
  Normalised<T> result{Array<T>(x.shape), Array<T>({x.rows()}), Array<T>({x.rows()})};
  for (long n = 0; n < x.rows(); ++n) {
    const T* row = x.data() + n * width;
    T mean = 0;
    for (long j = 0; j < width; ++j) mean += row[j] / T(width);
    T variance = 0;
    for (long j = 0; j < width; ++j) variance += (row[j] - mean) * (row[j] - mean) / T(width);
    const T inverse = 1 / std::sqrt(variance + epsilon);
    for (long j = 0; j < width; ++j) {
      const T gain = weight.empty() ? T(1) : weight(j);
      const T shift = bias.empty() ? T(0) : bias(j);
      result.y.data()[n * width + j] = (row[j] - mean) * inverse * gain + shift;
    }
    result.mean(n) = mean;
    result.inverse_deviation(n) = inverse;
  }
  return result;
}

/// With z = (x - mean) r and g = dy weight:  dx = r (g - mean(g) - z mean(g z)),  dweight = sum dy z,  dbias = sum dy.
template <class T>
NormGradients<T> layer_norm_backward(const Array<T>& x, const Array<T>& weight, T epsilon, const Array<T>& dy) {
  const long width = x.row_length();
  const Normalised<T> forward = layer_norm(x, Array<T>(), Array<T>(), epsilon);  // y is z
  NormGradients<T> gradients{Array<T>(x.shape), Array<T>({width}), Array<T>({width})};
  for (long n = 0; n < x.rows(); ++n) {
    const T* z = forward.y.data() + n * width;
    const T* upstream = dy.data() + n * width;
    T mean_g = 0;
    T mean_gz = 0;
    for (long j = 0; j < width; ++j) {
      const T g = upstream[j] * (weight.empty() ? T(1) : weight(j));
      mean_g += g / T(width);
      mean_gz += g * z[j] / T(width);
      gradients.dweight(j) += upstream[j] * z[j];
      gradients.dbias(j) += upstream[j];
    }
    for (long j = 0; j < width; ++j) {
      const T g = upstream[j] * (weight.empty() ? T(1) : weight(j));
      gradients.dx.data()[n * width + j] = forward.inverse_deviation(n) * (g - mean_g - z[j] * mean_gz);
    }
  }
  return gradients;
}

/// y = x / sqrt(mean(x^2) + epsilon) weight (Zhang & Sennrich 2019).
template <class T>
Normalised<T> rms_norm(const Array<T>& x, const Array<T>& weight, T epsilon) {
  const long width = x.row_length();
  Normalised<T> result{Array<T>(x.shape), Array<T>({x.rows()}), Array<T>({x.rows()})};
  for (long n = 0; n < x.rows(); ++n) {
    const T* row = x.data() + n * width;
    T mean_square = 0;
    for (long j = 0; j < width; ++j) mean_square += row[j] * row[j] / T(width);
    const T inverse = 1 / std::sqrt(mean_square + epsilon);
    for (long j = 0; j < width; ++j) {
      result.y.data()[n * width + j] = row[j] * inverse * (weight.empty() ? T(1) : weight(j));
    }
    result.inverse_deviation(n) = inverse;
  }
  return result;
}

/// With z = x r and g = dy weight:  dx = r (g - z mean(g z)),  dweight = sum dy z.
template <class T>
NormGradients<T> rms_norm_backward(const Array<T>& x, const Array<T>& weight, T epsilon, const Array<T>& dy) {
  const long width = x.row_length();
  const Normalised<T> forward = rms_norm(x, Array<T>(), epsilon);  // y is z
  NormGradients<T> gradients{Array<T>(x.shape), Array<T>({width}), Array<T>({width})};
  for (long n = 0; n < x.rows(); ++n) {
    const T* z = forward.y.data() + n * width;
    const T* upstream = dy.data() + n * width;
    T mean_gz = 0;
    for (long j = 0; j < width; ++j) {
      mean_gz += upstream[j] * (weight.empty() ? T(1) : weight(j)) * z[j] / T(width);
      gradients.dweight(j) += upstream[j] * z[j];
    }
    for (long j = 0; j < width; ++j) {
      const T g = upstream[j] * (weight.empty() ? T(1) : weight(j));
      gradients.dx.data()[n * width + j] = forward.inverse_deviation(n) * (g - z[j] * mean_gz);
    }
  }
  return gradients;
}

}  // namespace reference
