#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/tokens.hpp>
#include <eigenformer/ops/cross_entropy_rows.hpp>

namespace eigenformer::inline EIGENFORMER_ABI {

template <class T>
struct CrossEntropyOptions {
  std::int32_t ignore_index = -100;       ///< targets that do not count
  double label_smoothing = 0;             ///< in [0, 1]
  std::span<const T> class_weights = {};  ///< [V], none of them negative; empty for ones
};

/// What cross_entropy returns.
struct CrossEntropyLoss {
  double mean = 0;    ///< in nats; 0 if nothing was counted
  double weight = 0;  ///< the number of counted targets, or the sum of their class weights: what the mean is taken over
};

namespace detail {

template <class T>
CrossEntropyTerms<T> checked_terms(const ConstRowsView<T>& logits, const TokensView& targets,
                                   const CrossEntropyOptions<T>& options) {
  constexpr std::string_view block = "cross_entropy";
  const Index classes = logits.features();
  const bool weighted = !options.class_weights.empty();
  require(classes >= 1, block, "expected at least 1 class, got logits of shape ", logits.shape());
  require(targets.size() == logits.rows(), block, "expected ", logits.rows(), " targets for logits of shape ",
          logits.shape(), ", got ", targets.size());
  require<OptionError>(options.label_smoothing >= 0 && options.label_smoothing <= 1, block,
                       "expected label_smoothing in 0 .. 1, got ", options.label_smoothing);
  require(!weighted || static_cast<Index>(options.class_weights.size()) == classes, block, "expected ", classes,
          " class_weights for logits of shape ", logits.shape(), ", got ", options.class_weights.size());
  CrossEntropyTerms<T> terms{options.ignore_index, options.label_smoothing, nullptr, static_cast<double>(classes), 0};
  if (weighted) {
    terms.class_weights = options.class_weights.data();
    terms.class_weight_sum = 0;
    for (std::size_t c = 0; c < options.class_weights.size(); ++c) {
      require<OptionError>(options.class_weights[c] >= 0, block, "expected class_weights of at least 0, got ",
                           options.class_weights[c], " at position ", c);
      terms.class_weight_sum += static_cast<double>(options.class_weights[c]);
    }
  }
  for (Index n = 0; n < targets.size(); ++n) {
    if (targets[n] == options.ignore_index) continue;
    require<ValueError>(targets[n] >= 0 && targets[n] < classes, block, "expected targets in 0 .. ", classes - 1,
                        " or ", options.ignore_index, ", got ", targets[n], " at position ", n);
    terms.counted_weight +=
        weighted ? static_cast<double>(options.class_weights[static_cast<std::size_t>(targets[n])]) : 1.0;
  }
  return terms;
}

/// The weight zero leaves nothing to take a mean of; the rows themselves are zero then.
template <class T>
CrossEntropyLoss mean_cross_entropy(const ConstRowsView<T>& logits, const TokensView& targets, RowsView<T>* dlogits,
                                    const CrossEntropyOptions<T>& options, Context& context) {
  CrossEntropyTerms<T> terms = checked_terms(logits, targets, options);
  const double weight = terms.counted_weight;
  if (!(weight > 0)) {
    if (dlogits != nullptr) dlogits->setZero();
    return {};
  }
  ProfileScope profile(context, "cross_entropy");
  ScratchScope scratch(context.scratch());
  double* const losses = scratch.take<double>(logits.rows());
  cross_entropy_rows(logits, targets.data(), terms, losses, dlogits, context);
  double sum = 0;  // row after row, so that threads make no difference
  for (Index n = 0; n < logits.rows(); ++n) sum += losses[n];
  return {sum / weight, weight};
}

}  // namespace detail

/// Mean negative log-likelihood of the targets under softmax(logits), label smoothing and class weights as PyTorch's
/// cross_entropy with reduction "mean" (the formula is with cross_entropy_rows). If every target is ignored, or all
/// that count weigh nothing, the loss is 0, where PyTorch has NaN. Logits that are not finite make the loss NaN or
/// infinite.
///   logits: [..., V], N rows in all   targets: N of them, of any shape, in 0 .. V - 1 or ignore_index
///   throws ShapeError, OptionError, and ValueError for a target out of range, which names its position
template <class T>
CrossEntropyLoss cross_entropy(ConstRowsView<T> logits, TokensView targets, Context& context,
                               const CrossEntropyOptions<T>& options = {}) {
  return detail::mean_cross_entropy<T>(logits, targets, nullptr, options, context);
}

/// The same, and dlogits = the gradient of the mean, in the same pass. dlogits may be the logits themselves.
///   dlogits: [..., V], N rows
template <class T>
CrossEntropyLoss cross_entropy(ConstRowsView<T> logits, TokensView targets, RowsView<T> dlogits, Context& context,
                               const CrossEntropyOptions<T>& options = {}) {
  require_rows(logits, logits.features(), dlogits, logits.features(), "cross_entropy", "logits", "dlogits");
  return detail::mean_cross_entropy<T>(logits, targets, &dlogits, options, context);
}

}  // namespace eigenformer::inline EIGENFORMER_ABI
