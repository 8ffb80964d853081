#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/rows.hpp>
#include <eigenformer/kernels/channel_norm.hpp>
#include <eigenformer/norm/channel_tiling.hpp>

namespace eigenformer::inline EIGENFORMER_ABI::detail {

/// Where the statistics came from: of the rows themselves, which then have a gradient through them, or fixed.
enum class StatisticsOf { rows, elsewhere };

template <class T>
struct ChannelGradientProblem {
  ConstRowsView<T> dy;  ///< [items rows, channels]
  const T* z;           ///< [items rows, channels]
  RowsView<T> dx;
  const T* weight;   ///< [channels]
  const T* inverse;  ///< [items, groups]
  T* dweight;        ///< [channels], added to, or null where nobody needs it
  T* dbias;          ///< [channels], added to, or null
  StatisticsOf statistics;
  LiveRows live;
};

/// With g = dy weight and z before weight and bias:  dx = (g - mean(g) - z mean(g z)) / deviation, the means over the
/// numbers that share a deviation;  dweight += sum dy z,  dbias += sum dy. Fixed statistics have no means.
template <class T>
class ChannelGradient {
 public:
  ChannelGradient(const ChannelGradientProblem<T>& problem, const ChannelTiling& tiling, Context& context)
      : p_(problem), tiling_(tiling), context_(context), scope_(context.scratch()) {
    const Index places = tiling.parts() == 1 ? static_cast<Index>(context.threads()) : Index(1);
    count_ = static_cast<double>((std::max)(Index(1), p_.live.count(tiling.rows)) * tiling.group);
    for (T** const array : {&gain_, &slope_, &level_}) *array = scope_.take<T>(places * tiling.channels);
    sums_ = scope_.take<T>(places * tiling.parts() * kernels::ChannelSums<T>::arrays * tiling.channels);
    weight_parts_ = p_.dweight ? scope_.take<T>(tiling.items * tiling.channels) : nullptr;
    bias_parts_ = p_.dbias ? scope_.take<T>(tiling.items * tiling.channels) : nullptr;
  }

  /// Writes dx and adds to dweight and dbias.
  void run() {
    if (tiling_.parts() > 1) {
      for (Index item = 0; item < tiling_.items; ++item) run_item(ChannelTile(tiling_, item, 0));
    } else {
      context_.parallel_for_workers(tiling_.tiles(), tiling_.operations(12), [&](Index i, Index worker) {
        const ChannelTile tile(tiling_, i, worker);
        measure(tile, 0);
        finish(tile);
        write(tile, 0);
      });
    }
    add_parts(weight_parts_, p_.dweight);
    add_parts(bias_parts_, p_.dbias);
  }

 private:
  /// An item in parts, as forward.
  void run_item(const ChannelTile& tile) {
    const Index parts = tiling_.parts();
    const double operations = tiling_.operations(12) / static_cast<double>(tiling_.items);
    context_.parallel_for(parts, operations, [&](Index part) { measure(tile, part); });
    finish(tile);
    context_.parallel_for(parts, operations, [&](Index i) { write(tile, parts - 1 - i); });
  }
  T* in(T* array, const ChannelTile& tile) const { return array + tile.slot * tiling_.channels + tile.channel; }
  T* sums_of(const ChannelTile& tile, Index part) const {
    constexpr Index arrays = kernels::ChannelSums<T>::arrays;
    return sums_ + (tile.slot * tiling_.parts() + part) * arrays * tiling_.channels + tile.channel;
  }
  kernels::GradientRows<T> rows_of(const ChannelTile& tile, Index first, Index count) const {
    return {.dy = at(p_.dy, first, tile.channel),
            .dy_stride = p_.dy.stride(),
            .z = p_.z + first * tiling_.channels + tile.channel,
            .z_stride = tiling_.channels,
            .rows = count,
            .channels = tile.channels,
            .home = home_of<T>(tiling_.elements())};
  }
  template <class Body>
  void for_each_run(const ChannelTile& tile, Index part, const Body& body) const {
    const Index first = part * tiling_.part;
    p_.live.for_each_run(tile.item * tiling_.rows + first, (std::min)(tiling_.part, tiling_.rows - first), body);
  }
  bool sums_wanted() const { return p_.statistics == StatisticsOf::rows || p_.dweight || p_.dbias; }

  void measure(const ChannelTile& tile, Index part) const {
    T* const sums = sums_of(tile, part);
    for (int i = 0; i < 4; ++i) std::fill_n(sums + i * tiling_.channels, tile.channels, T(0));
    if (!sums_wanted()) return;
    for_each_run(tile, part, [&](Index first, Index count) {
      kernels::add_gradient_sums<T>(rows_of(tile, first, count), {sums, tiling_.channels}, context_.instruction_set());
    });
  }

  /// Sums of dy and of dy z of one channel of the tile.
  std::pair<double, double> totals(const ChannelTile& tile, Index channel) const {
    const T* const from = sums_of(tile, 0) + channel;
    double sums[4];
    for (int i = 0; i < 4; ++i) sums[i] = static_cast<double>(from[i * tiling_.channels]);
    return {sums[0] + sums[1], sums[2] + sums[3]};
  }

  void finish(const ChannelTile& tile) const {
    for (Index part = 1; part < tiling_.parts(); ++part) {
      kernels::add_channel_sums<T>({sums_of(tile, part), tiling_.channels}, tile.channels,
                                   {sums_of(tile, 0), tiling_.channels}, context_.instruction_set());
    }
    const double each = 1 / count_;
    const T* const inverse = p_.inverse + tile.item * tiling_.groups() + tile.channel / tiling_.group;
    const Index sums = tile.item * tiling_.channels + tile.channel;
    for (Index begin = 0; begin < tile.channels; begin += tiling_.group) {
      const double factor = static_cast<double>(inverse[begin / tiling_.group]);
      double mean_g = 0;
      double mean_gz = 0;
      for (Index c = begin; c < begin + tiling_.group; ++c) {
        const auto [g, gz] = totals(tile, c);
        if (weight_parts_) weight_parts_[sums + c] = within_range<T>(gz);
        if (bias_parts_) bias_parts_[sums + c] = within_range<T>(g);
        const double weight = static_cast<double>(p_.weight[tile.channel + c]);
        mean_g += weight * g * each;
        mean_gz += weight * gz * each;
        in(gain_, tile)[c] = within_range<T>(factor * weight);
      }
      const double through = p_.statistics == StatisticsOf::rows ? factor : 0;
      for (Index c = begin; c < begin + tiling_.group; ++c) {
        in(level_, tile)[c] = within_range<T>(through * mean_g);
        in(slope_, tile)[c] = within_range<T>(through * mean_gz);
      }
    }
  }

  void write(const ChannelTile& tile, Index part) const {
    RowsView<T> dx = p_.dx;
    for_each_run(tile, part, [&](Index first, Index count) {
      kernels::normalise_channels_backward(kernels::ChannelGradientRows<T>{.rows = rows_of(tile, first, count),
                                                                           .dx = at(dx, first, tile.channel),
                                                                           .dx_stride = dx.stride(),
                                                                           .gain = in(gain_, tile),
                                                                           .slope = in(slope_, tile),
                                                                           .level = in(level_, tile)},
                                           context_.instruction_set());
    });
    const Index first = tile.item * tiling_.rows + part * tiling_.part;
    const Index count = (std::min)(tiling_.part, tiling_.rows - part * tiling_.part);
    p_.live.for_each_gap(first, count, [&](Index gap, Index rows) {
      for (Index n = gap; n < gap + rows; ++n) std::fill_n(at(dx, n, tile.channel), tile.channels, T(0));
    });
  }

  void add_parts(const T* parts, T* total) const {
    if (total) kernels::add_rows(parts, tiling_.items, tiling_.channels, total, context_.instruction_set());
  }

  ChannelGradientProblem<T> p_;
  ChannelTiling tiling_;
  Context& context_;
  ScratchScope scope_;
  double count_;
  T* gain_;
  T* slope_;
  T* level_;
  T* sums_;
  T* weight_parts_;
  T* bias_parts_;
};

}  // namespace eigenformer::inline EIGENFORMER_ABI::detail
