#pragma once
// SPDX-License-Identifier: MIT

#include "reference/array.hpp"

namespace reference {

/// W'[g] = the mean of W[h] over the heads h = g n .. g n + n - 1, where n = heads / groups  (Ainslie et al. 2023, section
/// 2.1).   weight: [heads dk, D]   returns [groups dk, D]
template <class T>
Array<T> mean_pooled_heads(const Array<T>& weight, long heads, long groups) {
  const long dim = weight.dimension(0) / heads;
  const long n = heads / groups;
  Array<T> pooled({groups * dim, weight.dimension(1)});
  for (long h = 0; h < heads; ++h) {
    for (long d = 0; d < dim; ++d) {
      for (long i = 0; i < weight.dimension(1); ++i) {
        pooled((h / n) * dim + d, i) += weight(h * dim + d, i) / static_cast<T>(n);
      }
    }
  }
  return pooled;
}

}  // namespace reference
