#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/block.hpp>
#include <eigenformer/norm/normalise.hpp>

namespace eigenformer::inline EIGENFORMER_ABI {

struct PlainLayerNormOptions {
  Index dim = 0;
  double epsilon = 1e-5;  ///< not negative
};

/// LayerNorm without gain and bias, y = (x - mean) / sqrt(variance + epsilon) row by row: PyTorch's with elementwise_affine
/// off, and what stands in front of the quantiser in BitNet (Wang et al. 2023, equation 10).
///   forward:  x, y [..., D]    backward:  dy, dx [..., D]    throw ShapeError if the last dimension is not D
///   throws OptionError if dim < 1 or epsilon is negative or not finite
template <class T>
class PlainLayerNorm : public Block<PlainLayerNorm<T>> {
 public:
  using Scalar = T;
  using Options = PlainLayerNormOptions;
  using Cache = NormCache<T>;

  explicit PlainLayerNorm(const PlainLayerNormOptions& options)
      : epsilon(options.epsilon), ones_(Vector<T>::Ones(checked(options.dim))) {
    detail::require_epsilon(epsilon, "PlainLayerNorm");
  }

  void forward(ConstRowsView<T> x, RowsView<T> y, Context& context, Cache* cache = nullptr) const {
    require_rows(x, input_features(), y, input_features(), "PlainLayerNorm");
    const ProfileScope profile(context, "PlainLayerNorm");
    detail::normalise<kernels::Centred, T>(x, ones_.data(), nullptr, epsilon, y, context, cache);
  }
  void backward(ConstRowsView<T> dy, const Cache& cache, RowsView<T> dx, Context& context) const {
    const ProfileScope profile(context, "PlainLayerNorm");
    const std::span<const T> gain(ones_.data(), static_cast<std::size_t>(ones_.size()));
    detail::require_backward<T>(dy, cache, gain, dx, "PlainLayerNorm");
    detail::normalise_backward<kernels::Centred, T>(dy, cache, gain.data(), dx, nullptr, nullptr, context);
  }

  static void members(auto&, auto&&) {}

  Index input_features() const { return ones_.size(); }
  Index output_features() const { return ones_.size(); }

  double epsilon;

 private:
  static Index checked(Index dim) {
    require_positive(dim, "PlainLayerNorm", "dim");
    return dim;
  }

  Vector<T> ones_;  // the kernels' gain
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
