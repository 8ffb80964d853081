#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/block.hpp>
#include <eigenformer/norm/normalise.hpp>

#include <algorithm>
#include <concepts>

namespace eigenformer::inline EIGENFORMER_ABI {

struct RmsNormOptions {
  Index dim = 0;
  double epsilon = 1e-6;  ///< not negative; 0 is allowed, and then a zero row still gives zeros
};

/// The gain of RmsNorm is its weight, which starts at 1 (Llama).
struct DirectGain {
  static constexpr double start = 1;  ///< of the weight
  /// The gain of each feature, which may take scratch memory.   weight: [D]
  template <class T>
  static std::span<const T> gains(std::span<const T> weight, ScratchScope&) {
    return weight;
  }
};

/// The gain of RmsNorm is 1 + weight, and the weight, which checkpoints hold so, starts at 0 (Gemma): decay draws the gain
/// to 1 and not to 0.
struct UnitOffset {
  static constexpr double start = 0;  ///< of the weight
  /// The gain of each feature.   weight: [D]
  template <class T>
  static std::span<const T> gains(std::span<const T> weight, ScratchScope& scope) {
    T* const gains = scope.take<T>(static_cast<Index>(weight.size()));
    std::transform(weight.begin(), weight.end(), gains, [](T value) { return T(1) + value; });
    return {gains, weight.size()};
  }
};

/// y = x / sqrt(mean(x^2) + epsilon) weight, row by row. Rows of any finite magnitude, 1e-30 as 1e30, give what the
/// formula says; a zero row stays zero. A row with NaN or infinity becomes NaN alone.
///   x, y: [..., D]    weight: [D]    y may be x itself, but may not overlap it otherwise
///   throws ShapeError if the shapes do not fit
template <class T>
void rms_norm(ConstRowsView<T> x, std::span<const T> weight, double epsilon, RowsView<T> y, Context& context,
              NormCache<T>* cache = nullptr) {
  const Index dim = static_cast<Index>(weight.size());
  require_rows(x, dim, y, dim, "RmsNorm");
  detail::normalise<kernels::Uncentred, T>(x, weight.data(), nullptr, epsilon, y, context, cache);
}

/// With z = x r, r = 1 / sqrt(mean(x^2) + epsilon) and g = dy weight:
///   dx = r (g - z mean(g z)),   dweight += sum_n dy z
///   dy, dx: [..., D]    dweight: [D], or empty where not wanted, which costs nothing    dx may be dy itself
///   throws ShapeError if the shapes do not fit
template <class T>
void rms_norm_backward(ConstRowsView<T> dy, const NormCache<T>& cache, std::span<const T> weight, RowsView<T> dx,
                       std::span<T> dweight, Context& context) {
  detail::require_backward(dy, cache, weight, dx, "RmsNorm");
  detail::require_gradient(dweight, weight, "RmsNorm", "dweight");
  detail::normalise_backward<kernels::Uncentred, T>(dy, cache, weight.data(), dx, dweight.data(), nullptr, context);
}

/// RmsNorm (Zhang & Sennrich 2019, equation 4): LayerNorm without mean and bias, as in Llama, over the last dimension.
/// The gain of a feature is its weight, and a new one has weight 1; RmsNorm<T, UnitOffset> has a gain of 1 + weight.
///   forward:  x, y [..., D]    backward:  dy, dx [..., D]    throw ShapeError if the last dimension is not D
///   throws OptionError if dim < 1 or epsilon is negative or not finite
template <class T, class Gain = DirectGain>
class RmsNorm : public Block<RmsNorm<T, Gain>> {
 public:
  using Options = RmsNormOptions;
  using Cache = NormCache<T>;

  explicit RmsNorm(const RmsNormOptions& options) : epsilon(options.epsilon) {
    require_positive(options.dim, "RmsNorm", "dim");
    detail::require_epsilon(epsilon, "RmsNorm");
    weight = Parameter<T>(Vector<T>::Constant(options.dim, T(Gain::start)));
  }
  /// From given weights, a Vector or what converts to one.
  template <std::convertible_to<Vector<T>> V>  // a template, so that {.dim = 5, .epsilon = 0} cannot mean a Vector
  explicit RmsNorm(const V& given_weight, double given_epsilon = 1e-6)
      : epsilon(given_epsilon), weight(Vector<T>(given_weight)) {
    require_positive(weight.size(), "RmsNorm", "size of weight");
    detail::require_epsilon(epsilon, "RmsNorm");
  }

  void forward(ConstRowsView<T> x, RowsView<T> y, Context& context, Cache* cache = nullptr) const {
    const ProfileScope profile(context, "RmsNorm");
    ScratchScope scope(context.scratch());
    rms_norm<T>(x, Gain::template gains<T>(weight.values(), scope), epsilon, y, context, cache);
  }

  void backward(ConstRowsView<T> dy, const Cache& cache, RowsView<T> dx, Context& context) {
    const ProfileScope profile(context, "RmsNorm");
    detail::require_backward<T>(dy, cache, std::as_const(weight).values(), dx, "RmsNorm");
    ScratchScope scope(context.scratch());
    const std::span<const T> gains = Gain::template gains<T>(std::as_const(weight).values(), scope);
    rms_norm_backward<T>(dy, cache, gains, dx, detail::wanted_gradient(weight), context);
  }

  static void members(auto& self, auto&& visit) { visit("weight", self.weight); }

  Index input_features() const { return weight.size(); }
  Index output_features() const { return weight.size(); }

  double epsilon;
  Parameter<T> weight;  ///< [D]
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
