// SPDX-License-Identifier: MIT
// Body for tile.hpp.

namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET {
using namespace simd::EIGENFORMER_TARGET;

/// The tile that keeps the multipliers busy: tile_rows x tile_vectors sums, one row of vectors and one broadcast
/// element fit the registers, and there are more sums than the latency of one needs.
inline constexpr int tile_rows = registers >= 32 ? 8 : 4;
inline constexpr int tile_vectors = registers >= 16 ? 3 : 2;

/// Columns of a full tile, and what a panel of packed columns is wide.
template <class T>
inline constexpr Index tile_columns = tile_vectors* Vec<T>::lanes;

/// Rows x (Vectors * lanes) sums in registers: the innermost loop of every matrix product. To be used as a local
/// variable of a function that is compiled for the target; nothing of it may have its address taken.
///
///   Tile<T, 8, 3> tile;
///   tile.zero();                                                 // or tile.load(c, c_stride)
///   tile.add_product(a, a_row, a_step, b, b_step, depth);        // sum[r][n] += sum over k of A(r, k) B(k, n)
///   tile.store(c, c_stride);
///
/// A(r, k) is a[r * a_row + k * a_step], any strides: rows of a matrix with (stride, 1), columns of it with (1,
/// stride). B(k, n) is b[k * b_step + n]: a packed panel, or rows of any matrix that has all Vectors * lanes columns.
/// Every sum is one chain in the order of k, so it depends neither on the tile's shape nor on the element's place in
/// it.
template <class T, int Rows, int Vectors>
struct Tile {
  static constexpr Index lanes = Vec<T>::lanes;
  Vec<T> sum[Rows][Vectors];

  EIGENFORMER_INLINE void zero() {
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 8
      for (int v = 0; v < Vectors; ++v) sum[r][v] = Vec<T>::zero();
    }
  }

  /// Of the vectors from `First` on.
  template <int First = 0>
  EIGENFORMER_INLINE void add_product(const T* a, Index a_row, Index a_step, const T* b, Index b_step, Index depth) {
#pragma GCC unroll 4
    for (Index k = 0; k < depth; ++k) {
      Vec<T> row[Vectors];
#pragma GCC unroll 8
      for (int v = First; v < Vectors; ++v) row[v] = Vec<T>::load(b + v * lanes);
#pragma GCC unroll 16
      for (int r = 0; r < Rows; ++r) {
        const Vec<T> x = Vec<T>::broadcast(a[r * a_row]);
#pragma GCC unroll 8
        for (int v = First; v < Vectors; ++v) sum[r][v] = fma(x, row[v], sum[r][v]);
      }
      a += a_step;
      b += b_step;
    }
  }

  EIGENFORMER_INLINE void load(const T* c, Index c_stride) {
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 8
      for (int v = 0; v < Vectors; ++v) sum[r][v] = Vec<T>::load(c + r * c_stride + v * lanes);
    }
  }

  EIGENFORMER_INLINE void add(const T* c, Index c_stride) {
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 8
      for (int v = 0; v < Vectors; ++v) sum[r][v] = sum[r][v] + Vec<T>::load(c + r * c_stride + v * lanes);
    }
  }

  EIGENFORMER_INLINE void store(T* c, Index c_stride) const {
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 8
      for (int v = 0; v < Vectors; ++v) sum[r][v].store(c + r * c_stride + v * lanes);
    }
  }
};

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET
