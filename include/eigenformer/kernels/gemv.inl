// SPDX-License-Identifier: MIT
// Body for gemv.hpp: few rows times a matrix that is read once, from memory, as it lies there.

namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET {
using namespace simd::EIGENFORMER_TARGET;

// --- Each column of B contiguous, as W^T of weights W [columns, depth]: dot products
// ------------------------------------

inline constexpr int dot_columns = 4;  ///< columns read side by side: one stream does not saturate memory, four do
inline constexpr int dot_rows = registers >= 32 ? 4 : registers >= 16 ? 3 : 2;
inline constexpr int dot_columns_of_one_row = 8;
inline constexpr Index far_ahead = 1024;        ///< bytes before its use that a column is asked for from memory
inline constexpr Index large_matrix = 4 << 20;  ///< bytes; smaller ones are likely in a cache, where asking costs time

template <int Columns, int Rows, Index AheadBytes = far_ahead, class T, class Stored>
EIGENFORMER_INLINE void dot_products(const Product<T, Stored>& product, Index row, Index column) {
  constexpr Index lanes = Vec<T>::lanes;
  constexpr Index ahead = AheadBytes / static_cast<Index>(sizeof(Stored));
  const Index a_stride = product.a.row_stride, b_stride = product.b.column_stride, depth = product.depth;
  const T* const a = product.a.data + row * a_stride;
  const Stored* const b = product.b.data + column * b_stride;
  Vec<T> sum[Columns][Rows];
#pragma GCC unroll 8
  for (int n = 0; n < Columns; ++n) {
#pragma GCC unroll 8
    for (int m = 0; m < Rows; ++m) sum[n][m] = Vec<T>::zero();
  }
  const Index whole = depth / lanes * lanes;
  for (Index k = 0; k < whole; k += lanes) {
    Vec<T> x[Rows];
#pragma GCC unroll 8
    for (int m = 0; m < Rows; ++m) x[m] = Vec<T>::load(a + m * a_stride + k);
#pragma GCC unroll 8
    for (int n = 0; n < Columns; ++n) {
      if constexpr (ahead > 0) __builtin_prefetch(b + n * b_stride + k + ahead);
      const Vec<T> w = Vec<T>::load(b + n * b_stride + k);
#pragma GCC unroll 8
      for (int m = 0; m < Rows; ++m) sum[n][m] = fma(w, x[m], sum[n][m]);
    }
  }
  if (whole < depth) {
    const Mask<T> rest = first_lanes<T>(depth - whole);
#pragma GCC unroll 8
    for (int n = 0; n < Columns; ++n) {
      const Vec<T> w = Vec<T>::load(b + n * b_stride + whole, rest);
#pragma GCC unroll 8
      for (int m = 0; m < Rows; ++m) sum[n][m] = fma(w, Vec<T>::load(a + m * a_stride + whole, rest), sum[n][m]);
    }
  }
#pragma GCC unroll 8
  for (int m = 0; m < Rows; ++m) {
    T* const c = product.c + (row + m) * product.c_stride + column;
#pragma GCC unroll 8
    for (int n = 0; n < Columns; ++n) {
      const T total = reduce_add(sum[n][m]);
      c[n] = product.destination == Destination::accumulate ? c[n] + total : total;
    }
  }
}

template <int Columns, class T, class Stored>
void dot_all_rows(const Product<T, Stored>& product, Index column) {
  Index row = 0;
  for (; row + dot_rows <= product.rows; row += dot_rows) dot_products<Columns, dot_rows>(product, row, column);
  if constexpr (dot_rows > 2) {
    for (; row + 2 <= product.rows; row += 2) dot_products<Columns, 2>(product, row, column);
  }
  for (; row < product.rows; ++row) dot_products<Columns, 1>(product, row, column);
}

template <class T, class Stored, class Epilogue>
struct DotTask {
  static constexpr Index columns = 4 * dot_columns;  // of one task
  const Product<T, Stored>& product;
  const Epilogue& epilogue;

  void operator()(Index task) const {
    const Index first = task * columns;
    const Index end = product.columns - first < columns ? product.columns : first + columns;
    Index column = first;
    if (product.rows == 1) column = one_row(first, end);
    for (; column + dot_columns <= end; column += dot_columns) dot_all_rows<dot_columns>(product, column);
    for (; column < end; ++column) dot_all_rows<1>(product, column);
    finish_stored(epilogue, product.c, product.c_stride, product.rows, first, end - first);
  }

  /// Products of a single row for as many whole groups of columns as there are; returns the first column left.
  Index one_row(Index column, Index end) const {
    const bool large = product.columns * product.depth * static_cast<Index>(sizeof(Stored)) >= large_matrix;
    for (; column + dot_columns_of_one_row <= end; column += dot_columns_of_one_row) {
      if (large) {
        dot_products<dot_columns_of_one_row, 1>(product, 0, column);
      } else {
        dot_products<dot_columns_of_one_row, 1, 0>(product, 0, column);
      }
    }
    return column;
  }
};

// --- Each row of B contiguous: rows of B, scaled, are added to rows of C that stay in the first cache
// -------------------

inline constexpr int stream_steps = 4;  ///< rows of B read side by side
inline constexpr int stream_rows = registers >= 32 ? 4 : registers >= 16 ? 2 : 1;

/// c[m, n] += sum over Steps k of a[m, k] b[k, n]
template <int Rows, int Steps, class T, class Stored>
EIGENFORMER_INLINE void add_scaled_rows(const Product<T, Stored>& product, Index row, Index k, Index first,
                                        Index columns) {
  constexpr Index lanes = Vec<T>::lanes;
  const Index b_stride = product.b.row_stride, c_stride = product.c_stride;
  const Stored* const b = product.b.data + k * b_stride + first;
  T* const c = product.c + row * c_stride + first;
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
void add_scaled_rows_to_all(const Product<T, Stored>& product, Index k, Index first, Index columns) {
  Index row = 0;
  for (; row + stream_rows <= product.rows; row += stream_rows) {
    add_scaled_rows<stream_rows, Steps>(product, row, k, first, columns);
  }
  if constexpr (stream_rows > 1) {
    for (; row < product.rows; ++row) add_scaled_rows<1, Steps>(product, row, k, first, columns);
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
    if (product.destination == Destination::overwrite) {
      for (Index row = 0; row < product.rows; ++row) {
        T* const c = product.c + row * product.c_stride + first;
        for (Index n = 0; n < width; ++n) c[n] = T(0);
      }
    }
    Index k = 0;
    for (; k + stream_steps <= product.depth; k += stream_steps) {
      add_scaled_rows_to_all<stream_steps>(product, k, first, width);
    }
    for (; k < product.depth; ++k) add_scaled_rows_to_all<1>(product, k, first, width);
    finish_stored(epilogue, product.c, product.c_stride, product.rows, first, width);
  }
};

/// Columns of a task of the second kind: what of C it touches stays in half of a first cache of 32 KB.
template <class T>
Index stream_columns(Index rows) {
  constexpr Index bytes = 16384;
  const Index columns = bytes / static_cast<Index>(sizeof(T)) / rows / 64 * 64;
  return columns < 64 ? 64 : columns > 2048 ? 2048 : columns;
}

/// Whether that is faster than packing B, as measured on matrices of 128 x 384 to 4096 x 4096: dot products read all of
/// A once more for every few columns, which few registers make dear.
template <class T, class Stored>
bool prefers_gemv(const Product<T, Stored>& product) {
  if (product.b.column_stride == 1) return product.rows <= 16;
  return product.b.row_stride == 1 && product.rows <= (registers >= 32 ? 16 : 8);
}

template <class T, class Stored, class Epilogue>
void gemv(const Product<T, Stored>& product, const Epilogue& epilogue, Context& context) {
  const double operations =
      2.0 * static_cast<double>(product.rows * product.columns) * static_cast<double>(product.depth);
  if (product.b.column_stride == 1) {
    const Index columns = stream_columns<T>(product.rows);
    context.parallel_for((product.columns + columns - 1) / columns, operations,
                         StreamTask<T, Stored, Epilogue>{product, epilogue, columns});
    return;
  }
  using Task = DotTask<T, Stored, Epilogue>;
  ScratchScope scope(context.scratch());
  Product<T, Stored> dots = product;
  if (product.a.column_stride != 1) {
    T* const a = scope.take<T>(product.rows * product.depth);
    for (Index m = 0; m < product.rows; ++m) {
      for (Index k = 0; k < product.depth; ++k) {
        a[m * product.depth + k] = product.a.data[m * product.a.row_stride + k * product.a.column_stride];
      }
    }
    dots.a = plain<T>(a, product.depth);
  }
  context.parallel_for((product.columns + Task::columns - 1) / Task::columns, operations, Task{dots, epilogue});
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET
