// SPDX-License-Identifier: MIT
// Body for attention.hpp: forward for a tile of queries.

namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET::attention {

/// The scratch memory of one task, cut from one piece.
template <class T>
struct ForwardScratch {
  T* queries;  ///< panels [d_k, width]
  T* keys;     ///< [key tile, d_k padded]
  T* values;   ///< [key tile, d_v padded]
  T* scores;   ///< [key tile, width] of one panel
  T* rows;     ///< panels [d_v padded, width]
  T* maximum;  ///< of each column, see SoftmaxState
  T* sum;
  T* correction;
  T* bias;
  T* expected;  ///< of the columns of the panel at hand
  T* first;     ///< live keys of each column of the panel at hand, relative to the tile
  T* last;
  T* flags;  ///< [2, width] of one panel, of masks whose live keys are no single run
  Index key_stride;
  Index value_stride;

  static Index size(Index key_dim, Index value_dim) {
    const Index k = attention_padded(key_dim);
    const Index v = attention_padded(value_dim);
    return (attention_query_tile + attention_key_tile) * (k + v) + tile_rows * k + 4 * attention_query_tile +
           panel_width<T> * (attention_key_tile + 5);
  }
  ForwardScratch(T* memory, Index key_dim, Index value_dim)
      : key_stride(attention_padded(key_dim)), value_stride(attention_padded(value_dim)) {
    queries = memory;
    keys = queries + attention_query_tile * key_stride;
    values = keys + (attention_key_tile + tile_rows) * key_stride;  // a product reads whole tiles of rows
    scores = values + attention_key_tile * value_stride;
    rows = scores + panel_width<T> * attention_key_tile;
    maximum = rows + attention_query_tile * value_stride;
    sum = maximum + attention_query_tile;
    correction = sum + attention_query_tile;
    bias = correction + attention_query_tile;
    first = bias + attention_query_tile;
    last = first + panel_width<T>;
    expected = last + panel_width<T>;
    flags = expected + panel_width<T>;
  }
};

/// The state of the columns of a panel.
template <class T>
SoftmaxState<T> state_of(const ForwardScratch<T>& scratch, Index column) {
  return {scratch.maximum + column, scratch.sum + column, scratch.correction + column, scratch.bias + column,
          scratch.expected};
}

/// `product` of values (or keys) and weights in which a weight of a key that is not live counts for nothing even beside
/// NaN: for panels in which a row that is not finite is live for some columns and dead for others. The sums are in the
/// same order as in `product`, so that the other columns come out the same to the bit.
template <class T, class Seen, class Store>
void product_of_live(Index rows, Index depth, Factor<T> values, const T* weights, Index width, Seen seen, T* c,
                     Store store) {
  for (Index v = 0; v < width; v += lanes<T>) {
    const auto live = seen(v);
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

/// Whether the rows of a tile that not all columns of a panel see are finite: a weight of 0 then makes 0 of them.
///   full: keys that all of them see
template <class T>
bool masked_rows_finite(Factor<T> rows, KeyRange full, Index key, Index depth, Index dim) {
  const Index begin = (std::clamp)(full.first - key, Index(0), depth);
  const Index end = (std::clamp)(full.last - key, begin, depth);
  return all_finite(rows.data, rows.stride, begin, dim) &&
         all_finite(rows.data + end * rows.stride, rows.stride, depth - end, dim);
}

/// The keys that all columns of a vector see for certain.
template <class T>
KeyRange full_keys(const PanelKeys& keys, PanelRuns<T>) {
  return keys.full;
}
template <class T>
KeyRange full_keys(const PanelKeys&, PanelFlags<T>) {
  return {};
}

/// A panel's scores become weights, vector by vector, and these the next part of its result.
template <class T, class Seen>
void soften_panel(const AttentionProblem<T>& problem, const ForwardScratch<T>& scratch, const TaskColumns<T>& columns,
                  const Panel& panel, const PanelRows& rows, Index key, Factor<T> values, Seen seen) {
  const bool biased = problem.bias.data != nullptr;
  const Index value_dim = problem.value_dim;
  const Index width = panel.vectors * lanes<T>;
  const SoftmaxState<T> state = state_of(scratch, panel.column);
  for (int v = 0; v < panel.vectors; ++v) {
    const Index offset = v * lanes<T>;
    const KeyRange full = full_keys(panel.of_vector[v], seen);
    const Index end = rows.live.end[v];
    const Index begin = (std::clamp)(full.first - key, Index(0), end);
    soften(ScoreColumn<T, decltype(seen(0))>{scratch.scores + offset, width, begin,
                                             (std::clamp)(full.last - key, begin, end), end, seen(offset)},
           Vec<T>::load((biased ? state.expected : state.maximum) + offset), state.at(offset));
  }
  drop_weights(problem, columns, panel, rows.live, key, scratch.scores);
  const Index depth = rows.live_depth();
  T* const out = scratch.rows + panel.column * scratch.value_stride;
  const Rescale<T> store{state.correction};
  if (rows.masked && !masked_rows_finite(values, full_keys(panel.keys, seen), key, depth, value_dim)) {
    return product_of_live(value_dim, depth, values, scratch.scores, width, seen, out, store);
  }
  product_of_weights<T>(panel.vectors, rows.live, round_up(value_dim, tile_rows), values, {scratch.scores, width}, out,
                        store);
}

/// One panel of queries against one tile of keys.   keys, values: of that tile, readable in whole register tiles
template <class T>
void forward_panel(const AttentionProblem<T>& problem, const AttentionTask& task, const ForwardScratch<T>& scratch,
                   const KeyTile<T>& tile, Factor<T> keys, Factor<T> values, const TaskColumns<T>& columns,
                   const Panel& panel) {
  PanelRows rows = panel_rows(panel, tile.first, tile.rows);
  if (rows.depth == 0 || !look_at_pattern(problem, task, columns, panel, tile.first, scratch.flags, rows)) return;
  const Index width = panel.vectors * lanes<T>;
  const Index depth = rows.live_depth();
  const Index key = tile.first + rows.begin;
  const Index key_dim = problem.query.head_dim();
  keys.data += rows.begin * keys.stride;
  values.data += rows.begin * values.stride;
  const Factor<T> queries{scratch.queries + panel.column * scratch.key_stride, width};
  T* const scores = scratch.scores;
  const PanelBias<T> bias = panel_bias(problem, task, panel, key);
  const bool biased = bias.data != nullptr;
  const SoftmaxState<T> state = state_of(scratch, panel.column);
  if (biased) expect_maximum(bias, depth, panel.vectors, state);
  const bool first = key <= panel.keys.any.first;  // there is no maximum yet
  if (!first && !rows.masked && depth == rows.depth &&
      product_softened(panel.vectors, depth, key_dim, keys, queries, {problem.softcap, bias}, scores, state)) {
    drop_weights(problem, columns, panel, rows.live, key, scores);
    const Index dims = round_up(problem.value_dim, tile_rows);
    T* const out = scratch.rows + panel.column * scratch.value_stride;
    if (biased) {
      const Rescale<T> store{state.correction};
      return product_of_weights<T>(panel.vectors, rows.live, dims, values, {scores, width}, out, store);
    }
    return product_of_weights<T>(panel.vectors, rows.live, dims, values, {scores, width}, out, Accumulate{});
  }
  product_of_scores(panel.vectors, rows.live, key_dim, keys, queries, scores);
  if (seeded_bug == 11 && biased) add_bias(scores, depth, panel.vectors, bias);
  if (problem.softcap != T(0)) cap_scores(scores, depth * panel.vectors, problem.softcap);
  if (seeded_bug != 11 && biased) add_bias(scores, depth, panel.vectors, bias);
  if (rows.flagged) {
    return soften_panel(problem, scratch, columns, panel, rows, key, values, PanelFlags<T>{scratch.flags, width});
  }
  relative_keys(columns.live + panel.column, width, key, scratch.first, scratch.last);
  soften_panel(problem, scratch, columns, panel, rows, key, values, PanelRuns<T>{scratch.first, scratch.last});
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
  const V factors =
      select(sum == V::zero(), V::zero(), V::broadcast(result.factor) / select(sum == V::zero(), one, sum));
  for (Index i = 0; i < live; ++i) {
    const Index position = task.position(column + i);
    const Index head = task.head(column + i);
    rows[i] = result.y.at(task.batch, position, head);
    T* const to = result.log_sum_exp_at(task.batch, head, position);
    if (to != nullptr) *to = log_sum_exp(state.maximum[i], state.sum[i]);
  }
  transpose_out<T>(panel, stride, dim, factors, rows, live);
}

/// The keys of a tile, where they lie if they are stored as T and whole register tiles of them may be read. They are read row by row, so that
/// even rows whose distance is a power of two find room in the cache; values are not, and are copied.
template <class T>
Factor<T> readable_keys(const AttentionProblem<T>& problem, const ForwardScratch<T>& scratch, const KeyTile<T>& tile) {
  const bool as_they_lie = tile.keys.storage == StoredAs::scalar && tile.rows % tile_rows == 0;
  if (as_they_lie) return {static_cast<const T*>(tile.keys.data), tile.keys.stride};
  copy_rows(tile.keys, tile.rows, problem.query.head_dim(), scratch.keys, scratch.key_stride);
  return {scratch.keys, scratch.key_stride};
}

template <class T>
void begin_panel(const AttentionProblem<T>& problem, const AttentionTask& task, const ForwardScratch<T>& scratch,
                 const Panel& panel) {
  const Index width = panel.vectors * lanes<T>;
  ask_for_columns_behind(panel, problem.query, task, width);
  pack_columns(problem.query, task, panel.column, panel.vectors, problem.scale,
               scratch.queries + panel.column * scratch.key_stride);
  std::fill_n(scratch.maximum + panel.column, width, no_score<T>);
  std::fill_n(scratch.sum + panel.column, width, T(0));
  std::fill_n(scratch.bias + panel.column, width, no_score<T>);
  std::fill_n(scratch.rows + panel.column * scratch.value_stride, width * scratch.value_stride, T(0));
}

template <class T>
void finish_panel(const AttentionProblem<T>& problem, const AttentionTask& task, const AttentionResult<T>& result,
                  const ForwardScratch<T>& scratch, const Panel& panel) {
  const Index width = panel.vectors * lanes<T>;
  for (Index v = 0; v < width; v += lanes<T>) {
    finish_columns(task, result, scratch.rows + panel.column * scratch.value_stride + v, width, problem.value_dim,
                   state_of(scratch, panel.column + v), panel.column + v);
  }
}

/// Attention of up to attention_query_tile columns over task.keys. A panel's queries are packed and its results written
/// in turn with the work on others, which leaves memory time to bring them.
template <class T>
void forward_tile(const AttentionProblem<T>& problem, const AttentionTask& task, const AttentionResult<T>& result,
                  T* memory) {
  const ForwardScratch<T> scratch(memory, problem.query.head_dim(), problem.value_dim);
  const TaskColumns<T> columns(problem, task);
  KeyWalk<T> walk(problem, task, columns.any);
  bool worked = false;
  while (walk.advance()) {
    const KeyTile<T>& tile = walk.tile;
    worked = true;
    const Factor<T> keys = readable_keys(problem, scratch, tile);
    const Factor<T> values{scratch.values, scratch.value_stride};
    copy_rows(tile.values, tile.rows, problem.value_dim, scratch.values, scratch.value_stride);
    for (Index i = 0; i < columns.count; ++i) {
      const Panel& panel = columns.panels[i];
      if (walk.first) begin_panel(problem, task, scratch, panel);
      if (walk.last) ask_for_columns_behind(panel, result.y, task, panel.vectors * lanes<T>);
      walk.ask_for_next(i, columns.count);
      forward_panel(problem, task, scratch, tile, keys, values, columns, panel);
      if (walk.last) finish_panel(problem, task, result, scratch, panel);
    }
  }
  for (Index i = 0; i < columns.count && !worked; ++i) {
    begin_panel(problem, task, scratch, columns.panels[i]);
    finish_panel(problem, task, result, scratch, columns.panels[i]);
  }
}

/// Puts the parts of one task's context together: y = factor sum_i w_i rows_i / sum_i w_i sum_i with w_i = exp(m_i - max m),
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
    const T inverse = sum == T(0) ? T(0) : result.factor / sum;
    for (Index e = 0; e < dim; ++e) y[e] *= inverse;
  }
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET::attention
