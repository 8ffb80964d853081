// SPDX-License-Identifier: MIT
// Body for the tests of kernels/rows.hpp and kernels/simd/lanes.hpp.

namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET {
using namespace simd::EIGENFORMER_TARGET;

template <class T>
struct PlusOneStep {
  const T* x;
  T* y;
  template <class Lanes, class S>
  EIGENFORMER_INLINE void operator()(Lanes lanes, Index i, S) const {
    lanes.store(lanes.load(x + i) + Vec<T>::broadcast(T(1)), y + i);
  }
};
template <class T>
void probe_in_slots(const T* x, T* y, Index count) {
  PlusOneStep<T> step{x, y};
  for_each_vector<T>(count, step);
}
template <class T>
void probe_on_lines(const T* x, T* y, Index count) {
  PlusOneStep<T> step{x, y};
  for_each_vector_on_lines<T>(count, y, step);
}

template <class T>
void probe_reductions(const T* x, const T* y, Index count, T* results) {
  results[0] = row_sum(x, count);
  results[1] = row_dot(x, y, count);
  results[2] = row_magnitude(x, count);
  results[3] = row_maximum(x, count);
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET
