#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/rows.hpp>
#include <eigenformer/ops/traversal.hpp>

#include <type_traits>

namespace eigenformer::inline EIGENFORMER_ABI {

/// y = scale x + f, the sum around a residual branch.   x, f, y: [..., D]; y may be x or f itself, but may not overlap
/// them otherwise    throws ShapeError if the shapes differ
template <class T>
void residual(ConstRowsView<T> x, ConstRowsView<T> f, RowsView<T> y, Context& context,
              std::type_identity_t<T> scale = 1) {
  require_rows(x, x.features(), f, x.features(), "residual", "x", "f");
  require_rows(x, x.features(), y, x.features(), "residual");
  using Numbers = Eigen::Array<T, Eigen::Dynamic, 1>;
  const auto piece = [&](Index row, Index begin, Index count) {
    Eigen::Map<Numbers>(detail::at(y, row, begin), count) =
        scale * Eigen::Map<const Numbers>(detail::at(x, row, begin), count) +
        Eigen::Map<const Numbers>(detail::at(f, row, begin), count);
  };
  detail::for_each_piece(1, context, piece, x, f, y);
}

}  // namespace eigenformer::inline EIGENFORMER_ABI
