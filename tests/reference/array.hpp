#pragma once
// SPDX-License-Identifier: MIT

#include <stdexcept>
#include <utility>
#include <vector>

namespace reference {

/// Row-major numbers with a shape, indexed as in the papers: q(b, s, h, d). Every index is checked, so that a slip in a
/// reference is an exception and not a number. T is double, float where "the plain float32 code" is wanted, and long
/// double where double code is judged.
template <class T = double>
struct Array {
  std::vector<long> shape;
  std::vector<T> values;

  Array() = default;
  explicit Array(std::vector<long> dimensions, T fill = T(0)) : shape(std::move(dimensions)) {
    values.assign(static_cast<std::size_t>(product_of_shape()), fill);
  }
  Array(std::vector<long> dimensions, std::vector<T> numbers)
      : shape(std::move(dimensions)), values(std::move(numbers)) {
    if (product_of_shape() != size()) throw std::invalid_argument("reference::Array: values do not fill the shape");
  }

  long size() const { return static_cast<long>(values.size()); }
  bool empty() const { return values.empty(); }
  T* data() { return values.data(); }
  const T* data() const { return values.data(); }

  /// The dimension `axis`, counted from the end if negative.
  long dimension(long axis) const {
    return shape.at(static_cast<std::size_t>(axis < 0 ? axis + static_cast<long>(shape.size()) : axis));
  }
  /// Length of the last dimension, and how many such rows there are: what token-wise formulas need of any rank.
  long row_length() const { return shape.empty() ? 1 : shape.back(); }
  long rows() const { return row_length() == 0 ? 0 : size() / row_length(); }

  template <class... Indices>
  T& operator()(Indices... indices) {
    return values[offset(indices...)];
  }
  template <class... Indices>
  const T& operator()(Indices... indices) const {
    return values[offset(indices...)];
  }

  /// The same numbers under another shape.
  Array reshaped(std::vector<long> dimensions) const { return Array(std::move(dimensions), values); }

 private:
  long product_of_shape() const {
    long count = 1;
    for (const long extent : shape) count *= extent;
    return count;
  }

  template <class... Indices>
  std::size_t offset(Indices... indices) const {
    if (sizeof...(Indices) != shape.size()) throw std::out_of_range("reference::Array: wrong number of indices");
    const long list[] = {static_cast<long>(indices)...};
    long at = 0;
    for (std::size_t axis = 0; axis < sizeof...(Indices); ++axis) {
      if (list[axis] < 0 || list[axis] >= shape[axis]) throw std::out_of_range("reference::Array: index out of range");
      at = at * shape[axis] + list[axis];
    }
    return static_cast<std::size_t>(at);
  }
};

/// Stored numbers of any type, widened exactly: the reference starts from what the tested code was given.
template <class T = double, class Source>
Array<T> widened(const Source* source, std::vector<long> shape) {
  Array<T> result(std::move(shape));
  for (long i = 0; i < result.size(); ++i) result.values[static_cast<std::size_t>(i)] = static_cast<T>(source[i]);
  return result;
}

/// [M, N] -> [N, M]
template <class T>
Array<T> transposed(const Array<T>& a) {
  Array<T> result({a.dimension(1), a.dimension(0)});
  for (long i = 0; i < a.dimension(0); ++i) {
    for (long j = 0; j < a.dimension(1); ++j) result(j, i) = a(i, j);
  }
  return result;
}

}  // namespace reference
