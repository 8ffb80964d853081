#pragma once
// SPDX-License-Identifier: MIT

#include <cstddef>

namespace reference {

/// (f(x + step) - f(x - step)) / (2 step), by changing the number that f reads and putting it back.
template <class T, class Function>
T central_difference(T& x, T step, Function&& f) {
  const T before = x;
  x = before + step;
  const T above = f();
  const T upper = x;
  x = before - step;
  const T below = f();
  const T width = upper - x;  // what was really stepped, after rounding
  x = before;
  return (above - below) / width;
}

/// The gradient of f with regard to each number of `values` (anything with data() and size()).
/// `Result` has data() and size() too and is filled.
template <class Values, class Result, class T, class Function>
void central_differences(Values& values, T step, Function&& f, Result& gradient) {
  for (std::ptrdiff_t i = 0; i < static_cast<std::ptrdiff_t>(values.size()); ++i) {
    gradient.data()[i] = central_difference(values.data()[i], step, f);
  }
}

}  // namespace reference
