#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/half.hpp>
#include <eigenformer/core/shape.hpp>

namespace eigenformer::inline EIGENFORMER_ABI::kernels {

/// A matrix to read: element (i, j) is data[i * row_stride + j * column_stride].
template <class T>
struct Operand {
  const T* data;
  Index row_stride;
  Index column_stride;
};

/// A row-major matrix whose rows are `stride` elements apart.
template <class T>
Operand<T> plain(const T* data, Index stride) {
  return {data, stride, 1};
}

/// The transpose of a row-major matrix whose rows are `stride` elements apart.
template <class T>
Operand<T> transposed(const T* data, Index stride) {
  return {data, 1, stride};
}

/// What becomes of the numbers that are where a product is written.
enum class Destination { overwrite, accumulate };

/// C = A B or C += A B.   a: [rows, depth]   b: [depth, columns]   c: [rows, columns], row-major, overlapping neither
/// With depth 0 the product is zero. Dimensions are checked by the caller. B may be stored in half precision: its
/// elements are widened to T when they are loaded, so the result has the bits of the product with the widened matrix.
template <class T, class Stored = T>
struct Product {
  static_assert(StorageOf<Stored, T>,
                "a product is computed in float or double; B is stored in that or in half precision");
  Index rows;
  Index columns;
  Index depth;
  Operand<T> a;       ///< [rows, depth]
  Operand<Stored> b;  ///< [depth, columns]
  T* c;               ///< [rows, columns]
  Index c_stride;
  Destination destination = Destination::overwrite;  ///< whether C is written or added to
};

/// The epilogue of a product that adds bias[column] to every row, or nothing where there is no bias.
///
/// An epilogue is applied to each element once, after its sum is complete and before it is stored. It is any trivially
/// copyable type E with two overloads in the namespace simd:: of the target, given by a kernel body that is included before use:
///   Vec<T> finish(const E&, Vec<T> sum, Index column)                   for columns column .. column + lanes - 1
///   Vec<T> finish(const E&, Vec<T> sum, Index column, Mask<T> present)  where only the lanes present may be looked at
template <class T>
struct AddBias {
  const T* bias = nullptr;
};

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels
