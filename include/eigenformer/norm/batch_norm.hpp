#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/block.hpp>
#include <eigenformer/norm/channel_gradient.hpp>
#include <eigenformer/norm/channel_statistics.hpp>
#include <eigenformer/norm/normalise.hpp>
#include <eigenformer/norm/running_statistics.hpp>

#include <optional>

namespace eigenformer::inline EIGENFORMER_ABI {

struct BatchNormOptions {
  Index dim = 0;
  double epsilon = 1e-5;  ///< not negative; 0 is allowed, and then constant channels still give the bias in training
  RunningStatistics statistics = MovingAverage{};  ///< how the running statistics follow the batches
  bool affine = true;                              ///< whether there are weight and bias
};

/// BatchNorm (Ioffe & Szegedy 2015, algorithms 1 and 2) over all dimensions but the last, channels last, as PyTorch's
/// BatchNorm1d to 3d, whose names and defaults it has:
///   y = (x - mean) / sqrt(variance + epsilon) weight + bias
/// A forward that is given a cache is one of training: mean and variance are those of the batch, the variance biased.
/// The backward that follows, or update_statistics where there is none, moves the running statistics towards them, that
/// of the variance unbiased. A forward without a cache uses the running statistics, and so does all with
/// FixedStatistics, for a network that is trained further with its statistics as they are. Statistics are re-centred:
/// a mean a million times the deviation costs no accuracy, constant channels give exactly the bias, and numbers of any
/// finite magnitude, 1e-30 as 1e30, give what the formula says. A channel with NaN or infinity becomes NaN alone.
///
/// With lengths only the first lengths[b] tokens of sequence b count; y and dx of the others are zero.
///   forward:   x, y [..., C], or x, y [B, L, C] with lengths [B]; y may be x itself
///   backward:  dy, dx [..., C]
///   throws ShapeError if shapes do not fit, OptionError for a bad option, ValueError for a length outside 0 .. L, for
///          one value per channel in training, and for running statistics that no deviation comes from, naming the
///          channel; nothing is written then. No values at all leave the statistics alone
template <class T>
class BatchNorm : public Block<BatchNorm<T>> {
 public:
  using Options = BatchNormOptions;
  struct Cache {
    Buffer<T> normalised;     ///< [N, C], rows before weight and bias
    Buffer<T> inverse;        ///< [C], one over the deviation
    Buffer<double> mean;      ///< [C], of the batch
    Buffer<double> variance;  ///< [C], of the batch, biased
    Buffer<Index> lengths;    ///< [B], or empty
    Index length = 0;         ///< L where there are lengths
    Index rows = 0;           ///< N
    Index count = 0;          ///< values per channel of the batch; 0 if its statistics were not used
  };

  explicit BatchNorm(const BatchNormOptions& options) : epsilon(options.epsilon), statistics(options.statistics) {
    require_positive(options.dim, "BatchNorm", "dim");
    detail::require_epsilon(epsilon, "BatchNorm");
    detail::require_momentum(statistics, "BatchNorm");
    if (options.affine) weight.emplace(Vector<T>(Vector<T>::Ones(options.dim)));
    if (options.affine) bias.emplace(Vector<T>(Vector<T>::Zero(options.dim)));
    running_mean = Statistic<T>(Vector<T>::Zero(options.dim));
    running_var = Statistic<T>(Vector<T>::Ones(options.dim));
    num_batches_tracked.value.setZero();
  }

  void forward(ConstRowsView<T> x, RowsView<T> y, Context& context, Cache* cache = nullptr) const {
    require_rows(x, input_features(), y, input_features(), "BatchNorm");
    normalise(x, y, {}, context, cache);
  }
  /// The same of sequences with lengths.
  void forward(ConstTensorView<T, 3> x, TensorView<T, 3> y, std::span<const Index> lengths, Context& context,
               Cache* cache = nullptr) const {
    require_rows(ConstRowsView<T>(x), input_features(), RowsView<T>(y), input_features(), "BatchNorm");
    require(static_cast<Index>(lengths.size()) == x.dimension(0), "BatchNorm", "expected lengths of shape [",
            x.dimension(0), "] for x of shape ", x.shape(), ", got [", lengths.size(), "]");
    for (std::size_t b = 0; b < lengths.size(); ++b) {
      require<ValueError>(lengths[b] >= 0 && lengths[b] <= x.dimension(1), "BatchNorm", "expected lengths in 0 .. ",
                          x.dimension(1), ", got ", lengths[b], " at ", b);
    }
    normalise(x, y, {x.dimension(1), lengths}, context, cache);
  }

