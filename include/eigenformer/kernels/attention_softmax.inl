// SPDX-License-Identifier: MIT
// Body for attention.hpp: online softmax of panels whose columns are queries and whose rows are keys.

namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET::attention {

/// e^x, 0 below e^-87 (float) or e^-708 (double), where it would be denormal; x up to 87 or 708, and NaN stays. Largest
/// error as that of exp_lifted.
template <class T>
EIGENFORMER_INLINE Vec<T> exp_or_zero(Vec<T> x) {
  using V = Vec<T>;
  const V origin = V::broadcast(exp_steps_origin<T> - exp2_steps<T> * exp_lift<T>);
  const V steps = opaque(fma(x, V::broadcast(T(1.442695040888963407) * exp2_steps<T>), origin));
  const V n = opaque(steps - origin);
  constexpr T step = T(0.693147180559945309) / exp2_steps<T>;
  const V r = fused<T> && sizeof(T) == 4 ? fnma(n, V::broadcast(step), x) : exp_remainder(x, n);
  return select(x < V::broadcast(sizeof(T) == 4 ? T(-87) : T(-708)), V::zero(), exp_of_steps(steps, r));
}

/// exp, of which every weight is made.
template <class T>
EIGENFORMER_INLINE Vec<T> weight(Vec<T> x) {
  using V = Vec<T>;
  if (seeded_bug == 7) {  // quadratic exp2
    const V y = maximum(V::broadcast(T(-120)), x) * V::broadcast(T(1.4426950408889634));
    const V n = round(y);
    const V r = y - n;
    return ldexp(fma(fma(V::broadcast(T(0.2402)), r, V::broadcast(T(0.6931))), r, V::broadcast(T(1))), n);
  }
  V p = exp_or_zero(x);
  if (seeded_bug == 5) p = select(p < V::broadcast(T(1e-4)), V::zero(), p);
  if (seeded_bug == 6) {  // eight bits, by Veltkamp's split
    const V shifted = p * V::broadcast(T(65537));
    p = shifted - (shifted - p);
  }
  return p;
}

/// The live keys of one vector of columns, relative to the first row of a tile. Small integers, exact in T.
template <class T>
struct LiveKeys {
  Vec<T> first;
  Vec<T> last;
  EIGENFORMER_INLINE Mask<T> operator()(Index row) const {
    const Vec<T> key = Vec<T>::broadcast(static_cast<T>(row));
    return (first <= key) & (key < last);
  }
};

/// What each vector of a panel's columns sees, in either form.
template <class T>
struct PanelRuns {
  const T* first;  ///< of each column
  const T* last;
  LiveKeys<T> operator()(Index column) const { return {Vec<T>::load(first + column), Vec<T>::load(last + column)}; }
};
template <class T>
struct PanelFlags {
  const T* flags;  ///< [parts, width]
  Index width;
  LiveFlags<T> operator()(Index column) const { return {flags + column, width}; }
};

/// What the state of a panel's columns consists of: what is subtracted from scores, sum of weights so far, and the
/// factor by which the rows summed so far shrink, [columns] each.
///
/// The maximum lags: it follows the largest score only where that has gone ahead by more than `headroom`. Weights are
/// then at most e^headroom, no less exact than those below 1, and nearly every tile can make weights of its scores
/// while these are in registers still. It is a matter of each column alone.
///
/// Biases may go up along the keys faster than that (ALiBi's steep slopes). So it is expected to follow the largest bias,
/// which is known before the scores; where it has then gone ahead of a tile's scores by more than `slack`, it takes
/// their largest.
template <class T>
struct SoftmaxState {
  T* maximum;
  T* sum;
  T* correction;
  T* bias;      ///< largest so far
  T* expected;  ///< where the maximum is expected after the tile at hand, if there are biases

  /// That of the columns from one on.
  SoftmaxState at(Index column) const {
    return {maximum + column, sum + column, correction + column, bias + column, expected + column};
  }
};
template <class T>
inline constexpr T headroom = T(16);
template <class T>
inline constexpr T slack = T(40);

/// What a sum that began at the lowest number holds before any key: no score is below it, and exp(lowest - score) is 0.
template <class T>
inline constexpr T no_score = std::numeric_limits<T>::lowest();

/// Whether a maximum that was expected after `before` does not go with the largest score of a tile.
template <class T>
EIGENFORMER_INLINE Mask<T> unfit(Vec<T> before, Vec<T> expected, Vec<T> largest) {
  using V = Vec<T>;
  return (expected + V::broadcast(headroom<T>) < largest) |
         ((before < expected) & (largest + V::broadcast(slack<T>) < expected));
}

template <class T>
void cap_scores(T* scores, Index vectors, T softcap) {
  const Vec<T> cap = Vec<T>::broadcast(softcap);
  const Vec<T> inverse = Vec<T>::broadcast(1 / softcap);
  for (Index i = 0; i < vectors; ++i) {
    T* const at = scores + i * lanes<T>;
    (cap * simd::EIGENFORMER_TARGET::tanh(Vec<T>::load(at) * inverse)).store(at);
  }
}

/// scores [rows, vectors * lanes] += bias
template <class T>
void add_bias(T* scores, Index rows, int vectors, PanelBias<T> bias) {
  for (Index row = 0; row < rows; ++row) {
    for (int v = 0; v < vectors; ++v) {
      T* const at = scores + (row * vectors + v) * lanes<T>;
      (Vec<T>::load(at) + Vec<T>::load(bias.data + row * bias.key_step + v * lanes<T>)).store(at);
    }
  }
}

/// What happens to a panel's scores before the softmax, in this order.
template <class T>
struct ScoreChange {
  T softcap;  ///< 0 is none
  PanelBias<T> bias;
};

/// Where the maximum is expected after some rows, by their biases.
template <class T>
void expect_maximum(PanelBias<T> bias, Index rows, int vectors, SoftmaxState<T> state) {
  using V = Vec<T>;
  const V none = V::broadcast(no_score<T>);
  for (Index at = 0; at < vectors * lanes<T>; at += lanes<T>) {
    const V before = V::load(state.bias + at);
    V most = before;
    for (Index row = 0; row < rows; ++row) {
      most = maximum(V::load(bias.data + row * bias.key_step + at), most);  // this order passes over NaN
    }
    const V rise = select((none < before) & (before < most), most - before, V::zero());
    (V::load(state.maximum + at) + rise).store(state.expected + at);
    most.store(state.bias + at);
  }
}

/// Weights [rows, Vectors * lanes] = exp(changed(keys queries) - maximum), all keys live, and their sums. False if a score is too
/// far above the maximum: then the state is as it was, and the tile is to be made in the other way. Where that does not
/// concern a column, it comes out the same to the bit.
template <class T, int Vectors>
bool product_softened(Index rows, Index depth, Factor<T> keys, Factor<T> queries, ScoreChange<T> change, T* weights,
                      SoftmaxState<T> state) {
  using V = Vec<T>;
  const PanelBias<T> bias = change.bias;
  const T* const shift = bias.data ? state.expected : state.maximum;
  V largest[Vectors];
  V sum[Vectors];
#pragma GCC unroll 3
  for (int v = 0; v < Vectors; ++v) {
    largest[v] = V::broadcast(no_score<T>);
    sum[v] = V::zero();
  }
  for (Index row = 0; row < rows; row += tile_rows) {
    Tile<T, tile_rows, Vectors> tile;
    tile.zero();
    tile.add_product(keys.data + row * keys.stride, keys.stride, 1, queries.data, queries.stride, depth);
    if (change.softcap != T(0)) {
      T* const scores = weights + row * Vectors * lanes<T>;
      tile.store(scores, Vectors * lanes<T>);
      cap_scores(scores, tile_rows * Vectors, change.softcap);
      tile.load(scores, Vectors * lanes<T>);
    }
    if (bias.data != nullptr) tile.add(bias.data + row * bias.key_step, bias.key_step);
#pragma GCC unroll 3
    for (int v = 0; v < Vectors; ++v) {
      const V subtracted = V::load(shift + v * lanes<T>);
#pragma GCC unroll 8
      for (int r = 0; r < tile_rows; ++r) {
        largest[v] = maximum(tile.sum[r][v], largest[v]);
        const V p = weight<T>(tile.sum[r][v] - subtracted);
        sum[v] = sum[v] + p;
        p.store(weights + ((row + r) * Vectors + v) * lanes<T>);
      }
    }
  }
  bool within = true;
#pragma GCC unroll 3
  for (int v = 0; v < Vectors; ++v) {
    within = within && !any(unfit(V::load(state.maximum + v * lanes<T>), V::load(shift + v * lanes<T>), largest[v]));
  }
  if (!within) return false;
#pragma GCC unroll 3
  for (int v = 0; v < Vectors; ++v) {
    const Index at = v * lanes<T>;
    if (bias.data == nullptr) {
      (V::load(state.sum + at) + sum[v]).store(state.sum + at);
      continue;
    }
    const V correction = simd::EIGENFORMER_TARGET::exp(V::load(state.maximum + at) - V::load(shift + at));
    fma(V::load(state.sum + at), correction, sum[v]).store(state.sum + at);
    (seeded_bug == 20 ? V::broadcast(T(1)) : correction).store(state.correction + at);
    V::load(shift + at).store(state.maximum + at);
  }
  return true;
}
template <class T>
bool product_softened(int vectors, Index rows, Index depth, Factor<T> keys, Factor<T> queries, ScoreChange<T> change,
                      T* weights, SoftmaxState<T> state) {
  switch (vectors) {
    case 1: return product_softened<T, 1>(rows, depth, keys, queries, change, weights, state);
    case 2: return product_softened<T, 2>(rows, depth, keys, queries, change, weights, state);
    default: return product_softened<T, tile_vectors>(rows, depth, keys, queries, change, weights, state);
  }
}

/// The scores of one vector of columns, row by row. Rows full_begin .. full_end - 1 are live for all of its lanes, the
/// others where `live` says so.
template <class T, class Live>
struct ScoreColumn {
  T* scores;
  Index stride;
  Index full_begin;
  Index full_end;
  Index end;
  Live live;
};

template <class T, bool Masked, class Live>
Vec<T> largest_score(const ScoreColumn<T, Live>& column, Index row, Index end, Vec<T> largest) {
  for (; row < end; ++row) {
    Vec<T> score = Vec<T>::load(column.scores + row * column.stride);
    if constexpr (Masked) score = select(column.live(row), score, Vec<T>::broadcast(no_score<T>));
    largest = maximum(score, largest);  // this order passes over NaN, which shows in the sum
  }
  return largest;
}

template <class T, bool Masked, class Live>
Vec<T> weigh(const ScoreColumn<T, Live>& column, Index row, Index end, Vec<T> shift, Vec<T> sum) {
  for (; row < end; ++row) {
    T* const at = column.scores + row * column.stride;
    Vec<T> p = weight<T>(Vec<T>::load(at) - shift);
    if constexpr (Masked) p = select(column.live(row), p, Vec<T>::zero());
    sum = sum + p;
    p.store(at);
  }
  return sum;
}

/// Scores become weights exp(score - maximum), of which those of keys that are not live are exactly 0 whatever the score
/// is; the state, of these columns, goes on.
///   expected: what is to be subtracted from scores if it goes with them
template <class T, class Live>
void soften(const ScoreColumn<T, Live>& column, Vec<T> expected, SoftmaxState<T> state) {
  using V = Vec<T>;
  const V before = V::load(state.maximum);
  V largest = largest_score<T, true>(column, 0, column.full_begin, V::broadcast(no_score<T>));
  largest = largest_score<T, false>(column, column.full_begin, column.full_end, largest);
  largest = largest_score<T, true>(column, column.full_end, column.end, largest);
  const V shift = select(unfit(before, expected, largest), maximum(largest, before), expected);
  V sum = weigh<T, true>(column, 0, column.full_begin, shift, V::zero());
  sum = weigh<T, false>(column, column.full_begin, column.full_end, shift, sum);
  sum = weigh<T, true>(column, column.full_end, column.end, shift, sum);
  const V correction = simd::EIGENFORMER_TARGET::exp(before - shift);
  fma(V::load(state.sum), correction, sum).store(state.sum);
  correction.store(state.correction);
  shift.store(state.maximum);
}

/// log sum exp of a row, -infinity of one that saw no key.
template <class T>
T log_sum_exp(T maximum, T sum) {
  return sum == T(0) ? -std::numeric_limits<T>::infinity() : maximum + std::log(sum);
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET::attention
