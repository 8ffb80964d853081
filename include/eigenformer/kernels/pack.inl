// SPDX-License-Identifier: MIT
// Body for pack.hpp.

namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET {
using namespace simd::EIGENFORMER_TARGET;

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

/// to[k * panel_stride(columns) + n] = from(k, n), zeros after the last column, so that a Tile may load whole vectors.
/// What is stored in half precision is widened on the way.   from: [depth, columns]
template <class T, class Stored = T>
void pack_panel(const Operand<Stored>& from, Index depth, Index columns, T* to) {
  constexpr Index lanes = Vec<T>::lanes;
  const Index stride = panel_stride<T>(columns);
  for (Index n = 0; n < columns; n += lanes) {
    const Index present = columns - n < lanes ? columns - n : lanes;
    const Stored* const source = from.data + n * from.column_stride;
    if (from.column_stride == 1) {
      const Mask<T> mask = first_lanes<T>(present);
      if (present == lanes) {
        for (Index k = 0; k < depth; ++k) Vec<T>::load(source + k * from.row_stride).store(to + k * stride + n);
      } else {
        for (Index k = 0; k < depth; ++k) Vec<T>::load(source + k * from.row_stride, mask).store(to + k * stride + n);
      }
    } else if (from.row_stride == 1) {
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
