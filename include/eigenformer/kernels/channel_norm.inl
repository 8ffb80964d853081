// SPDX-License-Identifier: MIT
// Body for channel_norm.hpp. Sums run along the rows, a few of them at once, so that memory is read in few long streams and
// sums are loaded and stored once for all of those.

namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET {
using namespace simd::EIGENFORMER_TARGET;

inline constexpr int rows_at_once = 8;  ///< where sums are taken
inline constexpr Index rows_ahead = 16;

/// high + low += x without rounding but that of `low` (Knuth's TwoSum). Opaque, or -ffast-math would find the low part
/// to be zero.
template <class T, class Lanes>
EIGENFORMER_INLINE void add_exactly(Lanes lanes, Vec<T> x, T* high, T* low) {
  const Vec<T> before = lanes.load(high);
  const Vec<T> sum = opaque(before + x);
  const Vec<T> added = opaque(sum - before);
  const Vec<T> lost = opaque(before - opaque(sum - added)) + opaque(x - added);
  lanes.store(sum, high);
  lanes.store(lanes.load(low) + lost, low);
}

/// The terms of the sums: of x, d and d d.
template <class T>
struct MomentTerms {
  MomentRows<T> work;
  template <class Lanes, class S>
  EIGENFORMER_INLINE void add(Lanes lanes, Index n, Index j, S slot, Vec<T>& first, Vec<T>& second) const {
    const T* const x = work.x + n * work.x_stride + j;
    prefetch(x + rows_ahead * work.x_stride, slot);
    const Vec<T> d = opaque(fma(lanes.load(x), lanes.load(work.scale + j), lanes.load(work.shift + j)));
    first = first + d;
    second = fma(d, d, second);
  }
};

/// The terms of the sums: of dy and z, dy and dy z.
template <class T>
struct GradientTerms {
  GradientRows<T> work;
  template <class Lanes, class S>
  EIGENFORMER_INLINE void add(Lanes lanes, Index n, Index j, S slot, Vec<T>& first, Vec<T>& second) const {
    const T* const dy = work.dy + n * work.dy_stride + j;
    const T* const z = work.z + n * work.z_stride + j;
    prefetch(dy + rows_ahead * work.dy_stride, slot);
    prefetch(z + rows_ahead * work.z_stride, slot);
    const Vec<T> g = lanes.load(dy);
    first = first + g;
    second = fma(g, lanes.load(z), second);
  }
};

/// Adds `rows` rows from n on, summed in registers first.
template <int rows, class T, class Terms>
struct AddRowsOfTermsStep {
  const Terms& terms;
  Index n;
  const ChannelSums<T>& sums;
  template <class Lanes, class S>
  EIGENFORMER_INLINE void operator()(Lanes lanes, Index j, S slot) const {
    Vec<T> first = Vec<T>::zero();
    Vec<T> second = Vec<T>::zero();
#pragma GCC unroll 8
    for (int i = 0; i < rows; ++i) terms.add(lanes, n + i, j, slot, first, second);
    T* const to = sums.first + j;
    add_exactly<T>(lanes, first, to, to + sums.stride);
    add_exactly<T>(lanes, second, to + 2 * sums.stride, to + 3 * sums.stride);
  }
};
template <int rows, class Whole, class T, class Terms>
[[gnu::noinline]] void add_rows_of_terms(const Terms& terms, Index n, Index channels, const ChannelSums<T>& sums) {
  AddRowsOfTermsStep<rows, T, Terms> step{terms, n, sums};
  for_each_vector<T, Whole>(channels, step);
}
template <class Whole, class T, class Terms>
EIGENFORMER_INLINE void add_sums(const Terms& terms, const ChannelSums<T>& sums) {
  Index n = 0;
  for (; n + rows_at_once <= terms.work.rows; n += rows_at_once) {
    add_rows_of_terms<rows_at_once, Whole>(terms, n, terms.work.channels, sums);
  }
  for (; n < terms.work.rows; ++n) add_rows_of_terms<1, Whole>(terms, n, terms.work.channels, sums);
}
/// Whether arrays are to be read in halves of registers.
template <class T>
EIGENFORMER_INLINE bool in_halves(Home home) {
  return sizeof(Vec<T>) == 64 && home == Home::memory;
}

template <class T>
void add_moments(const MomentRows<T>& work, const ChannelSums<T>& sums) {
  if (in_halves<T>(work.home)) return add_sums<HalvedLanes<T>>(MomentTerms<T>{work}, sums);
  add_sums<AllLanes<T>>(MomentTerms<T>{work}, sums);
}
template <class T>
void add_gradient_sums(const GradientRows<T>& work, const ChannelSums<T>& sums) {
  if (in_halves<T>(work.home)) return add_sums<HalvedLanes<T>>(GradientTerms<T>{work}, sums);
  add_sums<AllLanes<T>>(GradientTerms<T>{work}, sums);
}

template <class T>
struct MagnitudesStep {
  const T* x;
  const T* scale;
  const T* shift;
  T* largest;
  template <class Lanes, class S>
  EIGENFORMER_INLINE void operator()(Lanes lanes, Index j, S) const {
    const Vec<T> d = opaque(fma(lanes.load(x + j), lanes.load(scale + j), lanes.load(shift + j)));
    lanes.store(maximum(abs(d), lanes.load(largest + j)), largest + j);
  }
};
template <class T>
void find_magnitudes(const MomentRows<T>& work, T* largest) {
  for (Index n = 0; n < work.rows; ++n) {
    MagnitudesStep<T> step{work.x + n * work.x_stride, work.scale, work.shift, largest};
    for_each_vector<T>(work.channels, step);
  }
}

template <bool kept, class T>
struct NormaliseChannelsStep {
  const ChannelNormRows<T>& work;
  Index n;
  template <class Lanes, class S>
  EIGENFORMER_INLINE void operator()(Lanes lanes, Index j, S slot) const {
    const T* const x = work.rows.x + n * work.rows.x_stride + j;
    prefetch(x + rows_ahead * work.rows.x_stride, slot);
    const Vec<T> d = opaque(fma(lanes.load(x), lanes.load(work.rows.scale + j), lanes.load(work.rows.shift + j)));
    const Vec<T> z = opaque(fma(d, lanes.load(work.factor + j), lanes.load(work.offset + j)));
    lanes.store(fma(z, lanes.load(work.weight + j), lanes.load(work.bias + j)), work.y + n * work.y_stride + j);
    if constexpr (kept) lanes.store(z, work.z + n * work.z_stride + j);
  }
};
template <bool kept, class Whole, class T>
[[gnu::noinline]] void write_channels(const ChannelNormRows<T>& work, Index n) {
  NormaliseChannelsStep<kept, T> step{work, n};
  for_each_vector<T, Whole>(work.rows.channels, step);
}
template <class Whole, class T>
EIGENFORMER_INLINE void normalise_all_channels(const ChannelNormRows<T>& work) {
  for (Index n = 0; n < work.rows.rows; ++n) {
    if (work.z != nullptr) {
      write_channels<true, Whole>(work, n);
    } else {
      write_channels<false, Whole>(work, n);
    }
  }
}
template <class T>
void normalise_channels(const ChannelNormRows<T>& work) {
  if (in_halves<T>(work.rows.home)) return normalise_all_channels<HalvedLanes<T>>(work);
  normalise_all_channels<AllLanes<T>>(work);
}

template <class T>
struct ChannelGradientStep {
  const ChannelGradientRows<T>& work;
  Index n;
  template <class Lanes, class S>
  EIGENFORMER_INLINE void operator()(Lanes lanes, Index j, S slot) const {
    const T* const dy = work.rows.dy + n * work.rows.dy_stride + j;
    const T* const z = work.rows.z + n * work.rows.z_stride + j;
    prefetch(dy + rows_ahead * work.rows.dy_stride, slot);
    prefetch(z + rows_ahead * work.rows.z_stride, slot);
    const Vec<T> projection = fma(lanes.load(z), lanes.load(work.slope + j), lanes.load(work.level + j));
    lanes.store(fma(lanes.load(dy), lanes.load(work.gain + j), -projection), work.dx + n * work.dx_stride + j);
  }
};
template <class Whole, class T>
[[gnu::noinline]] void write_channel_gradients(const ChannelGradientRows<T>& work, Index n) {
  ChannelGradientStep<T> step{work, n};
  for_each_vector<T, Whole>(work.rows.channels, step);
}
template <class T>
void normalise_channels_backward(const ChannelGradientRows<T>& work) {
  const bool halved = in_halves<T>(work.rows.home);
  for (Index n = 0; n < work.rows.rows; ++n) {
    if (halved) {
      write_channel_gradients<HalvedLanes<T>>(work, n);
    } else {
      write_channel_gradients<AllLanes<T>>(work, n);
    }
  }
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET
