#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/parameter.hpp>
#include <eigenformer/norm/channel_statistics.hpp>

#include <variant>

namespace eigenformer::inline EIGENFORMER_ABI {

/// running = (1 - momentum) running + momentum batch, after every batch of training.
struct MovingAverage {
  double momentum = 0.1;  ///< share of the newest batch, in 0 .. 1
};
/// The running statistics are the mean of those of all batches so far (PyTorch's momentum=None).
struct CumulativeAverage {};
/// The running statistics stay as they are, and training uses them as inference does.
struct FixedStatistics {};

/// How running statistics follow the batches.
using RunningStatistics = std::variant<MovingAverage, CumulativeAverage, FixedStatistics>;

namespace detail {

/// Throws OptionError unless the momentum, if there is one, is in 0 .. 1.
inline void require_momentum(const RunningStatistics& statistics, std::string_view block) {
  const auto* const moving = std::get_if<MovingAverage>(&statistics);
  require<OptionError>(
      !moving || (kernels::is_finite(moving->momentum) && moving->momentum >= 0 && moving->momentum <= 1), block,
      "expected momentum in 0 .. 1, got ", moving ? moving->momentum : 0);
}

/// The running value after a batch of weight `share`; infinite where T cannot hold it, which is found when it is used.
template <class T>
T moved(T running, double batch, double share) {
  const double next = (1 - share) * static_cast<double>(running) + share * batch;
  constexpr double largest = static_cast<double>((std::numeric_limits<T>::max)());
  return next > largest ? std::numeric_limits<T>::infinity() : static_cast<T>(next);
}

template <class T>
void check_statistics(const Statistic<T>& mean, const Statistic<T>& variance, double epsilon, std::string_view block) {
  for (Index c = 0; c < mean.size(); ++c) {
    require<ValueError>(kernels::is_finite(mean.value[c]), block, "expected a running mean that is finite, got ",
                        mean.value[c], " in channel ", c);
    const T v = variance.value[c];
    require<ValueError>(kernels::is_finite(v) && v >= T(0), block,
                        "expected a running variance that is finite and not negative, got ", v, " in channel ", c);
    require<ValueError>(v > T(0) || epsilon > 0, block, "expected a running variance or epsilon above 0, got ", v,
                        " and ", epsilon, " in channel ", c);
  }
}

/// Normalises by given statistics, row blocks in parallel.   mean, variance: [C]
template <class T>
void normalise_by(const ChannelProblem<T>& p, std::span<const T> mean, std::span<const T> variance, Context& context) {
  const Index channels = static_cast<Index>(mean.size());
  RowsView<T> y = p.y;
  ScratchScope scope(context.scratch());
  T* const ones = scope.take<T>(channels);
  T* const zeros = scope.take<T>(channels);
  T* const shift = scope.take<T>(channels);
  T* const gain = scope.take<T>(channels);
  T* const base = scope.take<T>(channels);
  std::fill_n(ones, channels, T(1));
  std::fill_n(zeros, channels, T(0));
  double* const roots = scope.take<double>(channels);
  for (std::size_t c = 0; c < mean.size(); ++c) {
    shift[c] = -mean[c];
    roots[c] = static_cast<double>(variance[c]) + p.epsilon;
  }
  kernels::invert_roots<T>(roots, channels, context.instruction_set());
  for (Index c = 0; c < channels; ++c) p.inverse[c] = within_range<T>(roots[c]);
  const ChannelFactors<T> factors = {ones, shift, p.inverse, zeros, p.weight, p.bias, gain, base, zeros};
  const Index stepwise = factors.fold(channels);
  for_each_row_block(p.x.rows(), channels, 4, context, [&](Index begin, Index rows) {
    p.live.for_each_run(begin, rows, [&](Index first, Index count) {
      factors.normalise({.x = at(p.x, first),
                         .x_stride = p.x.stride(),
                         .y = at(y, first),
                         .y_stride = p.y.stride(),
                         .z = p.z ? p.z + first * channels : nullptr,
                         .z_stride = channels,
                         .rows = count,
                         .channels = channels,
                         .home = home_of<T>(p.x.rows() * channels)},
                        stepwise, context.instruction_set());
    });
    p.live.for_each_gap(begin, rows, [&](Index gap, Index count) {
      for (Index n = gap; n < gap + count; ++n) std::fill_n(at(y, n), channels, T(0));
    });
  });
}

}  // namespace detail
}  // namespace eigenformer::inline EIGENFORMER_ABI
