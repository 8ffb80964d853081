// SPDX-License-Identifier: MIT
// Body for norm.hpp. Each pass over a row is a function apart: inlined into one, g++ would run out of registers and keep a
// sum in memory, whose latency then is the speed of the loop.

namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET {
using namespace simd::EIGENFORMER_TARGET;

/// What normalises a row: z = ((x - mean) - rest) factor.
template <class T>
struct Moments {
  const T* x;  ///< the row, or where it stands times a power of two that keeps squares in range
  T mean;      ///< as a T can hold it
  T rest;      ///< what the mean's rounding left out
  T factor;    ///< 1 / deviation of what x points at
  T inverse;   ///< 1 / deviation of the row
};

/// Sums of d and d^2 with d = x - mean. Opaque, so that -ffast-math does not take the sum of d apart again.
template <class T, class Statistics>
struct MomentsStep {
  const T* x;
  const T* y;  ///< is asked for, as it is written soon
  Vec<T> mean;
  Sum<T> sum;
  Sum<T> squares;
  template <class Lanes, int i>
  EIGENFORMER_INLINE void operator()(Lanes lanes, Index j, Slot<i> slot) {
    prefetch(y + j, slot);
    Vec<T> d = lanes.load(x + j);
    if constexpr (std::is_same_v<Statistics, Centred>) {
      d = lanes.keep(opaque(d - mean), Vec<T>::zero());
      sum.add(d, slot);
    }
    squares.add_product(d, d, slot);
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

/// The first pass: sum of x, or zero where no mean is wanted.
template <class Statistics, class Whole, class T>
[[gnu::noinline]] T find_total(const T* x, Index count) {
  return std::is_same_v<Statistics, Centred> ? row_sum<T, Whole>(x, count) : T(0);
}

/// The second pass, around the mean that the first found: its sum of d corrects what the first rounded, so that a large
/// mean costs no digits, and equal numbers leave exactly zero. Returns whether the sums can be trusted: nothing
/// overflowed, and nothing vanished that would count beside epsilon.   x: times `scale` already
template <class Statistics, class Whole, class T>
[[gnu::noinline]] bool find_moments(const T* x, const T* y, Index count, double epsilon, T total, double scale,
                                    Moments<T>& m) {
  T sum = 0;
  T squares = 0;
  m.x = x;
  m.mean = std::is_same_v<Statistics, Centred> ? quotient(total, count) : T(0);
  for (Index begin = 0; begin < count; begin += piece) {
    MomentsStep<T, Statistics> step{x + begin, y + begin, Vec<T>::broadcast(m.mean), {}, {}};
    for_each_vector<T, Whole>(piece_length(begin, count), step);
    sum += step.sum.total();
    squares += step.squares.total();
  }
  m.rest = std::is_same_v<Statistics, Centred> ? quotient(sum, count) : T(0);
  const double variance = static_cast<double>(squares - sum * m.rest) / static_cast<double>(count);
  const double spread = (variance > 0 ? variance : 0) + epsilon * scale * scale;
  const double factor = spread > 0 ? 1 / std::sqrt(spread) : 0;
  const bool finite = is_finite(total) && is_finite(squares);
  m.factor = finite ? below_largest<T>(factor)  // beyond only if all d are 0, which infinity would make NaN
                    : std::numeric_limits<T>::quiet_NaN();
  m.inverse = below_largest<T>(factor * scale);
  constexpr double vanishing = sizeof(T) == 4 ? 0x1p-80 : 0x1p-900;
  return finite && spread > vanishing;
}

/// y = x scale with the power of two that brings the row's largest element near 1, as far as 2^-most_down .. 2^most_up
/// do. Returns the scale.
template <class T>
[[gnu::noinline]] T write_scaled(const T* x, T* y, Index count, int most_down, int most_up) {
  const T largest = row_magnitude(x, count);
  int exponent = 0;
  if (is_finite(largest) && largest > T(0)) std::frexp(largest, &exponent);
  const T scale = std::ldexp(T(1), exponent > most_down ? -most_down : (exponent < -most_up ? most_up : -exponent));
  ScaleStep<T> step{x, y, Vec<T>::broadcast(scale)};
  for_each_vector<T>(count, step);
  return scale;
}

/// For rows whose squares leave the range of T: the same of the row scaled. The scaled row stands where its result will.
template <class Statistics, class T>
[[gnu::noinline]] void find_moments_scaled(const T* x, T* y, Index count, double epsilon, Moments<T>& m) {
  constexpr int most_down = sizeof(T) == 4 ? 120 : 1000;
  const int most_up = epsilon > 0 && sizeof(T) == 8 ? 500 : most_down;  // epsilon scale^2 stays in range
  const T scale = write_scaled(x, y, count, most_down, most_up);
  const T total = find_total<Statistics, AllLanes<T>>(y, count);
  find_moments<Statistics, AllLanes<T>>(y, y, count, epsilon, total, static_cast<double>(scale), m);
}

/// What becomes of z: nobody needs it, it is stored, or it is stored past the cache.
enum class Fate { forgotten, stored, streamed };

/// z, rows of so many numbers without gaps, goes past the cache where backward would not find it there, and its rows
/// begin at vectors.
template <class T>
EIGENFORMER_INLINE Fate fate_of_normalised(const T* z, Index features, Home home) {
  if (z == nullptr) return Fate::forgotten;
  const bool aligned = reinterpret_cast<std::uintptr_t>(z) % sizeof(Vec<T>) == 0;
  return home == Home::memory && aligned && features % Vec<T>::lanes == 0 ? Fate::streamed : Fate::stored;
}
/// Stores z where its row has element j, as is its fate.
template <Fate fate, class T, class Lanes>
EIGENFORMER_INLINE void store_normalised(Lanes lanes, Vec<T> z, T* row, Index j) {
  if constexpr (fate == Fate::stored) lanes.store(z, row + j);
  if constexpr (fate == Fate::streamed) lanes.store_past_cache(z, row + j);
}

template <class T, class Statistics, bool biased, Fate fate>
struct NormaliseStep {
  const T* x;
  const T* next_x;  ///< is asked for, as it is read soon
  T* y;
  T* normalised;
  const T* weight;
  const T* bias;
  Vec<T> mean;
  Vec<T> rest;
  Vec<T> factor;
  template <class Lanes, class S>
  EIGENFORMER_INLINE void operator()(Lanes lanes, Index j, S slot) const {
    prefetch(next_x + j, slot);
    Vec<T> d = lanes.load(x + j);
    if constexpr (std::is_same_v<Statistics, Centred>) d = opaque(d - mean) - rest;
    const Vec<T> z = opaque(d * factor);
    const Vec<T> gain = lanes.load(weight + j);
    lanes.store(biased ? fma(z, gain, lanes.load((biased ? bias : weight) + j)) : z * gain, y + j);
    store_normalised<fate>(lanes, z, normalised, j);
  }
};

template <class Statistics, bool biased, Fate fate, class T>
[[gnu::noinline]] void write_row(const NormRows<T>& work, Index n, const Moments<T>& m) {
  T* const y = work.y + n * work.y_stride;
  T* const z = fate == Fate::forgotten ? nullptr : work.normalised + n * work.features;
  NormaliseStep<T, Statistics, biased, fate> step{m.x,
                                                  work.x + (n + 5) * work.x_stride,
                                                  y,
                                                  z,
                                                  work.weight,
                                                  work.bias,
                                                  Vec<T>::broadcast(m.mean),
                                                  Vec<T>::broadcast(m.rest),
                                                  Vec<T>::broadcast(m.factor)};
  using Whole = std::conditional_t<fate == Fate::streamed, HalvedLanes<T>, AllLanes<T>>;
  for_each_vector_on_lines<T, Whole>(work.features, fate == Fate::streamed ? z : y, step);
}

template <class Statistics, bool biased, class T>
EIGENFORMER_INLINE void normalise_row(const NormRows<T>& work, Index n, Fate fate, const Moments<T>& m) {
  switch (fate) {
    case Fate::forgotten: write_row<Statistics, biased, Fate::forgotten>(work, n, m); break;
    case Fate::stored: write_row<Statistics, biased, Fate::stored>(work, n, m); break;
    case Fate::streamed: write_row<Statistics, biased, Fate::streamed>(work, n, m); break;
  }
  work.inverse[n] = m.inverse;
}

/// Each row goes through three passes, sums, moments and what is written, two rows apart: while the divisions and the
/// root between two passes are waited for, other rows have theirs, and reading and writing never pause.
template <class Statistics, class Whole, class T>
EIGENFORMER_INLINE void normalise_rows(const NormRows<T>& work, Fate fate) {
  T total[2] = {};
  Moments<T> moments[2] = {};
  for (Index n = -4; n < work.rows; ++n) {
    if (n >= 0 && work.bias != nullptr) normalise_row<Statistics, true>(work, n, fate, moments[n % 2]);
    if (n >= 0 && work.bias == nullptr) normalise_row<Statistics, false>(work, n, fate, moments[n % 2]);
    const Index next = n + 2;
    if (next >= 0 && next < work.rows) {
      const T* const x = work.x + next * work.x_stride;
      T* const y = work.y + next * work.y_stride;
      Moments<T>& m = moments[next % 2];
      if (!find_moments<Statistics, Whole>(x, y, work.features, work.epsilon, total[next % 2], 1.0, m)) {
        find_moments_scaled<Statistics>(x, y, work.features, work.epsilon, m);
      }
    }
    const Index after = n + 4;
    if (after < work.rows) {
      total[after % 2] = find_total<Statistics, Whole>(work.x + after * work.x_stride, work.features);
    }
  }
}

/// Streams of three arrays read in halves; without z, rows are read ahead far enough as they are.
template <class Statistics, class T>
void normalise(const NormRows<T>& work) {
  const Fate fate = fate_of_normalised(work.normalised, work.features, work.home);
  if (fate == Fate::streamed) {
    normalise_rows<Statistics, HalvedLanes<T>>(work, fate);
    finish_streams();
  } else {
    normalise_rows<Statistics, AllLanes<T>>(work, fate);
  }
}

/// A row's sums of g and g z, which its gradient waits for.
template <class T>
struct GradientSums {
  T g;
  T gz;
};

/// The sums of one row, whose gradients of weight and bias are added, and at the same time the gradient of the row
/// before it: so reading, writing and arithmetic go on side by side. `stages` says which of the two there is to do.
enum class Stages { sums, both, gradient };

template <class T, Stages stages>
struct BackwardStep {
  const T* dy;  ///< of the row that is summed; each `previous` is of the row before
  const T* z;
  const T* next_dy;  ///< is asked for, as it is read soon
  const T* next_z;
  const T* next_dx;  ///< is asked for, as it is written soon
  const T* previous_dy;
  const T* previous_z;
  T* previous_dx;
  const T* weight;
  T* dweight;
  T* dbias;
  Sum<T> g;
  Sum<T> gz;
  Vec<T> mean_g;
  Vec<T> mean_gz;
  Vec<T> inverse;

  template <class Lanes, int i>
  EIGENFORMER_INLINE void operator()(Lanes lanes, Index j, Slot<i> slot) {
    const Vec<T> gain = lanes.load(weight + j);
    if constexpr (stages != Stages::sums) {
      const Vec<T> projection = fma(lanes.load(previous_z + j), mean_gz, mean_g);
      lanes.store(fma(lanes.load(previous_dy + j), gain, -projection) * inverse, previous_dx + j);
    }
    if constexpr (stages != Stages::gradient) {
      prefetch(next_dy + j, slot);
      prefetch(next_z + j, slot);
      prefetch(next_dx + j, slot);
      const Vec<T> upstream = lanes.load(dy + j);
      const Vec<T> row = lanes.load(z + j);
      const Vec<T> scaled = upstream * gain;
      g.add(scaled, Slot<i % 2>());
      gz.add_product(scaled, row, Slot<i % 2>());
      if (dweight != nullptr) lanes.store(fma(upstream, row, lanes.load(dweight + j)), dweight + j);
      if (dbias != nullptr) lanes.store(lanes.load(dbias + j) + upstream, dbias + j);
    }
  }
};

/// Row n is summed, the row before it gets its gradient from `previous`.
template <class Statistics, Stages stages, class Whole, class T>
[[gnu::noinline]] GradientSums<T> backward_row(const NormBackwardRows<T>& work, Index n, GradientSums<T> previous) {
  const T width = static_cast<T>(work.features);
  const T mean_g = std::is_same_v<Statistics, Centred> ? previous.g / width : T(0);
  const T* const dy = work.dy + n * work.dy_stride;
  const T* const z = work.normalised + n * work.features;
  T* const dx = work.dx + n * work.dx_stride;
  GradientSums<T> sums{};
  for (Index begin = 0; begin < work.features; begin += piece) {
    BackwardStep<T, stages> step{dy + begin,
                                 z + begin,
                                 dy + 2 * work.dy_stride + begin,
                                 z + 2 * work.features + begin,
                                 dx + begin,
                                 dy - work.dy_stride + begin,
                                 z - work.features + begin,
                                 dx - work.dx_stride + begin,
                                 work.weight + begin,
                                 work.dweight != nullptr ? work.dweight + begin : nullptr,
                                 work.dbias != nullptr ? work.dbias + begin : nullptr,
                                 {},
                                 {},
                                 Vec<T>::broadcast(mean_g),
                                 Vec<T>::broadcast(previous.gz / width),
                                 Vec<T>::broadcast(stages == Stages::sums ? T(0) : work.inverse[n - 1])};
    for_each_vector<T, Whole>(piece_length(begin, work.features), step);
    sums.g += step.g.total();
    sums.gz += step.gz.total();
  }
  return sums;
}

template <class Statistics, class Whole, class T>
EIGENFORMER_INLINE void backward_rows(const NormBackwardRows<T>& work) {
  GradientSums<T> sums = backward_row<Statistics, Stages::sums, AllLanes<T>>(work, 0, GradientSums<T>{});
  for (Index n = 1; n < work.rows; ++n) sums = backward_row<Statistics, Stages::both, Whole>(work, n, sums);
  backward_row<Statistics, Stages::gradient, AllLanes<T>>(work, work.rows, sums);
}
template <class Statistics, class T>
void normalise_backward(const NormBackwardRows<T>& work) {
  if (work.rows == 0) return;
  if (sizeof(Vec<T>) == 64 && work.home == Home::memory) {
    backward_rows<Statistics, HalvedLanes<T>>(work);
  } else {
    backward_rows<Statistics, AllLanes<T>>(work);
  }
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
