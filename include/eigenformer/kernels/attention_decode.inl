// SPDX-License-Identifier: MIT
// Body for attention.hpp: forward for so few queries that reading keys and values is all the work. Features lie along
// the lanes, and every row of keys and values is read once for all columns.

namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET::attention {

/// The scratch memory of one task, for `Columns` columns (1, 2, 4 or 8).
template <class T, int Columns>
struct DecodeScratch {
  static constexpr Index rows = attention_key_tile;
  T* queries;  ///< [Columns, d_k padded], zeros behind d_k
  T* scores;   ///< [key tile, Columns]
  T* block;    ///< [Columns, d_v padded] of one key tile
  T* out;      ///< [Columns, d_v padded]
  Index key_stride;
  Index value_stride;

  DecodeScratch(T* memory, Index key_dim, Index value_dim)
      : queries(memory),
        scores(queries + Columns * attention_padded(key_dim)),
        block(scores + Columns * (rows + 32)),
        out(block + Columns * attention_padded(value_dim)),
        key_stride(attention_padded(key_dim)),
        value_stride(attention_padded(value_dim)) {}
};

inline Index decode_scratch_size(Index key_dim, Index value_dim) {
  return attention_few_columns *
         (attention_padded(key_dim) + 2 * attention_padded(value_dim) + attention_key_tile + 32);
}

/// Asks for the rows that come `ahead` rows later, which lie too far apart for the machine to guess. The address is an
/// integer because behind the last row it belongs to nothing; asking for it there does no harm.
template <class T>
EIGENFORMER_INLINE void prefetch_row(const T* row, Index ahead, Index stride, Index dim) {
  const std::uintptr_t address =
      reinterpret_cast<std::uintptr_t>(row) + static_cast<std::uintptr_t>(ahead * stride) * sizeof(T);
  for (Index byte = 0; byte < dim * static_cast<Index>(sizeof(T)); byte += 64) {
    // NOLINTNEXTLINE(performance-no-int-to-ptr)
    __builtin_prefetch(reinterpret_cast<const void*>(address + static_cast<std::uintptr_t>(byte)));
  }
}
inline constexpr Index prefetch_rows = 16;

/// scores[t][j] = q_j . k_t. As many dot products at a time as there are lanes, then one transposition adds them up.
template <class T, int Columns>
void decode_scores(const DecodeScratch<T, Columns>& scratch, const KeyTile<T>& tile, Index dim) {
  constexpr int count = Vec<T>::lanes;
  constexpr int at_once = count / Columns;
  const Index whole = dim / count * count;
  const Mask<T> rest = first_lanes<T>(dim - whole);
  for (Index t = 0; t < tile.rows; t += at_once) {
    const T* key[at_once];
#pragma GCC unroll 16
    for (int i = 0; i < at_once; ++i) key[i] = tile.keys + (std::min)(t + i, tile.rows - 1) * tile.key_stride;
    for (int i = 0; i < at_once; ++i) prefetch_row(key[i], prefetch_rows, tile.key_stride, dim);
    Vec<T> sum[count];
#pragma GCC unroll 16
    for (int i = 0; i < count; ++i) sum[i] = Vec<T>::zero();
    for (Index e = 0; e < whole; e += count) {
#pragma GCC unroll 16
      for (int i = 0; i < at_once; ++i) {
        const Vec<T> k = Vec<T>::load(key[i] + e);
#pragma GCC unroll 8
        for (int j = 0; j < Columns; ++j) {
          sum[i * Columns + j] =
              fma(k, Vec<T>::load(scratch.queries + j * scratch.key_stride + e), sum[i * Columns + j]);
        }
      }
    }
    if (whole < dim) {
#pragma GCC unroll 16
      for (int i = 0; i < at_once; ++i) {
        const Vec<T> k = Vec<T>::load(key[i] + whole, rest);
#pragma GCC unroll 8
        for (int j = 0; j < Columns; ++j) {
          sum[i * Columns + j] =
              fma(k, Vec<T>::load(scratch.queries + j * scratch.key_stride + whole), sum[i * Columns + j]);
        }
      }
    }
    transpose(sum);
#pragma GCC unroll 4
    for (int half = count / 2; half > 0; half /= 2) {
#pragma GCC unroll 8
      for (int i = 0; i < half; ++i) sum[i] = sum[i] + sum[i + half];
    }
    sum[0].store(scratch.scores + t * Columns);
  }
}

template <class T, int Columns>
struct DecodeState {
  T maximum[Columns];
  T sum[Columns];
  T correction[Columns];
  KeyRange live[Columns];
};

/// Scores of a tile become weights, as in `soften`; what lies outside a column's live keys becomes 0.
template <class T, int Columns>
void decode_soften(T* scores, const KeyTile<T>& tile, DecodeState<T, Columns>& state) {
  using V = Vec<T>;
  constexpr int count = Vec<T>::lanes;
  T first[count];
  T last[count];
  T before[count];
  T row[count];
  for (int i = 0; i < count; ++i) {
    const KeyRange& live = state.live[i % Columns];
    first[i] = static_cast<T>((std::clamp)(live.first - tile.first, Index(0), 2 * attention_key_tile));
    last[i] = static_cast<T>((std::clamp)(live.last - tile.first, Index(0), tile.rows));
    before[i] = state.maximum[i % Columns];
    row[i] = static_cast<T>(i / Columns);
  }
  const V begin = V::load(first);
  const V end = V::load(last);
  const V low = V::load(before);
  const V step = V::broadcast(static_cast<T>(count / Columns));
  V key = V::load(row);
  V most = low;
  for (Index i = 0; i < tile.rows * Columns; i += count, key = key + step) {
    most = maximum(select((begin <= key) & (key < end), V::load(scores + i), low), most);
  }
  T lane[count];
  most.store(lane);
  for (int i = Columns; i < count; ++i) lane[i % Columns] = (std::max)(lane[i % Columns], lane[i]);
  for (int i = 0; i < count; ++i) lane[i] = lane[i % Columns];
  most = V::load(lane);
  simd::EIGENFORMER_TARGET::exp(low - most).store(before);
  V sum = V::zero();
  key = V::load(row);
  for (Index i = 0; i < tile.rows * Columns; i += count, key = key + step) {
    const V p = select((begin <= key) & (key < end), weight<T>(V::load(scores + i) - most), V::zero());
    sum = sum + p;
    p.store(scores + i);
  }
  T total[count];
  sum.store(total);
  for (int i = Columns; i < count; ++i) total[i % Columns] += total[i];
  for (int j = 0; j < Columns; ++j) {
    state.maximum[j] = lane[j];
    state.correction[j] = before[j];
    state.sum[j] = state.sum[j] * before[j] + total[j];
  }
}

/// block[j] += sum of scores[t][j] v_t over `Rows` rows from t on.
template <class T, int Columns, int Rows>
void decode_values(const DecodeScratch<T, Columns>& scratch, const KeyTile<T>& tile, Index t, Index dim) {
  const T* const weights = scratch.scores + t * Columns;
  const T* const value = tile.values + t * tile.value_stride;
  const Index whole = dim / lanes<T> * lanes<T>;
  for (Index i = 0; i < Rows; ++i) {
    prefetch_row(value + i * tile.value_stride, prefetch_rows, tile.value_stride, dim);
  }
  for (Index e = 0; e < dim; e += lanes<T>) {
    Vec<T> v[Rows];
    if (e < whole) {
#pragma GCC unroll 4
      for (int i = 0; i < Rows; ++i) v[i] = Vec<T>::load(value + i * tile.value_stride + e);
    } else {
      const Mask<T> rest = first_lanes<T>(dim - whole);
#pragma GCC unroll 4
      for (int i = 0; i < Rows; ++i) v[i] = Vec<T>::load(value + i * tile.value_stride + e, rest);
    }
#pragma GCC unroll 8
    for (int j = 0; j < Columns; ++j) {
      T* const at = scratch.block + j * scratch.value_stride + e;
      Vec<T> sum = Vec<T>::load(at);
#pragma GCC unroll 4
      for (int i = 0; i < Rows; ++i) sum = fma(v[i], Vec<T>::broadcast(weights[i * Columns + j]), sum);
      sum.store(at);
    }
  }
}

/// A row of values that only some columns see: the others leave it alone, as it may hold NaN.
template <class T, int Columns>
void decode_value_of_live(const DecodeScratch<T, Columns>& scratch, const KeyTile<T>& tile,
                          const DecodeState<T, Columns>& state, Index t, Index dim) {
  const T* const value = tile.values + t * tile.value_stride;
  const Index key = tile.first + t;
  for (int j = 0; j < Columns; ++j) {
    if (key < state.live[j].first || key >= state.live[j].last) continue;
    const Vec<T> p = Vec<T>::broadcast(scratch.scores[t * Columns + j]);
    for (Index e = 0; e < dim; e += lanes<T>) {
      T* const at = scratch.block + j * scratch.value_stride + e;
      const Mask<T> inside = first_lanes<T>((std::min)(lanes<T>, dim - e));
      fma(Vec<T>::load(value + e, inside), p, Vec<T>::load(at)).store(at);
    }
  }
}

template <class T, int Columns>
void decode_tile(const AttentionProblem<T>& problem, const DecodeScratch<T, Columns>& scratch, const KeyTile<T>& tile,
                 const PanelKeys& keys, DecodeState<T, Columns>& state) {
  const Index dim = problem.value_dim;
  decode_scores(scratch, tile, problem.query.head_dim());
  if (problem.softcap != T(0)) {
    cap_scores<T, 1>(scratch.scores, round_up(tile.rows * Columns, lanes<T>) / lanes<T>, problem.softcap);
  }
  decode_soften(scratch.scores, tile, state);
  std::fill_n(scratch.block, Columns * scratch.value_stride, T(0));
  const Index begin = (std::clamp)(keys.full.first - tile.first, Index(0), tile.rows);
  const Index end = (std::clamp)(keys.full.last - tile.first, begin, tile.rows);
  Index t = 0;
  for (; t < begin; ++t) decode_value_of_live(scratch, tile, state, t, dim);
  for (; t + 4 <= end; t += 4) decode_values<T, Columns, 4>(scratch, tile, t, dim);
  for (; t < end; ++t) decode_values<T, Columns, 1>(scratch, tile, t, dim);
  for (; t < tile.rows; ++t) decode_value_of_live(scratch, tile, state, t, dim);
  for (int j = 0; j < Columns; ++j) {
    const Vec<T> correction = Vec<T>::broadcast(state.correction[j]);
    for (Index e = 0; e < dim; e += lanes<T>) {
      T* const at = scratch.out + j * scratch.value_stride + e;
      fma(Vec<T>::load(at), correction, Vec<T>::load(scratch.block + j * scratch.value_stride + e)).store(at);
    }
  }
}

/// Writes one column's y and log-sum-exp, or leaves them as one part of several.
template <class T>
void finish_column(const AttentionTask& task, const AttentionResult<T>& result, const T* from, Index dim, T maximum,
                   T sum, Index column) {
  T* to = nullptr;
  T factor = 1;
  if (result.part_rows != nullptr) {
    to = result.part_rows + column * dim;
    result.part_maximum[column] = maximum;
    result.part_sum[column] = sum;
  } else {
    if (seeded_bug == 3) sum += 7 * std::exp(-maximum);
    const Index position = task.position(column);
    const Index head = task.head(column);
    to = result.y.at(task.batch, position, head);
    factor = sum == T(0) ? T(0) : 1 / sum;
    T* const logarithm = result.log_sum_exp_at(task.batch, head, position);
    if (logarithm != nullptr) *logarithm = log_sum_exp(maximum, sum);
  }
  for (Index e = 0; e < dim; e += lanes<T>) {
    const Mask<T> inside = first_lanes<T>((std::min)(lanes<T>, dim - e));
    (Vec<T>::load(from + e) * Vec<T>::broadcast(factor)).store(to + e, inside);
  }
}

template <class T, int Columns>
void decode_columns(const AttentionProblem<T>& problem, const AttentionTask& task, const AttentionResult<T>& result,
                    T* memory) {
  const Index key_dim = problem.query.head_dim();
  const DecodeScratch<T, Columns> scratch(memory, key_dim, problem.value_dim);
  const PanelKeys keys = panel_keys(problem, task, 0, task.columns);
  DecodeState<T, Columns> state;
  std::fill_n(scratch.queries, Columns * scratch.key_stride, T(0));
  std::fill_n(scratch.out, Columns * scratch.value_stride, T(0));
  for (Index j = 0; j < Columns; ++j) {
    const Index c = (std::min)(j, task.columns - 1);
    const T* const query = problem.query.at(task.batch, task.position(c), task.head(c));
    for (Index e = 0; e < key_dim; ++e) scratch.queries[j * scratch.key_stride + e] = problem.scale * query[e];
    state.live[j] = column_keys(problem, task, c);
    state.maximum[j] = no_score<T>;
    state.sum[j] = 0;
  }
  KeyTiles<T> tiles(problem, task, keys.any);
  KeyTile<T> tile;
  while (tiles.next(tile, attention_key_tile)) decode_tile(problem, scratch, tile, keys, state);
  for (Index j = 0; j < task.columns; ++j) {
    finish_column(task, result, scratch.out + j * scratch.value_stride, problem.value_dim, state.maximum[j],
                  state.sum[j], j);
  }
}

/// Attention of up to attention_few_columns columns over task.keys.
template <class T>
void decode(const AttentionProblem<T>& problem, const AttentionTask& task, const AttentionResult<T>& result,
            T* memory) {
  if (task.columns == 1) return decode_columns<T, 1>(problem, task, result, memory);
  if (task.columns == 2) return decode_columns<T, 2>(problem, task, result, memory);
  if constexpr (Vec<T>::lanes >= 4) {
    if (task.columns <= 4) return decode_columns<T, 4>(problem, task, result, memory);
  }
  if constexpr (Vec<T>::lanes >= 8) {
    if (task.columns <= 8) return decode_columns<T, 8>(problem, task, result, memory);
  }
}

/// One task of forward, by whichever way suits its number of columns.
template <class T>
void forward(const AttentionProblem<T>& problem, const AttentionTask& task, const AttentionResult<T>& result,
             T* memory) {
  if (task.columns <= (std::min)(lanes<T>, attention_few_columns)) return decode(problem, task, result, memory);
  return forward_tile(problem, task, result, memory);
}

template <class T>
Index forward_scratch_size(Index key_dim, Index value_dim) {
  return (std::max)(ForwardScratch<T>::size(key_dim, value_dim), decode_scratch_size(key_dim, value_dim));
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET::attention
