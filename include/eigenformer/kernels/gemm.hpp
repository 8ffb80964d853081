#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/context.hpp>
#include <eigenformer/kernels/epilogue.hpp>
#include <eigenformer/kernels/gemv.hpp>
#include <eigenformer/kernels/lines_ahead.hpp>
#include <eigenformer/kernels/pack.hpp>
#include <eigenformer/kernels/product.hpp>
#include <eigenformer/kernels/tile.hpp>

#define EIGENFORMER_KERNEL <eigenformer/kernels/gemm.inl>
#include <eigenformer/kernels/simd/for_each_target.hpp>

namespace eigenformer::inline EIGENFORMER_ABI::kernels {

/// C = A B or C += A B, then the epilogue, for any strides of A and B: y = x W^T + b is
///   gemm<float>({.rows = tokens, .columns = out, .depth = in, .a = plain(x, in), .b = transposed(w, in),
///                .c = y, .c_stride = out}, context, AddBias<float>{b});
/// A product of few rows reads B as it lies in memory instead of packing it (gemv.hpp). The order of every sum depends
/// on the shape, the strides and the instruction set alone, not on threads or alignment. Allocates nothing after the
/// first call with a shape.
template <class T, class Epilogue = AddBias<T>, class Stored = T>
void gemm(const Product<T, Stored>& product, Context& context, const Epilogue& epilogue = {}) {
  if (product.rows == 0 || product.columns == 0) return;
  EIGENFORMER_DISPATCH(context.instruction_set(), gemm<T>(product, epilogue, context));
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels
