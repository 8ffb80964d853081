// SPDX-License-Identifier: MIT
// Body for pack.hpp.

namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET {
using namespace simd::EIGENFORMER_TARGET;

/// The tile of a product. Where a multiplication and its addition are two instructions, the sums leave room for what
/// is multiplied, and two rows need the fewest broadcasts.
inline constexpr int gemm_rows = registers >= 32 ? 8 : registers >= 16 ? 4 : 2;
inline constexpr int gemm_vectors = registers >= 16 ? 3 : 4;
/// Columns of a full panel of B.
template <class T>
inline constexpr Index gemm_columns = gemm_vectors* Vec<T>::lanes;

/// The work of a product as Context::parallel_for counts: vectors do more in the time that a thread takes to wake.
template <class T>
double product_operations(Index rows, Index columns, Index depth) {
  return static_cast<double>(rows * columns) * static_cast<double>(depth) * 16 / Vec<T>::lanes;
}

/// `columns` rounded up to whole vectors: the distance between the steps of a packed panel.
template <class T>
EIGENFORMER_INLINE Index panel_stride(Index columns) {
  return (columns + Vec<T>::lanes - 1) / Vec<T>::lanes * Vec<T>::lanes;
}

/// One vector of columns, whose elements of one column lie together in memory: lanes x lanes blocks are transposed in
/// registers.
template <class T, class Stored>
void pack_column_vector(const Stored* from, Index column_stride, Index depth, Index columns, T* to, Index to_stride) {
  constexpr int lanes = Vec<T>::lanes;
  for (Index k = 0; k < depth; k += lanes) {
    const Index steps = depth - k < lanes ? depth - k : lanes;
    Vec<T> block[lanes];
    if (steps == lanes && columns == lanes) {
#pragma GCC unroll 16
      for (int j = 0; j < lanes; ++j) block[j] = Vec<T>::load(from + j * column_stride + k);
    } else {
      const Mask<T> present = first_lanes<T>(steps);
      for (int j = 0; j < lanes; ++j) {
        block[j] = j < columns ? Vec<T>::load(from + j * column_stride + k, present) : Vec<T>::zero();
      }
    }
    transpose(block);
    if (steps == lanes) {
#pragma GCC unroll 16
      for (int i = 0; i < lanes; ++i) block[i].store(to + (k + i) * to_stride);
    } else {
      for (int i = 0; i < steps; ++i) block[i].store(to + (k + i) * to_stride);
    }
  }
}

/// Rows of columns that lie together, copied row by row: each row may begin a new page, so rows are asked for ahead.
template <int Vectors, class T, class Stored>
EIGENFORMER_INLINE void pack_rows(const Stored* from, Index row_stride, Index depth, T* to) {
  constexpr Index lanes = Vec<T>::lanes;
  constexpr Index line_distance = 16;
  constexpr Index in_line = 64 / static_cast<Index>(sizeof(Stored));
  for (Index k = 0; k < depth; ++k) {
    const Stored* const row = from + k * row_stride;
#pragma GCC unroll 8
    for (Index n = 0; n < Vectors * lanes; n += in_line) __builtin_prefetch(row + line_distance * row_stride + n);
#pragma GCC unroll 8
    for (Index v = 0; v < Vectors; ++v) Vec<T>::load(row + v * lanes).store(to + k * Vectors * lanes + v * lanes);
  }
}
/// The same where the last vector may not be full.
template <class T, class Stored>
void pack_some_rows(const Stored* from, Index row_stride, Index depth, Index columns, T* to) {
  constexpr Index lanes = Vec<T>::lanes;
  const Index stride = panel_stride<T>(columns);
  for (Index n = 0; n < columns; n += lanes) {
    const Mask<T> present = first_lanes<T>(columns - n < lanes ? columns - n : lanes);
    for (Index k = 0; k < depth; ++k) Vec<T>::load(from + k * row_stride + n, present).store(to + k * stride + n);
  }
}

/// to[k * panel_stride(columns) + n] = from(k, n), zeros after the last column, so that a Tile may load whole vectors.
/// What is stored in half precision is widened on the way.   from: [depth, columns]
template <class T, class Stored = T>
void pack_panel(const Operand<Stored>& from, Index depth, Index columns, T* to) {
  constexpr Index lanes = Vec<T>::lanes;
  const Index stride = panel_stride<T>(columns);
  if (from.column_stride == 1) {
    switch (columns % lanes == 0 ? columns / lanes : 0) {
      case 1: return pack_rows<1>(from.data, from.row_stride, depth, to);
      case 2: return pack_rows<2>(from.data, from.row_stride, depth, to);
      case 3: return pack_rows<3>(from.data, from.row_stride, depth, to);
      case 4: return pack_rows<4>(from.data, from.row_stride, depth, to);
      default: return pack_some_rows(from.data, from.row_stride, depth, columns, to);
    }
  }
  for (Index n = 0; n < columns; n += lanes) {
    const Index present = columns - n < lanes ? columns - n : lanes;
    const Stored* const source = from.data + n * from.column_stride;
    if (from.row_stride == 1) {
      pack_column_vector<T>(source, from.column_stride, depth, present, to + n, stride);
    } else {
      for (Index k = 0; k < depth; ++k) {
        for (Index j = 0; j < lanes; ++j) {
          to[k * stride + n + j] =
              j < present ? widened<T>(source[k * from.row_stride + j * from.column_stride]) : T(0);
        }
      }
    }
  }
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET
