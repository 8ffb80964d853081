// SPDX-License-Identifier: MIT
// Body for lanes.hpp: loops over a row, whole vectors first and then what is left, written once.

namespace eigenformer::inline EIGENFORMER_ABI::simd::EIGENFORMER_TARGET {

/// Reads and writes all lanes.
template <class T>
struct AllLanes {
  EIGENFORMER_INLINE Vec<T> load(const T* p) const { return Vec<T>::load(p); }
  EIGENFORMER_INLINE void store(Vec<T> x, T* p) const { x.store(p); }
  EIGENFORMER_INLINE void store_past_cache(Vec<T> x, T* p) const { stream(x, p); }
  EIGENFORMER_INLINE Vec<T> keep(Vec<T> x, Vec<T>) const { return x; }
};

/// AllLanes that reads in halves of a register that is as long as a cache line: the same numbers in the same lanes. Where
/// an array begins within a line, as Eigen's do, and comes from memory, whole reads, each of two lines, wait longer.
template <class T>
struct HalvedLanes : AllLanes<T> {
  EIGENFORMER_INLINE Vec<T> load(const T* p) const {
    if constexpr (sizeof(Vec<T>) == 64) {
      return Vec<T>::load_in_halves(p);
    } else {
      return Vec<T>::load(p);
    }
  }
};

/// Reads and writes the first lanes of the end of a row; the others read as zero.
template <class T>
struct FirstLanes {
  Mask<T> mask;
  EIGENFORMER_INLINE Vec<T> load(const T* p) const { return Vec<T>::load(p, mask); }
  EIGENFORMER_INLINE void store(Vec<T> x, T* p) const { x.store(p, mask); }
  EIGENFORMER_INLINE void store_past_cache(Vec<T> x, T* p) const { x.store(p, mask); }
  /// x, and `other` in the lanes beyond the end.
  EIGENFORMER_INLINE Vec<T> keep(Vec<T> x, Vec<T> other) const { return select(mask, x, other); }
};

/// Names one of the accumulators that a reduction goes round.
template <int i>
struct Slot {
  static constexpr int index = i;
};
inline constexpr int partials = 4;

/// Calls step(lanes, i, slot) for vectors that begin at element i of 0 .. count - 1, in order; four vectors in turn
/// have the slots 0 to 3, so that a reduction need not wait for its last addition. Which slot and lane an element meets
/// depends on its place in the row alone. Whole: AllLanes or HalvedLanes.
template <class T, class Whole = AllLanes<T>, class Step>
EIGENFORMER_INLINE void for_each_vector(std::ptrdiff_t count, Step& step) {
  constexpr std::ptrdiff_t width = Vec<T>::lanes;
  const Whole all;
  std::ptrdiff_t i = 0;
  for (; i + partials * width <= count; i += partials * width) {
    step(all, i, Slot<0>());
    step(all, i + width, Slot<1>());
    step(all, i + 2 * width, Slot<2>());
    step(all, i + 3 * width, Slot<3>());
  }
  for (; i + width <= count; i += width) step(all, i, Slot<0>());
  if (i < count) step(FirstLanes<T>{first_lanes<T>(count - i)}, i, Slot<1>());
}

/// A step whose elements begin at `offset`.
template <class Step>
struct OffsetStep {
  Step& step;
  std::ptrdiff_t offset;
  template <class Lanes, class S>
  EIGENFORMER_INLINE void operator()(Lanes lanes, std::ptrdiff_t i, S slot) {
    step(lanes, offset + i, slot);
  }
};

/// for_each_vector for steps that treat each element alone: begins with as many lanes as bring `stored` to the start of
/// a cache line, where a vector is as long as one. Otherwise each of its stores would be split in two.
template <class T, class Whole = AllLanes<T>, class Step>
EIGENFORMER_INLINE void for_each_vector_on_lines(std::ptrdiff_t count, const T* stored, Step& step) {
  constexpr std::ptrdiff_t width = Vec<T>::lanes;
  if constexpr (sizeof(Vec<T>) == 64) {
    const auto past = static_cast<std::ptrdiff_t>(reinterpret_cast<std::uintptr_t>(stored) % 64 / sizeof(T));
    if (past != 0 && count >= 4 * width) {
      step(FirstLanes<T>{first_lanes<T>(width - past)}, 0, Slot<1>());
      OffsetStep<Step> rest{step, width - past};
      for_each_vector<T, Whole>(count - (width - past), rest);
      return;
    }
  }
  for_each_vector<T, Whole>(count, step);
}

/// Partial sums of a row.
template <class T>
struct Sum {
  Vec<T> partial[partials] = {Vec<T>::zero(), Vec<T>::zero(), Vec<T>::zero(), Vec<T>::zero()};

  template <int i>
  EIGENFORMER_INLINE void add(Vec<T> x, Slot<i>) {
    partial[i] = partial[i] + x;
  }
  template <int i>
  EIGENFORMER_INLINE void add_product(Vec<T> x, Vec<T> y, Slot<i>) {
    partial[i] = fma(x, y, partial[i]);
  }
  EIGENFORMER_INLINE T total() const { return reduce_add((partial[0] + partial[1]) + (partial[2] + partial[3])); }
};

}  // namespace eigenformer::inline EIGENFORMER_ABI::simd::EIGENFORMER_TARGET
