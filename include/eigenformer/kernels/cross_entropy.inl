// SPDX-License-Identifier: MIT
// Body for cross_entropy.hpp: one row of logits at a time.

namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET {
using namespace simd::EIGENFORMER_TARGET;

/// The largest of x. Lanes past the end hold the lowest number, which never wins.
template <class T>
EIGENFORMER_INLINE T largest_logit(const T* x, Index count) {
  constexpr Index lanes = Vec<T>::lanes;
  const Vec<T> lowest = Vec<T>::broadcast(std::numeric_limits<T>::lowest());
  Vec<T> best = lowest;
  Index i = 0;
  for (; i + lanes <= count; i += lanes) best = maximum(best, Vec<T>::load(x + i));
  const Mask<T> rest = first_lanes<T>(count - i);
  return reduce_max(maximum(best, select(rest, Vec<T>::load(x + i, rest), lowest)));
}

/// What one vector of logits adds: its exponentials, which are returned, and w (maximum - x).
template <class T>
EIGENFORMER_INLINE Vec<T> take_logits(Vec<T> x, Vec<T> weight, Vec<T> maximum, Vec<T>& sum, Vec<T>& spread,
                                      Mask<T> live) {
  const Vec<T> below = x - maximum;
  const Vec<T> e = select(live, exp(below), Vec<T>::zero());
  sum = sum + e;
  spread = fnma(select(live, below, Vec<T>::zero()), weight, spread);
  return e;
}

template <class T>
RowOfLogits<T> read_logits(const T* x, Index count, const T* class_weights, T* exponentials) {
  constexpr Index lanes = Vec<T>::lanes;
  const T maximum = largest_logit(x, count);
  const Vec<T> maxima = Vec<T>::broadcast(maximum);
  const Vec<T> one = Vec<T>::broadcast(T(1));
  const Mask<T> whole = first_lanes<T>(lanes);
  Vec<T> sum = Vec<T>::zero();
  Vec<T> spread = Vec<T>::zero();
  Index i = 0;
  for (; i + lanes <= count; i += lanes) {
    const Vec<T> weight = class_weights == nullptr ? one : Vec<T>::load(class_weights + i);
    const Vec<T> e = take_logits(Vec<T>::load(x + i), weight, maxima, sum, spread, whole);
    if (exponentials != nullptr) e.store(exponentials + i);
  }
  const Mask<T> rest = first_lanes<T>(count - i);
  const Vec<T> weight = class_weights == nullptr ? one : Vec<T>::load(class_weights + i, rest);
  const Vec<T> e = take_logits(Vec<T>::load(x + i, rest), weight, maxima, sum, spread, rest);
  if (exponentials != nullptr) e.store(exponentials + i, rest);
  return {maximum, reduce_add(sum), reduce_add(spread)};
}

template <class T>
void finish_gradient(T* exponentials, Index count, const T* class_weights, T scale, T uniform) {
  constexpr Index lanes = Vec<T>::lanes;
  const Vec<T> scales = Vec<T>::broadcast(scale);
  const Vec<T> uniforms = Vec<T>::broadcast(-uniform);
  const Vec<T> one = Vec<T>::broadcast(T(1));
  Index i = 0;
  for (; i + lanes <= count; i += lanes) {
    const Vec<T> weight = class_weights == nullptr ? one : Vec<T>::load(class_weights + i);
    fma(uniforms, weight, Vec<T>::load(exponentials + i) * scales).store(exponentials + i);
  }
  const Mask<T> rest = first_lanes<T>(count - i);
  const Vec<T> weight = class_weights == nullptr ? one : Vec<T>::load(class_weights + i, rest);
  fma(uniforms, weight, Vec<T>::load(exponentials + i, rest) * scales).store(exponentials + i, rest);
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET
