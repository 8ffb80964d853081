// SPDX-License-Identifier: MIT
// Body for attention.hpp: forward for so few queries that reading keys and values is all the work. Features lie along
// the lanes, every row of keys and values is read once for all columns, and in the order of memory: a position's heads
// side by side before the next position.

namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET::attention {

/// Where the scores of one task lie. A vector holds, for each of `positions` positions, `heads` key/value heads with
/// `at_once` columns each; `vectors` of them make a step, which holds all heads and columns of these positions. What
/// is left over of a vector is padding: heads, columns and positions there repeat others and are never looked at.
struct DecodeLayout {
  Index kv_heads;
  Index columns;    ///< of each key/value head
  Index at_once;    ///< 1, 2 or 4
  Index heads = 1;  ///< a power of two
  Index positions;
  Index groups;   ///< vectors along the heads
  Index vectors;  ///< of a step: groups for each `at_once` columns
  Index width;    ///< lanes of one position

  DecodeLayout(Index lanes, Index all_kv_heads, Index all_columns)
      : kv_heads(all_kv_heads), columns(all_columns), at_once(1) {
    while (at_once < columns && at_once < 4 && at_once < lanes) at_once *= 2;
    while (heads < kv_heads && heads * at_once < lanes) heads *= 2;
    width = heads * at_once;
    positions = lanes / width;
    groups = (kv_heads + heads - 1) / heads;
    vectors = groups * ((columns + at_once - 1) / at_once);
  }

  /// Columns of all heads, with padding.
  Index slots() const { return vectors * width; }
  Index slot(Index head, Index column) const {
    return (column / at_once * groups + head / heads) * width + head % heads * at_once + column % at_once;
  }
};

/// The scratch memory of one task.
template <class T>
struct DecodeScratch {
  DecodeLayout layout;
  Index key_stride;
  Index value_stride;
  T* queries;     ///< [vectors, d_k / lanes, lanes, lanes]: for each lane of a vector its query's features
  T* scores;      ///< [key tile / positions, vectors, lanes]
  T* maximum;     ///< [vectors, lanes] each
  T* sum;
  T* correction;
  T* first;       ///< live keys relative to the tile at hand
  T* last;
  T* block;       ///< [slots, d_v padded] of one key tile
  T* out;         ///< [slots, d_v padded]

  static Index size(const DecodeLayout& layout, Index key_dim, Index value_dim) {
    return layout.vectors * lanes<T> * (attention_padded(key_dim) + attention_key_tile + 5) +
           2 * layout.slots() * attention_padded(value_dim);
  }
  DecodeScratch(T* memory, const DecodeLayout& chosen, Index key_dim, Index value_dim)
      : layout(chosen), key_stride(attention_padded(key_dim)), value_stride(attention_padded(value_dim)) {
    const Index step = layout.vectors * lanes<T>;
    queries = memory;
    scores = queries + step * key_stride;
    maximum = scores + step * attention_key_tile;
    sum = maximum + step;
    correction = sum + step;
    first = correction + step;
    last = first + step;
    block = last + step;
    out = block + layout.slots() * value_stride;
  }

  /// The weights of a position's first vector.
  const T* weights(Index t) const {
    return scores + t / layout.positions * layout.vectors * lanes<T> + t % layout.positions * layout.width;
  }
};

/// Bytes from a row to the one that lies `units` units later in the order in which rows are read: units of `rows` rows
/// of `heads` heads, `count` of them at the same positions.
template <class T, class S>
Index bytes_ahead(const StoredRows<T>& x, Index unit, Index count, Index rows, Index heads, Index units) {
  const Index to = unit + units;
  const Index elements = to / count * rows * x.stride + (to % count - unit) * heads * x.head_stride;
  return elements * static_cast<Index>(sizeof(S));
}

/// Asks for what lies at an address. It is an integer because behind the last row it belongs to nothing; asking for it
/// there does no harm.
template <class S>
EIGENFORMER_INLINE void prefetch(const S* row, Index bytes) {
  // NOLINTNEXTLINE(performance-no-int-to-ptr)
  __builtin_prefetch(reinterpret_cast<const void*>(reinterpret_cast<std::uintptr_t>(row) + static_cast<std::uintptr_t>(bytes)));
}

inline constexpr Index decode_ahead = 4096;  ///< bytes before its use that a row is asked for

/// sum[i][j] = lane by lane q_j . k_i of `Rows` keys with `Columns` columns each.
template <class T, int Rows, int Columns, class S>
EIGENFORMER_INLINE void decode_dots(const S* const* key, const T* queries, Index dim, Index ahead, Vec<T>* sum) {
  constexpr int count = Vec<T>::lanes;
#pragma GCC unroll 16
  for (int i = 0; i < Rows * Columns; ++i) sum[i] = Vec<T>::zero();
  const Index whole = dim / count * count;
  for (Index e = 0; e < whole; e += count) {
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i) {
      prefetch(key[i] + e, ahead);
      const Vec<T> k = Vec<T>::load(key[i] + e);
#pragma GCC unroll 4
      for (int j = 0; j < Columns; ++j) {
        sum[i * Columns + j] = fma(k, Vec<T>::load(queries + e * count + (i * Columns + j) * count), sum[i * Columns + j]);
      }
    }
  }
  if (whole == dim) return;
  const Mask<T> rest = first_lanes<T>(dim - whole);
#pragma GCC unroll 16
  for (int i = 0; i < Rows; ++i) {
    const Vec<T> k = Vec<T>::load(key[i] + whole, rest);
#pragma GCC unroll 4
    for (int j = 0; j < Columns; ++j) {
      sum[i * Columns + j] =
          fma(k, Vec<T>::load(queries + whole * count + (i * Columns + j) * count), sum[i * Columns + j]);
    }
  }
}

/// scores[t, h, j] = q_j . k_t,h. As many dot products at a time as there are lanes, then one transposition adds them up.
template <class T, int Columns, class S>
void decode_scores(const DecodeScratch<T>& scratch, const StoredRows<T>& keys, Index rows, Index dim) {
  constexpr int count = Vec<T>::lanes;
  constexpr int at_once = count / Columns;       // keys of a vector
  constexpr int part = at_once < 8 ? at_once : 8;  // of which so many are read side by side
  const DecodeLayout& layout = scratch.layout;
  const S* const data = static_cast<const S*>(keys.data);
  const Index units = (std::max)(Index(1), decode_ahead / (at_once * dim * static_cast<Index>(sizeof(S))));
  T* to = scratch.scores;
  for (Index t = 0; t < rows; t += layout.positions, to += layout.vectors * count) {
    for (Index group = 0; group < layout.groups; ++group) {
      const S* key[at_once];
      for (Index i = 0, position = t, head = 0; i < at_once; ++i) {
        key[i] = data + (std::min)(position, rows - 1) * keys.stride +
                 (std::min)(group * layout.heads + head, layout.kv_heads - 1) * keys.head_stride;
        if (++head == layout.heads) head = 0, ++position;
      }
      const Index ahead = bytes_ahead<T, S>(keys, group, layout.groups, layout.positions, layout.heads, units);
      for (Index vector = group; vector < layout.vectors; vector += layout.groups) {
        const T* const queries = scratch.queries + vector * count * scratch.key_stride;
        Vec<T> sum[count];
#pragma GCC unroll 2
        for (int i = 0; i < at_once; i += part) {
          decode_dots<T, part, Columns>(key + i, queries + i * Columns * count, dim, ahead, sum + i * Columns);
        }
        transpose(sum);
#pragma GCC unroll 4
        for (int half = count / 2; half > 0; half /= 2) {
#pragma GCC unroll 8
          for (int i = 0; i < half; ++i) sum[i] = sum[i] + sum[i + half];
        }
        sum[0].store(to + vector * count);
      }
    }
  }
}

/// Lanes of the same column take the largest of their values.
template <class T>
void share_maximum(T* values, Index width) {
  for (Index i = width; i < lanes<T>; ++i) values[i % width] = (std::max)(values[i % width], values[i]);
  for (Index i = width; i < lanes<T>; ++i) values[i] = values[i % width];
}

/// Scores of a tile become weights, as in `soften`; what lies outside a column's live keys becomes 0.
template <class T>
void decode_soften(const DecodeScratch<T>& scratch, Index rows) {
  using V = Vec<T>;
  const DecodeLayout& layout = scratch.layout;
  const Index step = layout.vectors * lanes<T>;
  T row[Vec<T>::lanes];
  for (Index i = 0; i < lanes<T>; ++i) row[i] = static_cast<T>(i / layout.width);
  const V next = V::broadcast(static_cast<T>(layout.positions));
  for (Index at = 0; at < step; at += lanes<T>) {
    T* const scores = scratch.scores + at;
    const LiveKeys<T> bounds{V::load(scratch.first + at), V::load(scratch.last + at)};
    const V before = V::load(scratch.maximum + at);
    V most = before;
    V key = V::load(row);
    for (Index t = 0, i = 0; t < rows; t += layout.positions, i += step, key = key + next) {
      most = maximum(select((bounds.first <= key) & (key < bounds.last), V::load(scores + i), before), most);
    }
    most.store(scratch.maximum + at);
    if (layout.positions > 1) {
      share_maximum(scratch.maximum + at, layout.width);
      most = V::load(scratch.maximum + at);
    }
    V sum = V::zero();
    key = V::load(row);
    for (Index t = 0, i = 0; t < rows; t += layout.positions, i += step, key = key + next) {
      const V p = select((bounds.first <= key) & (key < bounds.last), weight<T>(V::load(scores + i) - most), V::zero());
      sum = sum + p;
      p.store(scores + i);
    }
    const V correction = simd::EIGENFORMER_TARGET::exp(before - most);
    correction.store(scratch.correction + at);
    fma(V::load(scratch.sum + at), correction, sum).store(scratch.sum + at);
  }
}

/// sums[j] += sum of weights[i][j] v_i of `Rows` rows.
template <class T, int Columns, int Rows, class S>
EIGENFORMER_INLINE void decode_add(const S* const* value, const T* const* weights, Index dim, Index ahead, T* sums,
                                   Index stride) {
  const Index whole = dim / lanes<T> * lanes<T>;
  Vec<T> w[Rows * Columns];
#pragma GCC unroll 16
  for (int i = 0; i < Rows * Columns; ++i) w[i] = Vec<T>::broadcast(weights[i / Columns][i % Columns]);
  for (Index e = 0; e < dim; e += lanes<T>) {
    Vec<T> v[Rows];
    if (e < whole) {
#pragma GCC unroll 8
      for (int i = 0; i < Rows; ++i) {
        prefetch(value[i] + e, ahead);
        v[i] = Vec<T>::load(value[i] + e);
      }
    } else {
      const Mask<T> rest = first_lanes<T>(dim - whole);
#pragma GCC unroll 8
      for (int i = 0; i < Rows; ++i) v[i] = Vec<T>::load(value[i] + e, rest);
    }
#pragma GCC unroll 4
    for (int j = 0; j < Columns; ++j) {
      Vec<T> sum = Vec<T>::load(sums + j * stride + e);
#pragma GCC unroll 8
      for (int i = 0; i < Rows; ++i) sum = fma(v[i], w[i * Columns + j], sum);
      sum.store(sums + j * stride + e);
    }
  }
}

/// block += the values of `Rows` positions from t on, each times its weight.
template <class T, int Columns, int Rows, class S>
void decode_values(const DecodeScratch<T>& scratch, const StoredRows<T>& values, Index t, Index dim) {
  const DecodeLayout& layout = scratch.layout;
  const Index units = (std::max)(Index(1), decode_ahead / (Rows * dim * static_cast<Index>(sizeof(S))));
  const S* value[Rows];
  const T* weights[Rows];
  for (int i = 0; i < Rows; ++i) value[i] = static_cast<const S*>(values.data) + (t + i) * values.stride;
  for (Index head = 0; head < layout.kv_heads; ++head) {
    const Index ahead = bytes_ahead<T, S>(values, head, layout.kv_heads, Rows, 1, units);
    for (Index column = 0, slot = layout.slot(head, 0); column < layout.columns; column += Columns, slot += layout.groups * layout.width) {
      for (int i = 0; i < Rows; ++i) weights[i] = scratch.weights(t + i) + slot / layout.width * lanes<T> + slot % layout.width;
      decode_add<T, Columns, Rows>(value, weights, dim, ahead, scratch.block + slot * scratch.value_stride,
                                   scratch.value_stride);
    }
    for (int i = 0; i < Rows; ++i) value[i] += values.head_stride;
  }
}

/// The values of position t, which only some columns see: the others leave them alone, as they may hold NaN.
template <class T, class S>
void decode_values_of_live(const DecodeScratch<T>& scratch, const StoredRows<T>& values, Index t, Index dim) {
  const DecodeLayout& layout = scratch.layout;
  const T key = static_cast<T>(t);
  for (Index head = 0; head < layout.kv_heads; ++head) {
    const S* const value = static_cast<const S*>(values.data) + t * values.stride + head * values.head_stride;
    for (Index column = 0; column < layout.columns; ++column) {
      const Index slot = layout.slot(head, column);
      const Index lane = slot / layout.width * lanes<T> + slot % layout.width;
      if (key < scratch.first[lane] || key >= scratch.last[lane]) continue;
      const Vec<T> p = Vec<T>::broadcast(scratch.weights(t)[lane]);
      for (Index e = 0; e < dim; e += lanes<T>) {
        T* const at = scratch.block + slot * scratch.value_stride + e;
        const Mask<T> inside = first_lanes<T>((std::min)(lanes<T>, dim - e));
        fma(Vec<T>::load(value + e, inside), p, Vec<T>::load(at)).store(at);
      }
    }
  }
}

/// A tile of keys and values stored as S; `full` are those of its rows that all columns see.
template <class T, int Columns, class S>
void decode_values_of_tile(const DecodeScratch<T>& scratch, const KeyTile<T>& tile, KeyRange full, Index dim) {
  const Index begin = (std::clamp)(full.first - tile.first, Index(0), tile.rows);
  const Index end = (std::clamp)(full.last - tile.first, begin, tile.rows);
  Index t = 0;
  for (; t < begin; ++t) decode_values_of_live<T, S>(scratch, tile.values, t, dim);
  for (; t + 4 <= end; t += 4) decode_values<T, Columns, 4, S>(scratch, tile.values, t, dim);
  for (; t < end; ++t) decode_values<T, Columns, 1, S>(scratch, tile.values, t, dim);
  for (; t < tile.rows; ++t) decode_values_of_live<T, S>(scratch, tile.values, t, dim);
}

/// The two functions that depend on what keys and values are stored as and on how many columns there are.
template <class T>
struct DecodeSteps {
  void (*scores)(const DecodeScratch<T>&, const StoredRows<T>&, Index rows, Index dim);
  void (*values)(const DecodeScratch<T>&, const KeyTile<T>&, KeyRange full, Index dim);
};
template <class T, class S>
DecodeSteps<T> decode_steps(Index at_once) {
  if constexpr (Vec<T>::lanes >= 4) {
    if (at_once == 4) return {decode_scores<T, 4, S>, decode_values_of_tile<T, 4, S>};
  }
  if (at_once == 2) return {decode_scores<T, 2, S>, decode_values_of_tile<T, 2, S>};
  return {decode_scores<T, 1, S>, decode_values_of_tile<T, 1, S>};
}
template <class T>
DecodeSteps<T> decode_steps(StoredAs storage, Index at_once) {
  switch (storage) {
    case StoredAs::bfloat16: return decode_steps<T, Bfloat16>(at_once);
    case StoredAs::float16: return decode_steps<T, Float16>(at_once);
    default: return decode_steps<T, T>(at_once);
  }
}

/// Queries into their places, and sums that have seen nothing.
template <class T>
void decode_begin(const AttentionProblem<T>& problem, const AttentionTask& task, const DecodeScratch<T>& scratch) {
  const DecodeLayout& layout = scratch.layout;
  const Index step = layout.vectors * lanes<T>;
  std::fill_n(scratch.queries, step * scratch.key_stride, T(0));
  std::fill_n(scratch.maximum, step, no_score<T>);
  std::fill_n(scratch.sum, step, T(0));
  std::fill_n(scratch.out, layout.slots() * scratch.value_stride, T(0));
  for (Index head = 0; head < layout.kv_heads; ++head) {
    const AttentionTask one = task.of_head(head);
    for (Index column = 0; column < layout.columns; ++column) {
      const T* const query = problem.query.at(one.batch, one.position(column), one.head(column));
      const Index slot = layout.slot(head, column);
      T* const to = scratch.queries + slot / layout.width * lanes<T> * scratch.key_stride;
      for (Index lane = slot % layout.width; lane < lanes<T>; lane += layout.width) {
        for (Index e = 0; e < problem.query.head_dim(); ++e) {
          to[(e / lanes<T> * lanes<T> + lane) * lanes<T> + e % lanes<T>] = problem.scale * query[e];
        }
      }
    }
  }
}

/// The live keys of each lane relative to a tile; none of what is padding.
template <class T>
void decode_live_keys(const AttentionProblem<T>& problem, const AttentionTask& task, const DecodeScratch<T>& scratch,
                      const KeyTile<T>& tile) {
  const DecodeLayout& layout = scratch.layout;
  std::fill_n(scratch.first, layout.vectors * lanes<T>, T(0));
  std::fill_n(scratch.last, layout.vectors * lanes<T>, T(0));
  for (Index column = 0; column < layout.columns; ++column) {
    const KeyRange live = column_keys(problem, task, column);
    const T first = static_cast<T>((std::clamp)(live.first - tile.first, Index(0), tile.rows));
    const T last = static_cast<T>((std::clamp)(live.last - tile.first, Index(0), tile.rows));
    for (Index head = 0; head < layout.kv_heads; ++head) {
      const Index slot = layout.slot(head, column);
      for (Index lane = slot % layout.width; lane < lanes<T>; lane += layout.width) {
        scratch.first[slot / layout.width * lanes<T> + lane] = first;
        scratch.last[slot / layout.width * lanes<T> + lane] = last;
      }
    }
  }
}

/// out = correction out + block.
template <class T>
void decode_accumulate(const DecodeScratch<T>& scratch) {
  const DecodeLayout& layout = scratch.layout;
  for (Index slot = 0; slot < layout.slots(); ++slot) {
    const Vec<T> correction =
        Vec<T>::broadcast(scratch.correction[slot / layout.width * lanes<T> + slot % layout.width]);
    T* const out = scratch.out + slot * scratch.value_stride;
    const T* const block = scratch.block + slot * scratch.value_stride;
    for (Index e = 0; e < scratch.value_stride; e += lanes<T>) {
      fma(Vec<T>::load(out + e), correction, Vec<T>::load(block + e)).store(out + e);
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

template <class T>
void decode_finish(const AttentionProblem<T>& problem, const AttentionTask& task, const AttentionResult<T>& result,
                   const DecodeScratch<T>& scratch) {
  const DecodeLayout& layout = scratch.layout;
  for (Index head = 0; head < layout.kv_heads; ++head) {
    for (Index column = 0; column < layout.columns; ++column) {
      const Index slot = layout.slot(head, column);
      const Index first = slot / layout.width * lanes<T>;
      T sum = 0;
      for (Index lane = slot % layout.width; lane < lanes<T>; lane += layout.width) sum += scratch.sum[first + lane];
      finish_column(task.of_head(head), result.of_head(head), scratch.out + slot * scratch.value_stride,
                    problem.value_dim, scratch.maximum[first + slot % layout.width], sum, column);
    }
  }
}

/// Attention of few columns of each of task.kv_heads key/value heads over task.keys.
template <class T>
void decode(const AttentionProblem<T>& problem, const AttentionTask& task, const AttentionResult<T>& result,
            T* memory) {
  const Index key_dim = problem.query.head_dim();
  const Index value_dim = problem.value_dim;
  const DecodeLayout layout(lanes<T>, task.kv_heads, task.columns);
  const DecodeScratch<T> scratch(memory, layout, key_dim, value_dim);
  const PanelKeys keys = panel_keys(problem, task, 0, task.columns);
  decode_begin(problem, task, scratch);
  KeyTiles<T> tiles(problem, task, keys.any);
  KeyTile<T> tile;
  while (tiles.next(tile, attention_key_tile)) {
    decode_steps<T>(tile.keys.storage, layout.at_once).scores(scratch, tile.keys, tile.rows, key_dim);
    if (problem.softcap != T(0)) {
      const Index steps = round_up(tile.rows, layout.positions) / layout.positions;
      cap_scores<T, 1>(scratch.scores, steps * layout.vectors, problem.softcap);
    }
    decode_live_keys(problem, task, scratch, tile);
    decode_soften(scratch, tile.rows);
    std::fill_n(scratch.block, layout.slots() * scratch.value_stride, T(0));
    decode_steps<T>(tile.values.storage, layout.at_once).values(scratch, tile, keys.full, value_dim);
    decode_accumulate(scratch);
  }
  decode_finish(problem, task, result, scratch);
}

template <class T>
Index decode_scratch_size(const AttentionTask& task, Index key_dim, Index value_dim) {
  return DecodeScratch<T>::size(DecodeLayout(lanes<T>, task.kv_heads, task.columns), key_dim, value_dim);
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET::attention
