// SPDX-License-Identifier: MIT
// Body for attention.hpp: the gradients of one tile of scores, and the products that they go into.

namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET::attention {

/// The scratch memory of one task. What lies along queries is in panels, as in forward; gradients of keys and values
/// are summed up as plain rows over the whole context.
template <class T>
struct BackwardScratch {
  T* queries;        ///< panels [d_k, width], scaled
  T* gradients;      ///< dy as panels [d_v, width]
  T* query_rows;     ///< [query tile, d_k padded], scaled
  T* gradient_rows;  ///< dy as [query tile, d_v padded]
  T* keys;           ///< [key tile, d_k padded]
  T* values;         ///< [key tile, d_v padded]
  T* weights;        ///< panels [key tile, width]: scores, then weights
  T* dscores;        ///< panels [key tile, width]
  T* dqueries;       ///< panels [d_k padded, width]
  T* logarithm;      ///< log-sum-exp of each column
  T* delta;          ///< dy . y of each column
  T* first;
  T* last;
  T* flags;    ///< [2, width] of one panel, of masks whose live keys are no single run
  T* dkeys;    ///< [T + key tile, d_k padded], of the caller
  T* dvalues;  ///< [T + key tile, d_v padded], of the caller
  Index key_stride;
  Index value_stride;

  static Index size(Index key_dim, Index value_dim) {
    const Index k = attention_padded(key_dim);
    const Index v = attention_padded(value_dim);
    return attention_gradient_tile * (3 * k + 2 * v + 2 * attention_key_tile + 4) +
           (attention_key_tile + tile_rows) * (k + v) + 2 * panel_width<T>;
  }
  BackwardScratch(T* memory, Index key_dim, Index value_dim, AttentionKeyGradient<T> gradient)
      : dkeys(gradient.dkeys),
        dvalues(gradient.dvalues),
        key_stride(attention_padded(key_dim)),
        value_stride(attention_padded(value_dim)) {
    const Index rows = attention_key_tile + tile_rows;
    queries = memory;
    gradients = queries + attention_gradient_tile * key_stride;
    query_rows = gradients + attention_gradient_tile * value_stride;
    gradient_rows = query_rows + attention_gradient_tile * key_stride;
    keys = gradient_rows + attention_gradient_tile * value_stride;
    values = keys + rows * key_stride;
    weights = values + rows * value_stride;
    dscores = weights + attention_gradient_tile * attention_key_tile;
    dqueries = dscores + attention_gradient_tile * attention_key_tile;
    logarithm = dqueries + attention_gradient_tile * key_stride;
    delta = logarithm + attention_gradient_tile;
    first = delta + attention_gradient_tile;
    last = first + attention_gradient_tile;
    flags = last + attention_gradient_tile;
  }
};

template <class T>
T dot(const T* a, const T* b, Index dim) {
  Vec<T> sum = Vec<T>::zero();
  for (Index e = 0; e < dim; e += lanes<T>) {
    const Mask<T> inside = first_lanes<T>((std::min)(lanes<T>, dim - e));
    sum = fma(Vec<T>::load(a + e, inside), Vec<T>::load(b + e, inside), sum);
  }
  return reduce_add(sum);
}

/// p = exp(score - log-sum-exp) of a score that is complete.
template <class T>
struct StoreWeight {
  const T* logarithm;  ///< of each column
  EIGENFORMER_INLINE void operator()(T* c, Vec<T> score, Index column) const {
    weight<T>(score - Vec<T>::load(logarithm + column)).store(c);
  }
};

/// ds = p (dp - delta) of a dp that is complete; its p lies at the same distance everywhere.
template <class T>
struct StoreScoreGradient {
  const T* delta;  ///< of each column
  Index to_weight;
  EIGENFORMER_INLINE void operator()(T* c, Vec<T> dweight, Index column) const {
    (Vec<T>::load(c + to_weight) * (dweight - Vec<T>::load(delta + column))).store(c);
  }
};

/// One vector of columns, with what it needs of each.
template <class T, class Live>
struct GradientColumn {
  T* scores;
  T* dweights;
  Index stride;
  Live live;
  Vec<T> logarithm;
  Vec<T> delta;
  Vec<T> inverse_cap;
  PanelBias<T> bias;
  T* dbias;          ///< where the bias of the first row has its gradient, or null
  Mask<T> existing;  ///< columns that are no repetition of the last
};

/// The same afterwards, with the bias that the score lacks, times the slope of the cap 1 - (score / cap)^2, and exactly 0
/// where a key is not live.
template <class T, bool Masked, class Live>
void soften_backward(const GradientColumn<T, Live>& column, Index row, Index end) {
  using V = Vec<T>;
  const V one = V::broadcast(T(1));
  for (; row < end; ++row) {
    T* const score = column.scores + row * column.stride;
    T* const dweight = column.dweights + row * column.stride;
    const V s = V::load(score);
    const V biased = column.bias.data ? s + V::load(column.bias.data + row * column.bias.key_step) : s;
    V p = weight<T>(biased - column.logarithm);
    const V t = s * column.inverse_cap;
    const V dbiased = p * (V::load(dweight) - column.delta);
    V ds = dbiased * fnma(t, t, one);
    if constexpr (Masked) {
      p = select(column.live(row), p, V::zero());
      ds = select(column.live(row), ds, V::zero());
    }
    if (column.dbias != nullptr) {
      Mask<T> counted = column.existing;
      if constexpr (Masked) counted = counted & column.live(row);
      T* const sum = column.dbias + row * column.bias.key_step;
      (V::load(sum) + select(counted, dbiased, V::zero())).store(sum);
    }
    p.store(score);
    ds.store(dweight);
  }
}

/// Where the scores of a panel and a tile are, with their biases.
template <class T>
struct GradientTile {
  T* weights;
  T* dscores;
  PanelBias<T> bias;
  T* dbias;       ///< null if not wanted
  Index columns;  ///< from the panel's first to the last of the task
};

/// Scores and gradients of weights of a panel become weights and gradients of scores.
template <class T, class Seen>
void soften_panel_backward(const AttentionProblem<T>& problem, const BackwardScratch<T>& scratch, const Panel& panel,
                           const PanelRows& rows, Index key, const GradientTile<T>& tile, Seen seen) {
  using V = Vec<T>;
  const bool biased = tile.bias.data != nullptr;
  for (int v = 0; v < panel.vectors; ++v) {
    const Index offset = v * lanes<T>;
    const KeyRange full = full_keys(panel.of_vector[v], seen);
    const Index end = rows.live.end[v];
    const Index full_begin = (std::clamp)(full.first - key, Index(0), end);
    const Index full_end = (std::clamp)(full.last - key, full_begin, end);
    const GradientColumn<T, decltype(seen(0))> column{
        tile.weights + offset,
        tile.dscores + offset,
        panel.vectors * lanes<T>,
        seen(offset),
        V::load(scratch.logarithm + panel.column + offset),
        V::load(scratch.delta + panel.column + offset),
        V::broadcast(problem.softcap == T(0) ? T(0) : 1 / problem.softcap),
        {biased ? tile.bias.data + offset : nullptr, tile.bias.key_step},
        tile.dbias == nullptr ? nullptr : tile.dbias + offset,
        first_lanes<T>((std::clamp)(tile.columns - offset, Index(0), lanes<T>))};
    soften_backward<T, true>(column, 0, full_begin);
    soften_backward<T, false>(column, full_begin, full_end);
    soften_backward<T, true>(column, full_end, end);
    for (Index row = end; row < round_up(end, tile_rows); ++row) {  // products take whole register tiles
      V::zero().store(column.scores + row * column.stride);
      V::zero().store(column.dweights + row * column.stride);
    }
  }
}

/// Weights and gradients of scores of one panel of queries and one tile of keys, both in scratch.
///   s = k q,  p = exp(s - lse),  dp = v dy,  ds = p (dp - delta)
/// Where weights are dropped, dp is 0 for them, as are the p that are left behind; those in ds are all there.
template <class T>
void backward_scores(const AttentionProblem<T>& problem, const AttentionTask& task, const BackwardScratch<T>& scratch,
                     const KeyTile<T>& tile, const TaskColumns<T>& columns, const Panel& panel, const PanelRows& rows,
                     T* dbias) {
  const Index width = panel.vectors * lanes<T>;
  const Factor<T> keys{scratch.keys + rows.begin * scratch.key_stride, scratch.key_stride};
  const Factor<T> values{scratch.values + rows.begin * scratch.value_stride, scratch.value_stride};
  const Factor<T> queries{scratch.queries + panel.column * scratch.key_stride, width};
  const Factor<T> gradients{scratch.gradients + panel.column * scratch.value_stride, width};
  T* const weights = scratch.weights + panel.column * attention_key_tile + rows.begin * width;
  T* const dscores = scratch.dscores + panel.column * attention_key_tile + rows.begin * width;
  const Index key_dim = problem.query.head_dim();
  if (rows.masked || problem.softcap != T(0) || problem.bias.data != nullptr || problem.dropout.drops()) {
    product_of_scores(panel.vectors, rows.live, key_dim, keys, queries, weights);
    product_of_scores(panel.vectors, rows.live, problem.value_dim, values, gradients, dscores);
    if (problem.softcap != T(0)) cap_scores(weights, rows.depth * panel.vectors, problem.softcap);
    const Index key = tile.first + rows.begin;
    drop_weights(problem, columns, panel, rows.live, key, dscores);
    const PanelBias<T> bias = panel_bias(problem, task, panel, key);
    const GradientTile<T> scores{weights, dscores, bias, dbias ? dbias + (bias.data - problem.bias.data) : nullptr,
                                 task.columns - panel.column};
    if (rows.flagged) {
      const PanelFlags<T> seen{scratch.flags, width};
      soften_panel_backward(problem, scratch, panel, rows, key, scores, seen);
    } else {
      relative_keys(columns.live + panel.column, width, key, scratch.first, scratch.last);
      const PanelRuns<T> seen{scratch.first, scratch.last};
      soften_panel_backward(problem, scratch, panel, rows, key, scores, seen);
    }
    drop_weights(problem, columns, panel, rows.live, key, weights);
  } else {
    product<T, DepthContiguous>(panel.vectors, rows.depth, key_dim, keys, queries, weights, width,
                                StoreWeight<T>{scratch.logarithm + panel.column});
    product<T, DepthContiguous>(panel.vectors, rows.depth, problem.value_dim, values, gradients, dscores, width,
                                StoreScoreGradient<T>{scratch.delta + panel.column, weights - dscores});
  }
  // Rows beyond were computed from whatever lay there, and must not be added to other keys.
  const Index depth = rows.live_depth();
  std::fill_n(weights + depth * width, (rows.depth - depth) * width, T(0));
  std::fill_n(dscores + depth * width, (rows.depth - depth) * width, T(0));
}

/// dq += k ds.
template <class T, class Seen>
void backward_queries(const Panel& panel, const PanelRows& rows, Index key, Factor<T> keys, Index key_dim,
                      const T* dscores, T* dqueries, Seen seen) {
  const Index width = panel.vectors * lanes<T>;
  const Index depth = rows.live_depth();
  if (rows.masked && !masked_rows_finite(keys, full_keys(panel.keys, seen), key, depth, key_dim)) {
    return product_of_live(key_dim, depth, keys, dscores, width, seen, dqueries, Accumulate{});
  }
  product_of_weights<T>(panel.vectors, rows.live, round_up(key_dim, tile_rows), keys, {dscores, width}, dqueries,
                        Accumulate{});
}
template <class T>
void backward_queries(const AttentionProblem<T>& problem, const BackwardScratch<T>& scratch, const KeyTile<T>& tile,
                      const Panel& panel, const PanelRows& rows) {
  const Index width = panel.vectors * lanes<T>;
  const Index key_dim = problem.query.head_dim();
  const Index key = tile.first + rows.begin;
  const Factor<T> keys{scratch.keys + rows.begin * scratch.key_stride, scratch.key_stride};
  const T* const dscores = scratch.dscores + panel.column * attention_key_tile + rows.begin * width;
  T* const dqueries = scratch.dqueries + panel.column * scratch.key_stride;
  if (rows.flagged) {
    const PanelFlags<T> seen{scratch.flags, width};
    return backward_queries(panel, rows, key, keys, key_dim, dscores, dqueries, seen);
  }
  const PanelRuns<T> seen{scratch.first, scratch.last};
  backward_queries(panel, rows, key, keys, key_dim, dscores, dqueries, seen);
}

/// The panels of one tile of keys, for a product that goes along the queries.
template <class T>
struct GradientPanels {
  const TaskColumns<T>& columns;
  const PanelRows* rows;  ///< of each panel
  Index live;             ///< columns that exist
};

/// c [rows, Vectors * lanes] += a b with a [key tile, columns] in panels and rows b [columns, Vectors * lanes].
template <class T, int Vectors>
void product_of_columns(const GradientPanels<T>& panels, Index rows, const T* a, const T* b, T* c, Index stride) {
  for (Index row = 0; row < rows; row += tile_rows) {
    Tile<T, tile_rows, Vectors> tile;
    tile.zero();
    for (Index i = 0; i < panels.columns.count; ++i) {
      const Panel& panel = panels.columns.panels[i];
      const PanelRows& of = panels.rows[i];
      if (row < of.begin || row >= of.begin + of.depth) continue;
      Index skipped = 0;
      for (int v = 0; of.live.end[v] <= row - of.begin; ++v) skipped += lanes<T>;
      const Index width = panel.vectors * lanes<T>;
      const Index from = panel.column + skipped;
      tile.add_product(a + panel.column * attention_key_tile + row * width + skipped, width, 1, b + from * stride,
                       stride, (std::min)(width - skipped, panels.live - from));
    }
#pragma GCC unroll 8
    for (int r = 0; r < tile_rows; ++r) {
#pragma GCC unroll 3
      for (int v = 0; v < Vectors; ++v) Accumulate{}(c + (row + r) * stride + v * lanes<T>, tile.sum[r][v], 0);
    }
  }
}
/// The same for any number of features, in runs of about equal width.   b: [columns, stride]    c: [rows, stride]
template <class T>
void product_of_columns(const GradientPanels<T>& panels, Index rows, Index features, const T* a, const T* b, T* c,
                        Index stride) {
  const Index vectors = round_up(features, lanes<T>) / lanes<T>;
  const Index runs = round_up(vectors, tile_vectors) / tile_vectors;
  for (Index run = 0, first = 0; run < runs; ++run) {
    const Index last = vectors * (run + 1) / runs;
    const Index at = first * lanes<T>;
    switch (last - first) {
      case 1: product_of_columns<T, 1>(panels, rows, a, b + at, c + at, stride); break;
      case 2: product_of_columns<T, 2>(panels, rows, a, b + at, c + at, stride); break;
      default: product_of_columns<T, tile_vectors>(panels, rows, a, b + at, c + at, stride); break;
    }
    first = last;
  }
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET::attention
