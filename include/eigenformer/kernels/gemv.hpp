#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/context.hpp>
#include <eigenformer/kernels/epilogue.hpp>
#include <eigenformer/kernels/pack.hpp>
#include <eigenformer/kernels/product.hpp>

#define EIGENFORMER_KERNEL <eigenformer/kernels/gemv.inl>
#include <eigenformer/kernels/simd/for_each_target.hpp>

namespace eigenformer::inline EIGENFORMER_ABI::kernels {

/// A product of one or a few rows with a large matrix: B is read once and as it lies in memory, so the time is that of
/// reading B. The rows or the columns of B must be contiguous (one of its strides is 1). Same contract as `gemm`, which
/// comes here by itself; allocates nothing after the first call with a shape.
template <class T, class Epilogue = AddBias<T>, class Stored = T>
void gemv(const Product<T, Stored>& product, Context& context, const Epilogue& epilogue = {}) {
  EIGENFORMER_DISPATCH(context.instruction_set(), gemv<T>(product, epilogue, context));
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels
