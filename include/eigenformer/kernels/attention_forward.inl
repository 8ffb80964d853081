// SPDX-License-Identifier: MIT
// Body for attention.hpp: forward for a tile of queries.

namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET::attention {

/// The scratch memory of one task, cut from one piece.
template <class T>
struct ForwardScratch {
  T* queries;  ///< panels [d_k, width]
  T* keys;     ///< [key tile, d_k padded]
  T* values;   ///< [key tile, d_v padded]
  T* scores;   ///< panels [key tile, width]
  T* rows;     ///< panels [d_v padded, width]
  SoftmaxState<T> state;
  T* first;  ///< live keys of each column relative to the tile at hand
  T* last;
  Index key_stride;
  Index value_stride;

  static Index size(Index key_dim, Index value_dim) {
    const Index k = attention_padded(key_dim);
    const Index v = attention_padded(value_dim);
    return (attention_query_tile + attention_key_tile) * (k + v) + tile_rows * k +
           attention_query_tile * (attention_key_tile + 5);
  }
  ForwardScratch(T* memory, Index key_dim, Index value_dim)
      : key_stride(attention_padded(key_dim)), value_stride(attention_padded(value_dim)) {
    queries = memory;
    keys = queries + attention_query_tile * key_stride;
    values = keys + (attention_key_tile + tile_rows) * key_stride;  // a product reads whole tiles of rows
    scores = values + attention_key_tile * value_stride;
    rows = scores + attention_query_tile * attention_key_tile;
    state = {rows + attention_query_tile * value_stride, rows + attention_query_tile * (value_stride + 1),
             rows + attention_query_tile * (value_stride + 2)};
    first = state.correction + attention_query_tile;
    last = first + attention_query_tile;
  }
};

/// Which keys the columns of a panel see: all of them those of `full`, none a key outside `any`.
struct PanelKeys {
  KeyRange any;
  KeyRange full;
};

template <class T>
KeyRange column_keys(const AttentionProblem<T>& problem, const AttentionTask& task, Index column) {
  const KeyRange& live = problem.live_keys(task.batch, task.position((std::min)(column, task.columns - 1)));
  return {(std::max)(live.first, task.keys.first), (std::min)(live.last, task.keys.last)};
}

template <class T>
PanelKeys panel_keys(const AttentionProblem<T>& problem, const AttentionTask& task, Index column, Index width) {
  PanelKeys keys{{problem.keys, 0}, {0, problem.keys}};
  for (Index c = column; c < (std::min)(column + width, task.columns); ++c) {
    const KeyRange live = column_keys(problem, task, c);
    keys.full = {(std::max)(keys.full.first, live.first), (std::min)(keys.full.last, live.last)};
    if (live.first >= live.last) continue;
    keys.any = {(std::min)(keys.any.first, live.first), (std::max)(keys.any.last, live.last)};
  }
  return keys;
}

/// panel[e][c] = factor x[column + c][e]; columns beyond the last repeat it.
template <class T>
void pack_columns(const ConstHeadsView<T>& x, const AttentionTask& task, Index column, int vectors, T factor,
                  T* panel) {
  for (int v = 0; v < vectors; ++v) {
    const T* rows[Vec<T>::lanes];
    for (Index i = 0; i < lanes<T>; ++i) {
      const Index c = (std::min)(column + v * lanes<T> + i, task.columns - 1);
      rows[i] = x.at(task.batch, task.position(c), task.head(c));
    }
    transpose_in<T>(rows, x.head_dim(), factor, panel + v * lanes<T>, vectors * lanes<T>);
  }
}

/// `product` of values (or keys) and weights in which a weight of a key that is not live counts for nothing even beside
/// NaN: for panels in which a row that is not finite is live for some columns and dead for others. The sums are in the
/// same order as in `product`, so that the other columns come out the same to the bit.
template <class T, class Store>
void product_of_live(Index rows, Index depth, Factor<T> values, const T* weights, Index width, const T* first,
                     const T* last, T* c, Store store) {
  for (Index v = 0; v < width; v += lanes<T>) {
    const LiveKeys<T> live{Vec<T>::load(first + v), Vec<T>::load(last + v)};
    for (Index e = 0; e < rows; ++e) {
      Vec<T> sum = Vec<T>::zero();
      for (Index k = 0; k < depth; ++k) {
        const Vec<T> value = Vec<T>::broadcast(values.data[k * values.stride + e]);
        sum = select(live(k), fma(value, Vec<T>::load(weights + k * width + v), sum), sum);
      }
      store(c + e * width + v, sum, v);
    }
  }
}

template <class T>
void relative_keys(const AttentionProblem<T>& problem, const AttentionTask& task, Index column, Index width,
                   Index begin, T* first, T* last) {
  for (Index i = 0; i < width; ++i) {
    const KeyRange live = column_keys(problem, task, column + i);
    first[i] = static_cast<T>((std::clamp)(live.first - begin, Index(0), 2 * attention_key_tile));
    last[i] = static_cast<T>((std::clamp)(live.last - begin, Index(0), 2 * attention_key_tile));
  }
}

template <class T, bool Masked>
void soften_panel(int vectors, T* scores, Index rows, const T* first, const T* last, SoftmaxState<T> state) {
  switch (vectors) {
    case 1: return soften<T, 1, Masked>(scores, rows, first, last, state);
    case 2: return soften<T, 2, Masked>(scores, rows, first, last, state);
    default: return soften<T, 3, Masked>(scores, rows, first, last, state);
  }
}

/// Rows of a tile that a panel looks at.
struct TileRows {
  Index begin;
  Index end;
  bool masked;
};
inline TileRows rows_of(const PanelKeys& keys, Index first, Index rows) {
  const Index begin = (std::max)(keys.any.first, first);
  const Index end = (std::min)(keys.any.last, first + rows);
  return {begin - first, end - first, begin < keys.full.first || end > keys.full.last};
}

/// One panel of queries against one tile of keys that are in scratch already.
template <class T>
void forward_panel(const AttentionProblem<T>& problem, const AttentionTask& task, const ForwardScratch<T>& scratch,
                   const KeyTile<T>& tile, const PanelKeys& keys, Index column, int vectors) {
  const TileRows rows = rows_of(keys, tile.first, tile.rows);
  if (rows.begin >= rows.end) return;
  const Index width = vectors * lanes<T>;
  const Index depth = rows.end - rows.begin;
  const Factor<T> key_rows{scratch.keys + rows.begin * scratch.key_stride, scratch.key_stride};
  const Factor<T> value_rows{scratch.values + rows.begin * scratch.value_stride, scratch.value_stride};
  T* const scores = scratch.scores;
  T* const first = scratch.first;
  T* const last = scratch.last;
  T* const out = scratch.rows + column * scratch.value_stride;
  const SoftmaxState<T> state{scratch.state.maximum + column, scratch.state.sum + column,
                              scratch.state.correction + column};
  product<T, DepthContiguous>(vectors, round_up(depth, tile_rows), problem.query.head_dim(), key_rows,
                              {scratch.queries + column * scratch.key_stride, width}, scores, width, Overwrite{});
  if (problem.softcap != T(0)) cap_scores<T, 1>(scores, depth * vectors, problem.softcap);
  if (rows.masked) {
    relative_keys(problem, task, column, width, tile.first + rows.begin, first, last);
    soften_panel<T, true>(vectors, scores, depth, first, last, state);
    if (!all_finite(value_rows.data, value_rows.stride, depth, problem.value_dim)) {
      return product_of_live(problem.value_dim, depth, value_rows, scores, width, first, last, out,
                             Rescale<T>{state.correction});
    }
  } else {
    soften_panel<T, false>(vectors, scores, depth, first, last, state);
  }
  product<T, RowsContiguous>(vectors, round_up(problem.value_dim, tile_rows), depth, value_rows, {scores, width}, out,
                             width, Rescale<T>{state.correction});
}

/// Writes y and the log-sum-exp of one vector of columns, or leaves them as one part of several.
template <class T>
void finish_columns(const AttentionTask& task, const AttentionResult<T>& result, const T* panel, Index stride,
                    Index dim, SoftmaxState<T> state, Index column) {
  using V = Vec<T>;
  const Index live = (std::min)(lanes<T>, task.columns - column);
  T* rows[Vec<T>::lanes];
  if (result.part_rows != nullptr) {
    for (Index i = 0; i < live; ++i) {
      rows[i] = result.part_rows + (column + i) * dim;
      result.part_maximum[column + i] = state.maximum[i];
      result.part_sum[column + i] = state.sum[i];
    }
    return transpose_out<T>(panel, stride, dim, V::broadcast(T(1)), rows, live);
  }
  V sum = V::load(state.sum);
  if (seeded_bug == 3) {  // seven padded keys at score 0
    sum = fma(V::broadcast(T(7)), simd::EIGENFORMER_TARGET::exp(-V::load(state.maximum)), sum);
  }
  const V one = V::broadcast(T(1));
  const V factors = select(sum == V::zero(), V::zero(), one / select(sum == V::zero(), one, sum));
  for (Index i = 0; i < live; ++i) {
    const Index position = task.position(column + i);
    const Index head = task.head(column + i);
    rows[i] = result.y.at(task.batch, position, head);
    T* const to = result.log_sum_exp_at(task.batch, head, position);
    if (to != nullptr) *to = log_sum_exp(state.maximum[i], state.sum[i]);
  }
  transpose_out<T>(panel, stride, dim, factors, rows, live);
}

/// Attention of up to attention_query_tile columns over task.keys.
template <class T>
void forward_tile(const AttentionProblem<T>& problem, const AttentionTask& task, const AttentionResult<T>& result,
                  T* memory) {
  constexpr Index most_panels = attention_query_tile / panel_width<T>;
  const ForwardScratch<T> scratch(memory, problem.query.head_dim(), problem.value_dim);
  const Index columns = round_up(task.columns, lanes<T>);
  PanelKeys keys[most_panels];
  KeyRange any{problem.keys, 0};
  for (Index column = 0, panel = 0; column < columns; column += panel_width<T>, ++panel) {
    const int vectors = static_cast<int>((std::min)(panel_width<T>, columns - column) / lanes<T>);
    keys[panel] = panel_keys(problem, task, column, vectors * lanes<T>);
    any = {(std::min)(any.first, keys[panel].any.first), (std::max)(any.last, keys[panel].any.last)};
    pack_columns(problem.query, task, column, vectors, problem.scale, scratch.queries + column * scratch.key_stride);
  }
  for (Index c = 0; c < columns; ++c) {
    scratch.state.maximum[c] = no_score<T>;
    scratch.state.sum[c] = 0;
  }
  std::fill_n(scratch.rows, columns * scratch.value_stride, T(0));
  KeyTiles<T> tiles(problem, task, any);
  KeyTile<T> tile;
  while (tiles.next(tile, attention_key_tile)) {
    copy_rows(tile.keys, tile.rows, problem.query.head_dim(), scratch.keys, scratch.key_stride);
    copy_rows(tile.values, tile.rows, problem.value_dim, scratch.values, scratch.value_stride);
    for (Index column = 0, panel = 0; column < columns; column += panel_width<T>, ++panel) {
      const int vectors = static_cast<int>((std::min)(panel_width<T>, columns - column) / lanes<T>);
      forward_panel(problem, task, scratch, tile, keys[panel], column, vectors);
    }
  }
  for (Index column = 0; column < columns; column += panel_width<T>) {
    const Index width = (std::min)(panel_width<T>, columns - column);
    for (Index v = 0; v < width; v += lanes<T>) {
      const SoftmaxState<T> state{scratch.state.maximum + column + v, scratch.state.sum + column + v, nullptr};
      if (column + v >= task.columns) break;
      finish_columns(task, result, scratch.rows + column * scratch.value_stride + v, width, problem.value_dim, state,
                     column + v);
    }
  }
}

/// Puts the parts of one task's context together: y = sum_i w_i rows_i / sum_i w_i sum_i with w_i = exp(m_i - max m),
/// in the order of the parts.
///   rows: [parts, columns, d_v]    maximum, sum: [parts, columns]
template <class T>
void combine(const AttentionTask& task, const AttentionResult<T>& result, Index parts, Index dim) {
  for (Index c = 0; c < task.columns; ++c) {
    T maximum = no_score<T>;
    for (Index i = 0; i < parts; ++i) maximum = (std::max)(maximum, result.part_maximum[i * task.columns + c]);
    T sum = 0;
    T* const y = result.y.at(task.batch, task.position(c), task.head(c));
    std::fill_n(y, dim, T(0));
    for (Index i = 0; i < parts; ++i) {
      const Index at = i * task.columns + c;
      if (result.part_sum[at] == T(0)) continue;
      const T factor = std::exp(result.part_maximum[at] - maximum);
      sum += factor * result.part_sum[at];
      const T* const rows = result.part_rows + at * dim;
      for (Index e = 0; e < dim; ++e) y[e] += factor * rows[e];
    }
    T* const to = result.log_sum_exp_at(task.batch, task.head(c), task.position(c));
    if (to != nullptr) *to = log_sum_exp(maximum, sum);
    const T inverse = sum == T(0) ? T(0) : 1 / sum;
    for (Index e = 0; e < dim; ++e) y[e] *= inverse;
  }
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET::attention
