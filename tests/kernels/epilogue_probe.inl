// SPDX-License-Identifier: MIT
// Body for epilogue_test.cpp: an epilogue of the test's own, and the call that applies any epilogue to stored sums.

namespace eigenformer::inline EIGENFORMER_ABI::simd::EIGENFORMER_TARGET {

template <class T>
EIGENFORMER_INLINE Vec<T> finish(const kernels::ScaleColumns<T>& epilogue, Vec<T> sum, Index column) {
  return sum * Vec<T>::load(epilogue.factor + column);
}
template <class T>
EIGENFORMER_INLINE Vec<T> finish(const kernels::ScaleColumns<T>& epilogue, Vec<T> sum, Index column, Mask<T> present) {
  return sum * Vec<T>::load(epilogue.factor + column, present);
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::simd::EIGENFORMER_TARGET

namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET {
using namespace simd::EIGENFORMER_TARGET;

template <class T, class Epilogue>
void probe_finish(const Epilogue& epilogue, T* c, Index c_stride, Index rows, Index first, Index columns) {
  finish_stored(epilogue, c, c_stride, rows, first, columns);
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET
