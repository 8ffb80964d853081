#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/ops/activation.hpp>

namespace eigenformer::inline EIGENFORMER_ABI {

/// y = A(gate) up at each element: the gated linear unit of A (Dauphin et al. 2017; Shazeer 2020, "GLU Variants Improve
/// Transformer"): sigmoid gives GLU, Gelu GEGLU, Silu SwiGLU, Identity the bilinear unit. `gate` and `up` may be the
/// two halves of one tensor's rows.
///   gate, up, y: [..., D]    y may be gate or up itself    throws ShapeError if the shapes differ
template <Activation A, class T>
void gated(ConstRowsView<T> gate, ConstRowsView<T> up, RowsView<T> y, Context& context) {
  require_rows(gate, gate.features(), up, gate.features(), "gated", "gate", "up");
  require_rows(gate, gate.features(), y, gate.features(), "gated", "gate", "y");
  const auto piece = [&](Index row, Index begin, Index count) {
    kernels::gated<A>(detail::at(gate, row, begin), detail::at(up, row, begin), detail::at(y, row, begin), count,
                      context.instruction_set());
  };
  detail::for_each_piece(detail::activation_cost<A>, context, piece, gate, up, y);
}

/// dgate = dy up A'(gate),  dup = dy A(gate), in one pass.
///   gate, up, dy, dgate, dup: [..., D]    dgate and dup may each be gate, up or dy itself, but not one another
///   throws ShapeError if the shapes differ
template <Activation A, class T>
void gated_backward(ConstRowsView<T> gate, ConstRowsView<T> up, ConstRowsView<T> dy, RowsView<T> dgate, RowsView<T> dup,
                    Context& context) {
  constexpr std::string_view name = "gated_backward";
  require_rows(gate, gate.features(), up, gate.features(), name, "gate", "up");
  require_rows(gate, gate.features(), dy, gate.features(), name, "gate", "dy");
  require_rows(gate, gate.features(), dgate, gate.features(), name, "gate", "dgate");
  require_rows(gate, gate.features(), dup, gate.features(), name, "gate", "dup");
  const auto piece = [&](Index row, Index begin, Index count) {
    kernels::gated_backward<A>(detail::at(gate, row, begin), detail::at(up, row, begin), detail::at(dy, row, begin),
                               detail::at(dgate, row, begin), detail::at(dup, row, begin), count,
                               context.instruction_set());
  };
  detail::for_each_piece(2 * detail::activation_cost<A>, context, piece, gate, up, dy, dgate, dup);
}

}  // namespace eigenformer::inline EIGENFORMER_ABI
