#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/rows.hpp>
#include <eigenformer/kernels/activation.hpp>
#include <eigenformer/ops/traversal.hpp>

namespace eigenformer::inline EIGENFORMER_ABI {

namespace detail {
/// Scalar operations that an element takes, roughly.
template <class A>
inline constexpr double activation_cost = one_of<A, Identity, Relu, SquaredRelu, HardSwish> ? 4 : 40;
}  // namespace detail

/// y = A(x) at each element, A being one of the types of kernels/activation_types.hpp: Relu, SquaredRelu, Gelu,
/// GeluTanh, Silu, Sigmoid, Tanh, HardSwish, Identity. At most 4 units in the last place from the exact value, also far
/// out on the negative side where GELU and SiLU fall to denormal numbers. A finite x never gives NaN, and infinity only
/// where the value itself is too large; at -infinity GELU, SiLU and hard-swish are 0, their limit.
///   x, y: [..., D]    y may be x itself, but may not overlap it otherwise    throws ShapeError if the shapes differ
///   activate<Gelu, float>(x, y, context);
template <Activation A, class T>
void activate(ConstRowsView<T> x, RowsView<T> y, Context& context) {
  require_rows(x, x.features(), y, x.features(), "activate");
  const auto piece = [&](Index row, Index begin, Index count) {
    kernels::activate<A>(detail::at(x, row, begin), detail::at(y, row, begin), count, context.instruction_set());
  };
  detail::for_each_piece(detail::activation_cost<A>, context, piece, x, y);
}

/// dx = dy A'(x) at each element. At the corners of ReLU and hard-swish the derivative is PyTorch's: 0 at ReLU's 0 and
/// hard-swish's -3, 1 at hard-swish's 3.
///   x, dy, dx: [..., D]    dx may be dy or x itself    throws ShapeError if the shapes differ
template <Activation A, class T>
void activate_backward(ConstRowsView<T> x, ConstRowsView<T> dy, RowsView<T> dx, Context& context) {
  require_rows(x, x.features(), dy, x.features(), "activate_backward", "x", "dy");
  require_rows(x, x.features(), dx, x.features(), "activate_backward", "x", "dx");
  const auto piece = [&](Index row, Index begin, Index count) {
    kernels::activate_backward<A>(detail::at(x, row, begin), detail::at(dy, row, begin), detail::at(dx, row, begin),
                                  count, context.instruction_set());
  };
  detail::for_each_piece(detail::activation_cost<A>, context, piece, x, dy, dx);
}

}  // namespace eigenformer::inline EIGENFORMER_ABI
