#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/concepts.hpp>
#include <eigenformer/linear/linear.hpp>
#include <eigenformer/norm/no_norm.hpp>
#include <eigenformer/ops/activation.hpp>

namespace eigenformer::inline EIGENFORMER_ABI {

template <class InnerNorm = NoNormOptions>
struct FeedForwardOptions {
  Index dim = 0;
  Index hidden = 4 * dim;
  bool bias = true;
  InnerNorm inner_norm{};  ///< of the hidden features, before the projection back
};

/// The position-wise feed-forward network (Vaswani et al. 2017, equation 2, with ReLU): y = down(A(up(x))), A an
/// activation such as Relu or Gelu. An InnerNorm normalises what down reads (Wang et al. 2022, "Foundation
/// Transformers", Sub-LN): y = down(inner_norm(A(up(x)))).
///   forward:   x, y [..., dim]
///   up.weight [hidden, dim]    down.weight [dim, hidden]
///   throws OptionError for a dim or hidden below 1, ShapeError for an x, y, dy, dx or projection that does not fit
template <class T, class Activate, class Projection_ = Linear<T>, class InnerNorm = NoNorm<T>>
class FeedForward : public Block<FeedForward<T, Activate, Projection_, InnerNorm>> {
 public:
  static_assert(Activation<Activate>, "FeedForward: the second argument is an activation, such as Relu");
  static_assert(Projection<Projection_, T>, "FeedForward: the third argument is a projection, such as Linear<T>");
  static_assert(TokenwiseBlock<InnerNorm, T>, "FeedForward: the fourth argument is a norm, such as LayerNorm<T>");
  using Scalar = T;
  using Options = FeedForwardOptions<typename InnerNorm::Options>;
  struct Cache {
    typename Projection_::Cache up;
    typename Projection_::Cache down;
    typename InnerNorm::Cache inner_norm;
    Buffer<T> hidden;  ///< [N, hidden], before the activation
  };

  FeedForward(const Options& options, Random random)
      : up({.in_features = options.dim, .out_features = options.hidden, .bias = options.bias}, random.split()),
        down({.in_features = options.hidden, .out_features = options.dim, .bias = options.bias}, random.split()),
        inner_norm(detail::norm_over<InnerNorm>(options.hidden, options.inner_norm)) {}
  FeedForward(Projection_ given_up, Projection_ given_down, InnerNorm given_inner_norm = InnerNorm())
      : up(std::move(given_up)), down(std::move(given_down)), inner_norm(std::move(given_inner_norm)) {
    check_projections();
  }

  Index input_features() const { return up.input_features(); }
  Index output_features() const { return down.output_features(); }

  void forward(ConstRowsView<T> x, RowsView<T> y, Context& context, Cache* cache = nullptr) const {
    check_projections();
    require_rows(x, input_features(), y, output_features(), "FeedForward");
    const ProfileScope profile(context, "FeedForward");
    ScratchScope scope(context.scratch());
    const Index width = up.output_features();
    const RowsView<T> activated = scope.rows<T>(x.rows(), width);
    const RowsView<T> hidden = cache ? cache->hidden.resize(x.rows(), width) : activated;
    up.forward(x, hidden, context, cache ? &cache->up : nullptr);
    activate<Activate, T>(hidden, activated, context);
    inner_norm.forward(activated, activated, context, cache ? &cache->inner_norm : nullptr);
    down.forward(activated, y, context, cache ? &cache->down : nullptr);
  }

  void backward(ConstRowsView<T> dy, const Cache& cache, RowsView<T> dx, Context& context) {
    check_projections();
    require_rows(dy, output_features(), dx, input_features(), "FeedForward", "dy", "dx");
    const Index width = up.output_features();
    require(cache.hidden.size() == dy.rows() * width, "FeedForward", "expected dy with the ",
            cache.hidden.size() / width, " rows of forward, got shape ", dy.shape());
    const ProfileScope profile(context, "FeedForward backward");
    ScratchScope scope(context.scratch());
    const RowsView<T> dhidden = scope.rows<T>(dy.rows(), width);
    down.backward(dy, cache.down, dhidden, context);
    inner_norm.backward(dhidden, cache.inner_norm, dhidden, context);
    activate_backward<Activate, T>(cache.hidden.rows(width), dhidden, dhidden, context);
    up.backward(dhidden, cache.up, dx, context);
  }

  static void members(auto& self, auto&& visit) {
    visit("up", self.up);
    visit("down", self.down);
    visit("inner_norm", self.inner_norm);
  }

  Projection_ up;
  Projection_ down;
  InnerNorm inner_norm;  ///< of the hidden features

 private:
  void check_projections() const {
    require(up.output_features() == down.input_features(), "FeedForward", "expected down to read the ",
            up.output_features(), " features that up gives, got ", down.input_features());
    detail::require_norm_over(down.input_features(), inner_norm, "FeedForward", "inner_norm");
  }
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
