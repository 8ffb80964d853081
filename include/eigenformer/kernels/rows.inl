// SPDX-License-Identifier: MIT
// Body for rows.hpp.

namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET {
using namespace simd::EIGENFORMER_TARGET;

/// Rows longer than this are summed in pieces of it, so that the error of a sum grows with the number of pieces and not
/// with the length.
inline constexpr Index piece = 1024;
EIGENFORMER_INLINE Index piece_length(Index begin, Index count) {
  return count - begin < piece ? count - begin : piece;
}

/// Asks for p to be read soon, once for each cache line, as slot i is how many vectors into a line.
template <class T, int i>
EIGENFORMER_INLINE void prefetch(const T* p, Slot<i>) {
  if constexpr (i * sizeof(Vec<T>) % 64 == 0) __builtin_prefetch(p);
}

template <class T>
struct SumStep {
  const T* x;
  Sum<T> sum;
  template <class Lanes, int i>
  EIGENFORMER_INLINE void operator()(Lanes lanes, Index j, Slot<i> slot) {
    sum.add(lanes.load(x + j), slot);
  }
};
/// sum_j x_j
template <class T, class Whole = AllLanes<T>>
EIGENFORMER_INLINE T row_sum(const T* x, Index count) {
  T total = 0;
  for (Index begin = 0; begin < count; begin += piece) {
    SumStep<T> step{x + begin, {}};
    for_each_vector<T, Whole>(piece_length(begin, count), step);
    total += step.sum.total();
  }
  return total;
}

template <class T>
struct DotStep {
  const T* x;
  const T* y;
  Sum<T> sum;
  template <class Lanes, int i>
  EIGENFORMER_INLINE void operator()(Lanes lanes, Index j, Slot<i> slot) {
    sum.add_product(lanes.load(x + j), lanes.load(y + j), slot);
  }
};
/// sum_j x_j y_j
template <class T, class Whole = AllLanes<T>>
EIGENFORMER_INLINE T row_dot(const T* x, const T* y, Index count) {
  T total = 0;
  for (Index begin = 0; begin < count; begin += piece) {
    DotStep<T> step{x + begin, y + begin, {}};
    for_each_vector<T, Whole>(piece_length(begin, count), step);
    total += step.sum.total();
  }
  return total;
}

/// y = x factor
template <class T>
struct ScaleStep {
  const T* x;
  T* y;
  Vec<T> factor;
  template <class Lanes, class S>
  EIGENFORMER_INLINE void operator()(Lanes lanes, Index j, S) const {
    lanes.store(lanes.load(x + j) * factor, y + j);
  }
};

template <class T>
struct MagnitudeStep {
  const T* x;
  Vec<T> largest[partials];
  template <class Lanes, int i>
  EIGENFORMER_INLINE void operator()(Lanes lanes, Index j, Slot<i>) {
    largest[i] = maximum(abs(lanes.load(x + j)), largest[i]);
  }
};
/// max_j |x_j|; a NaN may or may not be noticed.
template <class T>
EIGENFORMER_INLINE T row_magnitude(const T* x, Index count) {
  const Vec<T> zero = Vec<T>::zero();
  MagnitudeStep<T> step{x, {zero, zero, zero, zero}};
  for_each_vector<T>(count, step);
  return reduce_max(maximum(maximum(step.largest[0], step.largest[1]), maximum(step.largest[2], step.largest[3])));
}

/// The largest of a row, but not below the lowest finite number, so that x - maximum is -infinity and not NaN in a row
/// of nothing but -infinity. A NaN may or may not be noticed here; the exponentials will.
template <class T>
struct RowMaximum {
  const T* x;
  Vec<T> largest[partials];

  template <class Lanes, int i>
  EIGENFORMER_INLINE void operator()(Lanes lanes, Index j, Slot<i>) {
    largest[i] = maximum(lanes.keep(lanes.load(x + j), largest[i]), largest[i]);
  }
  EIGENFORMER_INLINE T total() const {
    return reduce_max(maximum(maximum(largest[0], largest[1]), maximum(largest[2], largest[3])));
  }
};
template <class T>
EIGENFORMER_INLINE T row_maximum(const T* x, Index count) {
  const Vec<T> lowest = Vec<T>::broadcast(std::numeric_limits<T>::lowest());
  RowMaximum<T> step{x, {lowest, lowest, lowest, lowest}};
  for_each_vector<T>(count, step);
  return step.total();
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET
