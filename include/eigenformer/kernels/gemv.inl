// SPDX-License-Identifier: MIT
// Body for gemv.hpp: few rows times a matrix that is read once, from memory, as it lies there.

namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET {
using namespace simd::EIGENFORMER_TARGET;

inline constexpr Index gemv_rows = 16;  ///< most rows at a time: their sums fit the first cache

// --- Each column of B contiguous, as W^T of weights W [columns, depth]: dot products.
// Lane l of a sum adds up the products of every k = l mod lanes in the order of k; reduce_add then adds up the lanes.

inline constexpr Index dot_task_columns = 16;     ///< columns of one task, a multiple of the lanes
inline constexpr int dot_columns_of_one_row = 8;  ///< one stream does not saturate memory, some do
inline constexpr Index far_ahead = 1024;          ///< bytes before its use that a column is asked for from memory
inline constexpr Index large_matrix = 4 << 20;  ///< bytes; smaller ones are likely in a cache, where asking costs time

/// Products of a single row with Columns columns side by side.
template <int Columns, Index AheadBytes, class T, class Stored>
EIGENFORMER_INLINE void dot_one_row(const Product<T, Stored>& product, const T* a, Index column) {
  constexpr Index lanes = Vec<T>::lanes;
  constexpr Index ahead = AheadBytes / static_cast<Index>(sizeof(Stored));
  const Index b_stride = product.b.column_stride, depth = product.depth;
  const Stored* const b = product.b.data + column * b_stride;
  Vec<T> sum[Columns];
#pragma GCC unroll 8
  for (int n = 0; n < Columns; ++n) sum[n] = Vec<T>::zero();
  const Index whole = depth / lanes * lanes;
  for (Index k = 0; k < whole; k += lanes) {
    const Vec<T> x = Vec<T>::load(a + k);
#pragma GCC unroll 8
    for (int n = 0; n < Columns; ++n) {
      if constexpr (ahead > 0) __builtin_prefetch(b + n * b_stride + k + ahead);
      sum[n] = fma(Vec<T>::load(b + n * b_stride + k), x, sum[n]);
    }
  }
  if (whole < depth) {
    const Mask<T> rest = first_lanes<T>(depth - whole);
    const Vec<T> x = Vec<T>::load(a + whole, rest);
#pragma GCC unroll 8
    for (int n = 0; n < Columns; ++n) sum[n] = fma(Vec<T>::load(b + n * b_stride + whole, rest), x, sum[n]);
  }
  T* const c = product.c + column;
#pragma GCC unroll 8
  for (int n = 0; n < Columns; ++n) {
    const T total = reduce_add(sum[n]);
    c[n] = product.destination == Destination::accumulate ? c[n] + total : total;
  }
}

/// One stretch of the depth for Rows x Columns sums, which are registers here and vectors in memory between stretches.
template <class T, class Stored>
struct DotStretch {
  const T* a;  ///< the first row at the stretch
  Index a_stride;
  const Stored* b;  ///< the first column at the stretch
  Index b_stride;
  const Stored* ahead;  ///< the column that follows in time, or nullptr
  Index depth;
  T* sums;     ///< [row][dot_task_columns] vectors
  bool first;  ///< of the sums, which are zero then
};

template <int Rows, int Columns, class T, class Stored>
EIGENFORMER_INLINE void dot_step(const DotStretch<T, Stored>& s, Index k, Vec<T> (&sum)[Rows][Columns]) {
  Vec<T> w[Columns];
#pragma GCC unroll 8
  for (int n = 0; n < Columns; ++n) w[n] = Vec<T>::load(s.b + n * s.b_stride + k);
#pragma GCC unroll 8
  for (int m = 0; m < Rows; ++m) {
    const Vec<T> x = opaque(Vec<T>::load(s.a + m * s.a_stride + k));  // once, not for each product
#pragma GCC unroll 8
    for (int n = 0; n < Columns; ++n) sum[m][n] = fma(w[n], x, sum[m][n]);
  }
}

/// A function apart, so that the compiler has all registers for its loop.
template <int Rows, int Columns, class T, class Stored>
[[gnu::noinline]] void dot_stretch(const DotStretch<T, Stored>& s) {
  constexpr Index lanes = Vec<T>::lanes;
  constexpr Index line = 64 / static_cast<Index>(sizeof(Stored));
  constexpr Index round = line > lanes ? line : lanes;
  Vec<T> sum[Rows][Columns];
#pragma GCC unroll 8
  for (int m = 0; m < Rows; ++m) {
#pragma GCC unroll 8
    for (int n = 0; n < Columns; ++n) {
      sum[m][n] = s.first ? Vec<T>::zero() : Vec<T>::load(s.sums + (m * dot_task_columns + n) * lanes);
    }
  }
  const Index whole = s.depth / lanes * lanes;
  Index k = 0;
  for (; k + round <= whole; k += round) {
    if (s.ahead) {
#pragma GCC unroll 8
      for (int n = 0; n < Columns; ++n) __builtin_prefetch(s.ahead + n * s.b_stride + k);
    }
#pragma GCC unroll 4
    for (Index i = 0; i < round; i += lanes) dot_step(s, k + i, sum);
  }
  for (; k < whole; k += lanes) dot_step(s, k, sum);
  if (whole < s.depth) {
    const Mask<T> rest = first_lanes<T>(s.depth - whole);
#pragma GCC unroll 8
    for (int n = 0; n < Columns; ++n) {
      const Vec<T> w = Vec<T>::load(s.b + n * s.b_stride + whole, rest);
#pragma GCC unroll 8
      for (int m = 0; m < Rows; ++m) sum[m][n] = fma(w, Vec<T>::load(s.a + m * s.a_stride + whole, rest), sum[m][n]);
    }
  }
#pragma GCC unroll 8
  for (int m = 0; m < Rows; ++m) {
#pragma GCC unroll 8
    for (int n = 0; n < Columns; ++n) sum[m][n].store(s.sums + (m * dot_task_columns + n) * lanes);
  }
}

/// All rows with Columns columns: what is read of B first serves the later rows from the first cache.
template <int Columns, class T, class Stored>
void dot_rows(DotStretch<T, Stored> s, Index rows) {
  constexpr Index next = dot_task_columns * Vec<T>::lanes;
  while (rows > 0) {
    Index done = 1;
    if (rows >= gemm_rows) {
      dot_stretch<gemm_rows, Columns>(s);
      done = gemm_rows;
    } else if (gemm_rows > 4 && rows >= 4) {
      dot_stretch<4, Columns>(s);
      done = 4;
    } else if (rows >= 2) {
      dot_stretch<2, Columns>(s);
      done = 2;
    } else {
      dot_stretch<1, Columns>(s);
    }
    s.a += done * s.a_stride;
    s.sums += done * next;
    s.ahead = nullptr;
    rows -= done;
  }
}

/// The sums of one row over the lanes, as reduce_add adds them up, for as many columns as there are lanes.
template <class T>
EIGENFORMER_INLINE Vec<T> reduce_columns(const T* sums) {
  constexpr int lanes = Vec<T>::lanes;
  Vec<T> block[lanes];
#pragma GCC unroll 16
  for (int j = 0; j < lanes; ++j) block[j] = Vec<T>::load(sums + j * lanes);
  transpose(block);
#pragma GCC unroll 8
  for (int j = 0; j < lanes / 2; ++j) block[j] = block[j] + block[j + lanes / 2];
#pragma GCC unroll 4
  for (int j = 0; j < lanes / 4; ++j) block[j] = block[j] + block[j + lanes / 4];
#pragma GCC unroll 2
  for (int j = 0; j < lanes / 8; ++j) block[j] = block[j] + block[j + lanes / 8];
  if constexpr (lanes >= 16) block[0] = block[0] + block[1];
  return block[0];
}

/// Stretches of the depth over which all rows of A stay in half of the first cache.
template <class T>
Index dot_stretch_of(Index rows) {
  return 24576 / static_cast<Index>(sizeof(T)) / rows / 64 * 64;
}
template <class T>
Index round_to_line(Index count) {
  constexpr Index line = 64 / static_cast<Index>(sizeof(T));
  return (count + line - 1) / line * line;
}

/// A stretch by stretch, in each of them row by row at the start of a line: as it lies, rows could share a few places
/// of the cache, and vectors two lines.
template <class T>
void copy_stretches(const Operand<T>& from, Index rows, Index depth, T* to) {
  const Index stretch = dot_stretch_of<T>(rows);
  for (Index begin = 0; begin < depth; begin += stretch) {
    const Index length = depth - begin < stretch ? depth - begin : stretch;
    for (Index m = 0; m < rows; ++m) {
      const T* const source = from.data + m * from.row_stride + begin * from.column_stride;
      T* const target = to + begin * rows + m * round_to_line<T>(length);
      if (from.column_stride == 1) {
        __builtin_memcpy(target, source, static_cast<std::size_t>(length) * sizeof(T));
      } else {
        for (Index k = 0; k < length; ++k) target[k] = source[k * from.column_stride];
      }
    }
  }
}

template <class T, class Stored, class Epilogue>
struct DotTask {
  const Product<T, Stored>& product;
  const Epilogue& epilogue;
  const T* a;  ///< the only row, or what copy_stretches wrote

  void operator()(Index task) const {
    const Index first = task * dot_task_columns;
    const Index end = product.columns - first < dot_task_columns ? product.columns : first + dot_task_columns;
    if (product.rows == 1) return one_row(first, end);
    constexpr Index lanes = Vec<T>::lanes;
    alignas(64) T sums[gemv_rows * dot_task_columns * lanes];
    const Index stretch = dot_stretch_of<T>(product.rows);
    for (Index k = 0; k < product.depth || k == 0; k += stretch) {
      const Index depth = product.depth - k < stretch ? product.depth - k : stretch;
      for (Index column = first; column < end;) {
        const Index columns = end - column < gemm_vectors ? 1 : gemm_vectors;
        const DotStretch<T, Stored> s = {.a = a + k * product.rows,
                                         .a_stride = round_to_line<T>(depth),
                                         .b = at(k, column),
                                         .b_stride = product.b.column_stride,
                                         .ahead = ahead(k, column, columns, first, end),
                                         .depth = depth,
                                         .sums = sums + (column - first) * lanes,
                                         .first = k == 0};
        if (columns == gemm_vectors) {
          dot_rows<gemm_vectors>(s, product.rows);
        } else {
          dot_rows<1>(s, product.rows);
        }
        column += columns;
      }
    }
    for (Index row = 0; row < product.rows; ++row) {
      for (Index column = first; column < end; column += lanes) {
        const Mask<T> present = first_lanes<T>(end - column < lanes ? end - column : lanes);
        T* const c = product.c + row * product.c_stride + column;
        Vec<T> sum = reduce_columns(sums + (row * dot_task_columns + column - first) * lanes);
        if (product.destination == Destination::accumulate) sum = Vec<T>::load(c, present) + sum;
        finish(epilogue, sum, column, present).store(c, present);
      }
    }
  }

  const Stored* at(Index k, Index column) const { return product.b.data + k + column * product.b.column_stride; }
  /// What is read after the stretch of these columns: that of the next ones, else the next stretch, else the next task.
  const Stored* ahead(Index k, Index column, Index columns, Index first, Index end) const {
    const Index next_k = k + dot_stretch_of<T>(product.rows);
    if (column + columns < end) return at(k, column + columns);
    if (next_k < product.depth) return at(next_k, first);
    return end < product.columns ? at(0, end) : nullptr;
  }

  void one_row(Index first, Index end) const {
    const bool large = product.columns * product.depth * static_cast<Index>(sizeof(Stored)) >= large_matrix;
    Index column = first;
    for (; column + dot_columns_of_one_row <= end; column += dot_columns_of_one_row) {
      if (large) {
        dot_one_row<dot_columns_of_one_row, far_ahead>(product, a, column);
      } else {
        dot_one_row<dot_columns_of_one_row, 0>(product, a, column);
      }
    }
    for (; column + 4 <= end; column += 4) dot_one_row<4, far_ahead>(product, a, column);
    for (; column < end; ++column) dot_one_row<1, far_ahead>(product, a, column);
    finish_stored(epilogue, product.c, product.c_stride, product.rows, first, end - first);
  }
};

// --- Each row of B contiguous: rows of B, scaled, are added to rows of C that stay in the first cache
// -------------------

inline constexpr int stream_steps = 4;  ///< rows of B read side by side
inline constexpr int stream_rows = registers >= 32 ? 4 : registers >= 16 ? 2 : 1;

/// Numbers of the sums of a task: half of a first cache of 32 KB.
template <class T>
inline constexpr Index stream_sums = 16384 / static_cast<Index>(sizeof(T));

/// Columns of a task.
template <class T>
Index stream_columns(Index rows) {
  const Index columns = stream_sums<T> / rows / 64 * 64;
  return columns > 2048 ? 2048 : columns;
}
/// From row to row of the sums: whole lines.
inline Index stream_stride(Index columns) { return (columns + 15) / 16 * 16; }

/// c[m, n] += sum over Steps k of a[m, k] b[k, n]
template <int Rows, int Steps, class T, class Stored>
EIGENFORMER_INLINE void add_scaled_rows(const Product<T, Stored>& product, T* sums, Index row, Index k, Index first,
                                        Index columns) {
  constexpr Index lanes = Vec<T>::lanes;
  const Index b_stride = product.b.row_stride, c_stride = stream_stride(columns);
  const Stored* const b = product.b.data + k * b_stride + first;
  T* const c = sums + row * c_stride;
  Vec<T> factor[Rows][Steps];
#pragma GCC unroll 8
  for (int m = 0; m < Rows; ++m) {
#pragma GCC unroll 8
    for (int i = 0; i < Steps; ++i) {
      factor[m][i] =
          Vec<T>::broadcast(product.a.data[(row + m) * product.a.row_stride + (k + i) * product.a.column_stride]);
    }
  }
  const Index whole = columns / lanes * lanes;
  for (Index n = 0; n < whole; n += lanes) {
    Vec<T> w[Steps];
#pragma GCC unroll 8
    for (int i = 0; i < Steps; ++i) {
      w[i] = Vec<T>::load(b + i * b_stride + n);
      __builtin_prefetch(b + (Steps + i) * b_stride + n);
    }
#pragma GCC unroll 8
    for (int m = 0; m < Rows; ++m) {
      Vec<T> sum = Vec<T>::load(c + m * c_stride + n);
#pragma GCC unroll 8
      for (int i = 0; i < Steps; ++i) sum = fma(factor[m][i], w[i], sum);
      sum.store(c + m * c_stride + n);
    }
  }
  if (whole < columns) {
    const Mask<T> rest = first_lanes<T>(columns - whole);
#pragma GCC unroll 8
    for (int m = 0; m < Rows; ++m) {
      Vec<T> sum = Vec<T>::load(c + m * c_stride + whole, rest);
#pragma GCC unroll 8
      for (int i = 0; i < Steps; ++i) sum = fma(factor[m][i], Vec<T>::load(b + i * b_stride + whole, rest), sum);
      sum.store(c + m * c_stride + whole, rest);
    }
  }
}

template <int Steps, class T, class Stored>
void add_scaled_rows_to_all(const Product<T, Stored>& product, T* sums, Index k, Index first, Index columns) {
  Index row = 0;
  for (; row + stream_rows <= product.rows; row += stream_rows) {
    add_scaled_rows<stream_rows, Steps>(product, sums, row, k, first, columns);
  }
  if constexpr (stream_rows > 1) {
    for (; row < product.rows; ++row) add_scaled_rows<1, Steps>(product, sums, row, k, first, columns);
  }
}

template <class T, class Stored, class Epilogue>
struct StreamTask {
  const Product<T, Stored>& product;
  const Epilogue& epilogue;
  Index columns;  // of one task

  void operator()(Index task) const {
    const Index first = task * columns;
    const Index width = product.columns - first < columns ? product.columns - first : columns;
    const Index stride = stream_stride(width);
    alignas(64) T sums[stream_sums<T>];  // apart from C, whose rows may lie where they share a few places of the cache
    for (Index row = 0; row < product.rows; ++row) {
      const T* const c = product.c + row * product.c_stride + first;
      for (Index n = 0; n < width; ++n) {
        sums[row * stride + n] = product.destination == Destination::overwrite ? T(0) : c[n];
      }
    }
    Index k = 0;
    for (; k + stream_steps <= product.depth; k += stream_steps) {
      add_scaled_rows_to_all<stream_steps>(product, sums, k, first, width);
    }
    for (; k < product.depth; ++k) add_scaled_rows_to_all<1>(product, sums, k, first, width);
    for (Index row = 0; row < product.rows; ++row) {
      T* const c = product.c + row * product.c_stride + first;
      __builtin_memcpy(c, sums + row * stride, static_cast<std::size_t>(width) * sizeof(T));
    }
    finish_stored(epilogue, product.c, product.c_stride, product.rows, first, width);
  }
};

/// Whether that is faster than packing B, as measured on matrices of 128 x 384 to 4096 x 4096: dot products read all of
/// A once more for every few columns, which few registers make dear, and each ends in a sum over lanes, which short ones
/// do not repay: 4 rows of 8 numbers by 4096 columns take 20 us that way and 8 us packed, of 32 numbers 21 and 19 us.
template <class T, class Stored>
bool prefers_gemv(const Product<T, Stored>& product) {
  if (product.b.column_stride == 1) return product.rows <= 16;
  if (product.rows > 1 && product.depth <= 32) return false;
  return product.b.row_stride == 1 && product.rows <= (registers >= 32 ? 16 : 8);
}

/// Up to gemv_rows rows.
template <class T, class Stored, class Epilogue>
void multiply_few_rows(const Product<T, Stored>& product, const Epilogue& epilogue, Context& context) {
  const double operations = product_operations<T>(product.rows, product.columns, product.depth);
  if (product.b.column_stride == 1) {
    const Index columns = stream_columns<T>(product.rows);
    context.parallel_for((product.columns + columns - 1) / columns, operations,
                         StreamTask<T, Stored, Epilogue>{product, epilogue, columns});
    return;
  }
  if (product.rows == 1 && product.a.column_stride == 1) {
    context.parallel_for((product.columns + dot_task_columns - 1) / dot_task_columns, operations,
                         DotTask<T, Stored, Epilogue>{product, epilogue, product.a.data});
    return;
  }
  ScratchScope scope(context.scratch());
  T* const a = scope.take<T>(product.rows * round_to_line<T>(product.depth));
  copy_stretches(product.a, product.rows, product.depth, a);
  context.parallel_for((product.columns + dot_task_columns - 1) / dot_task_columns, operations,
                       DotTask<T, Stored, Epilogue>{product, epilogue, a});
}

template <class T, class Stored, class Epilogue>
void gemv(const Product<T, Stored>& product, const Epilogue& epilogue, Context& context) {
  for (Index row = 0; row < product.rows; row += gemv_rows) {
    Product<T, Stored> few = product;
    few.rows = product.rows - row < gemv_rows ? product.rows - row : gemv_rows;
    few.a.data += row * product.a.row_stride;
    few.c += row * product.c_stride;
    multiply_few_rows(few, epilogue, context);
  }
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET
