#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/rows.hpp>
#include <eigenformer/norm/channel_factors.hpp>

#include <cmath>

namespace eigenformer::inline EIGENFORMER_ABI::detail {

/// What is normalised by the statistics of its own rows. All arrays are written.
template <class T>
struct ChannelProblem {
  ConstRowsView<T> x;  ///< [items rows, channels]
  RowsView<T> y;
  T* z;              ///< [items rows, channels], y before weight and bias, or null
  const T* weight;   ///< [channels]
  const T* bias;     ///< [channels]
  T* inverse;        ///< [items, groups], 1 / deviation
  double* mean;      ///< [items, groups], or null
  double* variance;  ///< [items, groups], biased, or null
  double epsilon;
  LiveRows live;
};

/// Statistics of channels, and their use. Each group of channels has a shift near its mean, found from its first rows,
/// and sums d and d^2 over d = x scale + shift, so that a mean a million times the deviation costs no digits. Where that
/// shift was bad, as first rows may be unlike the others, or where squares left the range of T, the sums are taken again
/// with a better shift or scale: nothing else does, and the passes are the same for any number of threads.
template <class T>
class ChannelStatistics {
 public:
  ChannelStatistics(const ChannelProblem<T>& problem, const ChannelTiling& tiling, Context& context)
      : p_(problem), tiling_(tiling), context_(context), scope_(context.scratch()) {
    const Index places = tiling.parts() == 1 ? static_cast<Index>(context.threads()) : Index(1);
    count_ = static_cast<double>(p_.live.count(tiling.rows)) * static_cast<double>(tiling.group);
    for (T** const array : {&scale_, &shift_, &factor_, &offset_, &gain_, &base_}) {
      *array = scope_.take<T>(places * tiling.channels);
    }
    for (double** const array : {&mean_, &variance_, &roots_}) *array = scope_.take<double>(places * tiling.groups());
    sums_ = scope_.take<T>(places * tiling.parts() * kernels::ChannelSums<T>::arrays * tiling.channels);
    zeros_ = scope_.take<T>(tiling.channels);
    std::fill_n(zeros_, tiling.channels, T(0));
    stepwise_ = scope_.take<Index>(places);
  }

  /// Writes y, z and the statistics.
  void run() {
    if (count_ == 0) return write_nothing();
    if (tiling_.parts() > 1) {
      for (Index item = 0; item < tiling_.items; ++item) run_item(ChannelTile(tiling_, item, 0));
      return;
    }
    context_.parallel_for_workers(tiling_.tiles(), tiling_.operations(12), [&](Index i, Index worker) {
      const ChannelTile tile(tiling_, i, worker);
      start(tile);
      for (Index attempt = 0; attempt <= most_attempts; ++attempt) {
        measure(tile, 0);
        if (settle(tile, attempt)) break;
      }
      write(tile, 0);
    });
  }

 private:
  static constexpr Index most_attempts = 3;

  /// An item in parts. The second pass goes backwards, as the last rows are still in the cache.
  void run_item(const ChannelTile& tile) {
    const Index parts = tiling_.parts();
    const double operations = tiling_.operations(12) / static_cast<double>(tiling_.items);
    start(tile);
    for (Index attempt = 0; attempt <= most_attempts; ++attempt) {
      context_.parallel_for(parts, operations, [&](Index part) { measure(tile, part); });
      if (settle(tile, attempt)) break;
    }
    context_.parallel_for(parts, operations, [&](Index i) { write(tile, parts - 1 - i); });
  }
  /// Where no row counts.
  void write_nothing() const {
    std::fill_n(p_.inverse, tiling_.items * tiling_.groups(), T(0));
    for (Index i = 0; i < tiling_.tiles(); ++i) {
      for (Index part = 0; part < tiling_.parts(); ++part) write(ChannelTile(tiling_, i, 0), part);
    }
  }

  T* in(T* array, const ChannelTile& tile) const { return array + tile.slot * tiling_.channels + tile.channel; }
  double* of_groups(double* array, const ChannelTile& tile) const {
    return array + tile.slot * tiling_.groups() + tile.channel / tiling_.group;
  }
  T* sums_of(const ChannelTile& tile, Index part) const {
    constexpr Index arrays = kernels::ChannelSums<T>::arrays;
    return sums_ + (tile.slot * tiling_.parts() + part) * arrays * tiling_.channels + tile.channel;
  }
  kernels::MomentRows<T> rows_of(const ChannelTile& tile, Index first, Index count) const {
    return {.x = at(p_.x, first, tile.channel),
            .x_stride = p_.x.stride(),
            .rows = count,
            .channels = tile.channels,
            .scale = in(scale_, tile),
            .shift = in(shift_, tile),
            .home = home_of<T>(tiling_.elements())};
  }
  template <class Body>
  void for_each_run(const ChannelTile& tile, Index part, const Body& body) const {
    const Index first = part * tiling_.part;
    p_.live.for_each_run(tile.item * tiling_.rows + first, (std::min)(tiling_.part, tiling_.rows - first), body);
  }

  void clear_sums(const ChannelTile& tile, Index part) const {
    T* const sums = sums_of(tile, part);
    for (int i = 0; i < 4; ++i) std::fill_n(sums + i * tiling_.channels, tile.channels, T(0));
  }
  void measure(const ChannelTile& tile, Index part) const {
    clear_sums(tile, part);
    for_each_run(tile, part, [&](Index first, Index count) {
      kernels::add_moments<T>(rows_of(tile, first, count), {sums_of(tile, part), tiling_.channels},
                              context_.instruction_set());
    });
  }
  /// Sum of d and of d^2 over a group whose first channel is `channel` of the tile.
  std::pair<double, double> totals(const ChannelTile& tile, Index channel) const {
    double sums[4] = {};
    const T* const from = sums_of(tile, 0) + channel;
    for (Index c = 0; c < tiling_.group; ++c) {
      for (int i = 0; i < 4; ++i) sums[i] += static_cast<double>(from[i * tiling_.channels + c]);
    }
    return {sums[0] + sums[1], sums[2] + sums[3]};
  }

  /// The shift is the mean of the first rows, found as their first number and the mean distance to it: for equal numbers
  /// that is exact.
  void start(const ChannelTile& tile) const {
    constexpr Index few = 16;
    Index first = -1;
    Index rows = 0;
    for (Index part = 0; part < tiling_.parts() && first < 0; ++part) {
      for_each_run(tile, part, [&](Index run, Index count) {
        if (first < 0) first = run, rows = (std::min)(few, count);
      });
    }
    std::fill_n(in(scale_, tile), tile.channels, T(1));
    T* const shift = in(shift_, tile);
    const T* const x = at(p_.x, first, tile.channel);
    for (Index c = 0; c < tile.channels; c += tiling_.group) fill_group(shift + c, -x[c]);
    clear_sums(tile, 0);
    kernels::add_moments<T>(rows_of(tile, first, rows), {sums_of(tile, 0), tiling_.channels},
                            context_.instruction_set());
    const double each = 1 / static_cast<double>(rows * tiling_.group);
    for (Index c = 0; c < tile.channels; c += tiling_.group) {
      const double mean = static_cast<double>(-shift[c]) + totals(tile, c).first * each;
      fill_group(shift + c, kernels::is_finite(mean) ? -within_range<T>(mean) : T(0));
    }
  }
  void fill_group(T* values, T value) const {
    for (Index c = 0; c < tiling_.group; ++c) values[c] = value;
  }

  /// Turns the sums into statistics. False if some group wants to be measured again.
  bool settle(const ChannelTile& tile, Index attempt) const {
    for (Index part = 1; part < tiling_.parts(); ++part) {
      kernels::add_channel_sums<T>({sums_of(tile, part), tiling_.channels}, tile.channels,
                                   {sums_of(tile, 0), tiling_.channels}, context_.instruction_set());
    }
    const Index groups = tile.channels / tiling_.group;
    double* const roots = of_groups(roots_, tile);
    const double each = 1 / count_;
    bool settled = true;
    for (Index g = 0; g < groups; ++g) {
      const Index c = g * tiling_.group;
      const auto [first, second] = totals(tile, c);
      const double mean = first * each;
      const bool finite = kernels::is_finite(first) && kernels::is_finite(second);
      const double variance = finite ? (std::max)(0.0, (second - first * mean) * each) : -1;
      const double scale = static_cast<double>(in(scale_, tile)[c]);
      of_groups(mean_, tile)[g] = mean;
      of_groups(variance_, tile)[g] = variance;
      roots[g] = variance + p_.epsilon * scale * scale;
      if (attempt < most_attempts && improve(tile, c, mean, variance)) settled = false;
    }
    if (!settled) return false;
    kernels::invert_roots<T>(roots, groups, context_.instruction_set());
    for (Index g = 0; g < groups; ++g) record(tile, g);
    stepwise_[tile.slot] = factors_of(tile).fold(tile.channels);
    return true;
  }

  bool improve(const ChannelTile& tile, Index channel, double mean, double variance) const {
    constexpr double vanishing = sizeof(T) == 4 ? 0x1p-80 : 0x1p-900;
    T* const shift = in(shift_, tile) + channel;
    const bool scaled = in(scale_, tile)[channel] != T(1);
    if (variance < 0) {
      if (scaled) return false;
      const T kept = *shift;
      fill_group(shift, T(0));
      if (rescale(tile, channel)) return true;
      fill_group(shift, kept);
      return false;
    }
    if (!scaled && variance + p_.epsilon <= vanishing && rescale(tile, channel)) return true;
    if (mean * mean <= variance) return false;
    const T better = *shift - within_range<T>(mean);
    if (better == *shift) return false;
    fill_group(shift, better);
    return true;
  }

  /// Scales the group so that its largest |d| is near 1. False if that is zero or not finite.
  bool rescale(const ChannelTile& tile, Index channel) const {
    ChannelTile group = tile;
    group.channel += channel;
    group.channels = tiling_.group;
    T* const largest = in(factor_, group);
    std::fill_n(largest, tiling_.group, T(0));
    for (Index part = 0; part < tiling_.parts(); ++part) {
      for_each_run(group, part, [&](Index first, Index count) {
        kernels::find_magnitudes<T>(rows_of(group, first, count), largest, context_.instruction_set());
      });
    }
    const T magnitude = *std::max_element(largest, largest + tiling_.group);
    if (!kernels::is_finite(magnitude) || magnitude == T(0)) return false;
    constexpr int limit = sizeof(T) == 4 ? 120 : 1000;
    int exponent = 0;
    std::frexp(magnitude, &exponent);
    const T scale = std::ldexp(T(1), -(std::clamp)(exponent, -limit, limit));
    std::fill_n(in(scale_, group), tiling_.group, scale);
    for (Index c = 0; c < tiling_.group; ++c) in(shift_, group)[c] *= scale;
    return true;
  }

  void record(const ChannelTile& tile, Index g) const {
    const Index channel = g * tiling_.group;
    const double scale = static_cast<double>(in(scale_, tile)[channel]);
    const double mean = of_groups(mean_, tile)[g];
    const double variance = of_groups(variance_, tile)[g];
    const double factor = of_groups(roots_, tile)[g];
    fill_group(in(factor_, tile) + channel,
               variance < 0 ? std::numeric_limits<T>::quiet_NaN() : within_range<T>(factor));
    fill_group(in(offset_, tile) + channel, within_range<T>(-mean * factor));
    const Index group = tile.item * tiling_.groups() + tile.channel / tiling_.group + g;
    p_.inverse[group] = within_range<T>(factor * scale);
    const double back = 1 / scale;
    if (p_.mean) p_.mean[group] = (mean - static_cast<double>(in(shift_, tile)[channel])) * back;
    if (p_.variance) p_.variance[group] = (std::max)(0.0, variance) * back * back;
  }

  ChannelFactors<T> factors_of(const ChannelTile& tile) const {
    return {in(scale_, tile),  in(shift_, tile),         in(factor_, tile),
            in(offset_, tile), p_.weight + tile.channel, p_.bias + tile.channel,
            in(gain_, tile),   in(base_, tile),          zeros_};
  }
  void write(const ChannelTile& tile, Index part) const {
    RowsView<T> y = p_.y;
    for_each_run(tile, part, [&](Index first, Index count) {
      factors_of(tile).normalise({.x = at(p_.x, first, tile.channel),
                                  .x_stride = p_.x.stride(),
                                  .y = at(y, first, tile.channel),
                                  .y_stride = p_.y.stride(),
                                  .z = p_.z ? p_.z + first * tiling_.channels + tile.channel : nullptr,
                                  .z_stride = tiling_.channels,
                                  .rows = count,
                                  .channels = tile.channels,
                                  .home = home_of<T>(tiling_.elements())},
                                 stepwise_[tile.slot], context_.instruction_set());
    });
    const Index first = tile.item * tiling_.rows + part * tiling_.part;
    const Index count = (std::min)(tiling_.part, tiling_.rows - part * tiling_.part);
    p_.live.for_each_gap(first, count, [&](Index gap, Index rows) {
      for (Index n = gap; n < gap + rows; ++n) std::fill_n(at(y, n, tile.channel), tile.channels, T(0));
    });
  }

  ChannelProblem<T> p_;
  ChannelTiling tiling_;
  Context& context_;
  ScratchScope scope_;
  double count_;
  T* scale_;
  T* shift_;
  T* factor_;
  T* offset_;
  T* gain_;
  T* base_;
  T* zeros_;          ///< [channels]
  Index* stepwise_;   ///< how many channels of the tile in a slot cannot be folded: [places]
  double* mean_;      ///< of d: [groups]
  double* variance_;  ///< of d, or below 0 where sums are not finite: [groups]
  double* roots_;     ///< 1 / deviation of d: [groups]
  T* sums_;
};

}  // namespace eigenformer::inline EIGENFORMER_ABI::detail
