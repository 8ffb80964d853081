// SPDX-License-Identifier: MIT
// Body for attention.hpp: the products of attention on packed panels.

namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET::attention {

/// How the left factor of a product lies: its depth contiguous (keys times queries) or its rows (values times weights).
struct DepthContiguous {
  static constexpr Index row(Index stride) { return stride; }
  static constexpr Index step(Index) { return 1; }
};
struct RowsContiguous {
  static constexpr Index row(Index) { return 1; }
  static constexpr Index step(Index stride) { return stride; }
};

/// c = a b,  c += a b,  or c = c correction + a b with one correction per column.
struct Overwrite {
  template <class T>
  EIGENFORMER_INLINE void operator()(T* c, Vec<T> sum, Index) const {
    sum.store(c);
  }
};
struct Accumulate {
  template <class T>
  EIGENFORMER_INLINE void operator()(T* c, Vec<T> sum, Index) const {
    (Vec<T>::load(c) + sum).store(c);
  }
};
template <class T>
struct Rescale {
  const T* correction;
  EIGENFORMER_INLINE void operator()(T* c, Vec<T> sum, Index column) const {
    fma(Vec<T>::load(c), Vec<T>::load(correction + column), sum).store(c);
  }
};

template <class T>
struct Factor {
  const T* data;
  Index stride;
};

/// c [rows, Vectors * lanes] from a [rows, depth] and b [depth, Vectors * lanes]; rows is a multiple of tile_rows.
template <class T, int Vectors, class Left, class Store>
void product(Index rows, Index depth, Factor<T> a, Factor<T> b, T* c, Index c_stride, Store store) {
  for (Index row = 0; row < rows; row += tile_rows) {
    Tile<T, tile_rows, Vectors> tile;
    tile.zero();
    tile.add_product(a.data + row * Left::row(a.stride), Left::row(a.stride), Left::step(a.stride), b.data, b.stride,
                     depth);
#pragma GCC unroll 8
    for (int r = 0; r < tile_rows; ++r) {
#pragma GCC unroll 3
      for (int v = 0; v < Vectors; ++v) store(c + (row + r) * c_stride + v * lanes<T>, tile.sum[r][v], v * lanes<T>);
    }
  }
}

template <class T, class Left, class Store>
void product(int vectors, Index rows, Index depth, Factor<T> a, Factor<T> b, T* c, Index c_stride, Store store) {
  switch (vectors) {
    case 1: return product<T, 1, Left>(rows, depth, a, b, c, c_stride, store);
    case 2: return product<T, 2, Left>(rows, depth, a, b, c, c_stride, store);
    default: return product<T, 3, Left>(rows, depth, a, b, c, c_stride, store);
  }
}

/// Up to which row each vector of a panel's columns is wanted; never decreasing. Under a causal mask, rows near the
/// diagonal concern the last vectors only.
struct LiveRows {
  Index end[tile_vectors];
};

/// Scores c [rows, vectors * lanes] = keys queries, as far as they are wanted; whole tiles of keys are read.
template <class T>
void product_of_scores(int vectors, const LiveRows& live, Index depth, Factor<T> keys, Factor<T> queries, T* c) {
  Index row = 0;
  for (int v = 0; v < vectors; ++v) {
    const Index end = round_up(live.end[v], tile_rows);
    if (end <= row) continue;
    product<T, DepthContiguous>(vectors - v, end - row, depth, {keys.data + row * keys.stride, keys.stride},
                                {queries.data + v * lanes<T>, queries.stride}, c + row * queries.stride + v * lanes<T>,
                                queries.stride, Overwrite{});
    row = end;
  }
}

/// c [rows, Vectors * lanes] from values [depth, rows] transposed and weights [depth, Vectors * lanes], of which those
/// behind live.end are not read and count as 0.
template <class T, int Vectors, class Store>
void product_of_weights(const LiveRows& live, Index rows, Factor<T> values, Factor<T> weights, T* c, Store store) {
  for (Index row = 0; row < rows; row += tile_rows) {
    Tile<T, tile_rows, Vectors> tile;
    tile.zero();
    const T* a = values.data + row;
    tile.add_product(a, 1, values.stride, weights.data, weights.stride, live.end[0]);
    if constexpr (Vectors > 1) {
      const Index from = live.end[0];
      tile.template add_product<1>(a + from * values.stride, 1, values.stride, weights.data + from * weights.stride,
                                   weights.stride, live.end[1] - from);
    }
    if constexpr (Vectors > 2) {
      const Index from = live.end[1];
      tile.template add_product<2>(a + from * values.stride, 1, values.stride, weights.data + from * weights.stride,
                                   weights.stride, live.end[Vectors - 1] - from);
    }
#pragma GCC unroll 8
    for (int r = 0; r < tile_rows; ++r) {
#pragma GCC unroll 3
      for (int v = 0; v < Vectors; ++v) {
        store(c + (row + r) * weights.stride + v * lanes<T>, tile.sum[r][v], v * lanes<T>);
      }
    }
  }
}
template <class T, class Store>
void product_of_weights(int vectors, const LiveRows& live, Index rows, Factor<T> values, Factor<T> weights, T* c,
                        Store store) {
  switch (vectors) {
    case 1: return product_of_weights<T, 1>(live, rows, values, weights, c, store);
    case 2: return product_of_weights<T, 2>(live, rows, values, weights, c, store);
    default: return product_of_weights<T, tile_vectors>(live, rows, values, weights, c, store);
  }
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET::attention