  void backward(ConstRowsView<T> dy, const Cache& cache, RowsView<T> dx, Context& context) {
    require_rows(dy, input_features(), dx, input_features(), "BatchNorm", "dy", "dx");
    require(cache.rows == dy.rows() && cache.inverse.size() == input_features(), "BatchNorm", "expected dy with the ",
            cache.rows, " rows of the cached forward, got shape ", dy.shape());
    const ProfileScope profile(context, "BatchNorm");
    ScratchScope scope(context.scratch());
    const std::span<T> dweight = weight ? detail::wanted_gradient(*weight) : std::span<T>();
    const std::span<T> dbias = bias ? detail::wanted_gradient(*bias) : std::span<T>();
    if (dy.rows() == 0) return;
    detail::ChannelGradient<T>(
        {.dy = dy,
         .z = cache.normalised.data(),
         .dx = dx,
         .weight = weight ? weight->value.data() : constant(scope, T(1)),
         .inverse = cache.inverse.data(),
         .dweight = dweight.data(),
         .dbias = dbias.data(),
         .statistics = cache.count > 0 ? detail::StatisticsOf::rows : detail::StatisticsOf::elsewhere,
         .live = {cache.length, cache.lengths.values()}},
        tiling(dy.rows()), context)
        .run();
    update_statistics(cache);
  }

  /// Moves the running statistics towards those of the batch that filled the cache; backward does so by itself. After
  /// forwards alone it brings the statistics of changed weights up to date. Does nothing if the batch had no values, or
  /// with FixedStatistics.
  void update_statistics(const Cache& cache) {
    if (cache.count == 0 || std::holds_alternative<FixedStatistics>(statistics)) return;
    const double batches = static_cast<double>(++num_batches_tracked.value());
    const auto* const moving = std::get_if<MovingAverage>(&statistics);
    const double share = moving ? moving->momentum : 1 / batches;
    const double unbiased = static_cast<double>(cache.count) / static_cast<double>(cache.count - 1);
    for (Index c = 0; c < input_features(); ++c) {
      running_mean.value[c] = detail::moved(running_mean.value[c], cache.mean.data()[c], share);
      running_var.value[c] = detail::moved(running_var.value[c], cache.variance.data()[c] * unbiased, share);
    }
  }

  /// Throws ValueError for a running mean that is not finite, and for a running variance that is negative, not finite,
  /// or 0 beside an epsilon of 0, with the number of its channel. Every use of the running statistics does so first.
  void check_statistics() const { detail::check_statistics<T>(running_mean, running_var, epsilon, "BatchNorm"); }

  static void members(auto& self, auto&& visit) {
    visit("weight", self.weight);
    visit("bias", self.bias);
    visit("running_mean", self.running_mean);
    visit("running_var", self.running_var);
    visit("num_batches_tracked", self.num_batches_tracked);
  }

  Index input_features() const { return running_mean.size(); }
  Index output_features() const { return running_mean.size(); }

  double epsilon;
  RunningStatistics statistics;                    ///< how the running statistics follow the batches
  std::optional<Parameter<T>> weight;              ///< [C]
  std::optional<Parameter<T>> bias;                ///< [C]
  Statistic<T> running_mean;                       ///< [C]
  Statistic<T> running_var;                        ///< [C], unbiased
  Statistic<std::int64_t, 0> num_batches_tracked;  ///< batches that the running statistics have followed

 private:
  detail::ChannelTiling tiling(Index rows) const { return {1, rows, input_features(), 1, Index(sizeof(T))}; }
  const T* constant(ScratchScope& scope, T value) const {
    T* const array = scope.take<T>(input_features());
    std::fill_n(array, input_features(), value);
    return array;
  }

  void normalise(ConstRowsView<T> x, RowsView<T> y, const detail::LiveRows& live, Context& context,
                 Cache* cache) const {
    const bool of_batch = cache && !std::holds_alternative<FixedStatistics>(statistics);
    const Index count = live.count(x.rows());
    require<ValueError>(!of_batch || count != 1, "BatchNorm",
                        "expected more than 1 value per channel in training, got 1 in x of shape ", x.shape());
    if (!of_batch) check_statistics();
    const ProfileScope profile(context, "BatchNorm");
    if (cache) prepare(*cache, x.rows(), live, of_batch ? count : 0);
    ScratchScope scope(context.scratch());
    const detail::ChannelProblem<T> problem = {
        .x = x,
        .y = y,
        .z = cache ? cache->normalised.data() : nullptr,
        .weight = weight ? weight->value.data() : constant(scope, T(1)),
        .bias = bias ? bias->value.data() : constant(scope, T(0)),
        .inverse = cache ? cache->inverse.data() : scope.take<T>(input_features()),
        .mean = cache ? cache->mean.data() : nullptr,
        .variance = cache ? cache->variance.data() : nullptr,
        .epsilon = epsilon,
        .live = live};
    if (of_batch) {
      detail::ChannelStatistics<T>(problem, tiling(x.rows()), context).run();
    } else {
      detail::normalise_by<T>(problem, running_mean.values(), running_var.values(), context);
    }
  }

  void prepare(Cache& cache, Index rows, const detail::LiveRows& live, Index count) const {
    cache.normalised.resize(rows * input_features());
    cache.inverse.resize(input_features());
    cache.mean.resize(input_features());
    cache.variance.resize(input_features());
    std::copy(live.lengths.begin(), live.lengths.end(), cache.lengths.resize(static_cast<Index>(live.lengths.size())));
    cache.length = live.length;
    cache.rows = rows;
    cache.count = count;
  }
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
