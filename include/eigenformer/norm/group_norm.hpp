#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/block.hpp>
#include <eigenformer/norm/channel_gradient.hpp>
#include <eigenformer/norm/channel_statistics.hpp>
#include <eigenformer/norm/normalise.hpp>

#include <optional>

namespace eigenformer::inline EIGENFORMER_ABI {

struct GroupNormOptions {
  Index dim = 0;
  Index groups = 1;       ///< divides dim; dim groups make it instance norm
  double epsilon = 1e-5;  ///< not negative; 0 is allowed, and then constant groups still give the bias
  bool affine = true;     ///< whether there are weight and bias
};

/// GroupNorm (Wu & He 2018) of [batch, positions..., C], channels last, as PyTorch's of [batch, C, positions...]: the
/// channels of an item of the batch in `groups` runs of adjacent ones, each normalised over its channels and all
/// positions, then a weight and a bias for each channel. With as many groups as channels it is instance norm (Ulyanov
/// et al. 2016). Statistics are re-centred, as LayerNorm's: a large mean costs no accuracy, a constant group gives
/// exactly the bias, numbers of any finite magnitude give what the formula says. A group with NaN or infinity becomes
/// NaN alone.
///   forward:  x, y [batch, ..., C], a matrix being [batch, C]; y may be x itself    backward:  dy, dx [batch, ..., C]
///   throws ShapeError if the last dimension is not C, OptionError for a bad option
template <class T>
class GroupNorm : public Block<GroupNorm<T>> {
 public:
  using Options = GroupNormOptions;
  static constexpr bool mixes_positions =
      true;  ///< so it is no token-wise block: what a position gives depends on others
  struct Cache {
    Buffer<T> normalised;  ///< [N, C], rows before weight and bias
    Buffer<T> inverse;     ///< [batch, groups], one over the deviation
    Index items = 0;       ///< of the batch
  };

  explicit GroupNorm(const GroupNormOptions& options)
      : dim(options.dim), groups(options.groups), epsilon(options.epsilon) {
    require_positive(dim, "GroupNorm", "dim");
    require_positive(groups, "GroupNorm", "groups");
    require<OptionError>(dim % groups == 0, "GroupNorm", "expected groups that divide dim ", dim, ", got ", groups);
    detail::require_epsilon(epsilon, "GroupNorm");
    if (options.affine) weight.emplace(Vector<T>(Vector<T>::Ones(dim)));
    if (options.affine) bias.emplace(Vector<T>(Vector<T>::Zero(dim)));
  }

  void forward(ConstRowsView<T> x, RowsView<T> y, Context& context, Cache* cache = nullptr) const {
    require_rows(x, dim, y, dim, "GroupNorm");
    const ProfileScope profile(context, "GroupNorm");
    const Index items = items_of(x.shape());
    if (cache) cache->items = items;
    ScratchScope scope(context.scratch());
    T* const z = cache ? cache->normalised.resize(x.rows() * dim) : nullptr;
    T* const inverse = cache ? cache->inverse.resize(items * groups) : scope.take<T>(items * groups);
    detail::ChannelStatistics<T>({.x = x,
                                  .y = y,
                                  .z = z,
                                  .weight = weight ? weight->value.data() : constant(scope, T(1)),
                                  .bias = bias ? bias->value.data() : constant(scope, T(0)),
                                  .inverse = inverse,
                                  .mean = nullptr,
                                  .variance = nullptr,
                                  .epsilon = epsilon,
                                  .live = {}},
                                 tiling(items, x.rows()), context)
        .run();
  }

  void backward(ConstRowsView<T> dy, const Cache& cache, RowsView<T> dx, Context& context) {
    require_rows(dy, dim, dx, dim, "GroupNorm", "dy", "dx");
    require(cache.normalised.size() == dy.size() && cache.items == items_of(dy.shape()), "GroupNorm",
            "expected dy with the ", cache.items, " items and ", cache.normalised.size() / dim,
            " rows of the cached forward, got shape ", dy.shape());
    const ProfileScope profile(context, "GroupNorm");
    ScratchScope scope(context.scratch());
    const std::span<T> dweight = weight ? detail::wanted_gradient(*weight) : std::span<T>();
    const std::span<T> dbias = bias ? detail::wanted_gradient(*bias) : std::span<T>();
    if (dy.rows() == 0) return;
    detail::ChannelGradient<T>({.dy = dy,
                                .z = cache.normalised.data(),
                                .dx = dx,
                                .weight = weight ? weight->value.data() : constant(scope, T(1)),
                                .inverse = cache.inverse.data(),
                                .dweight = dweight.data(),
                                .dbias = dbias.data(),
                                .statistics = detail::StatisticsOf::rows,
                                .live = {}},
                               tiling(cache.items, dy.rows()), context)
        .run();
  }

  static void members(auto& self, auto&& visit) {
    visit("weight", self.weight);
    visit("bias", self.bias);
  }

  Index input_features() const { return dim; }
  Index output_features() const { return dim; }

  Index dim;
  Index groups;
  double epsilon;
  std::optional<Parameter<T>> weight;  ///< [C]
  std::optional<Parameter<T>> bias;    ///< [C]

 private:
  static Index items_of(const Shape& shape) { return shape.rank() < 2 ? 1 : shape[0]; }
  detail::ChannelTiling tiling(Index items, Index rows) const {
    return {items, items > 0 ? rows / items : 0, dim, dim / groups, Index(sizeof(T))};
  }
  const T* constant(ScratchScope& scope, T value) const {
    T* const array = scope.take<T>(dim);
    std::fill_n(array, dim, value);
    return array;
  }
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
