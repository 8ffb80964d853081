#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/rows.hpp>
#include <eigenformer/kernels/softmax.hpp>
#include <eigenformer/ops/traversal.hpp>

namespace eigenformer::inline EIGENFORMER_ABI {

/// y_j = exp(x_j) / sum_i exp(x_i) over the last dimension, with the maximum of the row subtracted first, so that no
/// finite logits overflow. A logit of -infinity gets exactly 0; a row of nothing else is all 0, as it attends to
/// nothing. A row that holds NaN or +infinity becomes NaN and leaves the others alone. Width 1 gives 1; width 0 does
/// nothing.
///   x, y: [..., D]    y may be x itself, but may not overlap it otherwise    throws ShapeError if the shapes differ
///   softmax<float>(x, y, context);
template <class T>
void softmax(ConstRowsView<T> x, RowsView<T> y, Context& context) {
  require_rows(x, x.features(), y, x.features(), "softmax");
  detail::for_each_row_block(x.rows(), x.features(), 30, context, [&](Index first, Index count) {
    kernels::softmax(kernels::SoftmaxRows<T>{.x = detail::at(x, first),
                                             .x_stride = x.stride(),
                                             .y = detail::at(y, first),
                                             .y_stride = y.stride(),
                                             .rows = count,
                                             .features = x.features()},
                     context.instruction_set());
  });
}

/// dx_j = y_j (dy_j - sum_i y_i dy_i), with y = softmax(x).
///   y, dy, dx: [..., D]    dx may be dy or y itself    throws ShapeError if the shapes differ
template <class T>
void softmax_backward(ConstRowsView<T> y, ConstRowsView<T> dy, RowsView<T> dx, Context& context) {
  require_rows(y, y.features(), dy, y.features(), "softmax_backward", "y", "dy");
  require_rows(y, y.features(), dx, y.features(), "softmax_backward", "y", "dx");
  const InstructionSet set =
      detail::for_streams(context.instruction_set(), y.rows() * y.features() * static_cast<Index>(sizeof(T)));
  detail::for_each_row_block(y.rows(), y.features(), 4, context, [&](Index first, Index count) {
    kernels::softmax_backward(kernels::SoftmaxBackwardRows<T>{.y = detail::at(y, first),
                                                              .y_stride = y.stride(),
                                                              .dy = detail::at(dy, first),
                                                              .dy_stride = dy.stride(),
                                                              .dx = detail::at(dx, first),
                                                              .dx_stride = dx.stride(),
                                                              .rows = count,
                                                              .features = y.features()},
                              set);
  });
}

}  // namespace eigenformer::inline EIGENFORMER_ABI
