// SPDX-License-Identifier: MIT
// Body for gemm.hpp. The plan is that of Goto & van de Geijn (2008), "Anatomy of high-performance matrix
// multiplication", with two changes: a worker packs a few panels of B just before it uses them, so that they are read
// from its own cache, and asks for what it will read next between the multiplications.

namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET {
using namespace simd::EIGENFORMER_TARGET;

/// Where the product is cut. The sums are cut along the depth only here, whatever the threads, so that results do not
/// depend on them.
template <class T>
struct GemmBlocks {
  static constexpr Index depth = 1024;          ///< longest part of a sum: longer ones gain nothing
  static constexpr Index group_bytes = 262144;  ///< of panels that are packed together: they fit the second cache
  static constexpr Index rows = 4096;           ///< rows of A copied at a time
  static constexpr Index rows_of_a_copy = 64;   ///< rows that one thread copies at a time

  /// Parts of equal length rather than full ones and a short rest.
  static Index part(Index whole) {
    const Index parts = (whole + depth - 1) / depth;
    return parts <= 1 ? whole : ((whole + parts - 1) / parts + 7) / 8 * 8;
  }
  /// Columns of the panels that are packed together.
  static Index group_columns(Index part_depth, Index columns) {
    constexpr Index width = gemm_columns<T>;
    const Index fit = group_bytes / static_cast<Index>(sizeof(T)) / width / (part_depth < 1 ? 1 : part_depth);
    const Index exist = (columns + width - 1) / width;
    return (fit < 1 ? 1 : fit > exist ? exist : fit) * width;
  }
  /// Groups of so many columns; one vector that would be left over joins the last.
  static Index groups(Index columns, Index group_columns) {
    constexpr Index lanes = Vec<T>::lanes;
    return columns <= lanes ? 1 : (columns - lanes + group_columns - 1) / group_columns;
  }
  /// Of the panel that begins where `left` columns are left: two narrower ones rather than a full one and a single
  /// vector, which would wait for its loads.
  static Index panel_columns(Index left) {
    constexpr Index lanes = Vec<T>::lanes;
    const Index vectors = (left + lanes - 1) / lanes;
    if (vectors == gemm_vectors + 1) return (gemm_vectors + 2) / 2 * lanes;
    return vectors <= gemm_vectors ? left : gemm_columns<T>;
  }
};

/// The block of A in work: its rows in groups of gemm_rows, whose first element is at data + group * row_group.
template <class T>
struct RowPanels {
  const T* data;
  Index row_group;  ///< from one group of gemm_rows rows to the next
  Index row;        ///< from row to row inside a group
  Index step;       ///< from one k to the next

  const T* at(Index m) const { return data + m / gemm_rows * row_group + m % gemm_rows * row; }
};

/// What is asked for while a tile is computed.
template <class T>
struct TileAhead {
  static constexpr Index round = 64 / static_cast<Index>(sizeof(T));  ///< steps between two requests
  LinesAhead lines;                                                   ///< of what is packed next
  Index pace = 0;                                                     ///< how many of them in each round of the tile
  const T* rows = nullptr;                                            ///< of A that come next, if they are needed soon
};

/// What the tiles of one packed panel have in common.
template <class T>
struct PanelProduct {
  const T* b;
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
[[gnu::noinline]] void store_edge(PanelProduct<T> panel, const T* sums, int rows, const Epilogue& epilogue) {
  constexpr Index lanes = Vec<T>::lanes;
  const Index stride = panel_stride<T>(panel.columns);
  for (int r = 0; r < rows; ++r) {
    T* const c = panel.c + r * panel.c_stride;
    for (Index n = 0; n < panel.columns; n += lanes) {
      const Mask<T> present = first_lanes<T>(panel.columns - n < lanes ? panel.columns - n : lanes);
      Vec<T> sum = Vec<T>::load(sums + r * stride + n);
      if (panel.adds) sum = Vec<T>::load(c + n, present) + sum;
      if (panel.completes) sum = finish(epilogue, sum, panel.first_column + n, present);
      sum.store(c + n, present);
    }
  }
}

/// The products of a tile, with what is needed next asked for between rounds of as many steps as a line has elements.
template <class T, int Rows, int Vectors>
EIGENFORMER_INLINE void multiply(Tile<T, Rows, Vectors>& tile, const RowPanels<T>& a, const T* rows, const T* b,
                                 Index depth, TileAhead<T>& ahead) {
  constexpr Index round = TileAhead<T>::round;
  constexpr Index width = Vectors * Vec<T>::lanes;
  const Index whole = depth / round * round;
  const Index next_line = a.step == 1 ? a.row : round;
  for (Index k = 0; k < whole; k += round) {
    if (ahead.rows) {
#pragma GCC unroll 8
      for (int r = 0; r < gemm_rows; ++r) __builtin_prefetch(ahead.rows + r * next_line + k * a.step, 0, 2);
    }
    ahead.lines.ask(ahead.pace);
    tile.add_product(rows + k * a.step, a.row, a.step, b + k * width, width, round);
  }
  tile.add_product(rows + whole * a.step, a.row, a.step, b + whole * width, width, depth - whole);
}

template <class T, int Rows, int Vectors, class Epilogue>
EIGENFORMER_INLINE void multiply_tile(const RowPanels<T>& a, const T* rows, const PanelProduct<T>& panel,
                                      TileAhead<T>& ahead, const Epilogue& epilogue) {
  constexpr Index lanes = Vec<T>::lanes;
  T* const c = panel.c;
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) __builtin_prefetch(c + r * panel.c_stride + v * lanes, 1);
  }
  Tile<T, Rows, Vectors> tile;
  tile.zero();
  multiply(tile, a, rows, panel.b, panel.depth, ahead);
  if (panel.columns < Vectors * lanes) {
    T sums[Rows * Vectors * lanes];
    tile.store(sums, Vectors * lanes);
    store_edge(panel, sums, Rows, epilogue);
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

/// Panels of B that a worker packs just before it uses them, in its own share of the memory.
template <class T, class Stored>
struct PackedOnTheWay {
  Operand<Stored> b;
  Index columns;
  T* memory;
  Index share;

  /// Those of columns [first, end) and steps [k, k + depth); panel by panel.
  const T* panels(Index k, Index depth, Index first, Index end, Index worker) const {
    T* const to = memory + worker * share;
    for (Index column = first; column < end;) {
      const Index width = GemmBlocks<T>::panel_columns(columns - column);
      pack_panel<T, Stored>(part(k, column), depth, width, to + (column - first) * depth);
      column += width;
    }
    return to;
  }
  LinesAhead lines(Index k, Index depth, Index first, Index end) const {
    return LinesAhead(part(k, first), depth, end - first);
  }
  Operand<Stored> part(Index k, Index column) const {
    return {b.data + k * b.row_stride + column * b.column_stride, b.row_stride, b.column_stride};
  }
};

/// Panels that pack_panels made: part by part of the depth, in each of them one after the other.
template <class T>
struct PackedBefore {
  const T* data;
  Index columns;

  const T* panels(Index k, Index depth, Index first, Index, Index) const {
    return data + k * panel_stride<T>(columns) + first * depth;
  }
  LinesAhead lines(Index k, Index depth, Index first, Index end) const {
    const Index count = panel_stride<T>(end - first) * depth;
    return LinesAhead(plain(panels(k, depth, first, end, 0), count), 1, count);
  }
};

/// Where a part of a product is, and how it is cut into tasks.
struct GemmCut {
  Index row, rows;  ///< rows [row, row + rows) of the product
  Index k, depth;   ///< steps [k, k + depth)
  Index width;      ///< columns of a group of panels
  Index groups;     ///< of panels
  Index rows_of_task, tasks, workers;
};

/// One part of the sums of a block of rows, on all threads.
template <class T, class Stored, class Epilogue, class Source>
struct GemmPart {
  const Product<T, Stored>& product;
  const Epilogue& epilogue;
  const Source& source;
  RowPanels<T> a;
  GemmCut cut;

  void operator()(Index task, Index worker) const {
    const Index first = first_column(task), end = end_column(task);
    const T* const panels = source.panels(cut.k, cut.depth, first, end, worker);
    const Index begin_row = task / cut.groups * cut.rows_of_task;
    const Index end_row = cut.rows - begin_row < cut.rows_of_task ? cut.rows : begin_row + cut.rows_of_task;
    TileAhead<T> ahead = of_task(
        task + cut.workers, ((end_row - begin_row - 1) / gemm_rows + 1) * ((end - first - 1) / gemm_columns<T> + 1));
    Index m = begin_row;
    for (; m + gemm_rows <= end_row; m += gemm_rows) multiply_rows<gemm_rows>(panels, first, end, m, end_row, ahead);
    if constexpr (gemm_rows > 4) {
      for (; m + 4 <= end_row; m += 4) multiply_rows<4>(panels, first, end, m, end_row, ahead);
    }
    if constexpr (gemm_rows > 2) {
      for (; m + 2 <= end_row; m += 2) multiply_rows<2>(panels, first, end, m, end_row, ahead);
    }
    for (; m < end_row; ++m) multiply_rows<1>(panels, first, end, m, end_row, ahead);
  }

  /// What `next` begins with, spread over the rounds of so many tiles.
  TileAhead<T> of_task(Index next, Index tiles) const {
    TileAhead<T> ahead;
    const Index rounds = tiles * (cut.depth / TileAhead<T>::round);
    if (next >= cut.tasks || rounds == 0) return ahead;
    ahead.lines = source.lines(cut.k, cut.depth, first_column(next), end_column(next));
    ahead.pace = (ahead.lines.count() + rounds - 1) / rounds;
    return ahead;
  }

  /// Rows of A that stay in the first cache times all panels of the group.
  template <int Rows>
  [[gnu::noinline]] void multiply_rows(const T* panels, Index first, Index end, Index m, Index end_row,
                                       TileAhead<T>& ahead) const {
    const T* const rows_of_a = a.at(m);
    const T* const next_rows = m + 2 * gemm_rows <= end_row ? a.at(m + gemm_rows) : nullptr;
    TileAhead<T> next = ahead;
    for (Index column = first; column < end;) {
      const Index columns = GemmBlocks<T>::panel_columns(product.columns - column);
      const PanelProduct<T> panel = {.b = panels + (column - first) * cut.depth,
                                     .depth = cut.depth,
                                     .c = product.c + (cut.row + m) * product.c_stride + column,
                                     .c_stride = product.c_stride,
                                     .columns = columns,
                                     .first_column = column,
                                     .adds = cut.k > 0 || product.destination == Destination::accumulate,
                                     .completes = cut.k + cut.depth == product.depth};
      column += columns;
      next.rows = column >= end ? next_rows : nullptr;  // read by no panel but the last of the group, then by all
      switch (panel_stride<T>(columns) / Vec<T>::lanes) {
        case 1: multiply_tile<T, Rows, 1>(a, rows_of_a, panel, next, epilogue); break;
        case 2: multiply_tile<T, Rows, 2>(a, rows_of_a, panel, next, epilogue); break;
        case 3: multiply_tile<T, Rows, 3>(a, rows_of_a, panel, next, epilogue); break;
        default: multiply_tile<T, Rows, gemm_vectors>(a, rows_of_a, panel, next, epilogue);
      }
    }
    ahead.lines = next.lines;
  }

  Index first_column(Index task) const { return task % cut.groups * cut.width; }
  Index end_column(Index task) const {
    const Index group = task % cut.groups;
    return group + 1 == cut.groups ? product.columns : (group + 1) * cut.width;
  }
};

/// Copies a block of A so that what a tile reads lies together: groups of gemm_rows rows side by side.
template <class T>
struct CopyRows {
  Operand<T> from;
  Index rows, depth;
  T* to;

  void operator()(Index task) const {
    constexpr Index block = GemmBlocks<T>::rows_of_a_copy;
    const Index first = task * block;
    const Index end = rows - first < block ? rows : first + block;
    for (Index k = 0; k < depth; ++k) {
      for (Index m = first; m < end; m += gemm_rows) {
        const T* const source = from.data + m * from.row_stride + k * from.column_stride;
        T* const target = to + m * depth + k * gemm_rows;
        if (from.row_stride == 1 && m + gemm_rows <= end) {
          __builtin_memcpy(target, source, gemm_rows * sizeof(T));
        } else {
          for (Index r = 0; r < end - m && r < gemm_rows; ++r) target[r] = source[r * from.row_stride];
        }
      }
    }
  }
};

/// Tasks are groups of panels. Unless there are enough of them to share out evenly, rows are divided as well, in whole
/// tiles and not so far that packing a group once for each share would count.
template <class T>
Index rows_of_task(Index rows, Index groups, int threads) {
  if (threads == 1 || groups >= 32 * threads) return rows;
  const Index wanted = (8 * threads + groups - 1) / groups;
  const Index chunks = wanted < 2 ? 2 : wanted;
  const Index even = ((rows + chunks - 1) / chunks + gemm_rows - 1) / gemm_rows * gemm_rows;
  return even < 8 * gemm_rows ? 8 * gemm_rows : even;
}

/// The product from panels of any source. `width` is what the panels of a group are wide.
template <class T, class Stored, class Epilogue, class Source>
void multiply_panels(const Product<T, Stored>& product, const Source& source, Index width, const Epilogue& epilogue,
                     Context& context) {
  using Blocks = GemmBlocks<T>;
  const Index part = Blocks::part(product.depth);
  const Index groups = Blocks::groups(product.columns, width);
  const bool copies = product.a.column_stride != 1;
  const Index block_rows = copies && product.rows > Blocks::rows ? Blocks::rows : product.rows;
  const Index padded_rows = (block_rows + gemm_rows - 1) / gemm_rows * gemm_rows;
  ScratchScope scope(context.scratch());
  T* const copy = scope.take<T>(copies ? padded_rows * part : 0);
  for (Index row = 0; row < product.rows; row += block_rows) {
    const Index rows = product.rows - row < block_rows ? product.rows - row : block_rows;
    const Index task_rows = rows_of_task<T>(rows, groups, context.threads());
    const Index tasks = groups * ((rows + task_rows - 1) / task_rows);
    Index k = 0;
    do {  // once even if the depth is 0
      const Index depth = product.depth - k < part ? product.depth - k : part;
      const Operand<T> a = {product.a.data + row * product.a.row_stride + k * product.a.column_stride,
                            product.a.row_stride, product.a.column_stride};
      const double size = static_cast<double>(rows) * static_cast<double>(depth);
      if (copies) {
        context.parallel_for((rows + Blocks::rows_of_a_copy - 1) / Blocks::rows_of_a_copy, size,
                             CopyRows<T>{a, rows, depth, copy});
      }
      const RowPanels<T> panels = copies ? RowPanels<T>{copy, gemm_rows * depth, 1, gemm_rows}
                                         : RowPanels<T>{a.data, gemm_rows * a.row_stride, a.row_stride, 1};
      const GemmCut cut = {row, rows, k, depth, width, groups, task_rows, tasks, context.threads()};
      context.parallel_for_workers(tasks, product_operations<T>(rows, product.columns, depth),
                                   GemmPart<T, Stored, Epilogue, Source>{product, epilogue, source, panels, cut});
      k += depth;
    } while (k < product.depth);
  }
}

template <class T, class Stored, class Epilogue>
void gemm(const Product<T, Stored>& product, const Epilogue& epilogue, Context& context) {
  if (prefers_gemv(product)) return gemv(product, epilogue, context);
  const Index part = GemmBlocks<T>::part(product.depth);
  const Index width = GemmBlocks<T>::group_columns(part, product.columns);
  const Index share = (width + Vec<T>::lanes) * part;  // the last group may be a vector wider
  ScratchScope scope(context.scratch());
  const PackedOnTheWay<T, Stored> source = {product.b, product.columns, scope.take<T>(context.threads() * share),
                                            share};
  multiply_panels(product, source, width, epilogue, context);
}

template <class T, class Stored, class Epilogue>
void gemm_of_panels(const Product<T, Stored>& product, const T* panels, const Epilogue& epilogue, Context& context) {
  if (prefers_gemv(product)) return gemv(product, epilogue, context);
  const Index part = GemmBlocks<T>::part(product.depth);
  multiply_panels(product, PackedBefore<T>{panels, product.columns},
                  GemmBlocks<T>::group_columns(part, product.columns), epilogue, context);
}

template <class T>
Index panels_size(Index depth, Index columns) {
  return depth * panel_stride<T>(columns);
}

/// All panels of B, in the order in which PackedBefore looks for them.
template <class T, class Stored>
void pack_panels(const Operand<Stored>& b, Index depth, Index columns, T* to) {
  const Index part = GemmBlocks<T>::part(depth);
  for (Index k = 0; k < depth; k += part) {
    const Index length = depth - k < part ? depth - k : part;
    const PackedOnTheWay<T, Stored> packed = {b, columns, to + k * panel_stride<T>(columns), 0};
    packed.panels(k, length, 0, columns, 0);
  }
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET
