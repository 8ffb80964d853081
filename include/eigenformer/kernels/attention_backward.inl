// SPDX-License-Identifier: MIT
// Body for attention.hpp: backward for all queries of one or several heads that share keys and values.

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
  T* dkeys;    ///< [T + key tile, d_k padded], of the caller
  T* dvalues;  ///< [T + key tile, d_v padded], of the caller
  Index key_stride;
  Index value_stride;

  static Index size(Index key_dim, Index value_dim) {
    const Index k = attention_padded(key_dim);
    const Index v = attention_padded(value_dim);
    return attention_query_tile * (3 * k + 2 * v + 2 * attention_key_tile + 4) +
           (attention_key_tile + tile_rows) * (k + v);
  }
  BackwardScratch(T* memory, Index key_dim, Index value_dim, AttentionKeyGradient<T> gradient)
      : dkeys(gradient.dkeys),
        dvalues(gradient.dvalues),
        key_stride(attention_padded(key_dim)),
        value_stride(attention_padded(value_dim)) {
    const Index rows = attention_key_tile + tile_rows;
    queries = memory;
    gradients = queries + attention_query_tile * key_stride;
    query_rows = gradients + attention_query_tile * value_stride;
    gradient_rows = query_rows + attention_query_tile * key_stride;
    keys = gradient_rows + attention_query_tile * value_stride;
    values = keys + rows * key_stride;
    weights = values + rows * value_stride;
    dscores = weights + attention_query_tile * attention_key_tile;
    dqueries = dscores + attention_query_tile * attention_key_tile;
    logarithm = dqueries + attention_query_tile * key_stride;
    delta = logarithm + attention_query_tile;
    first = delta + attention_query_tile;
    last = first + attention_query_tile;
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

/// scores become weights p = exp(score - lse), dweights become dscores p (dp - delta), times the slope of the cap
/// 1 - (score / cap)^2. Exactly 0 where a key is not live.
template <class T, bool Masked>
void soften_backward(T* scores, T* dweights, Index rows, Index width, const BackwardScratch<T>& scratch, Index column,
                     T softcap) {
  using V = Vec<T>;
  const V inverse_cap = V::broadcast(softcap == T(0) ? T(0) : 1 / softcap);
  const V one = V::broadcast(T(1));
  for (Index v = 0; v < width; v += lanes<T>) {
    const LiveKeys<T> live{V::load(scratch.first + v), V::load(scratch.last + v)};
    const V logarithm = V::load(scratch.logarithm + column + v);
    const V delta = V::load(scratch.delta + column + v);
    for (Index k = 0; k < rows; ++k) {
      T* const score = scores + k * width + v;
      T* const dweight = dweights + k * width + v;
      const V s = V::load(score);
      V p = weight<T>(s - logarithm);
      const V t = s * inverse_cap;
      V ds = p * (V::load(dweight) - delta) * fnma(t, t, one);
      if constexpr (Masked) {
        p = select(live(k), p, V::zero());
        ds = select(live(k), ds, V::zero());
      }
      p.store(score);
      ds.store(dweight);
    }
  }
}

/// The five products of one panel of queries with one tile of keys, both in scratch.
///   s = k q,  dp = v dy,  dv += p dy,  dk += ds q,  dq += k ds
template <class T>
void backward_panel(const AttentionProblem<T>& problem, const AttentionTask& task, const BackwardScratch<T>& scratch,
                    const KeyTile<T>& tile, const PanelKeys& keys, Index column, int vectors) {
  const TileRows rows = rows_of(keys, tile.first, tile.rows);
  if (rows.begin >= rows.end) return;
  const Index key_dim = problem.query.head_dim();
  const Index value_dim = problem.value_dim;
  const Index width = vectors * lanes<T>;
  const Index depth = rows.end - rows.begin;
  const Index padded = round_up(depth, tile_rows);
  const Index live_columns = (std::min)(width, task.columns - column);
  const Index k_stride = scratch.key_stride;
  const Index v_stride = scratch.value_stride;
  const Factor<T> key_rows{scratch.keys + rows.begin * k_stride, k_stride};
  const Factor<T> value_rows{scratch.values + rows.begin * v_stride, v_stride};
  T* const weights = scratch.weights;
  T* const dscores = scratch.dscores;
  T* const dqueries = scratch.dqueries + column * k_stride;
  product<T, DepthContiguous>(vectors, padded, key_dim, key_rows, {scratch.queries + column * k_stride, width}, weights,
                              width, Overwrite{});
  product<T, DepthContiguous>(vectors, padded, value_dim, value_rows, {scratch.gradients + column * v_stride, width},
                              dscores, width, Overwrite{});
  if (problem.softcap != T(0)) cap_scores<T, 1>(weights, depth * vectors, problem.softcap);
  if (rows.masked) {
    relative_keys(problem, task, column, width, tile.first + rows.begin, scratch.first, scratch.last);
    soften_backward<T, true>(weights, dscores, depth, width, scratch, column, problem.softcap);
  } else {
    soften_backward<T, false>(weights, dscores, depth, width, scratch, column, problem.softcap);
  }
  // Rows beyond the live ones were computed from whatever lay there, and must not be added to other keys.
  std::fill_n(weights + depth * width, (padded - depth) * width, T(0));
  std::fill_n(dscores + depth * width, (padded - depth) * width, T(0));
  const Index key = tile.first + rows.begin;
  product_rows<T, DepthContiguous>(padded, value_dim, live_columns, {weights, width},
                                   {scratch.gradient_rows + column * v_stride, v_stride},
                                   scratch.dvalues + key * v_stride, v_stride, Accumulate{});
  product_rows<T, DepthContiguous>(padded, key_dim, live_columns, {dscores, width},
                                   {scratch.query_rows + column * k_stride, k_stride}, scratch.dkeys + key * k_stride,
                                   k_stride, Accumulate{});
  if (rows.masked && !all_finite(key_rows.data, k_stride, depth, key_dim)) {
    return product_of_live(key_dim, depth, key_rows, dscores, width, scratch.first, scratch.last, dqueries,
                           Accumulate{});
  }
  product<T, RowsContiguous>(vectors, round_up(key_dim, tile_rows), depth, key_rows, {dscores, width}, dqueries, width,
                             Accumulate{});
}

/// Packs what one tile of queries needs, each column both along the lanes and as a row.
template <class T>
void pack_queries(const AttentionProblem<T>& problem, const AttentionGradient<T>& gradient, const AttentionTask& task,
                  const BackwardScratch<T>& scratch, Index column, int vectors) {
  const Index width = vectors * lanes<T>;
  const Index key_dim = problem.query.head_dim();
  const Index value_dim = problem.value_dim;
  pack_columns(problem.query, task, column, vectors, problem.scale, scratch.queries + column * scratch.key_stride);
  pack_columns(gradient.dy, task, column, vectors, T(1), scratch.gradients + column * scratch.value_stride);
  for (Index c = column; c < column + width; ++c) {
    const Index live = (std::min)(c, task.columns - 1);
    const Index position = task.position(live);
    const Index head = task.head(live);
    const T* const dy = gradient.dy.at(task.batch, position, head);
    const T* const query = problem.query.at(task.batch, position, head);
    scratch.logarithm[c] =
        gradient.log_sum_exp[(task.batch * problem.query.heads() + head) * problem.query.length() + position];
    scratch.delta[c] = dot(dy, gradient.y.at(task.batch, position, head), value_dim);
    copy_rows(dy, 0, 1, value_dim, scratch.gradient_rows + c * scratch.value_stride, 0);
    T* const row = scratch.query_rows + c * scratch.key_stride;
    for (Index e = 0; e < key_dim; ++e) row[e] = problem.scale * query[e];
  }
}

/// One tile of queries against all keys it sees; writes its dq.
template <class T>
void backward_tile(const AttentionProblem<T>& problem, const AttentionGradient<T>& gradient, const AttentionTask& task,
                   const BackwardScratch<T>& scratch) {
  constexpr Index most_panels = attention_query_tile / panel_width<T>;
  const Index key_dim = problem.query.head_dim();
  const Index columns = round_up(task.columns, lanes<T>);
  PanelKeys keys[most_panels];
  KeyRange any{problem.keys, 0};
  for (Index column = 0, panel = 0; column < columns; column += panel_width<T>, ++panel) {
    const int vectors = static_cast<int>((std::min)(panel_width<T>, columns - column) / lanes<T>);
    keys[panel] = panel_keys(problem, task, column, vectors * lanes<T>);
    any = {(std::min)(any.first, keys[panel].any.first), (std::max)(any.last, keys[panel].any.last)};
    pack_queries(problem, gradient, task, scratch, column, vectors);
  }
  std::fill_n(scratch.dqueries, columns * scratch.key_stride, T(0));
  KeyTiles<T> tiles(problem, task, any);
  KeyTile<T> tile;
  while (tiles.next(tile, attention_key_tile)) {
    copy_rows(tile.keys, tile.rows, key_dim, scratch.keys, scratch.key_stride);
    copy_rows(tile.values, tile.rows, problem.value_dim, scratch.values, scratch.value_stride);
    for (Index column = 0, panel = 0; column < columns; column += panel_width<T>, ++panel) {
      const int vectors = static_cast<int>((std::min)(panel_width<T>, columns - column) / lanes<T>);
      backward_panel(problem, task, scratch, tile, keys[panel], column, vectors);
    }
  }
  for (Index column = 0; column < columns; column += panel_width<T>) {
    const Index width = (std::min)(panel_width<T>, columns - column);
    for (Index v = 0; v < width && column + v < task.columns; v += lanes<T>) {
      const Index live = (std::min)(lanes<T>, task.columns - column - v);
      T* rows[Vec<T>::lanes];
      for (Index i = 0; i < live; ++i) {
        const Index c = column + v + i;
        rows[i] = gradient.dquery.at(task.batch, task.position(c), task.head(c));
      }
      transpose_out<T>(scratch.dqueries + column * scratch.key_stride + v, width, key_dim,
                       Vec<T>::broadcast(problem.scale), rows, live);
    }
  }
}

/// All queries of all.heads heads: writes their dq, and dk and dv summed over these heads.
template <class T>
void backward(const AttentionProblem<T>& problem, const AttentionGradient<T>& gradient, const AttentionTask& all,
              AttentionKeyGradient<T> to, T* memory) {
  const BackwardScratch<T> scratch(memory, problem.query.head_dim(), problem.value_dim, to);
  std::fill_n(scratch.dkeys, (problem.keys + attention_key_tile) * scratch.key_stride, T(0));
  std::fill_n(scratch.dvalues, (problem.keys + attention_key_tile) * scratch.value_stride, T(0));
  for (Index first = 0; first < all.columns; first += attention_query_tile) {
    AttentionTask task = all;
    task.first_column = first;
    task.columns = (std::min)(attention_query_tile, all.columns - first);
    backward_tile(problem, gradient, task, scratch);
  }
}

template <class T>
Index backward_scratch_size(Index key_dim, Index value_dim) {
  return BackwardScratch<T>::size(key_dim, value_dim);
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET::attention
