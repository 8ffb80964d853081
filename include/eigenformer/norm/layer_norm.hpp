#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/block.hpp>
#include <eigenformer/norm/normalise.hpp>

#include <concepts>
#include <optional>

namespace eigenformer::inline EIGENFORMER_ABI {

struct LayerNormOptions {
  Index dim = 0;
  double epsilon = 1e-5;  ///< not negative; 0 is allowed, and then constant rows still give the bias
  bool bias = true;
};

/// y = (x - mean) / sqrt(variance + epsilon) weight + bias, row by row, with the biased variance. Mean and variance are
/// re-centred: a mean a million times the deviation costs no accuracy, equal numbers give exactly the bias, and rows of
/// any finite magnitude, 1e-30 as 1e30, give what the formula says. A row with NaN or infinity becomes NaN alone.
///   x, y: [..., D]    weight: [D]    bias: [D], or empty for zeros    y may be x itself, but may not overlap it
///   otherwise throws ShapeError if the shapes do not fit
template <class T>
void layer_norm(ConstRowsView<T> x, std::span<const T> weight, std::span<const T> bias, double epsilon, RowsView<T> y,
                Context& context, NormCache<T>* cache = nullptr) {
  const Index dim = static_cast<Index>(weight.size());
  require(bias.empty() || bias.size() == weight.size(), "LayerNorm", "expected bias of shape [", dim, "], got [",
          bias.size(), "]");
  require_rows(x, dim, y, dim, "LayerNorm");
  detail::normalise<kernels::Centred>(x, weight.data(), bias.data(), epsilon, y, context, cache);
}

/// With z = (x - mean) r, r = 1 / sqrt(variance + epsilon) and g = dy weight:
///   dx = r (g - mean(g) - z mean(g z)),   dweight += sum_n dy z,   dbias += sum_n dy
///   dy, dx: [..., D]    dweight, dbias: [D], or empty where not wanted, which costs nothing    dx may be dy itself
///   throws ShapeError if the shapes do not fit
template <class T>
void layer_norm_backward(ConstRowsView<T> dy, const NormCache<T>& cache, std::span<const T> weight, RowsView<T> dx,
                         std::span<T> dweight, std::span<T> dbias, Context& context) {
  detail::require_backward(dy, cache, weight, dx, "LayerNorm");
  detail::require_gradient(dweight, weight, "LayerNorm", "dweight");
  detail::require_gradient(dbias, weight, "LayerNorm", "dbias");
  detail::normalise_backward<kernels::Centred>(dy, cache, weight.data(), dx, dweight.data(), dbias.data(), context);
}

/// LayerNorm (Ba, Kiros & Hinton 2016, equation 4, one gain and one bias per feature) over the last dimension, as
/// PyTorch's. To normalise over several last dimensions, hand in a view that flattens them. A new one has weight 1,
/// bias 0.
///   forward:  x, y [..., D]    backward:  dy, dx [..., D]    throw ShapeError if the last dimension is not D
///   throws OptionError if dim < 1 or epsilon is negative or not finite
template <class T>
class LayerNorm : public Block<LayerNorm<T>> {
 public:
  using Options = LayerNormOptions;
  using Cache = NormCache<T>;

  explicit LayerNorm(const LayerNormOptions& options) : epsilon(options.epsilon) {
    require_positive(options.dim, "LayerNorm", "dim");
    detail::require_epsilon(epsilon, "LayerNorm");
    weight = Parameter<T>(Vector<T>::Ones(options.dim));
    if (options.bias) bias = Parameter<T>(Vector<T>::Zero(options.dim));
  }
  /// From given weights, a Vector or what converts to one. Throws ShapeError if their sizes differ.
  template <std::convertible_to<Vector<T>> V>  // a template, so that {.dim = 5, .bias = false} cannot mean a Vector
  explicit LayerNorm(const V& given_weight, std::optional<Vector<T>> given_bias = {}, double given_epsilon = 1e-5)
      : epsilon(given_epsilon), weight(Vector<T>(given_weight)) {
    require_positive(weight.size(), "LayerNorm", "size of weight");
    detail::require_epsilon(epsilon, "LayerNorm");
    if (!given_bias) return;
    require_shape(weight.shape(), {given_bias->size()}, "LayerNorm", "bias");
    bias = Parameter<T>(std::move(*given_bias));
  }

  void forward(ConstRowsView<T> x, RowsView<T> y, Context& context, Cache* cache = nullptr) const {
    const ProfileScope profile(context, "LayerNorm");
    layer_norm<T>(x, weight.values(), bias ? bias->values() : std::span<const T>(), epsilon, y, context, cache);
  }

  void backward(ConstRowsView<T> dy, const Cache& cache, RowsView<T> dx, Context& context) {
    const ProfileScope profile(context, "LayerNorm");
    detail::require_backward<T>(dy, cache, std::as_const(weight).values(), dx, "LayerNorm");
    const std::span<T> dbias = bias ? detail::wanted_gradient(*bias) : std::span<T>();
    layer_norm_backward<T>(dy, cache, weight.values(), dx, detail::wanted_gradient(weight), dbias, context);
  }

  static void members(auto& self, auto&& visit) {
    visit("weight", self.weight);
    visit("bias", self.bias);
  }

  Index input_features() const { return weight.size(); }
  Index output_features() const { return weight.size(); }

  double epsilon;
  Parameter<T> weight;               ///< [D]
  std::optional<Parameter<T>> bias;  ///< [D]
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
