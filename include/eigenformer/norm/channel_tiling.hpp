#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/shape.hpp>
#include <eigenformer/ops/traversal.hpp>

#include <algorithm>
#include <numeric>
#include <span>

namespace eigenformer::inline EIGENFORMER_ABI::detail {

/// Which rows count: of each sequence of `length` rows the first lengths[b], or all rows where no lengths are given.
struct LiveRows {
  Index length = 0;
  std::span<const Index> lengths = {};

  /// Calls body(first, count) for the live runs among `count` rows from `first` on.
  template <class Body>
  void for_each_run(Index first, Index count, const Body& body) const {
    if (lengths.empty()) {
      if (count > 0) body(first, count);
      return;
    }
    Index begin = first;
    Index end = first;
    for (Index b = first / length; b * length < first + count; ++b) {
      const Index live_begin = (std::max)(first, b * length);
      const Index live_end = (std::min)(first + count, b * length + lengths[static_cast<std::size_t>(b)]);
      if (live_begin >= live_end) continue;
      if (live_begin != end) {  // runs that touch are one, so that full lengths change no bit
        if (begin < end) body(begin, end - begin);
        begin = live_begin;
      }
      end = live_end;
    }
    if (begin < end) body(begin, end - begin);
  }
  /// Calls body(first, count) for the runs of padding.
  template <class Body>
  void for_each_gap(Index first, Index count, const Body& body) const {
    Index end = first;
    for_each_run(first, count, [&](Index run, Index rows) {
      if (run > end) body(end, run - end);
      end = run + rows;
    });
    if (end < first + count) body(end, first + count - end);
  }
  Index count(Index rows) const {
    Index live = 0;
    for_each_run(0, rows, [&](Index, Index run) { live += run; });
    return live;
  }
};

/// How channels that are normalised over rows are cut into tasks. The cuts depend on the shape alone. A task takes all rows
/// of some channels of an item that stays in the cache from the first pass to the last; of a larger item it takes some
/// rows of all channels, as memory is read best, and the passes are apart.
struct ChannelTiling {
  Index items;  ///< each has statistics of its own
  Index rows;   ///< of an item
  Index channels;
  Index group;  ///< adjacent channels that share their statistics
  Index block;  ///< channels of a task, whole groups
  Index part;   ///< rows of a task

  ChannelTiling(Index items_, Index rows_, Index channels_, Index group_, Index bytes)
      : items(items_),
        rows(rows_),
        channels(channels_),
        group(group_),
        block(channels_),
        part((std::max)(Index(1), rows_)) {
    constexpr Index cached = Index(1) << 20;  // bytes, what a core's second cache has
    constexpr Index most_tasks = 32;          // of whole items where there are so many: then rows are read as they lie
    constexpr Index whole = 64;               // channels that fill vectors and cache lines
    if (part * channels * bytes <= cached) {
      const Index wanted = (std::max)(2 * task_elements, elements() / most_tasks) / part;
      const Index unit = std::lcm(group, whole);
      block = (std::min)(channels, (std::max)(unit, (wanted + unit - 1) / unit * unit));
    } else {
      constexpr Index most_parts = 64;
      const Index least = (std::max)((part + most_parts - 1) / most_parts, 4 * task_elements / channels);
      part = (least + 15) / 16 * 16;  // kernels sum 16 rows at once
    }
  }

  Index groups() const { return channels / group; }
  Index blocks() const { return (channels + block - 1) / block; }
  Index parts() const { return (std::max)(Index(1), (rows + part - 1) / part); }
  Index tiles() const { return items * blocks(); }
  Index elements() const { return items * rows * channels; }
  double operations(double of_one) const { return of_one * static_cast<double>(elements()); }
};

/// The channels of one item that a task takes.
struct ChannelTile {
  Index item;
  Index channel;  ///< the first
  Index channels;
  Index slot;  ///< where its intermediate numbers stand

  ChannelTile(const ChannelTiling& tiling, Index tile, Index slot_)
      : item(tile / tiling.blocks()),
        channel(tile % tiling.blocks() * tiling.block),
        channels((std::min)(tiling.block, tiling.channels - channel)),
        slot(slot_) {}
};

/// x as a T: the largest number if it is beyond that.
template <class T>
T within_range(double x) {
  constexpr double largest = static_cast<double>((std::numeric_limits<T>::max)());
  return static_cast<T>(x > largest ? largest : (x < -largest ? -largest : x));
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::detail
