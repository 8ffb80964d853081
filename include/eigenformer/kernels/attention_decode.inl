// SPDX-License-Identifier: MIT
// Body for attention.hpp: forward for so few queries that reading keys and values is all the work. Features lie along
// the lanes, every row of keys and values is read once for all columns, and in the order of memory: a position's heads
// side by side before the next position.

namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET::attention {

/// Where the scores of one task lie. A vector holds `heads` key/value heads, of each `positions` positions, of each
/// `at_once` columns; `vectors` of them make a step, which holds all heads and columns of these positions. Columns and
/// positions that are left over are padding and never looked at.
struct DecodeLayout {
  /// Positions read side by side: one stream does not saturate memory, four do if they are long. So a tile is cut into
  /// as many runs of positions, and a vector holds a position of each.
  static constexpr Index streams = 4;
  Index kv_heads;
  Index columns;      ///< of each key/value head
  Index at_once = 1;  ///< 1, 2 or 4
  Index heads = 1;    ///< a power of two
  Index positions;
  Index groups;   ///< vectors along the heads
  Index vectors;  ///< of a step: groups for each `at_once` columns

  DecodeLayout(Index lanes, Index all_kv_heads, Index all_columns) : kv_heads(all_kv_heads), columns(all_columns) {
    while (at_once < columns && at_once < 4 && at_once < lanes) at_once *= 2;
    while (2 * heads * streams * at_once <= lanes && kv_heads % (2 * heads) == 0) heads *= 2;
    positions = lanes / (heads * at_once);
    groups = kv_heads / heads;
    vectors = groups * ((columns + at_once - 1) / at_once);
  }

  /// Where a column's row of sums is.
  Index row(Index head, Index column) const {
    return column / at_once * at_once * kv_heads + head * at_once + column % at_once;
  }
  Index rows() const { return vectors * heads * at_once; }
  /// Where a column is in the step, at the first of its positions; at_once further it is at the next.
  Index lane(Index head, Index column) const {
    return (column / at_once * groups * heads + head) * positions * at_once + column % at_once;
  }
  /// What is in a lane of the step; a column behind the last is padding.
  struct Place {
    Index head;
    Index column;
    Index position;  ///< of those side by side
  };
  Place place(Index lane) const {
    const Index row = lane / (positions * at_once);  // of heads, once for each at_once columns
    return {row % kv_heads, row / kv_heads * at_once + lane % at_once, lane / at_once % positions};
  }
};

/// The scratch memory of one task.
template <class T>
struct DecodeScratch {
  DecodeLayout layout;
  Index key_stride;
  Index value_stride;
  T* queries;  ///< [columns / at_once, kv_heads, d_k padded / lanes, at_once, lanes], zeros behind d_k
  T* scores;   ///< [tile / positions, vectors, lanes]
  T* maximum;  ///< [vectors, lanes] each
  T* sum;
  T* correction;
  T* first;  ///< live keys relative to the tile at hand
  T* last;
  T* block;  ///< [rows, d_v padded] of one tile
  T* out;    ///< [rows, d_v padded]

  static Index size(const DecodeLayout& layout, Index key_dim, Index value_dim) {
    return layout.vectors * lanes<T> * (attention_decode_tile / layout.positions + 5) +
           layout.rows() * (attention_padded(key_dim) + 2 * attention_padded(value_dim));
  }
  DecodeScratch(T* memory, const DecodeLayout& chosen, Index key_dim, Index value_dim)
      : layout(chosen), key_stride(attention_padded(key_dim)), value_stride(attention_padded(value_dim)) {
    const Index step = layout.vectors * lanes<T>;
    queries = memory;
    scores = queries + layout.rows() * key_stride;
    maximum = scores + step * (attention_decode_tile / layout.positions);
    sum = maximum + step;
    correction = sum + step;
    first = correction + step;
    last = first + step;
    block = last + step;
    out = block + layout.rows() * value_stride;
  }

  /// Steps that a tile takes, which is also how many positions are in a run.
  Index steps(Index rows) const { return (rows + layout.positions - 1) / layout.positions; }
};

/// Bytes from a head of a position to what is read `units` heads later, which may be of a later position.
template <class T, class S>
Index bytes_ahead(const StoredRows<T>& x, Index head, Index heads, Index units) {
  const Index positions = head + units < heads ? 0 : (head + units) / heads;
  return (positions * x.stride + (units - positions * heads) * x.head_stride) * static_cast<Index>(sizeof(S));
}

/// Asks for what lies so many bytes behind an address, perhaps behind the last row, where it does no harm. The sum of
/// both is made here, so that no register holds it for every row.
template <class S>
EIGENFORMER_INLINE void prefetch(const S* row, Index bytes) {
  const auto address = reinterpret_cast<std::uintptr_t>(row) + static_cast<std::uintptr_t>(bytes);
  __builtin_prefetch(reinterpret_cast<const void*>(address));  // NOLINT(performance-no-int-to-ptr)
}
/// Whether an element is the first of a cache line's worth: what is narrow is asked for once, not by every vector of it.
template <class S>
EIGENFORMER_INLINE bool begins_line(Index e) {
  return e % static_cast<Index>(64 / sizeof(S)) == 0;
}
/// A number that the optimiser knows nothing of.
EIGENFORMER_INLINE Index unknown(Index x) {
  __asm__("" : "+r"(x));
  return x;
}

inline constexpr Index decode_ahead = 2048;  ///< bytes before its use that a row is asked for

/// result[i][j], added up over its lanes, is q_j . k_i, of `Rows` keys, each with its scale, with `Columns` columns each.
template <class T, int Rows, int Columns, class S>
EIGENFORMER_INLINE void decode_dots(const S* const* key, const T* const* scale, const T* queries, Index dim,
                                    Index ahead, Vec<T>* result) {
  constexpr int count = Vec<T>::lanes;
  Vec<T> sum[Rows * Columns];
#pragma GCC unroll 16
  for (int i = 0; i < Rows * Columns; ++i) sum[i] = Vec<T>::zero();
  const Index whole = dim / count * count;
  for (Index e = 0; e < whole; e += count) {
    const Index later = unknown(ahead + e * static_cast<Index>(sizeof(S)));
    Vec<T> q[Columns];
#pragma GCC unroll 4
    for (int j = 0; j < Columns; ++j) q[j] = Vec<T>::load(queries + e * Columns + j * count);
#pragma GCC unroll 4
    for (int i = 0; i < Rows; ++i) {
      if (begins_line<S>(e)) prefetch(key[i], later);
      const Vec<T> k = Vec<T>::load(key[i] + e);
#pragma GCC unroll 4
      for (int j = 0; j < Columns; ++j) sum[i * Columns + j] = fma(k, q[j], sum[i * Columns + j]);
    }
  }
  if (whole < dim) {
    const Mask<T> rest = first_lanes<T>(dim - whole);
#pragma GCC unroll 4
    for (int i = 0; i < Rows; ++i) {
      const Vec<T> k = Vec<T>::load(key[i] + whole, rest);
#pragma GCC unroll 4
      for (int j = 0; j < Columns; ++j) {
        const T* const query = queries + whole * Columns + j * count;
        sum[i * Columns + j] = fma(k, Vec<T>::load(query), sum[i * Columns + j]);
      }
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < Rows * Columns; ++i) result[i] = scaled<S>(sum[i], scale[i / Columns]);
}

/// scores[t, h, j] = q_j . k_t,h, as many at a time as there are lanes.
template <class T, int Columns, class S>
void decode_scores(const DecodeScratch<T>& scratch, const StoredRows<T>& keys, Index rows, Index dim) {
  constexpr int count = Vec<T>::lanes;
  constexpr int at_once = count / Columns;  // keys of a vector
  constexpr int streams = at_once < DecodeLayout::streams ? at_once : static_cast<int>(DecodeLayout::streams);
  const DecodeLayout& layout = scratch.layout;
  const Index units = (std::max)(Index(1), decode_ahead / (dim * static_cast<Index>(sizeof(S))));
  const Index run = scratch.steps(rows);
  T* to = scratch.scores;
  for (Index t = 0; t < run; ++t, to += layout.vectors * count) {
    for (Index group = 0; group < layout.groups; ++group) {
      for (Index vector = group; vector < layout.vectors; vector += layout.groups) {
        Vec<T> sum[count];
        Index head = group * layout.heads;
        Index position = 0;
        const T* queries = scratch.queries + vector * layout.heads * Columns * scratch.key_stride;
#pragma GCC unroll 16
        for (int i = 0; i < at_once; i += streams) {
          const S* const first = static_cast<const S*>(keys.data) + head * keys.head_stride;
          const S* key[streams];
          const T* scale[streams];
#pragma GCC unroll 4
          for (int r = 0; r < streams; ++r) {
            const Index row = (std::min)((position + r) * run + t, rows - 1);
            key[r] = first + row * keys.stride;
            scale[r] = keys.template scale<S>(row, head);
          }
          const Index ahead = bytes_ahead<T, S>(keys, head, layout.kv_heads, units);
          decode_dots<T, streams, Columns>(key, scale, queries, dim, ahead, sum + i * Columns);
          position += streams;
          if (position == layout.positions) {
            position = 0;
            ++head;
            queries += Columns * scratch.key_stride;
          }
        }
        reduce_add(sum).store(to + vector * count);
      }
    }
  }
}

/// Lanes of the same column take the largest of their values.
template <class T>
void share_maximum(T* values, const DecodeLayout& layout) {
  const Index width = layout.positions * layout.at_once;
  for (Index first = 0; first < lanes<T>; first += width) {
    for (Index column = first; column < first + layout.at_once; ++column) {
      T most = values[column];
      for (Index i = column; i < first + width; i += layout.at_once) most = (std::max)(most, values[i]);
      for (Index i = column; i < first + width; i += layout.at_once) values[i] = most;
    }
  }
}

/// Scores of a tile become weights, as in `soften`; what lies outside a column's live keys becomes 0.
template <class T>
void decode_soften(const DecodeScratch<T>& scratch, Index rows) {
  using V = Vec<T>;
  const DecodeLayout& layout = scratch.layout;
  const Index step = layout.vectors * lanes<T>;
  const Index run = scratch.steps(rows);
  T row[Vec<T>::lanes];
  for (Index i = 0; i < lanes<T>; ++i) row[i] = static_cast<T>(i / layout.at_once % layout.positions * run);
  const V next = V::broadcast(T(1));
  for (Index at = 0; at < step; at += lanes<T>) {
    T* const scores = scratch.scores + at;
    const LiveKeys<T> bounds{V::load(scratch.first + at), V::load(scratch.last + at)};
    const V before = V::load(scratch.maximum + at);
    V most = before;
    V key = V::load(row);
    for (Index i = 0; i < run * step; i += step, key = key + next) {
      most = maximum(select((bounds.first <= key) & (key < bounds.last), V::load(scores + i), before), most);
    }
    most.store(scratch.maximum + at);
    if (layout.positions > 1) {
      share_maximum(scratch.maximum + at, layout);
      most = V::load(scratch.maximum + at);
    }
    V sum = V::zero();
    key = V::load(row);
    for (Index i = 0; i < run * step; i += step, key = key + next) {
      const V p = select((bounds.first <= key) & (key < bounds.last), weight<T>(V::load(scores + i) - most), V::zero());
      sum = sum + p;
      p.store(scores + i);
    }
    const V correction = simd::EIGENFORMER_TARGET::exp(before - most);
    correction.store(scratch.correction + at);
    fma(V::load(scratch.sum + at), correction, sum).store(scratch.sum + at);
  }
}

/// sums[j] += sum of weights[i][j] v_i of `Rows` rows, each with its scale.
template <class T, int Columns, int Rows, class S>
EIGENFORMER_INLINE void decode_add(const S* first, Index stride, const T* const* scale, const T* const* weights,
                                   Index lane, Index dim, Index ahead, T* sums, Index sums_stride) {
  const Index whole = dim / lanes<T> * lanes<T>;
  const S* value[Rows];
  Vec<T> w[Rows * Columns];
#pragma GCC unroll 8
  for (int i = 0; i < Rows; ++i) value[i] = first + i * stride;
#pragma GCC unroll 16
  for (int i = 0; i < Rows * Columns; ++i) {
    w[i] = scaled<S>(Vec<T>::broadcast(weights[i / Columns][lane + i % Columns]), scale[i / Columns]);
  }
  for (Index e = 0; e < dim; e += lanes<T>) {
    Vec<T> v[Rows];
    if (e < whole) {
      const Index later = unknown(ahead + e * static_cast<Index>(sizeof(S)));
#pragma GCC unroll 8
      for (int i = 0; i < Rows; ++i) {
        if (begins_line<S>(e)) prefetch(value[i], later);
        v[i] = Vec<T>::load(value[i] + e);
      }
    } else {
      const Mask<T> rest = first_lanes<T>(dim - whole);
#pragma GCC unroll 8
      for (int i = 0; i < Rows; ++i) v[i] = Vec<T>::load(value[i] + e, rest);
    }
#pragma GCC unroll 4
    for (int j = 0; j < Columns; ++j) {
      Vec<T> sum = Vec<T>::load(sums + j * sums_stride + e);
#pragma GCC unroll 8
      for (int i = 0; i < Rows; ++i) sum = fma(v[i], w[i * Columns + j], sum);
      sum.store(sums + j * sums_stride + e);
    }
  }
}

/// block += the values of `Rows` positions that lie `run` apart from t on, each times its weight.
template <class T, int Columns, int Rows, class S>
void decode_values(const DecodeScratch<T>& scratch, const StoredRows<T>& values, const T* const* weights, Index t,
                   Index run, Index dim) {
  const DecodeLayout& layout = scratch.layout;
  const Index units = (std::max)(Index(1), decode_ahead / (dim * static_cast<Index>(sizeof(S))));
  const S* first = static_cast<const S*>(values.data) + t * values.stride;
  const T* of_row[Rows];
  for (int i = 0; i < Rows; ++i) of_row[i] = weights[t + i * run];
  for (Index head = 0; head < layout.kv_heads; ++head, first += values.head_stride) {
    const Index ahead = bytes_ahead<T, S>(values, head, layout.kv_heads, units);
    const T* scale[Rows];
    for (int i = 0; i < Rows; ++i) scale[i] = values.template scale<S>(t + i * run, head);
    Index row = head;
    for (Index column = 0; column < layout.columns; column += Columns, row += layout.kv_heads) {
      decode_add<T, Columns, Rows>(first, run * values.stride, scale, of_row, row * layout.positions * Columns, dim,
                                   ahead, scratch.block + row * Columns * scratch.value_stride, scratch.value_stride);
    }
  }
}

/// The values of position t, which only some columns see: the others leave them alone, as they may hold NaN.
template <class T, class S>
void decode_values_of_live(const DecodeScratch<T>& scratch, const StoredRows<T>& values, const T* weights, Index t,
                           Index dim) {
  const DecodeLayout& layout = scratch.layout;
  const T key = static_cast<T>(t);
  for (Index head = 0; head < layout.kv_heads; ++head) {
    const S* const value = static_cast<const S*>(values.data) + t * values.stride + head * values.head_stride;
    for (Index column = 0; column < layout.columns; ++column) {
      const Index lane = layout.lane(head, column);
      if (key < scratch.first[lane] || key >= scratch.last[lane]) continue;
      const Vec<T> p = scaled<S>(Vec<T>::broadcast(weights[lane]), values.template scale<S>(t, head));
      for (Index e = 0; e < dim; e += lanes<T>) {
        T* const at = scratch.block + layout.row(head, column) * scratch.value_stride + e;
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
  const T* weights[2 * attention_decode_tile];  // of each position, to be indexed by lane; some behind the last
  const Index steps = scratch.steps(tile.rows);
  for (Index position = 0, i = 0; position < scratch.layout.positions; ++position) {
    for (Index step = 0; step < steps; ++step, ++i) {
      weights[i] = scratch.scores + step * scratch.layout.vectors * lanes<T> + position * Columns;
    }
  }
  const Index run = (end - begin) / DecodeLayout::streams;
  Index t = 0;
  for (; t < begin; ++t) decode_values_of_live<T, S>(scratch, tile.values, weights[t], t, dim);
  for (; t < begin + run; ++t) {
    decode_values<T, Columns, DecodeLayout::streams, S>(scratch, tile.values, weights, t, run, dim);
  }
  t = begin + DecodeLayout::streams * run;  // what is left over is so little that it may go as if it were masked
  for (; t < tile.rows; ++t) decode_values_of_live<T, S>(scratch, tile.values, weights[t], t, dim);
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
    case StoredAs::int8: return decode_steps<T, Int8>(at_once);
    default: return decode_steps<T, T>(at_once);
  }
}

/// Queries into their places, and sums that have seen nothing.
template <class T>
void decode_begin(const AttentionProblem<T>& problem, const AttentionTask& task, const DecodeScratch<T>& scratch) {
  const DecodeLayout& layout = scratch.layout;
  const Index step = layout.vectors * lanes<T>;
  const Index dim = problem.query.head_dim();
  std::fill_n(scratch.queries, layout.rows() * scratch.key_stride, T(0));
  std::fill_n(scratch.maximum, step, no_score<T>);
  std::fill_n(scratch.sum, step, T(0));
  std::fill_n(scratch.out, layout.rows() * scratch.value_stride, T(0));
  for (Index head = 0; head < layout.kv_heads; ++head) {
    const AttentionTask one = task.of_head(head);
    for (Index column = 0; column < layout.columns; ++column) {
      const T* const query = problem.query.at(one.batch, one.position(column), one.head(column));
      const Index row = layout.row(head, column);
      T* const to = scratch.queries + row / layout.at_once * layout.at_once * scratch.key_stride +
                    row % layout.at_once * lanes<T>;
      for (Index e = 0; e < dim; e += lanes<T>) {
        const Mask<T> inside = first_lanes<T>((std::min)(lanes<T>, dim - e));
        (Vec<T>::load(query + e, inside) * Vec<T>::broadcast(problem.scale)).store(to + e * layout.at_once);
      }
    }
  }
}

/// scores += bias, of the rows that there are.
template <class T>
void decode_add_bias(const AttentionProblem<T>& problem, const AttentionTask& task, const DecodeScratch<T>& scratch,
                     const KeyTile<T>& tile) {
  const ScoreBiasRows<T>& bias = problem.bias;
  const DecodeLayout& layout = scratch.layout;
  const Index step = layout.vectors * lanes<T>;
  const Index run = scratch.steps(tile.rows);
  for (Index head = 0; head < layout.kv_heads; ++head) {
    for (Index column = 0; column < layout.columns; ++column) {
      const Index first_head = task.of_head(head).first_head;
      const T* const from = bias.data + bias.at(first_head, column) + tile.first * bias.key_step;
      T* to = scratch.scores + layout.lane(head, column);
      for (Index row = 0; row < tile.rows; row += run, to += layout.at_once) {
        for (Index t = 0; t < (std::min)(run, tile.rows - row); ++t) to[t * step] += from[(row + t) * bias.key_step];
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
    const Index begin = layout.lane(0, column);
    for (Index i = 0; i < layout.kv_heads * layout.positions; ++i) {
      scratch.first[begin + i * layout.at_once] = first;
      scratch.last[begin + i * layout.at_once] = last;
    }
  }
}

/// Drops weights. Lane by lane of a step, as the columns and positions of its vectors are mixed.
template <class T>
void decode_drop(const AttentionProblem<T>& problem, const AttentionTask& task, const DecodeScratch<T>& scratch,
                 const KeyTile<T>& tile) {
  const DecodeLayout& layout = scratch.layout;
  const Index step = layout.vectors * lanes<T>;
  const Index run = scratch.steps(tile.rows);
  for (Index vector = 0; vector < step; vector += lanes<T>) {
    std::uint32_t start[lanes<T>] = {};
    std::uint32_t key[lanes<T>] = {};
    for (Index i = 0; i < lanes<T>; ++i) {
      const DecodeLayout::Place place = layout.place(vector + i);
      if (place.column >= layout.columns) continue;
      const AttentionTask one = task.of_head(place.head);
      const DropoutStream stream =
          problem.dropout_stream(one.batch, one.head(place.column), one.position(place.column));
      start[i] = stream.start + static_cast<std::uint32_t>(place.position * run) * DropoutStream::step;
      key[i] = stream.key;
    }
    drop_rows(scratch.scores + vector, run, step, {start, key}, tile.first, problem.dropout.limit);
  }
}

/// out = correction out + block.
template <class T>
void decode_accumulate(const DecodeScratch<T>& scratch) {
  const DecodeLayout& layout = scratch.layout;
  for (Index head = 0; head < layout.kv_heads; ++head) {
    for (Index column = 0; column < layout.columns; ++column) {
      const Vec<T> correction = Vec<T>::broadcast(scratch.correction[layout.lane(head, column)]);
      const Index row = layout.row(head, column) * scratch.value_stride;
      for (Index e = row; e < row + scratch.value_stride; e += lanes<T>) {
        fma(Vec<T>::load(scratch.out + e), correction, Vec<T>::load(scratch.block + e)).store(scratch.out + e);
      }
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
    factor = sum == T(0) ? T(0) : result.factor / sum;
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
      const Index lane = layout.lane(head, column);
      T sum = 0;
      for (Index i = 0; i < layout.positions; ++i) sum += scratch.sum[lane + i * layout.at_once];
      finish_column(task.of_head(head), result.of_head(head),
                    scratch.out + layout.row(head, column) * scratch.value_stride, problem.value_dim,
                    scratch.maximum[lane], sum, column);
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
  while (tiles.next(tile, attention_decode_tile)) {
    decode_steps<T>(tile.keys.storage, layout.at_once).scores(scratch, tile.keys, tile.rows, key_dim);
    if (problem.softcap != T(0)) {
      cap_scores(scratch.scores, scratch.steps(tile.rows) * layout.vectors, problem.softcap);
    }
    if (problem.bias.data != nullptr) decode_add_bias(problem, task, scratch, tile);
    decode_live_keys(problem, task, scratch, tile);
    decode_soften(scratch, tile.rows);
    if (problem.dropout.drops()) decode_drop(problem, task, scratch, tile);
    std::fill_n(scratch.block, layout.rows() * scratch.value_stride, T(0));
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
