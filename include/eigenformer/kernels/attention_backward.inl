// SPDX-License-Identifier: MIT
// Body for attention.hpp: backward for all queries of one or several heads that share keys and values.

namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET::attention {

/// Packs what one panel needs, each column both along the lanes and as a row.
template <class T>
void begin_panel(const AttentionProblem<T>& problem, const AttentionGradient<T>& gradient, const AttentionTask& task,
                 const BackwardScratch<T>& scratch, const Panel& panel) {
  const Index width = panel.vectors * lanes<T>;
  const Index key_dim = problem.query.head_dim();
  const Index value_dim = problem.value_dim;
  const Index column = panel.column;
  ask_for_columns_behind(panel, problem.query, task, width);
  ask_for_columns_behind(panel, gradient.dy, task, width);
  ask_for_columns_behind(panel, gradient.y, task, width);
  pack_columns(problem.query, task, column, panel.vectors, problem.scale,
               scratch.queries + column * scratch.key_stride);
  // Where weights are dropped, the factor of those kept goes along with dy.
  const T factor = problem.dropout.factor;
  pack_columns(gradient.dy, task, column, panel.vectors, factor, scratch.gradients + column * scratch.value_stride);
  for (Index c = column; c < column + width; ++c) {
    const Index live = (std::min)(c, task.columns - 1);
    const Index position = task.position(live);
    const Index head = task.head(live);
    const T* const dy = gradient.dy.at(task.batch, position, head);
    const T* const query = problem.query.at(task.batch, position, head);
    scratch.logarithm[c] =
        gradient.log_sum_exp[(task.batch * problem.query.heads() + head) * problem.query.length() + position];
    scratch.delta[c] = dot(dy, gradient.y.at(task.batch, position, head), value_dim);
    scale_row(dy, value_dim, factor, scratch.gradient_rows + c * scratch.value_stride);
    scale_row(query, key_dim, problem.scale, scratch.query_rows + c * scratch.key_stride);
  }
  std::fill_n(scratch.dqueries + column * scratch.key_stride, width * scratch.key_stride, T(0));
}

template <class T>
void finish_panel(const AttentionProblem<T>& problem, const AttentionGradient<T>& gradient, const AttentionTask& task,
                  const BackwardScratch<T>& scratch, const Panel& panel) {
  const Index width = panel.vectors * lanes<T>;
  for (Index v = 0; v < width; v += lanes<T>) {
    const Index live = (std::min)(lanes<T>, task.columns - panel.column - v);
    T* rows[Vec<T>::lanes];
    for (Index i = 0; i < live; ++i) {
      const Index c = panel.column + v + i;
      rows[i] = gradient.dquery.at(task.batch, task.position(c), task.head(c));
    }
    transpose_out<T>(scratch.dqueries + panel.column * scratch.key_stride + v, width, problem.query.head_dim(),
                     Vec<T>::broadcast(problem.scale), rows, live);
  }
}

/// One tile of queries against one tile of keys:  dv += p dy,  dk += ds q,  dq += k ds, with the p that are not dropped.
template <class T>
void backward_keys(const AttentionProblem<T>& problem, const AttentionGradient<T>& gradient, const AttentionTask& task,
                   const BackwardScratch<T>& scratch, const KeyWalk<T>& walk, const TaskColumns<T>& columns) {
  const KeyTile<T>& tile = walk.tile;
  const Index k_stride = scratch.key_stride;
  const Index v_stride = scratch.value_stride;
  copy_rows(tile.keys, tile.rows, problem.query.head_dim(), scratch.keys, k_stride);
  copy_rows(tile.values, tile.rows, problem.value_dim, scratch.values, v_stride);
  PanelRows rows[TaskColumns<T>::most_panels];
  for (Index i = 0; i < columns.count; ++i) {
    const Panel& panel = columns.panels[i];
    if (walk.first) begin_panel(problem, gradient, task, scratch, panel);
    walk.ask_for_next(i, columns.count);
    rows[i] = panel_rows(panel, tile.first, tile.rows);
    if (rows[i].depth == 0) continue;
    if (!look_at_pattern(problem, task, columns, panel, tile.first, scratch.flags, rows[i])) {
      rows[i].depth = 0;
      continue;
    }
    backward_scores(problem, task, scratch, tile, columns, panel, rows[i], gradient.dbias);
    backward_queries(problem, scratch, tile, panel, rows[i]);
  }
  const GradientPanels<T> panels{columns, rows, task.columns};
  const Index padded = round_up(tile.rows, tile_rows);
  product_of_columns(panels, padded, problem.value_dim, scratch.weights, scratch.gradient_rows,
                     scratch.dvalues + tile.first * v_stride, v_stride);
  product_of_columns(panels, padded, problem.query.head_dim(), scratch.dscores, scratch.query_rows,
                     scratch.dkeys + tile.first * k_stride, k_stride);
}

/// One tile of queries against all keys it sees; writes its dq.
template <class T>
void backward_tile(const AttentionProblem<T>& problem, const AttentionGradient<T>& gradient, const AttentionTask& task,
                   const BackwardScratch<T>& scratch) {
  const TaskColumns<T> columns(problem, task);
  KeyWalk<T> walk(problem, task, columns.any);
  bool worked = false;
  while (walk.advance()) {
    backward_keys(problem, gradient, task, scratch, walk, columns);
    worked = true;
  }
  if (!worked) std::fill_n(scratch.dqueries, columns.columns * scratch.key_stride, T(0));
  for (Index i = 0; i < columns.count; ++i) finish_panel(problem, gradient, task, scratch, columns.panels[i]);
}

/// All queries of all.heads heads: writes their dq, and dk and dv summed over these heads.
template <class T>
void backward(const AttentionProblem<T>& problem, const AttentionGradient<T>& gradient, const AttentionTask& all,
              AttentionKeyGradient<T> to, T* memory) {
  const BackwardScratch<T> scratch(memory, problem.query.head_dim(), problem.value_dim, to);
  std::fill_n(scratch.dkeys, (problem.keys + attention_key_tile) * scratch.key_stride, T(0));
  std::fill_n(scratch.dvalues, (problem.keys + attention_key_tile) * scratch.value_stride, T(0));
  const Index columns = attention_columns(attention_gradient_tile, problem.query.head_dim(), problem.value_dim);
  for (Index first = 0; first < all.columns; first += columns) {
    AttentionTask task = all;
    task.first_column = first;
    task.columns = (std::min)(columns, all.columns - first);
    backward_tile(problem, gradient, task, scratch);
  }
}

template <class T>
Index backward_scratch_size(Index key_dim, Index value_dim) {
  return BackwardScratch<T>::size(key_dim, value_dim);
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET::attention
