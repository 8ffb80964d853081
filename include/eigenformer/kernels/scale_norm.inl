// SPDX-License-Identifier: MIT
// Body for scale_norm.hpp.

namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET {
using namespace simd::EIGENFORMER_TARGET;

/// What scales a row: z = x factor.
template <class T>
struct Length {
  const T* x;  ///< the row, or where it stands times a power of two that keeps squares in range
  T factor;    ///< 1 / max(||x||, epsilon) of what x points at
  T inverse;   ///< the same of the row
};

/// Sum of squares, while what is written soon is asked for.
template <class T>
struct SquaresStep {
  const T* x;
  const T* y;
  Sum<T> squares;
  template <class Lanes, int i>
  EIGENFORMER_INLINE void operator()(Lanes lanes, Index j, Slot<i> slot) {
    prefetch(y + j, slot);
    const Vec<T> row = lanes.load(x + j);
    squares.add_product(row, row, slot);
  }
};

/// Returns whether the sum can be trusted: nothing overflowed, and nothing vanished that would count beside epsilon.
///   x: times `scale` already
template <class Whole, class T>
[[gnu::noinline]] bool find_length(const T* x, const T* y, Index count, double epsilon, double scale, Length<T>& row) {
  T squares = 0;
  for (Index begin = 0; begin < count; begin += piece) {
    SquaresStep<T> step{x + begin, y + begin, {}};
    for_each_vector<T, Whole>(piece_length(begin, count), step);
    squares += step.squares.total();
  }
  const double norm = std::sqrt(static_cast<double>(squares));
  const double least = epsilon * scale;
  const double length = norm > least ? norm : least;
  const double factor = length > 0 ? 1 / length : 0;
  const bool finite = is_finite(squares);
  row.x = x;
  row.factor = finite ? below_largest<T>(factor)  // beyond only if the row is zero
                      : std::numeric_limits<T>::quiet_NaN();
  row.inverse = below_largest<T>(factor * scale);
  constexpr double vanishing = sizeof(T) == 4 ? 0x1p-40 : 0x1p-450;
  return finite && length > vanishing;
}

/// For rows whose squares leave the range of T: the same of the row scaled. The scaled row stands where its result will.
template <class T>
[[gnu::noinline]] void find_length_scaled(const T* x, T* y, Index count, double epsilon, Length<T>& row) {
  constexpr int limit = sizeof(T) == 4 ? 120 : 1000;
  const T scale = write_scaled(x, y, count, limit, limit);
  find_length<AllLanes<T>>(y, y, count, epsilon, static_cast<double>(scale), row);
}

template <class T, Fate fate>
struct ScaleRowStep {
  const T* x;
  const T* next_x;  ///< is asked for, as it is read soon
  T* y;
  T* normalised;
  Vec<T> factor;
  Vec<T> gain;
  template <class Lanes, class S>
  EIGENFORMER_INLINE void operator()(Lanes lanes, Index j, S slot) const {
    prefetch(next_x + j, slot);
    const Vec<T> z = opaque(lanes.load(x + j) * factor);
    lanes.store(z * gain, y + j);
    store_normalised<fate>(lanes, z, normalised, j);
  }
};

template <Fate fate, class Whole, class T>
[[gnu::noinline]] void write_scaled_row(const ScaleNormRows<T>& work, Index n, const Length<T>& row) {
  T* const y = work.y + n * work.y_stride;
  T* const z = fate == Fate::forgotten ? nullptr : work.normalised + n * work.features;
  ScaleRowStep<T, fate> step{row.x, work.x + (n + 4) * work.x_stride, y,
                             z,     Vec<T>::broadcast(row.factor),    Vec<T>::broadcast(work.gain)};
  for_each_vector_on_lines<T, Whole>(work.features, fate == Fate::streamed ? z : y, step);
  work.inverse[n] = row.inverse;
}

/// A row's length is found two rows ahead of its writing, so that the root and the division are not waited for.
template <Fate fate, class Whole, class T>
EIGENFORMER_INLINE void scale_rows(const ScaleNormRows<T>& work) {
  Length<T> lengths[2] = {};
  for (Index n = -2; n < work.rows; ++n) {
    if (n >= 0) write_scaled_row<fate, Whole>(work, n, lengths[n % 2]);
    const Index next = n + 2;
    if (next >= work.rows) continue;
    const T* const x = work.x + next * work.x_stride;
    T* const y = work.y + next * work.y_stride;
    Length<T>& row = lengths[next % 2];
    if (!find_length<Whole>(x, y, work.features, work.epsilon, 1.0, row)) {
      find_length_scaled(x, y, work.features, work.epsilon, row);
    }
  }
}
template <class T>
void scale_norm(const ScaleNormRows<T>& work) {
  switch (fate_of_normalised(work.normalised, work.features, work.home)) {
    case Fate::forgotten: return scale_rows<Fate::forgotten, AllLanes<T>>(work);
    case Fate::stored: return scale_rows<Fate::stored, AllLanes<T>>(work);
    case Fate::streamed: scale_rows<Fate::streamed, HalvedLanes<T>>(work); finish_streams();
  }
}

/// z . dy, while the rows after are asked for.
template <class T>
struct AlongStep {
  const T* dy;
  const T* z;
  const T* next_dy;
  const T* next_z;
  const T* dx;
  Sum<T> sum;
  template <class Lanes, int i>
  EIGENFORMER_INLINE void operator()(Lanes lanes, Index j, Slot<i> slot) {
    prefetch(next_dy + j, slot);
    prefetch(next_z + j, slot);
    prefetch(dx + j, slot);
    sum.add_product(lanes.load(dy + j), lanes.load(z + j), slot);
  }
};
template <class Whole, class T>
[[gnu::noinline]] T find_along(const ScaleNormBackwardRows<T>& work, Index n) {
  const T* const dy = work.dy + n * work.dy_stride;
  const T* const z = work.normalised + n * work.features;
  T total = 0;
  for (Index begin = 0; begin < work.features; begin += piece) {
    AlongStep<T> step{dy + begin,
                      z + begin,
                      dy + 2 * work.dy_stride + begin,
                      z + 2 * work.features + begin,
                      work.dx + n * work.dx_stride + begin,
                      {}};
    for_each_vector<T, Whole>(piece_length(begin, work.features), step);
    total += step.sum.total();
  }
  return total;
}

template <class T>
struct ScaleGradientStep {
  const T* dy;
  const T* z;
  T* dx;
  Vec<T> projection;
  Vec<T> gain;
  Vec<T> inverse;
  template <class Lanes, class S>
  EIGENFORMER_INLINE void operator()(Lanes lanes, Index j, S) const {
    const Vec<T> across = opaque(fnma(lanes.load(z + j), projection, lanes.load(dy + j)));
    lanes.store(opaque(across * gain) * inverse, dx + j);
  }
};
template <class T>
[[gnu::noinline]] void write_scale_gradient(const ScaleNormBackwardRows<T>& work, Index n, T along) {
  const T inverse = work.inverse[n];
  ScaleGradientStep<T> step{work.dy + n * work.dy_stride, work.normalised + n * work.features,
                            work.dx + n * work.dx_stride, Vec<T>::broadcast(inverse < work.clamped ? along : T(0)),
                            Vec<T>::broadcast(work.gain), Vec<T>::broadcast(inverse)};
  for_each_vector<T>(work.features, step);
}

template <class Whole, class T>
EIGENFORMER_INLINE double scale_rows_backward(const ScaleNormBackwardRows<T>& work) {
  double total = 0;
  for (Index n = 0; n < work.rows; ++n) {
    const T along = find_along<Whole>(work, n);
    write_scale_gradient(work, n, along);
    total += static_cast<double>(along);
  }
  return total;
}
template <class T>
double scale_norm_backward(const ScaleNormBackwardRows<T>& work) {
  if (sizeof(Vec<T>) == 64 && work.home == Home::memory) return scale_rows_backward<HalvedLanes<T>>(work);
  return scale_rows_backward<AllLanes<T>>(work);
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET
