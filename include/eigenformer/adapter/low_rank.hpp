#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/linear/linear.hpp>

namespace eigenformer::inline EIGENFORMER_ABI {

// The products of low-rank adapters, added to what is there.
//   A: [rank, in]    B: [out, rank]    h: [N, rank]

/// h = scale x A^T.   x: [N, in]
template <class T>
void low_rank_down(ConstRowsView<T> x, ConstRowsView<T> a, T scale, RowsView<T> h, Context& context) {
  linear<T>(x, a, {}, h, context);
  h *= scale;
}

/// y += h B^T.   y: [N, out]
template <class T>
void low_rank_up(ConstRowsView<T> h, ConstRowsView<T> b, RowsView<T> y, Context& context) {
  kernels::gemm<T>({.rows = h.rows(),
                    .columns = b.rows(),
                    .depth = h.features(),
                    .a = kernels::plain(h.data(), h.stride()),
                    .b = kernels::transposed(b.data(), b.stride()),
                    .c = y.data(),
                    .c_stride = y.stride(),
                    .destination = kernels::Destination::accumulate},
                   context);
}

/// dx += dy W: dh A, and B A itself.   dy: [N, out]    weight: [out, in]    dx: [N, in]
template <class T, class Storage = T>
void add_product(ConstRowsView<T> dy, ConstRowsView<std::type_identity_t<Storage>> weight, RowsView<T> dx,
                 Context& context) {
  linear_backward_input<T, Storage>(dy, weight, dx, context, kernels::Destination::accumulate);
}

}  // namespace eigenformer::inline EIGENFORMER_ABI
