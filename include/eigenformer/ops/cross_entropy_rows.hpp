#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/context.hpp>
#include <eigenformer/kernels/cross_entropy.hpp>

#include <cmath>
#include <cstdint>

namespace eigenformer::inline EIGENFORMER_ABI {

/// What the rows of one cross entropy have in common.
template <class T>
struct CrossEntropyTerms {
  std::int32_t ignore_index = -100;
  double smoothing = 0;              ///< s
  const T* class_weights = nullptr;  ///< w: [V], null for ones
  double class_weight_sum = 0;       ///< sum_c w_c, V for ones
  double counted_weight = 1;         ///< W, what the gradient is divided by
};

/// With log p = log_softmax(x) of each row and its target t (Szegedy et al. 2016, section 7; class weights as PyTorch):
///   loss_n = -(1 - s) w_t log p_t - s / V sum_c w_c log p_c
///          = (1 - s) w_t (L + max - x_t) + s / V (sum_c w_c (max - x_c) + L sum_c w_c),   L = log sum_c exp(x_c - max)
///   dx_c   = (((1 - s) w_t + s / V sum_c w_c) p_c - s / V w_c - (1 - s) w_t [c = t]) / W
/// Rows whose target is ignore_index have loss and gradient zero. `dlogits` may be null, or the logits themselves.
///   logits, dlogits: [N, V]   targets, losses: [N]
template <class T>
void cross_entropy_rows(ConstRowsView<T> logits, const std::int32_t* targets, const CrossEntropyTerms<T>& terms,
                        double* losses, RowsView<T>* dlogits, Context& context) {
  const Index classes = logits.features();
  const double uniform = terms.smoothing / static_cast<double>(classes);
  const auto one_row = [&](Index n) {
    losses[n] = 0;
    T* const gradient = dlogits == nullptr ? nullptr : dlogits->data() + n * dlogits->stride();
    if (targets[n] == terms.ignore_index) {
      if (gradient != nullptr) std::fill_n(gradient, classes, T(0));
      return;
    }
    const T* const x = logits.data() + n * logits.stride();
    const Index target = targets[n];
    const double weight = terms.class_weights == nullptr ? 1.0 : static_cast<double>(terms.class_weights[target]);
    const double wanted = (1 - terms.smoothing) * weight;
    const T at_target = x[target];  // kept, as the exponentials may overwrite it
    const kernels::RowOfLogits<T> row =
        kernels::read_logits(x, classes, terms.class_weights, gradient, context.instruction_set());
    const double log_sum = std::log(static_cast<double>(row.sum));
    losses[n] = wanted * (log_sum + (static_cast<double>(row.maximum) - static_cast<double>(at_target)));
    // Not added where nothing is smoothed: a class ruled out by a logit of -infinity would make it 0 x infinity.
    if (uniform > 0) losses[n] += uniform * (static_cast<double>(row.spread) + log_sum * terms.class_weight_sum);
    if (gradient == nullptr) return;
    const double scale =
        (wanted + uniform * terms.class_weight_sum) / (static_cast<double>(row.sum) * terms.counted_weight);
    kernels::finish_gradient(gradient, classes, terms.class_weights, static_cast<T>(scale),
                             static_cast<T>(uniform / terms.counted_weight), context.instruction_set());
    gradient[target] -= static_cast<T>(wanted / terms.counted_weight);
  };
  context.parallel_for(logits.rows(), 20.0 * static_cast<double>(logits.size()), one_row);
}

}  // namespace eigenformer::inline EIGENFORMER_ABI
