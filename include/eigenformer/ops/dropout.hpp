#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/rows.hpp>
#include <eigenformer/kernels/dropout.hpp>
#include <eigenformer/ops/traversal.hpp>

namespace eigenformer::inline EIGENFORMER_ABI {

/// y = x / (1 - rate) where the draw of a number's row and feature keeps it, else 0, whatever x is there. The seed and that
/// position alone decide, not threads, strides or the instruction set, and float and double drop the same. Where nothing
/// is dropped, y is x to the bit.
///   x, y: [..., D]    y may be x itself, but may not overlap it otherwise
///   throws OptionError for a rate outside [0, 1), ShapeError if the shapes differ; before anything is written
///   dropout<float>(x, y, {.rate = 0.1, .seed = context.random().bits()}, context);
template <class T>
void dropout(ConstRowsView<T> x, RowsView<T> y, const Dropout& options, Context& context) {
  require_dropout(options.rate, "dropout");
  require_rows(x, x.features(), y, x.features(), "dropout");
  const kernels::DropoutRule<T> rule(options);
  constexpr double cost = 4;
  detail::for_each_row_block(x.rows(), x.features(), cost, context, [&](Index first, Index count) {
    for (Index row = first; row < first + count; ++row) {
      kernels::drop<T>(detail::at(x, row), detail::at(y, row), x.features(),
                       kernels::DropoutStream::of(options.seed, 0, 0, row), 0, rule, context.instruction_set());
    }
  });
}

/// dx = dy / (1 - rate) where forward with the same rate and seed kept a number, else 0: forward of dy.
///   dy, dx: [..., D]    dx may be dy itself    throws what dropout throws
template <class T>
void dropout_backward(ConstRowsView<T> dy, RowsView<T> dx, const Dropout& options, Context& context) {
  require_rows(dy, dy.features(), dx, dy.features(), "dropout_backward", "dy", "dx");
  dropout<T>(dy, dx, options, context);
}

}  // namespace eigenformer::inline EIGENFORMER_ABI
