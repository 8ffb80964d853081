// SPDX-License-Identifier: MIT
// Body for tile_test.cpp: a tile of every shape that products use.

namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET {
using namespace simd::EIGENFORMER_TARGET;

template <class T, int Rows, int Vectors>
void probe_one_tile(TileProbe<T>& probe) {
  probe.rows = Rows;
  probe.columns = Vectors * Vec<T>::lanes;
  Tile<T, Rows, Vectors> tile;
  if (probe.from_c) {
    tile.load(probe.c, probe.c_stride);
  } else {
    tile.zero();
  }
  tile.add_product(probe.a, probe.a_row, probe.a_step, probe.b, probe.b_step, probe.depth);
  tile.store(probe.c, probe.c_stride);
}

template <class T>
void probe_tile(TileProbe<T>& probe, int shape) {
  switch (shape) {
    case 0: return probe_one_tile<T, tile_rows, tile_vectors>(probe);
    case 1: return probe_one_tile<T, 4, 2>(probe);
    case 2: return probe_one_tile<T, 1, 1>(probe);
    default: return probe_one_tile<T, 6, 2>(probe);
  }
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET
