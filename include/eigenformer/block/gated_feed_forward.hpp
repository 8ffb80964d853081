#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/block/residual.hpp>
#include <eigenformer/core/concepts.hpp>
#include <eigenformer/linear/linear.hpp>
#include <eigenformer/norm/no_norm.hpp>
#include <eigenformer/ops/gated.hpp>

namespace eigenformer::inline EIGENFORMER_ABI {

template <class InnerNorm = NoNormOptions>
struct GatedFeedForwardOptions {
  Index dim = 0;
  Index hidden = 0;  ///< 8/3 dim has as many weights as a FeedForward with its usual 4 dim
  bool bias = false;
  InnerNorm inner_norm{};  ///< of the hidden features, before the projection back
};

/// The gated feed-forward network (Shazeer 2020, "GLU Variants Improve Transformer", equation 6): y = down(A(gate(x))
/// up(x)). Silu gives SwiGLU (Llama, PaLM), Gelu GEGLU, Sigmoid GLU. Without bias by default, as published. An InnerNorm
/// normalises what down reads (Sub-LN).
///   forward:   x, y [..., dim]
///   gate.weight, up.weight [hidden, dim]    down.weight [dim, hidden]
///   throws OptionError for a dim or hidden below 1, ShapeError for an x, y, dy, dx or projection that does not fit
template <class T, class Activate, class Projection_ = Linear<T>, class InnerNorm = NoNorm<T>>
class GatedFeedForward : public Block<GatedFeedForward<T, Activate, Projection_, InnerNorm>> {
 public:
  static_assert(Activation<Activate>, "GatedFeedForward: the second argument is an activation, such as Silu");
  static_assert(Projection<Projection_, T>, "GatedFeedForward: the third argument is a projection, such as Linear<T>");
  static_assert(TokenwiseBlock<InnerNorm, T>, "GatedFeedForward: the fourth argument is a norm, such as LayerNorm<T>");
  using Scalar = T;
  using Options = GatedFeedForwardOptions<typename InnerNorm::Options>;
  struct Cache {
    typename Projection_::Cache gate;
    typename Projection_::Cache up;
    typename Projection_::Cache down;
    typename InnerNorm::Cache inner_norm;
    Buffer<T> gate_values;  ///< [N, hidden], before the activation
    Buffer<T> up_values;    ///< [N, hidden]
  };

  GatedFeedForward(const Options& options, Random random)
      : gate({.in_features = options.dim, .out_features = options.hidden, .bias = options.bias}, random.split()),
        up({.in_features = options.dim, .out_features = options.hidden, .bias = options.bias}, random.split()),
        down({.in_features = options.hidden, .out_features = options.dim, .bias = options.bias}, random.split()),
        inner_norm(detail::norm_over<InnerNorm>(options.hidden, options.inner_norm)) {}
  GatedFeedForward(Projection_ given_gate, Projection_ given_up, Projection_ given_down,
                   InnerNorm given_inner_norm = InnerNorm())
      : gate(std::move(given_gate)),
        up(std::move(given_up)),
        down(std::move(given_down)),
        inner_norm(std::move(given_inner_norm)) {
    check_projections();
  }

  Index input_features() const { return gate.input_features(); }
  Index output_features() const { return down.output_features(); }

  void forward(ConstRowsView<T> x, RowsView<T> y, Context& context, Cache* cache = nullptr) const {
    check_projections();
    require_rows(x, input_features(), y, output_features(), "GatedFeedForward");
    const ProfileScope profile(context, "GatedFeedForward");
    ScratchScope scope(context.scratch());
    const Index width = gate.output_features();
    const RowsView<T> product = scope.rows<T>(x.rows(), width);
    const RowsView<T> gate_values = cache ? cache->gate_values.resize(x.rows(), width) : scope.rows<T>(x.rows(), width);
    const RowsView<T> up_values = cache ? cache->up_values.resize(x.rows(), width) : product;
    gate.forward(x, gate_values, context, cache ? &cache->gate : nullptr);
    up.forward(x, up_values, context, cache ? &cache->up : nullptr);
    gated<Activate, T>(gate_values, up_values, product, context);
    inner_norm.forward(product, product, context, cache ? &cache->inner_norm : nullptr);
    down.forward(product, y, context, cache ? &cache->down : nullptr);
  }

  void backward(ConstRowsView<T> dy, const Cache& cache, RowsView<T> dx, Context& context) {
    check_projections();
    require_rows(dy, output_features(), dx, input_features(), "GatedFeedForward", "dy", "dx");
    const Index width = gate.output_features();
    require(cache.gate_values.size() == dy.rows() * width && cache.up_values.size() == dy.rows() * width,
            "GatedFeedForward", "expected dy with the ", cache.gate_values.size() / width,
            " rows of forward, got shape ", dy.shape());
    const ProfileScope profile(context, "GatedFeedForward backward");
    ScratchScope scope(context.scratch());
    const RowsView<T> dgate = scope.rows<T>(dy.rows(), width);
    const RowsView<T> dup = scope.rows<T>(dy.rows(), width);
    const RowsView<T> from_up = scope.rows<T>(dy.rows(), dx.features());
    down.backward(dy, cache.down, dup, context);
    inner_norm.backward(dup, cache.inner_norm, dup, context);
    gated_backward<Activate, T>(cache.gate_values.rows(width), cache.up_values.rows(width), dup, dgate, dup, context);
    up.backward(dup, cache.up, from_up, context);
    gate.backward(dgate, cache.gate, dx, context);
    residual<T>(dx, from_up, dx, context);
  }

  static void members(auto& self, auto&& visit) {
    visit("gate", self.gate);
    visit("up", self.up);
    visit("down", self.down);
    visit("inner_norm", self.inner_norm);
  }

  Projection_ gate;
  Projection_ up;
  Projection_ down;
  InnerNorm inner_norm;  ///< of the hidden features

 private:
  void check_projections() const {
    require(gate.input_features() == up.input_features(), "GatedFeedForward", "expected up to read the ",
            gate.input_features(), " features that gate reads, got ", up.input_features());
    require(gate.output_features() == up.output_features() && gate.output_features() == down.input_features(),
            "GatedFeedForward", "expected gate, up and down with the same hidden features, got ",
            gate.output_features(), ", ", up.output_features(), " and ", down.input_features());
    detail::require_norm_over(down.input_features(), inner_norm, "GatedFeedForward", "inner_norm");
  }
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
