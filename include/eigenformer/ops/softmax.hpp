#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/rows.hpp>
#include <eigenformer/kernels/softmax.hpp>
#include <eigenformer/ops/traversal.hpp>

namespace eigenformer::inline EIGENFORMER_ABI {

namespace detail {

/// Calls body(rows) for blocks of rows of x and y, in parallel. `cost` is the scalar operations that an element takes.
template <class T, class Body>
void for_each_softmax_rows(ConstRowsView<T> x, RowsView<T> y, double cost, Context& context, const Body& body) {
  for_each_row_block(x.rows(), x.features(), cost, context, [&](Index first, Index count) {
    body(first, kernels::SoftmaxRows<T>{.x = at(x, first),
                                        .x_stride = x.stride(),
                                        .y = at(y, first),
                                        .y_stride = y.stride(),
                                        .rows = count,
                                        .features = x.features(),
                                        .home = home_of<T>(x.rows() * x.features())});
  });
}

/// What softmax and its logarithm have in common, forward and backward; `kernel` is theirs.
template <class T>
void softmax_with(void (&kernel)(const kernels::SoftmaxRows<T>&, InstructionSet), ConstRowsView<T> x, RowsView<T> y,
                  Context& context) {
  constexpr double cost = 30;
  for_each_softmax_rows(x, y, cost, context,
                        [&](Index, const kernels::SoftmaxRows<T>& rows) { kernel(rows, context.instruction_set()); });
}
template <class T>
void softmax_backward_with(void (&kernel)(const kernels::SoftmaxBackwardRows<T>&, InstructionSet), double cost,
                           ConstRowsView<T> y, ConstRowsView<T> dy, RowsView<T> dx, Context& context) {
  for_each_softmax_rows(dy, dx, cost, context, [&](Index first, const kernels::SoftmaxRows<T>& gradients) {
    kernel({at(y, first), y.stride(), gradients}, context.instruction_set());
  });
}

}  // namespace detail

/// y_j = exp(x_j) / sum_i exp(x_i) over the last dimension, with the maximum of the row subtracted first, so that no
/// finite logits overflow. A logit of -infinity gets exactly 0; a row of nothing else is all 0, as it attends to
/// nothing. A row that holds NaN or +infinity becomes NaN and leaves the others alone. Width 1 gives 1; width 0 does
/// nothing.
///   x, y: [..., D]    y may be x itself, but may not overlap it otherwise    throws ShapeError if the shapes differ
///   softmax<float>(x, y, context);
template <class T>
void softmax(ConstRowsView<T> x, RowsView<T> y, Context& context) {
  require_rows(x, x.features(), y, x.features(), "softmax");
  detail::softmax_with(kernels::softmax<T>, x, y, context);
}

/// dx_j = y_j (dy_j - sum_i y_i dy_i), with y = softmax(x).
///   y, dy, dx: [..., D]    dx may be dy or y itself    throws ShapeError if the shapes differ
template <class T>
void softmax_backward(ConstRowsView<T> y, ConstRowsView<T> dy, RowsView<T> dx, Context& context) {
  require_rows(y, y.features(), dy, y.features(), "softmax_backward", "y", "dy");
  require_rows(y, y.features(), dx, y.features(), "softmax_backward", "y", "dx");
  detail::softmax_backward_with(kernels::softmax_backward<T>, 4, y, dy, dx, context);
}

}  // namespace eigenformer::inline EIGENFORMER_ABI
