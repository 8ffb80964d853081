// SPDX-License-Identifier: MIT
// Body for channel_norm.hpp. All goes along the rows, so that memory is read in few long streams: long rows are written one
// by one and summed a few at once, which is what processors find and fetch ahead by themselves; of short rows, which
// follow each other closely, many are taken at once, so that what belongs to a channel is loaded once for them. Steps hold
// copies of what they work on, as what a reference leads to would be loaded again after each store.

namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET {
using namespace simd::EIGENFORMER_TARGET;

inline constexpr Index rows_summed = 16;  ///< in plain sums, before those are added exactly
inline constexpr Index rows_written = 4;  ///< at once, of short rows
inline constexpr Index rows_ahead = 16;   ///< of short rows, that are asked for

template <class T>
EIGENFORMER_INLINE bool are_short(Index channels) {
  return channels < 16 * Vec<T>::lanes;
}
/// for_each_vector_on_lines for long rows. In short ones the two broken vectors would cost more than what is split.
template <class T, class Whole, class Step>
EIGENFORMER_INLINE void for_each_channel(Index channels, const T* first, Step& step) {
  if (are_short<T>(channels)) return for_each_vector<T, Whole>(channels, step);
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
  static constexpr Index rows_at_once = 4;  ///< of long rows
  MomentRows<T> work;
  EIGENFORMER_INLINE const T* row(Index n) const { return work.x + n * work.x_stride; }
  template <class Lanes, class S>
  EIGENFORMER_INLINE void add(Lanes lanes, Index n, Index j, Index ahead, S slot, Vec<T>& first, Vec<T>& second) const {
    const T* const x = row(n) + j;
    prefetch(x + ahead * work.x_stride, slot);
    const Vec<T> d = opaque(fma(lanes.load(x), lanes.load(work.scale + j), lanes.load(work.shift + j)));
    first = first + d;
    second = fma(d, d, second);
  }
};

/// The terms of the sums: of dy and z, dy and dy z.
template <class T>
struct GradientTerms {
  static constexpr Index rows_at_once = 1;  ///< of long rows
  GradientRows<T> work;
  EIGENFORMER_INLINE const T* row(Index n) const { return work.dy + n * work.dy_stride; }
  template <class Lanes, class S>
  EIGENFORMER_INLINE void add(Lanes lanes, Index n, Index j, Index ahead, S slot, Vec<T>& first, Vec<T>& second) const {
    const T* const dy = row(n) + j;
    const T* const z = work.z + n * work.z_stride + j;
    prefetch(dy + ahead * work.dy_stride, slot);
    prefetch(z + ahead * work.z_stride, slot);
    const Vec<T> g = lanes.load(dy);
    first = first + g;
    second = fma(g, lanes.load(z), second);
  }
};

/// Where rows stand among those that are summed plainly.
struct Place {
  bool first;
  bool last;
};
/// Adds the terms of `rows` rows from n on to the plain sums, which begin with the first rows and end with the last.
template <Index rows, Index ahead, class T, class Terms>
struct AddRowsOfTermsStep {
  Terms terms;
  Index n;
  Place place;
  ChannelSums<T> sums;
  template <class Lanes, class S>
  EIGENFORMER_INLINE void operator()(Lanes lanes, Index j, S slot) const {
    T* const to = sums.first + j;
    T* const plain = to + 4 * sums.stride;
    Vec<T> first = Vec<T>::zero();
    Vec<T> second = Vec<T>::zero();
    if (!place.first) {
      first = lanes.load(plain);
      second = lanes.load(plain + sums.stride);
    }
#pragma GCC unroll 16
    for (Index i = 0; i < rows; ++i) terms.add(lanes, n + i, j, ahead, slot, first, second);
    if (place.last) {
      add_exactly<T>(lanes, first, to, to + sums.stride);
      add_exactly<T>(lanes, second, to + 2 * sums.stride, to + 3 * sums.stride);
    } else {
      lanes.store(first, plain);
      lanes.store(second, plain + sums.stride);
    }
  }
};
template <class Whole, Index rows, Index ahead, class T, class Terms>
[[gnu::noinline]] void add_rows_of_terms(const Terms& terms, Index n, Place place, const ChannelSums<T>& sums) {
  AddRowsOfTermsStep<rows, ahead, T, Terms> step{terms, n, place, sums};
  for_each_channel<T, Whole>(terms.work.channels, terms.row(n), step);
}
/// Blocks of rows_summed rows, `at_once` at once, while those are asked for that come `ahead` rows later.
template <class Whole, Index at_once, Index ahead, class T, class Terms>
EIGENFORMER_INLINE void add_blocks(const Terms& terms, const ChannelSums<T>& sums) {
  for (Index begin = 0; begin < terms.work.rows; begin += rows_summed) {
    const Index rest = terms.work.rows - begin;
    const Index end = begin + (rest < rows_summed ? rest : rows_summed);
    Index n = begin;
    for (; n + at_once <= end; n += at_once) {
      add_rows_of_terms<Whole, at_once, ahead>(terms, n, {n == begin, n + at_once == end}, sums);
    }
    for (; n < end; ++n) add_rows_of_terms<Whole, 1, ahead>(terms, n, {n == begin, n + 1 == end}, sums);
  }
}
template <class Whole, class T, class Terms>
EIGENFORMER_INLINE void add_sums(const Terms& terms, const ChannelSums<T>& sums) {
  if (are_short<T>(terms.work.channels)) return add_blocks<Whole, rows_summed, rows_ahead>(terms, sums);
  constexpr Index ahead = Terms::rows_at_once > 1 ? Terms::rows_at_once : 2;
  add_blocks<Whole, Terms::rows_at_once, ahead>(terms, sums);
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
  EIGENFORMER_INLINE void operator()(Lanes lanes, Index j, S) const {
    const Vec<T> shift = lanes.load(work.shift + j);
    const Vec<T> gain = lanes.load(work.gain + j);
    const Vec<T> base = lanes.load(work.base + j);
    Vec<T> factor = gain;
    Vec<T> offset = base;
    if constexpr (fate != Fate::forgotten) {
      factor = lanes.load(work.factor + j);
      offset = lanes.load(work.offset + j);
    }
#pragma GCC unroll 8
    for (Index i = n; i < n + rows; ++i) {
      const Vec<T> d = opaque(lanes.load(work.x + i * work.x_stride + j) + shift);
      lanes.store(fma(d, gain, base), work.y + i * work.y_stride + j);
      store_normalised<fate>(lanes, fma(d, factor, offset), work.z, i * work.z_stride + j);
    }
  }
};
template <Fate fate, class Whole>
struct WriteChannels {
  template <Index rows, class T>
  [[gnu::noinline]] static void write(const ChannelNormRows<T>& work, Index n) {
    NormaliseChannelsStep<rows, fate, T> step{work, n};
    const Index channels = work.channels;
    if constexpr (fate == Fate::streamed) {  // z begins at vectors
      for_each_vector<T, Whole>(channels, step);
    } else {
      for_each_channel<T, Whole>(channels, work.y + n * work.y_stride, step);
    }
  }
};
/// Write::write for all rows, `at_once` or one by one.
template <Index at_once, class Write, class Work>
EIGENFORMER_INLINE void write_rows(const Work& work, Index rows) {
  Index n = 0;
  for (; n + at_once <= rows; n += at_once) Write::template write<at_once>(work, n);
  if constexpr (at_once > 1) {
    for (; n < rows; ++n) Write::template write<1>(work, n);
  }
}
template <Fate fate, class Whole, class T>
EIGENFORMER_INLINE void write_channels(const ChannelNormRows<T>& work) {
  if (are_short<T>(work.channels)) return write_rows<rows_written, WriteChannels<fate, Whole>>(work, work.rows);
  write_rows<1, WriteChannels<fate, Whole>>(work, work.rows);
}
template <class Whole, class T>
EIGENFORMER_INLINE void normalise_all_channels(const ChannelNormRows<T>& work) {
  const bool whole = work.z_stride % Vec<T>::lanes == 0;
  switch (fate_of_normalised(work.z, whole ? work.channels : 1, work.home)) {
    case Fate::forgotten: return write_channels<Fate::forgotten, Whole>(work);
    case Fate::stored: return write_channels<Fate::stored, Whole>(work);
    case Fate::streamed: write_channels<Fate::streamed, Whole>(work); finish_streams();
  }
}
template <class T>
void normalise_channels(const ChannelNormRows<T>& work) {
  if (in_halves<T>(work.home)) return normalise_all_channels<HalvedLanes<T>>(work);
  normalise_all_channels<AllLanes<T>>(work);
}

/// Of `rows` rows from n on.
template <Index rows, class T>
struct ChannelGradientStep {
  ChannelGradientRows<T> work;
  Index n;
  Index ahead;
  template <class Lanes, class S>
  EIGENFORMER_INLINE void operator()(Lanes lanes, Index j, S slot) const {
    const Vec<T> gain = lanes.load(work.gain + j);
    const Vec<T> slope = lanes.load(work.slope + j);
    const Vec<T> level = lanes.load(work.level + j);
#pragma GCC unroll 8
    for (Index i = n; i < n + rows; ++i) {
      const T* const dy = work.rows.dy + i * work.rows.dy_stride + j;
      const T* const z = work.rows.z + i * work.rows.z_stride + j;
      prefetch(dy + ahead * work.rows.dy_stride, slot);
      prefetch(z + ahead * work.rows.z_stride, slot);
      const Vec<T> projection = fma(lanes.load(z), slope, level);
      lanes.store(fma(lanes.load(dy), gain, -projection), work.dx + i * work.dx_stride + j);
    }
  }
};
template <class Whole>
struct WriteChannelGradients {
  template <Index rows, class T>
  [[gnu::noinline]] static void write(const ChannelGradientRows<T>& work, Index n) {
    ChannelGradientStep<rows, T> step{work, n, are_short<T>(work.rows.channels) ? rows_ahead : 2};
    for_each_channel<T, Whole>(work.rows.channels, work.dx + n * work.dx_stride, step);
  }
};
/// Three long streams of memory are read best row by row.
template <class T>
void normalise_channels_backward(const ChannelGradientRows<T>& work) {
  const Index rows = work.rows.rows;
  if (in_halves<T>(work.rows.home)) return write_rows<1, WriteChannelGradients<HalvedLanes<T>>>(work, rows);
  if (work.rows.home == Home::memory) return write_rows<1, WriteChannelGradients<AllLanes<T>>>(work, rows);
  write_rows<rows_written, WriteChannelGradients<AllLanes<T>>>(work, rows);
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET
