// SPDX-License-Identifier: MIT
// Body for norm.hpp.

namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET {
using namespace simd::EIGENFORMER_TARGET;

/// What normalises a row: z = ((x scale - mean) - rest) factor.
template <class T>
struct Moments {
  T scale;    ///< 1, or the power of two that keeps squares in range
  T mean;     ///< of x scale, as a T can hold it
  T rest;     ///< what the mean's rounding left out
  T factor;   ///< 1 / deviation of x scale
  T inverse;  ///< 1 / deviation of x
};

template <class T>
struct ScaledSumStep {
  const T* x;
  Vec<T> scale;
  Sum<T> sum;
  template <class Lanes, int i>
  EIGENFORMER_INLINE void operator()(Lanes lanes, Index j, Slot<i> slot) {
    sum.add_product(lanes.load(x + j), scale, slot);
  }
};

/// Sums of d and d^2 with d = x scale - mean. Opaque, so that -ffast-math does not take the sum of d apart again.
template <class T, class Statistics>
struct MomentsStep {
  const T* x;
  Vec<T> scale;
  Vec<T> mean;
  Sum<T> sum;
  Sum<T> squares;
  template <class Lanes, int i>
  EIGENFORMER_INLINE void operator()(Lanes lanes, Index j, Slot<i> slot) {
    if constexpr (std::is_same_v<Statistics, Centred>) {
      const Vec<T> d = lanes.keep(opaque(fma(lanes.load(x + j), scale, -mean)), Vec<T>::zero());
      sum.add(d, slot);
      squares.add_product(d, d, slot);
    } else {
      const Vec<T> d = lanes.load(x + j) * scale;
      squares.add_product(d, d, slot);
    }
  }
};

/// a / count as a true division: a multiplication by 1 / count, which -ffast-math prefers, would not give the mean of
/// equal numbers exactly.
template <class T>
EIGENFORMER_INLINE T quotient(T a, Index count) {
  volatile T divisor = static_cast<T>(count);
  return a / divisor;
}

template <class T>
EIGENFORMER_INLINE T below_largest(double x) {
  constexpr double largest = static_cast<double>((std::numeric_limits<T>::max)());
  return static_cast<T>(x < largest ? x : largest);
}

/// The first pass: sum of x scale, or zero where no mean is wanted.
template <class Statistics, class T>
EIGENFORMER_INLINE T find_total(const T* x, Index count, T scale) {
  T total = 0;
  if constexpr (std::is_same_v<Statistics, Centred>) {
    for (Index begin = 0; begin < count; begin += piece) {
      ScaledSumStep<T> step{x + begin, Vec<T>::broadcast(scale), {}};
      for_each_vector<T>(piece_length(begin, count), step);
      total += step.sum.total();
    }
  }
  return total;
}

/// The second pass, around the mean that the first found: its sum of d corrects what the first rounded, so that a large
/// mean costs no digits, and equal numbers leave exactly zero. Returns whether the sums can be trusted: nothing
/// overflowed, and nothing vanished that would count beside epsilon.
template <class Statistics, class T>
EIGENFORMER_INLINE bool find_moments(const T* x, Index count, double epsilon, T total, Moments<T>& m) {
  const Vec<T> scale = Vec<T>::broadcast(m.scale);
  T sum = 0;
  T squares = 0;
  m.mean = quotient(total, count);
  for (Index begin = 0; begin < count; begin += piece) {
    MomentsStep<T, Statistics> step{x + begin, scale, Vec<T>::broadcast(m.mean), {}, {}};
    for_each_vector<T>(piece_length(begin, count), step);
    sum += step.sum.total();
    squares += step.squares.total();
  }
  m.rest = quotient(sum, count);
  const double wide_scale = static_cast<double>(m.scale);
  const double variance = static_cast<double>(squares - sum * m.rest) / static_cast<double>(count);
  const double spread = (variance > 0 ? variance : 0) + epsilon * wide_scale * wide_scale;
  const double factor = spread > 0 ? 1 / std::sqrt(spread) : 0;
  m.factor = below_largest<T>(factor);  // beyond only if all d are 0, which infinity would make NaN
  m.inverse = below_largest<T>(factor * wide_scale);
  constexpr double vanishing = sizeof(T) == 4 ? 0x1p-80 : 0x1p-900;
  return is_finite(total) && is_finite(squares) && spread > vanishing;
}

/// For rows whose squares leave the range of T: the same with the row scaled so that its largest element is near 1.
template <class Statistics, class T>
[[gnu::noinline]] void find_moments_scaled(const T* x, Index count, double epsilon, Moments<T>& m) {
  const T largest = row_magnitude(x, count);
  constexpr int limit = sizeof(T) == 4 ? 120 : 500;
  int exponent = 0;
  if (is_finite(largest) && largest > T(0)) std::frexp(largest, &exponent);
  m.scale = std::ldexp(T(1), exponent > limit ? -limit : (exponent < -limit ? limit : -exponent));
  find_moments<Statistics>(x, count, epsilon, find_total<Statistics>(x, count, m.scale), m);
}

template <class T, class Statistics>
struct NormaliseStep {
  const T* x;
  T* y;
  T* normalised;
  const T* weight;
  const T* bias;
  Vec<T> scale;
  Vec<T> mean;
  Vec<T> rest;
  Vec<T> factor;
  template <class Lanes, class S>
  EIGENFORMER_INLINE void operator()(Lanes lanes, Index j, S) const {
    Vec<T> z;
    if constexpr (std::is_same_v<Statistics, Centred>) {
      z = (opaque(fma(lanes.load(x + j), scale, -mean)) - rest) * factor;
    } else {
      z = opaque(lanes.load(x + j) * scale) * factor;
    }
    const Vec<T> gain = lanes.load(weight + j);
    lanes.store(bias != nullptr ? fma(z, gain, lanes.load(bias + j)) : z * gain, y + j);
    if (normalised != nullptr) lanes.store(z, normalised + j);
  }
};

template <class Statistics, class T>
EIGENFORMER_INLINE void normalise_row(const NormRows<T>& work, Index n, const Moments<T>& m) {
  NormaliseStep<T, Statistics> step{work.x + n * work.x_stride,
                                    work.y + n * work.y_stride,
                                    work.normalised != nullptr ? work.normalised + n * work.features : nullptr,
                                    work.weight,
                                    work.bias,
                                    Vec<T>::broadcast(m.scale),
                                    Vec<T>::broadcast(m.mean),
                                    Vec<T>::broadcast(m.rest),
                                    Vec<T>::broadcast(m.factor)};
  for_each_vector<T>(work.features, step);
  work.inverse[n] = m.inverse;
}

/// Each row goes through three stages, and three rows are under way at once: while the divisions and the root at the
/// end of one stage are waited for, the processor has another row's stage to do.
template <class Statistics, class T>
void normalise(const NormRows<T>& work) {
  T total = 0;
  Moments<T> m{};
  for (Index n = -2; n < work.rows; ++n) {
    T next_total = 0;
    Moments<T> next{T(1), T(0), T(0), T(0), T(0)};
    if (n + 2 < work.rows) next_total = find_total<Statistics>(work.x + (n + 2) * work.x_stride, work.features, T(1));
    if (n + 1 >= 0 && n + 1 < work.rows) {
      const T* const x = work.x + (n + 1) * work.x_stride;
      if (!find_moments<Statistics>(x, work.features, work.epsilon, total, next)) {
        find_moments_scaled<Statistics>(x, work.features, work.epsilon, next);
      }
    }
    if (n >= 0) normalise_row<Statistics>(work, n, m);
    total = next_total;
    m = next;
  }
}

/// Sums over `count` rows at once, so that the gradients of weight and bias are read and written once for all of them.
template <class T, int count>
struct GradientSumsStep {
  const NormBackwardRows<T>& work;
  Index row;
  Index offset;
  Vec<T> g[count];
  Vec<T> gz[count];
  template <class Lanes, class S>
  EIGENFORMER_INLINE void operator()(Lanes lanes, Index in_piece, S) {
    const Index j = offset + in_piece;
    const Vec<T> gain = lanes.load(work.weight + j);
    Vec<T> dweight = work.dweight != nullptr ? lanes.load(work.dweight + j) : gain;
    Vec<T> dbias = work.dbias != nullptr ? lanes.load(work.dbias + j) : gain;
#pragma GCC unroll 4
    for (int i = 0; i < count; ++i) {
      const Vec<T> dy = lanes.load(work.dy + (row + i) * work.dy_stride + j);
      const Vec<T> z = lanes.load(work.normalised + (row + i) * work.features + j);
      const Vec<T> upstream = dy * gain;
      g[i] = g[i] + upstream;
      gz[i] = fma(upstream, z, gz[i]);
      dweight = fma(dy, z, dweight);
      dbias = dbias + dy;
    }
    if (work.dweight != nullptr) lanes.store(dweight, work.dweight + j);
    if (work.dbias != nullptr) lanes.store(dbias, work.dbias + j);
  }
};

template <class T>
struct InputGradientStep {
  const T* dy;
  const T* z;
  const T* weight;
  T* dx;
  Vec<T> mean_g;
  Vec<T> mean_gz;
  Vec<T> inverse;
  template <class Lanes, class S>
  EIGENFORMER_INLINE void operator()(Lanes lanes, Index j, S) const {
    const Vec<T> projection = fma(lanes.load(z + j), mean_gz, mean_g);
    lanes.store(fma(lanes.load(dy + j), lanes.load(weight + j), -projection) * inverse, dx + j);
  }
};

template <class Statistics, int count, class T>
EIGENFORMER_INLINE void backward_rows(const NormBackwardRows<T>& work, Index row) {
  T sum_g[count] = {};
  T sum_gz[count] = {};
  for (Index begin = 0; begin < work.features; begin += piece) {
    GradientSumsStep<T, count> step{work, row, begin, {}, {}};
#pragma GCC unroll 4
    for (int i = 0; i < count; ++i) step.g[i] = step.gz[i] = Vec<T>::zero();
    for_each_vector_in_turn<T>(piece_length(begin, work.features), step);
#pragma GCC unroll 4
    for (int i = 0; i < count; ++i) {
      sum_g[i] += reduce_add(step.g[i]);
      sum_gz[i] += reduce_add(step.gz[i]);
    }
  }
  for (int i = 0; i < count; ++i) {
    const Index n = row + i;
    const T width = static_cast<T>(work.features);
    const T mean_g = std::is_same_v<Statistics, Centred> ? sum_g[i] / width : T(0);
    InputGradientStep<T> step{
        work.dy + n * work.dy_stride,      work.normalised + n * work.features, work.weight,
        work.dx + n * work.dx_stride,      Vec<T>::broadcast(mean_g),           Vec<T>::broadcast(sum_gz[i] / width),
        Vec<T>::broadcast(work.inverse[n])};
    for_each_vector<T>(work.features, step);
  }
}

/// A row's own sums are taken in the same order whether it is one of four or alone.
template <class Statistics, class T>
void normalise_backward(const NormBackwardRows<T>& work) {
  Index n = 0;
  for (; n + 4 <= work.rows; n += 4) backward_rows<Statistics, 4>(work, n);
  for (; n < work.rows; ++n) backward_rows<Statistics, 1>(work, n);
}

template <class T>
struct AddRowsStep {
  const T* parts;
  Index rows;
  Index features;
  T* total;
  template <class Lanes, class S>
  EIGENFORMER_INLINE void operator()(Lanes lanes, Index j, S) const {
    Vec<T> sum = lanes.load(parts + j);
    for (Index i = 1; i < rows; ++i) sum = sum + lanes.load(parts + i * features + j);
    lanes.store(lanes.load(total + j) + sum, total + j);
  }
};
template <class T>
void add_rows(const T* parts, Index rows, Index features, T* total) {
  AddRowsStep<T> step{parts, rows, features, total};
  for_each_vector<T>(features, step);
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET
