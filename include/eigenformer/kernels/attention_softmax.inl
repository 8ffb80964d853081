// SPDX-License-Identifier: MIT
// Body for attention.hpp: online softmax of panels whose columns are queries and whose rows are keys.

namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET::attention {

/// exp, of which every weight is made; x <= 0 but for rounding.
template <class T>
EIGENFORMER_INLINE Vec<T> weight(Vec<T> x) {
  using V = Vec<T>;
  if (seeded_bug == 7) {  // quadratic exp2
    const V y = maximum(V::broadcast(T(-120)), x) * V::broadcast(T(1.4426950408889634));
    const V n = round(y);
    const V r = y - n;
    return ldexp(fma(fma(V::broadcast(T(0.2402)), r, V::broadcast(T(0.6931))), r, V::broadcast(T(1))), n);
  }
  V p = simd::EIGENFORMER_TARGET::exp(x);
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

/// What the state of a panel's columns consists of: largest score and sum of weights so far, and the factor by which
/// the rows summed so far shrink, [columns] each.
template <class T>
struct SoftmaxState {
  T* maximum;
  T* sum;
  T* correction;
};

template <class T, int Vectors>
void cap_scores(T* scores, Index rows, T softcap) {
  const Vec<T> cap = Vec<T>::broadcast(softcap);
  const Vec<T> inverse = Vec<T>::broadcast(1 / softcap);
  for (Index i = 0; i < rows * Vectors; ++i) {
    T* const at = scores + i * lanes<T>;
    (cap * hyperbolic_tangent<T>(Vec<T>::load(at) * inverse)).store(at);
  }
}

/// scores [rows, Vectors * lanes] become weights exp(score - maximum), of which those outside `first` .. `last` of
/// their column are exactly 0 whatever the score is; the state goes on. `Masked` false: all keys are live.
template <class T, int Vectors, bool Masked>
void soften(T* scores, Index rows, const T* first, const T* last, SoftmaxState<T> state) {
  using V = Vec<T>;
  LiveKeys<T> live[Vectors];
  V before[Vectors];
  V maximum_now[Vectors];
#pragma GCC unroll 3
  for (int v = 0; v < Vectors; ++v) {
    if constexpr (Masked) live[v] = {V::load(first + v * lanes<T>), V::load(last + v * lanes<T>)};
    before[v] = maximum_now[v] = V::load(state.maximum + v * lanes<T>);
  }
  for (Index k = 0; k < rows; ++k) {
#pragma GCC unroll 3
    for (int v = 0; v < Vectors; ++v) {
      V score = V::load(scores + (k * Vectors + v) * lanes<T>);
      if constexpr (Masked) score = select(live[v](k), score, before[v]);
      maximum_now[v] = maximum(score, maximum_now[v]);  // this order passes over NaN, which shows in the sum
    }
  }
  V sum[Vectors];
#pragma GCC unroll 3
  for (int v = 0; v < Vectors; ++v) sum[v] = V::zero();
  for (Index k = 0; k < rows; ++k) {
#pragma GCC unroll 3
    for (int v = 0; v < Vectors; ++v) {
      T* const at = scores + (k * Vectors + v) * lanes<T>;
      V p = weight<T>(V::load(at) - maximum_now[v]);
      if constexpr (Masked) p = select(live[v](k), p, V::zero());
      sum[v] = sum[v] + p;
      p.store(at);
    }
  }
#pragma GCC unroll 3
  for (int v = 0; v < Vectors; ++v) {
    const V correction = simd::EIGENFORMER_TARGET::exp(before[v] - maximum_now[v]);
    fma(V::load(state.sum + v * lanes<T>), correction, sum[v]).store(state.sum + v * lanes<T>);
    correction.store(state.correction + v * lanes<T>);
    maximum_now[v].store(state.maximum + v * lanes<T>);
  }
}

/// What a sum that began at the lowest number holds before any key: no score is below it, and exp(lowest - score) is 0.
template <class T>
inline constexpr T no_score = std::numeric_limits<T>::lowest();

/// log sum exp of a row, -infinity of one that saw no key.
template <class T>
T log_sum_exp(T maximum, T sum) {
  return sum == T(0) ? -std::numeric_limits<T>::infinity() : maximum + std::log(sum);
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET::attention
