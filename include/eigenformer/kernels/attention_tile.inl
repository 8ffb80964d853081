// SPDX-License-Identifier: MIT
// Body for attention.hpp: packing the panels of attention, and what else it needs of vectors.

namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET::attention {

using namespace simd::EIGENFORMER_TARGET;

// Queries lie along the lanes. A panel is up to tile_vectors vectors wide and holds one row per key or per feature; a
// product of tile_rows rows by one panel stays in registers.
template <class T>
inline constexpr Index lanes = Vec<T>::lanes;
template <class T>
inline constexpr Index panel_width = tile_columns<T>;
static_assert(tile_vectors <= 3 && attention_query_tile % panel_width<float> == 0 &&
              attention_query_tile % panel_width<double> == 0 && attention_key_tile % tile_rows == 0);

inline Index round_up(Index count, Index multiple) { return (count + multiple - 1) / multiple * multiple; }

/// panel[e][i] = factor rows[i][e] for one vector of columns.
template <class T>
void transpose_in(const T* const* rows, Index dim, T factor, T* panel, Index stride) {
  constexpr int count = Vec<T>::lanes;
  const Vec<T> factors = Vec<T>::broadcast(factor);
  for (Index e = 0; e < dim; e += count) {
    Vec<T> block[count];
    const Mask<T> inside = first_lanes<T>((std::min)(lanes<T>, dim - e));
#pragma GCC unroll 16
    for (int i = 0; i < count; ++i) block[i] = Vec<T>::load(rows[i] + e, inside);
    transpose(block);
#pragma GCC unroll 16
    for (int i = 0; i < count; ++i) {
      if (e + i < dim) (block[i] * factors).store(panel + (e + i) * stride);
    }
  }
}

/// rows[i][e] = factors[i] panel[e][i] for the first `live` columns of one vector; the panel is readable up to a whole
/// number of vectors of rows.
template <class T>
void transpose_out(const T* panel, Index stride, Index dim, Vec<T> factors, T* const* rows, Index live) {
  constexpr int count = Vec<T>::lanes;
  for (Index e = 0; e < dim; e += count) {
    Vec<T> block[count];
#pragma GCC unroll 16
    for (int i = 0; i < count; ++i) block[i] = Vec<T>::load(panel + (e + i) * stride) * factors;
    transpose(block);
    const Mask<T> inside = first_lanes<T>((std::min)(lanes<T>, dim - e));
#pragma GCC unroll 16
    for (int i = 0; i < count; ++i) {
      if (i < live) block[i].store(rows[i] + e, inside);
    }
  }
}

/// Asks for rows that are read soon. Those of a head lie as far apart as all heads are wide, which the machine does not
/// guess.
template <class T>
EIGENFORMER_INLINE void ask_for(const T* row, Index dim) {
  constexpr Index line = 64 / sizeof(T);
  for (Index e = 0; e < dim; e += line) __builtin_prefetch(row + e);
}

template <class T>
EIGENFORMER_INLINE void ask_for(const StoredRows<T>& rows, Index row, Index dim) {
  const Index size = rows.storage == StoredAs::scalar ? sizeof(T)
                     : rows.storage == StoredAs::int8 ? sizeof(Int8)
                                                      : sizeof(Bfloat16);
  ask_for(static_cast<const char*>(rows.data) + row * rows.stride * size, dim * size);
}

/// x times a scale, or as it is if what it comes from is stored as an S that has none.
template <class S, class T>
EIGENFORMER_INLINE Vec<T> scaled(Vec<T> x, [[maybe_unused]] const T* scale) {
  if constexpr (std::is_same_v<S, Int8>) {
    return x * Vec<T>::broadcast(*scale);
  } else {
    return x;
  }
}

/// Copies rows into contiguous scratch, because a stride of a power of two puts all rows into the same few cache sets.
template <class T, class S>
void copy_rows(const StoredRows<T>& from, Index rows, Index dim, T* to, Index to_stride) {
  const Index whole = dim / lanes<T> * lanes<T>;
  const Mask<T> rest = first_lanes<T>(dim - whole);
  for (Index r = 0; r < rows; ++r) {
    const S* const source = static_cast<const S*>(from.data) + r * from.stride;
    const T* const scale = from.template scale<S>(r, 0);
    T* const target = to + r * to_stride;
    for (Index e = 0; e < whole; e += lanes<T>) scaled<S>(Vec<T>::load(source + e), scale).store(target + e);
    if (whole < dim) scaled<S>(Vec<T>::load(source + whole, rest), scale).store(target + whole, rest);
  }
}

/// The same of rows stored as whatever they are, which the copy widens.
template <class T>
void copy_rows(const StoredRows<T>& from, Index rows, Index dim, T* to, Index to_stride) {
  switch (from.storage) {
    case StoredAs::bfloat16: return copy_rows<T, Bfloat16>(from, rows, dim, to, to_stride);
    case StoredAs::float16: return copy_rows<T, Float16>(from, rows, dim, to, to_stride);
    case StoredAs::int8: return copy_rows<T, Int8>(from, rows, dim, to, to_stride);
    default: return copy_rows<T, T>(from, rows, dim, to, to_stride);
  }
}

/// to = factor from.
template <class T>
void scale_row(const T* from, Index dim, T factor, T* to) {
  const Vec<T> factors = Vec<T>::broadcast(factor);
  for (Index e = 0; e < dim; e += lanes<T>) {
    const Mask<T> inside = first_lanes<T>((std::min)(lanes<T>, dim - e));
    (Vec<T>::load(from + e, inside) * factors).store(to + e, inside);
  }
}

/// Whether all of it is finite, judged by the exponent bits so that -ffast-math has no say.
template <class T>
bool all_finite(const T* x, Index stride, Index rows, Index dim) {
  using Word = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
  constexpr Index step = 32 / sizeof(T);
  typedef Word Words __attribute__((vector_size(32)));
  const Words exponent = Words{} + (sizeof(T) == 4 ? Word(0x7F800000U) : static_cast<Word>(0x7FF0000000000000U));
  Words found = {};
  for (Index r = 0; r < rows; ++r) {
    const T* const row = x + r * stride;
    Words words;
    Index e = 0;
    for (; e + step <= dim; e += step) {
      std::memcpy(&words, row + e, sizeof(words));
      found |= (Words)((words & exponent) == exponent);
    }
    words = Words{};
    if (e < dim) std::memcpy(&words, row + e, static_cast<std::size_t>(dim - e) * sizeof(T));
    found |= (Words)((words & exponent) == exponent);
  }
  Word any = 0;
  for (Index i = 0; i < step; ++i) any |= found[i];
  return any == 0;
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET::attention
