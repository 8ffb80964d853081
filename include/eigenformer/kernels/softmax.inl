// SPDX-License-Identifier: MIT
// Body for softmax.hpp.

namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET {
using namespace simd::EIGENFORMER_TARGET;

/// exp(x - maximum), kept in y unless that is null, and their sum, both 2^exp_lift times too large: what is denormal is
/// rounded only when it has been divided by the sum.
template <class T, bool keep>
struct RowExponentials {
  const T* x;
  T* y;
  Vec<T> shift;
  Sum<T> sum;
  template <class Lanes, int i>
  EIGENFORMER_INLINE void operator()(Lanes lanes, Index j, Slot<i> slot) {
    const Vec<T> e = exp_lifted(lanes.load(x + j) - shift);
    if constexpr (keep) lanes.store(e, y + j);
    sum.add(lanes.keep(e, Vec<T>::zero()), slot);
  }
};
template <bool keep, class T>
EIGENFORMER_INLINE T row_exponentials(const T* x, T* y, Index count, T shift) {
  T total = 0;
  for (Index begin = 0; begin < count; begin += piece) {
    RowExponentials<T, keep> step{x + begin, keep ? y + begin : nullptr, Vec<T>::broadcast(shift), {}};
    for_each_vector<T>(piece_length(begin, count), step);
    total += step.sum.total();
  }
  return total;
}

template <class T>
struct ScaleStep {
  T* y;
  Vec<T> factor;
  template <class Lanes, class S>
  EIGENFORMER_INLINE void operator()(Lanes lanes, Index j, S) const {
    lanes.store(lanes.load(y + j) * factor, y + j);
  }
};

/// The sum without the lift: at least 1, which the maximum contributes, or 0 if every number is -infinity.
template <class T>
EIGENFORMER_INLINE T lowered_sum(T sum) {
  return sum * exp_lowering<T>;
}

template <class T>
void softmax(const T* x, T* y, Index count) {
  const T sum = lowered_sum(row_exponentials<true>(x, y, count, row_maximum(x, count)));
  const T factor = sum == T(0) ? T(0) : exp_lowering<T> / sum;
  ScaleStep<T> scale{y, Vec<T>::broadcast(factor)};
  for_each_vector<T>(count, scale);
}

/// y = (x - maximum) - log sum. The maximum goes first: added to the logarithm it would take the digits of it.
template <class T>
struct SubtractStep {
  const T* x;
  T* y;
  Vec<T> shift;
  Vec<T> log_sum;
  template <class Lanes, class S>
  EIGENFORMER_INLINE void operator()(Lanes lanes, Index j, S) const {
    lanes.store(opaque(lanes.load(x + j) - shift) - log_sum, y + j);
  }
};
template <class T>
void log_softmax(const T* x, T* y, Index count) {
  const T shift = row_maximum(x, count);
  const T sum = lowered_sum(row_exponentials<false, T>(x, nullptr, count, shift));
  SubtractStep<T> subtract{x, y, Vec<T>::broadcast(shift), Vec<T>::broadcast(sum == T(0) ? T(0) : std::log(sum))};
  for_each_vector<T>(count, subtract);
}

template <class T>
struct SoftmaxBackwardStep {
  const T* y;
  const T* dy;
  T* dx;
  Vec<T> along;
  template <class Lanes, class S>
  EIGENFORMER_INLINE void operator()(Lanes lanes, Index j, S) const {
    lanes.store(lanes.load(y + j) * (lanes.load(dy + j) - along), dx + j);
  }
};
template <class T>
void softmax_backward(const T* y, const T* dy, T* dx, Index count) {
  SoftmaxBackwardStep<T> step{y, dy, dx, Vec<T>::broadcast(row_dot(y, dy, count))};
  for_each_vector<T>(count, step);
}

template <class T>
struct LogSoftmaxBackwardStep {
  const T* y;
  const T* dy;
  T* dx;
  Vec<T> sum;
  template <class Lanes, class S>
  EIGENFORMER_INLINE void operator()(Lanes lanes, Index j, S) const {
    lanes.store(fnma(exp(lanes.load(y + j)), sum, lanes.load(dy + j)), dx + j);
  }
};
template <class T>
void log_softmax_backward(const T* y, const T* dy, T* dx, Index count) {
  LogSoftmaxBackwardStep<T> step{y, dy, dx, Vec<T>::broadcast(row_sum(dy, count))};
  for_each_vector<T>(count, step);
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET
