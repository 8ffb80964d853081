// SPDX-License-Identifier: MIT
// Body for softmax.hpp. Each pass over a row is a function apart, so that the compiler has all registers for its loop.

namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET {
using namespace simd::EIGENFORMER_TARGET;

template <class T>
[[gnu::noinline]] T find_maximum(const T* x, Index count) {
  return row_maximum(x, count);
}

/// exp(x - maximum), kept in `kept` unless that is null, and their sum, both 2^exp_lift times too large: what is
/// denormal is rounded only when it has been divided by the sum. Two partial sums are enough beside so much arithmetic.
template <class T, bool keep>
struct RowExponentials {
  const T* x;
  const T* next_x;  ///< is asked for, as it is read soon
  const T* y;       ///< is asked for, as it is written soon
  T* kept;
  Vec<T> shift;
  Sum<T> sum;
  template <class Lanes, int i>
  EIGENFORMER_INLINE void operator()(Lanes lanes, Index j, Slot<i> slot) {
    prefetch(next_x + j, slot);
    prefetch(y + j, slot);
    const Vec<T> e = exp_lifted(lanes.load(x + j) - shift);
    if constexpr (keep) lanes.store(e, kept + j);
    sum.add(lanes.keep(e, Vec<T>::zero()), Slot<i % 2>());
  }
};
template <bool keep, class T>
[[gnu::noinline]] T row_exponentials(const T* x, const T* next_x, const T* y, T* kept, Index count, T shift) {
  T total = 0;
  for (Index begin = 0; begin < count; begin += piece) {
    RowExponentials<T, keep> step{x + begin, next_x + begin, y + begin, kept + begin, Vec<T>::broadcast(shift), {}};
    for_each_vector<T>(piece_length(begin, count), step);
    total += step.sum.total();
  }
  return total;
}

/// The sum without the lift: at least 1, which the maximum contributes, or 0 if every number is -infinity.
template <class T>
EIGENFORMER_INLINE T lowered_sum(T sum) {
  return sum * exp_lowering<T>;
}

template <class T>
[[gnu::noinline]] void scale_row(const T* kept, T* y, Index count, T sum) {
  ScaleStep<T> step{kept, y, Vec<T>::broadcast(sum == T(0) ? T(0) : exp_lowering<T> / sum)};
  for_each_vector_on_lines<T>(count, y, step);
}

/// Each row goes through three passes, maximum, exponentials and scaling, one row apart: while the last numbers of one
/// pass are waited for, other rows have theirs. The exponentials of a row that is not too long wait in the first level
/// of cache, so that y is written once.
template <class T>
void softmax(const SoftmaxRows<T>& work) {
  alignas(64) T buffer[2][piece];
  T maximum[2] = {};
  T sum[2] = {};
  const bool buffered = work.features <= piece;
  for (Index n = -2; n < work.rows; ++n) {
    T* const y = work.y + n * work.y_stride;
    if (n >= 0) scale_row(buffered ? buffer[n & 1] : y, y, work.features, sum[n & 1]);
    const Index next = n + 1;
    if (next >= 0 && next < work.rows) {
      const T* const x = work.x + next * work.x_stride;
      T* const next_y = y + work.y_stride;
      sum[next & 1] = lowered_sum(row_exponentials<true>(
          x, x + 2 * work.x_stride, next_y, buffered ? buffer[next & 1] : next_y, work.features, maximum[next & 1]));
    }
    if (n + 2 < work.rows) maximum[n & 1] = find_maximum(work.x + (n + 2) * work.x_stride, work.features);
  }
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
[[gnu::noinline]] void subtract_row(const T* x, T* y, Index count, T shift, T sum) {
  SubtractStep<T> step{x, y, Vec<T>::broadcast(shift), Vec<T>::broadcast(sum == T(0) ? T(0) : std::log(sum))};
  for_each_vector_on_lines<T>(count, y, step);
}

template <class T>
void log_softmax(const SoftmaxRows<T>& work) {
  T maximum[3] = {};
  T sum[2] = {};
  for (Index n = -2; n < work.rows; ++n) {
    const T* const x = work.x + n * work.x_stride;
    T* const y = work.y + n * work.y_stride;
    if (n >= 0) subtract_row(x, y, work.features, maximum[n % 3], sum[n & 1]);
    const Index next = n + 1;
    if (next >= 0 && next < work.rows) {
      const T* const next_x = x + work.x_stride;
      sum[next & 1] = lowered_sum(row_exponentials<false, T>(next_x, next_x + 2 * work.x_stride, y + work.y_stride,
                                                             nullptr, work.features, maximum[next % 3]));
    }
    if (n + 2 < work.rows) maximum[(n + 2) % 3] = find_maximum(x + 2 * work.x_stride, work.features);
  }
}

template <class T>
struct SoftmaxBackwardStep {
  const T* y;
  const T* dy;
  T* dx;
  Vec<T> along;  ///< the sum of y dy
  template <class Lanes, class S>
  EIGENFORMER_INLINE void operator()(Lanes lanes, Index j, S) const {
    lanes.store(lanes.load(y + j) * (lanes.load(dy + j) - along), dx + j);
  }
};
template <class T>
struct LogSoftmaxBackwardStep {
  const T* y;
  const T* dy;
  T* dx;
  Vec<T> along;  ///< the sum of dy
  template <class Lanes, class S>
  EIGENFORMER_INLINE void operator()(Lanes lanes, Index j, S) const {
    const Vec<T> p = lowered(exp_lifted(lanes.load(y + j)));
    lanes.store(fnma(p, along, lanes.load(dy + j)), dx + j);
  }
};
template <class Whole, class T>
EIGENFORMER_INLINE void softmax_backward_rows(const T* y, Index y_stride, const SoftmaxRows<T>& gradients) {
  for (Index n = 0; n < gradients.rows; ++n, y += y_stride) {
    const T* const dy = gradients.x + n * gradients.x_stride;
    T* const dx = gradients.y + n * gradients.y_stride;
    SoftmaxBackwardStep<T> step{y, dy, dx, Vec<T>::broadcast(row_dot<T, Whole>(y, dy, gradients.features))};
    for_each_vector_on_lines<T>(gradients.features, dx, step);
  }
}
template <class T>
void softmax_backward(const SoftmaxBackwardRows<T>& work) {
  if (sizeof(Vec<T>) == 64 && work.gradients.home == Home::memory) {
    softmax_backward_rows<HalvedLanes<T>>(work.y, work.y_stride, work.gradients);
  } else {
    softmax_backward_rows<AllLanes<T>>(work.y, work.y_stride, work.gradients);
  }
}

template <class T>
void log_softmax_backward(const SoftmaxBackwardRows<T>& work) {
  const SoftmaxRows<T>& gradients = work.gradients;
  for (Index n = 0; n < gradients.rows; ++n) {
    const T* const dy = gradients.x + n * gradients.x_stride;
    T* const dx = gradients.y + n * gradients.y_stride;
    const Vec<T> along = Vec<T>::broadcast(row_sum(dy, gradients.features));
    LogSoftmaxBackwardStep<T> step{work.y + n * work.y_stride, dy, dx, along};
    for_each_vector_on_lines<T>(gradients.features, dx, step);
  }
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET
