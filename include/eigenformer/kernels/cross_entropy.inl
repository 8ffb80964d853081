// SPDX-License-Identifier: MIT
// Body for cross_entropy.hpp: one row of logits at a time.

namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET {
using namespace simd::EIGENFORMER_TARGET;

/// What each vector of logits adds: its exponentials, which are kept unless there is nowhere to, and w (maximum - x).
template <class T>
struct LogitsStep {
  const T* x;
  const T* class_weights;
  T* exponentials;
  Vec<T> maximum;
  Sum<T> sum;
  Sum<T> spread;
  template <class Lanes, int i>
  EIGENFORMER_INLINE void operator()(Lanes lanes, Index j, Slot<i>) {
    constexpr Slot<i % 2> slot;
    const Vec<T> below = lanes.load(x + j) - maximum;
    const Vec<T> e = exp_lifted(below);  // so it is summed, as adding denormal numbers is slow on some processors
    if (exponentials != nullptr) lanes.store(lowered(e), exponentials + j);
    sum.add(lanes.keep(e, Vec<T>::zero()), slot);
    const Vec<T> distance = lanes.keep(-below, Vec<T>::zero());
    if (class_weights == nullptr) {
      spread.add(distance, slot);
    } else {
      spread.add_product(distance, lanes.load(class_weights + j), slot);
    }
  }
};

template <class T>
RowOfLogits<T> read_logits(const T* x, Index count, const T* class_weights, T* exponentials) {
  const T maximum = row_maximum(x, count);
  T sum = 0;
  T spread = 0;
  for (Index begin = 0; begin < count; begin += piece) {
    LogitsStep<T> step{x + begin,
                       class_weights == nullptr ? nullptr : class_weights + begin,
                       exponentials == nullptr ? nullptr : exponentials + begin,
                       Vec<T>::broadcast(maximum),
                       {},
                       {}};
    for_each_vector<T>(piece_length(begin, count), step);
    sum += step.sum.total();
    spread += step.spread.total();
  }
  return {maximum, sum * exp_lowering<T>, spread};
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
