// SPDX-License-Identifier: MIT
// Body for activation.hpp. Every step loads all it needs before it stores, so an output may be one of the inputs.
// Curves are opaque, so that -ffast-math multiplies their factors in the same order in whole vectors and at the end of
// a row.

namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET {
using namespace simd::EIGENFORMER_TARGET;

template <class A, class T>
struct ActivateStep {
  const T* x;
  T* y;
  template <class Lanes, class S>
  EIGENFORMER_INLINE void operator()(Lanes lanes, Index i, S) const {
    lanes.store(evaluate(A(), lanes.load(x + i)).value.whole(), y + i);
  }
};
template <class A, class T>
void activate(const T* x, T* y, Index count) {
  ActivateStep<A, T> step{x, y};
  for_each_vector_on_lines<T>(count, y, step);
}

template <class A, class T>
struct ActivateBackwardStep {
  const T* x;
  const T* dy;
  T* dx;
  template <class Lanes, class S>
  EIGENFORMER_INLINE void operator()(Lanes lanes, Index i, S) const {
    lanes.store(evaluate<Factor>(A(), lanes.load(x + i)).derivative.times(lanes.load(dy + i)), dx + i);
  }
};
template <class A, class T>
void activate_backward(const T* x, const T* dy, T* dx, Index count) {
  ActivateBackwardStep<A, T> step{x, dy, dx};
  for_each_vector_on_lines<T>(count, dx, step);
}

template <class A, class T>
struct GatedStep {
  const T* gate;
  const T* up;
  T* y;
  template <class Lanes, class S>
  EIGENFORMER_INLINE void operator()(Lanes lanes, Index i, S) const {
    lanes.store(evaluate<Factor>(A(), lanes.load(gate + i)).value.times(lanes.load(up + i)), y + i);
  }
};
template <class A, class T>
void gated(const T* gate, const T* up, T* y, Index count) {
  GatedStep<A, T> step{gate, up, y};
  for_each_vector_on_lines<T>(count, y, step);
}

template <class A, class T>
struct GatedBackwardStep {
  const T* gate;
  const T* up;
  const T* dy;
  T* dgate;
  T* dup;
  template <class Lanes, class S>
  EIGENFORMER_INLINE void operator()(Lanes lanes, Index i, S) const {
    const Vec<T> upstream = lanes.load(dy + i);
    const Vec<T> linear = lanes.load(up + i);
    const Curve<T> curve = evaluate<Factor>(A(), lanes.load(gate + i));
    lanes.store(curve.derivative.times(opaque(upstream * linear)), dgate + i);
    lanes.store(curve.value.times(upstream), dup + i);
  }
};
template <class A, class T>
void gated_backward(const T* gate, const T* up, const T* dy, T* dgate, T* dup, Index count) {
  GatedBackwardStep<A, T> step{gate, up, dy, dgate, dup};
  for_each_vector_on_lines<T>(count, dgate, step);
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET
