#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/scratch.hpp>

#include <algorithm>
#include <span>

namespace eigenformer::inline EIGENFORMER_ABI {

// A bias of attention between the positions of a square that depends on how far apart they are, but not on the direction
// (Graham et al. 2021, "LeViT", section 4.2; EfficientViT): one number for each offset (|dy|, |dx|).

/// bias[y r + x, y' r + x'] = table[|y - y'| r + |x - x'|].   table: [r r]    bias: [r r, r r], r being `side`
template <class T>
void offset_bias(std::span<const T> table, Index side, T* bias, ScratchArena& scratch) {
  ScratchScope scope(scratch);
  const Index pixels = side * side;
  // For one x, the rows of a pixel's bias from r - 1 above it to r - 1 below: each y takes r of them that lie together.
  T* const rows = scope.take<T>((2 * side - 1) * side);
  for (Index x = 0; x < side; ++x) {
    for (Index distance = 0; distance < side; ++distance) {
      const T* const from = table.data() + distance * side;
      T* const above = rows + (side - 1 - distance) * side;
      T* const below = rows + (side - 1 + distance) * side;
      for (Index i = 0; i < side; ++i) above[i] = below[i] = from[i > x ? i - x : x - i];
    }
    for (Index y = 0; y < side; ++y) std::copy_n(rows + (side - 1 - y) * side, pixels, bias + (y * side + x) * pixels);
  }
}

/// dtable[|y - y'| r + |x - x'|] += dbias[y r + x, y' r + x'], summed in double.   dbias: [r r, r r]    dtable: [r r]
template <class T>
void offset_bias_backward(const T* dbias, Index side, std::span<T> dtable, ScratchArena& scratch) {
  ScratchScope scope(scratch);
  double* const sums = scope.take<double>(side * side);
  std::fill_n(sums, side * side, 0.0);
  for (Index y = 0; y < side; ++y) {
    for (Index x = 0; x < side; ++x) {
      for (Index to = 0; to < side; ++to, dbias += side) {
        double* const row = sums + (y > to ? y - to : to - y) * side;
        for (Index i = 0; i < side; ++i) row[i > x ? i - x : x - i] += static_cast<double>(dbias[i]);
      }
    }
  }
  for (std::size_t i = 0; i < dtable.size(); ++i) dtable[i] += static_cast<T>(sums[i]);
}

}  // namespace eigenformer::inline EIGENFORMER_ABI
