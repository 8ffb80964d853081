#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/ops/softmax.hpp>

namespace eigenformer::inline EIGENFORMER_ABI {

/// y_j = x_j - log sum_i exp(x_i) over the last dimension, with the maximum of the row subtracted first. A logit of
/// -infinity stays so, also in a row of nothing else. A row that holds NaN or +infinity becomes NaN and leaves the
/// others alone. Width 1 gives 0; width 0 does nothing.
///   x, y: [..., D]    y may be x itself, but may not overlap it otherwise    throws ShapeError if the shapes differ
///   log_softmax<float>(x, y, context);
template <class T>
void log_softmax(ConstRowsView<T> x, RowsView<T> y, Context& context) {
  require_rows(x, x.features(), y, x.features(), "log_softmax");
  detail::softmax_with(kernels::log_softmax<T>, x, y, context);
}

/// dx_j = dy_j - exp(y_j) sum_i dy_i, with y = log_softmax(x).
///   y, dy, dx: [..., D]    dx may be dy or y itself    throws ShapeError if the shapes differ
template <class T>
void log_softmax_backward(ConstRowsView<T> y, ConstRowsView<T> dy, RowsView<T> dx, Context& context) {
  require_rows(y, y.features(), dy, y.features(), "log_softmax_backward", "y", "dy");
  require_rows(y, y.features(), dx, y.features(), "log_softmax_backward", "y", "dx");
  detail::softmax_backward_with(kernels::log_softmax_backward<T>, 30, y, dy, dx, context);
}

}  // namespace eigenformer::inline EIGENFORMER_ABI
