// SPDX-License-Identifier: MIT
// Body for channel_norm.hpp. All goes along the rows, a few of them at once: so memory is read in few long streams, sums are
// loaded and stored once for those rows, and what belongs to a channel is loaded once. Steps hold copies of what they
// work on, as what a reference leads to would be loaded again after each store.

namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET {
using namespace simd::EIGENFORMER_TARGET;

inline constexpr Index rows_summed = 16;  ///< at once
inline constexpr Index rows_written = 4;  ///< at once
inline constexpr Index rows_ahead = 16;

/// for_each_vector_on_lines for long rows. In short ones the two broken vectors would cost more than what is split.
template <class T, class Whole, class Step>
EIGENFORMER_INLINE void for_each_channel(Index channels, const T* first, Step& step) {
  if (channels < 16 * Vec<T>::lanes) return for_each_vector<T, Whole>(channels, step);
  for_each_vector_on_lines<T, Whole>(channels, first, step);
}

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
  EIGENFORMER_INLINE const T* row(Index n) const { return work.x + n * work.x_stride; }
  template <class Lanes, class S>
  EIGENFORMER_INLINE void add(Lanes lanes, Index n, Index j, S slot, Vec<T>& first, Vec<T>& second) const {
    const T* const x = row(n) + j;
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
  EIGENFORMER_INLINE const T* row(Index n) const { return work.dy + n * work.dy_stride; }
  template <class Lanes, class S>
  EIGENFORMER_INLINE void add(Lanes lanes, Index n, Index j, S slot, Vec<T>& first, Vec<T>& second) const {
    const T* const dy = row(n) + j;
    const T* const z = work.z + n * work.z_stride + j;
    prefetch(dy + rows_ahead * work.dy_stride, slot);
    prefetch(z + rows_ahead * work.z_stride, slot);
    const Vec<T> g = lanes.load(dy);
    first = first + g;
    second = fma(g, lanes.load(z), second);
  }
};

/// Adds `rows` rows from n on, summed in registers first.   Rows: an integer, or a type that is one
template <class Rows, class T, class Terms>
struct AddRowsOfTermsStep {
  Terms terms;
  Index n;
  Rows rows;
  ChannelSums<T> sums;
  template <class Lanes, class S>
  EIGENFORMER_INLINE void operator()(Lanes lanes, Index j, S slot) const {
    Vec<T> first = Vec<T>::zero();
    Vec<T> second = Vec<T>::zero();
    const Index count = rows;
#pragma GCC unroll 16
    for (Index i = 0; i < count; ++i) terms.add(lanes, n + i, j, slot, first, second);
    T* const to = sums.first + j;
    add_exactly<T>(lanes, first, to, to + sums.stride);
    add_exactly<T>(lanes, second, to + 2 * sums.stride, to + 3 * sums.stride);
  }
};
template <class Whole, class Rows, class T, class Terms>
[[gnu::noinline]] void add_rows_of_terms(const Terms& terms, Index n, Rows rows, const ChannelSums<T>& sums) {
  AddRowsOfTermsStep<Rows, T, Terms> step{terms, n, rows, sums};
  for_each_channel<T, Whole>(terms.work.channels, terms.row(n), step);
}
template <class Whole, class T, class Terms>
EIGENFORMER_INLINE void add_sums(const Terms& terms, const ChannelSums<T>& sums) {
  using Many = std::integral_constant<Index, rows_summed>;
  Index n = 0;
  for (; n + Many() <= terms.work.rows; n += Many()) add_rows_of_terms<Whole>(terms, n, Many(), sums);
  if (n < terms.work.rows) add_rows_of_terms<Whole>(terms, n, terms.work.rows - n, sums);
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
struct AddChannelSumsStep {
  ChannelSums<T> parts;
  ChannelSums<T> total;
  template <class Lanes, class S>
  EIGENFORMER_INLINE void operator()(Lanes lanes, Index j, S) const {
#pragma GCC unroll 2
    for (int i = 0; i < 4; i += 2) {
      const T* const from = parts.first + i * parts.stride + j;
      T* const to = total.first + i * total.stride + j;
      T* const low = to + total.stride;
      add_exactly<T>(lanes, lanes.load(from), to, low);
      lanes.store(lanes.load(low) + lanes.load(from + parts.stride), low);
    }
  }
};
template <class T>
void add_channel_sums(const ChannelSums<T>& parts, Index channels, const ChannelSums<T>& total) {
  AddChannelSumsStep<T> step{parts, total};
  for_each_vector<T>(channels, step);
}

template <class T>
struct InvertRootsStep {
  T* x;
  template <class Lanes, class S>
  EIGENFORMER_INLINE void operator()(Lanes lanes, Index j, S) const {
    const Vec<T> zero = Vec<T>::zero();
    const Vec<T> one = Vec<T>::broadcast(T(1));
    const Vec<T> square = lanes.load(x + j);
    const Mask<T> positive = zero < square;
    lanes.store(select(positive, one / sqrt(select(positive, square, one)), zero), x + j);
  }
};
template <class T>
void invert_roots(T* x, Index count) {
  InvertRootsStep<T> step{x};
  for_each_vector<T>(count, step);
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

/// Of `rows` rows from n on.
template <Index rows, Fate fate, class T>
struct NormaliseChannelsStep {
  ChannelNormRows<T> work;
  Index n;
  template <class Lanes, class S>
  EIGENFORMER_INLINE void operator()(Lanes lanes, Index j, S slot) const {
    const Vec<T> scale = lanes.load(work.rows.scale + j);
    const Vec<T> shift = lanes.load(work.rows.shift + j);
    const Vec<T> factor = lanes.load(work.factor + j);
    const Vec<T> offset = lanes.load(work.offset + j);
    const Vec<T> weight = lanes.load(work.weight + j);
    const Vec<T> bias = lanes.load(work.bias + j);
#pragma GCC unroll 8
    for (Index i = n; i < n + rows; ++i) {
      const T* const x = work.rows.x + i * work.rows.x_stride + j;
      prefetch(x + rows_ahead * work.rows.x_stride, slot);
      const Vec<T> d = opaque(fma(lanes.load(x), scale, shift));
      const Vec<T> z = opaque(fma(d, factor, offset));
      lanes.store(fma(z, weight, bias), work.y + i * work.y_stride + j);
      store_normalised<fate>(lanes, z, work.z, i * work.z_stride + j);
    }
  }
};
template <Fate fate, class Whole>
struct WriteChannels {
  template <Index rows, class T>
  [[gnu::noinline]] static void write(const ChannelNormRows<T>& work, Index n) {
    NormaliseChannelsStep<rows, fate, T> step{work, n};
    const Index channels = work.rows.channels;
    if constexpr (fate == Fate::streamed) {  // z begins at vectors
      for_each_vector<T, Whole>(channels, step);
    } else {
      for_each_channel<T, Whole>(channels, work.y + n * work.y_stride, step);
    }
  }
};
/// Write::write for all rows, `at_once` or one by one.
template <Index at_once, class Write, class Work>
EIGENFORMER_INLINE void write_rows(const Work& work) {
  Index n = 0;
  for (; n + at_once <= work.rows.rows; n += at_once) Write::template write<at_once>(work, n);
  if constexpr (at_once > 1) {
    for (; n < work.rows.rows; ++n) Write::template write<1>(work, n);
  }
}
template <class Whole, class T>
EIGENFORMER_INLINE void normalise_all_channels(const ChannelNormRows<T>& work) {
  const bool whole = work.z_stride % Vec<T>::lanes == 0;
  switch (fate_of_normalised(work.z, whole ? work.rows.channels : 1, work.rows.home)) {
    case Fate::forgotten: return write_rows<rows_written, WriteChannels<Fate::forgotten, Whole>>(work);
    case Fate::stored: return write_rows<rows_written, WriteChannels<Fate::stored, Whole>>(work);
    case Fate::streamed: write_rows<rows_written, WriteChannels<Fate::streamed, Whole>>(work); finish_streams();
  }
}
template <class T>
void normalise_channels(const ChannelNormRows<T>& work) {
  if (in_halves<T>(work.rows.home)) return normalise_all_channels<HalvedLanes<T>>(work);
  normalise_all_channels<AllLanes<T>>(work);
}

/// Of `rows` rows from n on.
template <Index rows, class T>
struct ChannelGradientStep {
  ChannelGradientRows<T> work;
  Index n;
  template <class Lanes, class S>
  EIGENFORMER_INLINE void operator()(Lanes lanes, Index j, S slot) const {
    const Vec<T> gain = lanes.load(work.gain + j);
    const Vec<T> slope = lanes.load(work.slope + j);
    const Vec<T> level = lanes.load(work.level + j);
#pragma GCC unroll 8
    for (Index i = n; i < n + rows; ++i) {
      const T* const dy = work.rows.dy + i * work.rows.dy_stride + j;
      const T* const z = work.rows.z + i * work.rows.z_stride + j;
      prefetch(dy + rows_ahead * work.rows.dy_stride, slot);
      prefetch(z + rows_ahead * work.rows.z_stride, slot);
      const Vec<T> projection = fma(lanes.load(z), slope, level);
      lanes.store(fma(lanes.load(dy), gain, -projection), work.dx + i * work.dx_stride + j);
    }
  }
};
template <class Whole>
struct WriteChannelGradients {
  template <Index rows, class T>
  [[gnu::noinline]] static void write(const ChannelGradientRows<T>& work, Index n) {
    ChannelGradientStep<rows, T> step{work, n};
    for_each_channel<T, Whole>(work.rows.channels, work.dx + n * work.dx_stride, step);
  }
};
/// Three long streams of memory are read best row by row.
template <class T>
void normalise_channels_backward(const ChannelGradientRows<T>& work) {
  if (in_halves<T>(work.rows.home)) return write_rows<1, WriteChannelGradients<HalvedLanes<T>>>(work);
  if (work.rows.home == Home::memory) return write_rows<1, WriteChannelGradients<AllLanes<T>>>(work);
  write_rows<rows_written, WriteChannelGradients<AllLanes<T>>>(work);
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET
