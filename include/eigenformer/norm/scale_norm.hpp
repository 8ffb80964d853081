#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/block.hpp>
#include <eigenformer/kernels/scale_norm.hpp>
#include <eigenformer/norm/normalise.hpp>

#include <cmath>

namespace eigenformer::inline EIGENFORMER_ABI {

struct ScaleNormOptions {
  Index dim = 0;
  double epsilon =
      1e-5;  ///< lower bound of the norm, as published; not negative, and at 0 a zero row still gives zeros
};

/// y = g x / max(||x||, epsilon), row by row. Rows of any finite magnitude, 1e-30 as 1e30, give what the formula says; a
/// zero row stays zero. A row with NaN or infinity becomes NaN alone.
///   x, y: [..., D]    y may be x itself, but may not overlap it otherwise    throws ShapeError if the shapes differ
template <class T>
void scale_norm(ConstRowsView<T> x, T g, double epsilon, RowsView<T> y, Context& context,
                NormCache<T>* cache = nullptr) {
  require_rows(x, x.features(), y, x.features(), "ScaleNorm");
  ScratchScope scope(context.scratch());
  T* const normalised = cache ? cache->normalised.resize(x.rows() * x.features()) : nullptr;
  T* const inverse = cache ? cache->inverse.resize(x.rows()) : scope.take<T>(x.rows());
  detail::for_each_row_block(x.rows(), x.features(), 6, context, [&](Index first, Index count) {
    kernels::scale_norm(kernels::ScaleNormRows<T>{.x = detail::at(x, first),
                                                  .x_stride = x.stride(),
                                                  .y = detail::at(y, first),
                                                  .y_stride = y.stride(),
                                                  .normalised = cache ? normalised + first * x.features() : nullptr,
                                                  .inverse = inverse + first,
                                                  .rows = count,
                                                  .features = x.features(),
                                                  .epsilon = epsilon,
                                                  .gain = g,
                                                  .home = detail::home_of<T>(x.rows() * x.features())},
                        context.instruction_set());
  });
}

/// With r = 1 / max(||x||, epsilon) and z = x r:  dx = g r (dy - z (z . dy)),  returns dg = sum_n z . dy.
/// Where the norm was clamped it is a constant, so the projection drops out: dx = g r dy.
///   dy, dx: [..., D]    dx may be dy itself    throws ShapeError if the shapes do not fit the cached forward
template <class T>
T scale_norm_backward(ConstRowsView<T> dy, const NormCache<T>& cache, T g, double epsilon, RowsView<T> dx,
                      Context& context) {
  require_rows(dy, dy.features(), dx, dy.features(), "ScaleNorm", "dy", "dx");
  require(cache.inverse.size() == dy.rows() && cache.normalised.size() == dy.rows() * dy.features(), "ScaleNorm",
          "expected dy with the ", cache.inverse.size(), " rows of the cached forward, got shape ", dy.shape());
  const Index rows = dy.rows();
  if (rows == 0) return T(0);
  constexpr Index most_blocks = 64;
  const Index least = (std::max)(Index(1), detail::task_elements / dy.features());
  const Index block = (std::max)((rows + most_blocks - 1) / most_blocks, least);
  const Index blocks = (rows + block - 1) / block;
  constexpr double largest = static_cast<double>((std::numeric_limits<T>::max)());
  const T clamped = static_cast<T>(epsilon > 1 / largest ? 1 / epsilon : largest);
  double parts[most_blocks];
  context.parallel_for(blocks, 8.0 * static_cast<double>(rows * dy.features()), [&](Index i) {
    const Index first = i * block;
    parts[i] = kernels::scale_norm_backward(
        kernels::ScaleNormBackwardRows<T>{.dy = detail::at(dy, first),
                                          .dy_stride = dy.stride(),
                                          .normalised = cache.normalised.data() + first * dy.features(),
                                          .inverse = cache.inverse.data() + first,
                                          .dx = detail::at(dx, first),
                                          .dx_stride = dx.stride(),
                                          .rows = (std::min)(block, rows - first),
                                          .features = dy.features(),
                                          .gain = g,
                                          .clamped = clamped,
                                          .home = detail::home_of<T>(rows * dy.features())},
        context.instruction_set());
  });
  double total = 0;
  for (Index i = 0; i < blocks; ++i) total += parts[i];
  return static_cast<T>(total);
}

/// ScaleNorm (Nguyen & Salazar 2019, "Transformers without Tears", section 2.2) over the last dimension: LayerNorm
/// without its mean, and with one learned length g for the whole layer instead of a gain per feature. As in the authors'
/// code the norm is clamped, where LayerNorm adds epsilon. A new one has g = sqrt(D).
///   forward:  x, y [..., D]    backward:  dy, dx [..., D]    throw ShapeError if the last dimension is not D
///   throws OptionError if dim < 1 or epsilon is negative or not finite
template <class T>
class ScaleNorm : public Block<ScaleNorm<T>> {
 public:
  using Options = ScaleNormOptions;
  using Cache = NormCache<T>;

  explicit ScaleNorm(const ScaleNormOptions& options)
      : ScaleNorm(options, static_cast<T>(std::sqrt(static_cast<double>(options.dim)))) {}
  /// With a given g.
  ScaleNorm(const ScaleNormOptions& options, T given_g)
      : dim(options.dim), epsilon(options.epsilon), g(Vector<T>::Constant(1, given_g)) {
    require_positive(options.dim, "ScaleNorm", "dim");
    detail::require_epsilon(epsilon, "ScaleNorm");
  }

  void forward(ConstRowsView<T> x, RowsView<T> y, Context& context, Cache* cache = nullptr) const {
    require_rows(x, dim, y, dim, "ScaleNorm");
    const ProfileScope profile(context, "ScaleNorm");
    scale_norm<T>(x, g.value[0], epsilon, y, context, cache);
  }

  void backward(ConstRowsView<T> dy, const Cache& cache, RowsView<T> dx, Context& context) {
    require_rows(dy, dim, dx, dim, "ScaleNorm", "dy", "dx");
    const ProfileScope profile(context, "ScaleNorm");
    const T dg = scale_norm_backward<T>(dy, cache, g.value[0], epsilon, dx, context);
    if (g.trainable) g.accumulated_gradient()[0] += dg;
  }

  static void members(auto& self, auto&& visit) { visit("g", self.g); }

  Index input_features() const { return dim; }
  Index output_features() const { return dim; }

  Index dim;
  double epsilon;
  Parameter<T> g;  ///< [1], the length of every row of y
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
