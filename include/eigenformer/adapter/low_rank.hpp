#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/linear/linear.hpp>

namespace eigenformer::inline EIGENFORMER_ABI {

// The products of low-rank adapters, added to what is there.
//   A: [rank, in]    B: [out, rank]    h: [N, rank]

namespace detail {

/// h = scale x A^T with the operand A^T, of which forward has the transpose and backward has the matrix itself.
template <class T>
void to_low_rank(ConstRowsView<T> x, const kernels::Operand<T>& a, T scale, RowsView<T> h, Context& context) {
  constexpr Index narrow = 8;  // measured: up to here faster turned, for more rows than a product of few rows has
  constexpr Index few_rows = 16;
  const kernels::Product<T> product = {.rows = x.rows(),
                                       .columns = h.features(),
                                       .depth = x.features(),
                                       .a = kernels::plain(x.data(), x.stride()),
                                       .b = a,
                                       .c = h.data(),
                                       .c_stride = h.stride()};
  if (h.features() <= narrow && x.rows() > few_rows) {
    kernels::narrow_gemm(product, context);
  } else {
    kernels::gemm(product, context);
  }
  h *= scale;
}

}  // namespace detail

/// h = scale x A^T.   x: [N, in]
template <class T>
void low_rank_down(ConstRowsView<T> x, ConstRowsView<T> a, T scale, RowsView<T> h, Context& context) {
  detail::to_low_rank<T>(x, kernels::transposed(a.data(), a.stride()), scale, h, context);
}
/// dh = scale dy B, behind which A lies.   dy: [N, out]
template <class T>
void low_rank_down_backward(ConstRowsView<T> dy, ConstRowsView<T> b, T scale, RowsView<T> dh, Context& context) {
  detail::to_low_rank<T>(dy, kernels::plain(b.data(), b.stride()), scale, dh, context);
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
