// SPDX-License-Identifier: MIT
// Body for epilogue.hpp. In simd::<target>, where a product finds the overloads of any epilogue through its vectors.

namespace eigenformer::inline EIGENFORMER_ABI::simd::EIGENFORMER_TARGET {

template <class T>
EIGENFORMER_INLINE Vec<T> finish(const kernels::AddBias<T>& epilogue, Vec<T> sum, Index column) {
  return epilogue.bias ? sum + Vec<T>::load(epilogue.bias + column) : sum;
}
template <class T>
EIGENFORMER_INLINE Vec<T> finish(const kernels::AddBias<T>& epilogue, Vec<T> sum, Index column, Mask<T> present) {
  return epilogue.bias ? sum + Vec<T>::load(epilogue.bias + column, present) : sum;
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::simd::EIGENFORMER_TARGET

namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET {
using namespace simd::EIGENFORMER_TARGET;

/// Applies the epilogue to columns [first, first + columns) of sums that are already stored.
template <class T, class Epilogue>
void finish_stored(const Epilogue& epilogue, T* c, Index c_stride, Index rows, Index first, Index columns) {
  constexpr Index lanes = Vec<T>::lanes;
  const Index whole = columns / lanes * lanes;
  const Mask<T> rest = first_lanes<T>(columns - whole);
  for (Index row = 0; row < rows; ++row) {
    T* const sums = c + row * c_stride + first;
    for (Index n = 0; n < whole; n += lanes) {
      finish(epilogue, Vec<T>::load(sums + n), first + n).store(sums + n);
    }
    if (whole < columns)
      finish(epilogue, Vec<T>::load(sums + whole, rest), first + whole, rest).store(sums + whole, rest);
  }
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET
