#pragma once
// SPDX-License-Identifier: MIT

#include <cmath>

#include "reference/array.hpp"
#include "reference/central_difference.hpp"

namespace reference {

/// Arbitrary numbers of size one without a generator: the sine of a running angle.
template <class T = double>
Array<T> waves(std::vector<long> shape, T phase) {
  Array<T> result(std::move(shape));
  for (long i = 0; i < result.size(); ++i) result.data()[i] = std::sin(phase + T(i) * T(1.7L));
  return result;
}

template <class T>
T inner_product(const Array<T>& a, const Array<T>& b) {
  T sum = 0;
  for (long i = 0; i < a.size(); ++i) sum += a.data()[i] * b.data()[i];
  return sum;
}

/// Gradient of <weights, f()> with regard to x by central differences: what a backward given `weights` must return.
template <class T, class Function>
Array<T> gradient_by_differences(Array<T>& x, const Array<T>& weights, Function&& f) {
  Array<T> gradient(x.shape);
  central_differences(
      x, T(1e-5), [&] { return inner_product(weights, f()); }, gradient);
  return gradient;
}

}  // namespace reference
