#pragma once
// SPDX-License-Identifier: MIT

#include "reference/array.hpp"
#include "reference/softmax.hpp"

#include <cmath>
#include <vector>

namespace reference {

struct CrossEntropyOptions {
  long ignore_index = -100;
  double label_smoothing = 0;
};

template <class T>
struct CrossEntropy {
  T loss = 0;        ///< mean over the counted rows, zero if there are none
  long counted = 0;  ///< rows whose target is not ignore_index
  Array<T> per_row;  ///< [N], zero for ignored rows
  Array<T> dlogits;  ///< [N, V] gradient of the mean
};

/// With log p = log_softmax(logits) and smoothing s (Szegedy et al. 2016, section 7; as PyTorch's cross_entropy):
///   loss_n = -(1 - s) log p_target - s / V sum_c log p_c,   dlogits_c = (p_c - (1 - s) [c = target] - s / V) / counted
///   logits: [N, V]   targets: N class numbers
template <class T>
CrossEntropy<T> cross_entropy(const Array<T>& logits, const std::vector<long>& targets,
                              const CrossEntropyOptions& options = {}) {
  const long rows = logits.dimension(0);
  const long classes = logits.dimension(1);
  const T smoothing = T(options.label_smoothing);
  const Array<T> log_p = log_softmax(logits);
  CrossEntropy<T> result{T(0), 0, Array<T>({rows}), Array<T>(logits.shape)};
  for (const long target : targets) result.counted += target == options.ignore_index ? 0 : 1;
  for (long n = 0; n < rows; ++n) {
    const long target = targets.at(static_cast<std::size_t>(n));
    if (target == options.ignore_index) continue;
    result.per_row(n) = -(1 - smoothing) * log_p(n, target);
    for (long c = 0; c < classes; ++c) {
      result.per_row(n) -= smoothing / T(classes) * log_p(n, c);
      const T wanted = (c == target ? 1 - smoothing : T(0)) + smoothing / T(classes);
      result.dlogits(n, c) = (std::exp(log_p(n, c)) - wanted) / T(result.counted);
    }
    result.loss += result.per_row(n) / T(result.counted);
  }
  return result;
}

}  // namespace reference
