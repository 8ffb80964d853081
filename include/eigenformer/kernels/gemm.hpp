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

/// A matrix [depth, columns] packed once for many products, in the order in which the tiles of one instruction set read
/// it. The memory is the caller's: panels_size<T>(...) elements at the start of a cache line.
template <class T>
struct Panels {
  const T* data = nullptr;
  InstructionSet instruction_set = InstructionSet::portable;
};

/// Elements of the panels of a matrix [depth, columns]: its own, and up to a vector more for each step of the depth.
template <class T>
Index panels_size(Index depth, Index columns, InstructionSet instruction_set) {
  EIGENFORMER_DISPATCH(instruction_set, panels_size<T>(depth, columns));
}

/// Packs b [depth, columns] for the instruction set into panels_size<T>(...) elements. What is stored in half precision
/// is widened.
template <class T, class Stored = T>
void pack_panels(const Operand<Stored>& b, Index depth, Index columns, T* to, InstructionSet instruction_set) {
  EIGENFORMER_DISPATCH(instruction_set, pack_panels<T>(b, depth, columns, to));
}

/// The same product, to the bit, with the panels of its B, which save packing it. Where they are of no use, for few
/// rows or a Context with another instruction set than theirs, B is read as it lies.
template <class T, class Epilogue = AddBias<T>, class Stored = T>
void gemm(const Product<T, Stored>& product, const Panels<T>& panels, Context& context, const Epilogue& epilogue = {}) {
  if (product.rows == 0 || product.columns == 0) return;
  if (panels.instruction_set != context.instruction_set()) return gemm(product, context, epilogue);
  EIGENFORMER_DISPATCH(context.instruction_set(), gemm_of_panels<T>(product, panels.data, epilogue, context));
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels
