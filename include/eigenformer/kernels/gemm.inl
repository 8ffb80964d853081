// SPDX-License-Identifier: MIT
// Body for gemm.hpp. The plan is that of Goto & van de Geijn (2008), "Anatomy of high-performance matrix
// multiplication", with one change: a worker packs a few panels of B just before it uses them, so that they are read
// from its own cache.

namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET {
using namespace simd::EIGENFORMER_TARGET;

/// Where the product is cut. The sums are cut along the depth only here, whatever the threads, so that results do not
/// depend on them.
template <class T>
struct GemmBlocks {
  static constexpr Index depth = 512;          ///< longest part of a sum: longer ones gain nothing
  static constexpr Index group = 2;            ///< panels that are packed together: they fit the second cache
  static constexpr Index rows = 4096;          ///< rows of A copied at a time
  static constexpr Index rows_of_a_copy = 64;  ///< rows that one thread copies at a time

  /// Parts of equal length rather than full ones and a short rest.
  static Index part(Index whole) {
    const Index parts = (whole + depth - 1) / depth;
    return parts <= 1 ? whole : ((whole + parts - 1) / parts + 7) / 8 * 8;
  }
};

/// The block of A in work: its rows in groups of tile_rows, whose first element is at data + group * tile_rows * row.
template <class T>
struct RowPanels {
  const T* data;
  Index row_group;  ///< from one group of tile_rows rows to the next
  Index row;        ///< from row to row inside a group
  Index step;       ///< from one k to the next
};

/// What the tiles of one packed panel have in common.
template <class T>
struct PanelProduct {
  RowPanels<T> a;
  const T* b;
  Index b_step;
  Index depth;
  T* c;
  Index c_stride;
  Index columns;       ///< that exist; the panel is zero beyond
  Index first_column;  ///< in the whole product, for the epilogue
  bool adds;           ///< to what is in c
  bool completes;      ///< the sums, so the epilogue is due
};

/// Writes a tile whose last columns do not exist.
template <class T, class Epilogue>
[[gnu::noinline]] void store_edge(const PanelProduct<T>& panel, const T* sums, Index row, int rows,
                                  const Epilogue& epilogue) {
  constexpr Index lanes = Vec<T>::lanes;
  for (int r = 0; r < rows; ++r) {
    T* const c = panel.c + (row + r) * panel.c_stride;
    for (Index n = 0; n < panel.columns; n += lanes) {
      const Mask<T> present = first_lanes<T>(panel.columns - n < lanes ? panel.columns - n : lanes);
      Vec<T> sum = Vec<T>::load(sums + r * panel.b_step + n);
      if (panel.adds) sum = Vec<T>::load(c + n, present) + sum;
      if (panel.completes) sum = finish(epilogue, sum, panel.first_column + n, present);
      sum.store(c + n, present);
    }
  }
}

template <class T, int Rows, int Vectors, class Epilogue>
EIGENFORMER_INLINE void multiply_tile(const PanelProduct<T>& panel, Index row, const Epilogue& epilogue) {
  constexpr Index lanes = Vec<T>::lanes;
  T* const c = panel.c + row * panel.c_stride;
  const T* const a = panel.a.data + row / tile_rows * panel.a.row_group + row % tile_rows * panel.a.row;
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) __builtin_prefetch(c + r * panel.c_stride + v * lanes, 1);
  }
  Tile<T, Rows, Vectors> tile;
  tile.zero();
  tile.add_product(a, panel.a.row, panel.a.step, panel.b, Vectors * lanes, panel.depth);
  if (panel.columns < Vectors * lanes) {
    T sums[Rows * Vectors * lanes];
    tile.store(sums, Vectors * lanes);
    store_edge(panel, sums, row, Rows, epilogue);
    return;
  }
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) {
      T* const to = c + r * panel.c_stride + v * lanes;
      if (panel.adds) tile.sum[r][v] = Vec<T>::load(to) + tile.sum[r][v];
      if (panel.completes) tile.sum[r][v] = finish(epilogue, tile.sum[r][v], panel.first_column + v * lanes);
      tile.sum[r][v].store(to);
    }
  }
}

template <class T, int Vectors, class Epilogue>
void multiply_panel(const PanelProduct<T>& panel, Index row, Index end, const Epilogue& epilogue) {
  for (; row + tile_rows <= end; row += tile_rows) multiply_tile<T, tile_rows, Vectors>(panel, row, epilogue);
  if constexpr (tile_rows > 4) {
    for (; row + 4 <= end; row += 4) multiply_tile<T, 4, Vectors>(panel, row, epilogue);
  }
  for (; row + 2 <= end; row += 2) multiply_tile<T, 2, Vectors>(panel, row, epilogue);
  for (; row < end; ++row) multiply_tile<T, 1, Vectors>(panel, row, epilogue);
}

/// The part [k, k + depth) of the sums of rows [row, row + rows), on all threads.
template <class T, class Stored, class Epilogue>
struct GemmPart {
  const Product<T, Stored>& product;
  const Epilogue& epilogue;
  RowPanels<T> a;
  Index row, rows, k, depth;
  Index rows_of_task;
  Index groups;  ///< of panels
  T* packed;     ///< a worker's share is group * tile_columns * depth elements
  bool completes;

  void operator()(Index task, Index worker) const {
    const Index width = GemmBlocks<T>::group * tile_columns<T>;
    const Index first = task % groups * width;
    const Index end = product.columns - first < width ? product.columns : first + width;
    const Index begin_row = task / groups * rows_of_task;
    const Index end_row = rows - begin_row < rows_of_task ? rows : begin_row + rows_of_task;
    T* const memory = packed + worker * width * depth;
    for (Index column = first; column < end; column += tile_columns<T>) {
      const Index columns = end - column < tile_columns<T> ? end - column : tile_columns<T>;
      const Operand<Stored>& b = product.b;
      pack_panel<T, Stored>({b.data + k * b.row_stride + column * b.column_stride, b.row_stride, b.column_stride},
                            depth, columns, memory + (column - first) * depth);
    }
    for (Index column = first; column < end; column += tile_columns<T>) {
      const Index columns = end - column < tile_columns<T> ? end - column : tile_columns<T>;
      const PanelProduct<T> panel = {.a = a,
                                     .b = memory + (column - first) * depth,
                                     .b_step = panel_stride<T>(columns),
                                     .depth = depth,
                                     .c = product.c + row * product.c_stride + column,
                                     .c_stride = product.c_stride,
                                     .columns = columns,
                                     .first_column = column,
                                     .adds = k > 0 || product.destination == Destination::accumulate,
                                     .completes = completes};
      const Index vectors = panel.b_step / Vec<T>::lanes;
      if (vectors == tile_vectors) {
        multiply_panel<T, tile_vectors>(panel, begin_row, end_row, epilogue);
      } else if (vectors == 1) {
        multiply_panel<T, 1>(panel, begin_row, end_row, epilogue);
      } else {
        multiply_panel<T, 2>(panel, begin_row, end_row, epilogue);
      }
    }
  }
};

/// Copies a block of A so that what a tile reads lies together: rows as they are if they are contiguous, else groups of
/// tile_rows rows side by side. Without it rows a power of two apart would share a few places of the caches.
template <class T>
struct CopyRows {
  Operand<T> from;
  Index rows, depth;
  T* to;

  void operator()(Index task) const {
    constexpr Index block = GemmBlocks<T>::rows_of_a_copy;
    const Index first = task * block;
    const Index end = rows - first < block ? rows : first + block;
    if (from.column_stride == 1) {
      for (Index m = first; m < end; ++m) {
        __builtin_memcpy(to + m * depth, from.data + m * from.row_stride, static_cast<std::size_t>(depth) * sizeof(T));
      }
      return;
    }
    for (Index k = 0; k < depth; ++k) {
      for (Index m = first; m < end; m += tile_rows) {
        const T* const source = from.data + m * from.row_stride + k * from.column_stride;
        T* const target = to + m * depth + k * tile_rows;
        if (from.row_stride == 1 && m + tile_rows <= end) {
          __builtin_memcpy(target, source, tile_rows * sizeof(T));
        } else {
          for (Index r = 0; r < end - m && r < tile_rows; ++r) target[r] = source[r * from.row_stride];
        }
      }
    }
  }
};

/// Tasks are groups of panels; where these are few, rows are divided as well, in whole tiles.
template <class T>
Index rows_of_task(Index rows, Index groups, int threads) {
  if (threads == 1 || groups >= 4 * threads) return rows;
  const Index chunks = (4 * threads + groups - 1) / groups;
  const Index even = ((rows + chunks - 1) / chunks + tile_rows - 1) / tile_rows * tile_rows;
  return even < 8 * tile_rows ? 8 * tile_rows : even;
}

template <class T, class Stored, class Epilogue>
void gemm(const Product<T, Stored>& product, const Epilogue& epilogue, Context& context) {
  if (prefers_gemv(product)) return gemv(product, epilogue, context);
  using Blocks = GemmBlocks<T>;
  const Index part = Blocks::part(product.depth);
  const Index width = Blocks::group * tile_columns<T>;
  const Index groups = (product.columns + width - 1) / width;
  const Index block_rows = product.rows < Blocks::rows ? product.rows : Blocks::rows;
  const Index padded_rows = (block_rows + tile_rows - 1) / tile_rows * tile_rows;
  ScratchScope scope(context.scratch());
  T* const copy = scope.take<T>(padded_rows * part);
  T* const packed = scope.take<T>(context.threads() * width * part);
  for (Index row = 0; row < product.rows; row += block_rows) {
    const Index rows = product.rows - row < block_rows ? product.rows - row : block_rows;
    const Index task_rows = rows_of_task<T>(rows, groups, context.threads());
    Index k = 0;
    do {  // once even if the depth is 0
      const Index depth = product.depth - k < part ? product.depth - k : part;
      const Operand<T> a = {product.a.data + row * product.a.row_stride + k * product.a.column_stride,
                            product.a.row_stride, product.a.column_stride};
      const double size = static_cast<double>(rows) * static_cast<double>(depth);
      context.parallel_for((rows + Blocks::rows_of_a_copy - 1) / Blocks::rows_of_a_copy, size,
                           CopyRows<T>{a, rows, depth, copy});
      const bool contiguous = a.column_stride == 1;
      const RowPanels<T> panels = {copy, tile_rows * depth, contiguous ? depth : 1, contiguous ? 1 : tile_rows};
      const GemmPart<T, Stored, Epilogue> task = {
          product, epilogue, panels, row, rows, k, depth, task_rows, groups, packed, k + depth == product.depth};
      context.parallel_for_workers(groups * ((rows + task_rows - 1) / task_rows),
                                   2 * size * static_cast<double>(product.columns), task);
      k += depth;
    } while (k < product.depth);
  }
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET
