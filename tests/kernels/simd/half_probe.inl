// SPDX-License-Identifier: MIT
// Body for half_test.cpp.

namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET {
using namespace simd::EIGENFORMER_TARGET;

template <class T>
int probe_half_lanes() {
  return Vec<T>::lanes;
}
template <class T, class S>
void probe_widening(const S* from, T* to) {
  Vec<T>::load(from).store(to);
}
template <class T, class S>
void probe_partial_widening(const S* from, T* to, std::ptrdiff_t n) {
  Vec<T>::load(from, first_lanes<T>(n)).store(to);
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET
