// SPDX-License-Identifier: MIT

namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET {

using namespace simd::EIGENFORMER_TARGET;

// (a, b) -> (a cos - b sin, b cos + a sin) for neighbours a, b: with the lanes of a pair swapped, and the sine of the
// even lane negated in the table, both are x cos + swapped sine.
template <class T>
void rotate_pairs(T* x, Index heads, Index head_stride, const T* cosine, const T* sine, Index dim) {
  constexpr Index lanes = Vec<T>::lanes;
  for (Index head = 0; head < heads; ++head) {
    T* const row = x + head * head_stride;
    Index i = 0;
    for (; i + lanes <= dim; i += lanes) {
      const Vec<T> value = HalvedLanes<T>().load(row + i);
      fma(swap_pairs(value), Vec<T>::load(sine + i), value * Vec<T>::load(cosine + i)).store(row + i);
    }
    if (i == dim) continue;
    const Mask<T> rest = first_lanes<T>(dim - i);
    const Vec<T> value = Vec<T>::load(row + i, rest);
    fma(swap_pairs(value), Vec<T>::load(sine + i, rest), value * Vec<T>::load(cosine + i, rest)).store(row + i, rest);
  }
}

// The same for a = x[i] and b = x[i + half].
template <class T>
void rotate_halves(T* x, Index heads, Index head_stride, const T* cosine, const T* sine, Index half) {
  constexpr Index lanes = Vec<T>::lanes;
  for (Index head = 0; head < heads; ++head) {
    T* const first = x + head * head_stride;
    T* const second = first + half;
    Index i = 0;
    for (; i + lanes <= half; i += lanes) {
      const Vec<T> a = Vec<T>::load(first + i);
      const Vec<T> b = Vec<T>::load(second + i);
      const Vec<T> c = Vec<T>::load(cosine + i);
      const Vec<T> s = Vec<T>::load(sine + i);
      fnma(b, s, a * c).store(first + i);
      fma(a, s, b * c).store(second + i);
    }
    if (i == half) continue;
    const Mask<T> rest = first_lanes<T>(half - i);
    const Vec<T> a = Vec<T>::load(first + i, rest);
    const Vec<T> b = Vec<T>::load(second + i, rest);
    const Vec<T> c = Vec<T>::load(cosine + i, rest);
    const Vec<T> s = Vec<T>::load(sine + i, rest);
    fnma(b, s, a * c).store(first + i, rest);
    fma(a, s, b * c).store(second + i, rest);
  }
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET
