#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/concepts.hpp>
#include <eigenformer/core/random.hpp>
#include <eigenformer/norm/batch_norm.hpp>

namespace eigenformer::inline EIGENFORMER_ABI {

template <class ProjectionOptions>
struct NormedOptions {
  ProjectionOptions projection{};  ///< its bias counts for nothing: it has none, as the norm's takes its place
  double epsilon = 1e-5;
  RunningStatistics statistics = MovingAverage{};  ///< how the running statistics follow the batches
};

/// A projection or convolution followed by BatchNorm (EfficientViT's Conv2d_BN, whose names `c` and `bn` its parameters
/// have): y = norm(projection(x)). A forward that is given a cache is one of training, as in BatchNorm. For inference,
/// fold(normed) is the same map without a norm.
///   Projection_: Linear<T>, of rows of features, or DepthwiseConvolution<T>, of images
///   forward:   as the projection; y may not overlap x
///   throws what projection and norm throw, before y is written where that depends on x and y alone
/// @code
/// using Pointwise = ef::Normed<ef::Linear<float>>;  // a 1 x 1 convolution, channels last
/// const Pointwise pointwise({.projection = {.in_features = 8, .out_features = 13}}, ef::Random(42));
/// const ef::Matrix<float> pixels = ef::Matrix<float>::Ones(49, 8);
/// const ef::Matrix<float> y = pointwise(pixels);  // [49, 13]
/// @endcode
template <class Projection_>
class Normed : public Block<Normed<Projection_>> {
 public:
  using Scalar = typename Projection_::Scalar;
  using Options = NormedOptions<typename Projection_::Options>;
  using Inner = Projection_;                                            ///< the type of the projection
  static constexpr bool of_rows = TokenwiseBlock<Projection_, Scalar>;  ///< whether it maps rows of features
  static constexpr bool of_images = SpatialBlock<Projection_, Scalar>;  ///< whether it maps images
  static_assert(of_rows != of_images, "Normed: wraps a projection such as Linear<T> or DepthwiseConvolution<T>");
  struct Cache {
    typename Projection_::Cache projection;
    typename BatchNorm<Scalar>::Cache norm;
  };

  Normed(const Options& options, Random random)
      : Normed(Projection_(without_bias(options.projection), random.split()), options) {}
  Normed(Projection_ given_projection, BatchNorm<Scalar> given_norm)
      : projection(std::move(given_projection)), norm(std::move(given_norm)) {
    check_norm();
  }

  Index input_features() const { return projection.input_features(); }
  Index output_features() const { return norm.output_features(); }
  /// An owned tensor for y.
  template <class X>
  requires requires(const Projection_& inner, const X& x) { inner.output_like(x); }
  auto output_like(const X& x) const { return projection.output_like(x); }

  void forward(ConstRowsView<Scalar> x, RowsView<Scalar> y, Context& context,
               Cache* cache = nullptr) const requires of_rows {
    check(x.rows(), cache);
    projection.forward(x, y, context, cache ? &cache->projection : nullptr);
    norm.forward(y, y, context, cache ? &cache->norm : nullptr);
  }
  void forward(const ConstImagesView<Scalar>& x, const ImagesView<Scalar>& y, Context& context,
               Cache* cache = nullptr) const requires of_images {
    check(y.pixels(), cache);
    projection.forward(x, y, context, cache ? &cache->projection : nullptr);
    norm.forward(y.rows(), y.rows(), context, cache ? &cache->norm : nullptr);
  }

  void backward(ConstRowsView<Scalar> dy, const Cache& cache, RowsView<Scalar> dx, Context& context) requires of_rows {
    require_features(output_features(), dy.shape(), "Normed", "dy");
    require_rows(dy, output_features(), dx, input_features(), "Normed", "dy", "dx");
    ScratchScope scope(context.scratch());
    const RowsView<Scalar> inner = scope.rows<Scalar>(dy.rows(), output_features());
    norm.backward(dy, cache.norm, inner, context);
    projection.backward(inner, cache.projection, dx, context);
  }
  void backward(const ConstImagesView<Scalar>& dy, const Cache& cache, const ImagesView<Scalar>& dx,
                Context& context) requires of_images {
    require_features(output_features(), dy.shape(), "Normed", "dy");
    require_shape(projection.output_shape(dx.shape()), dy.shape(), "Normed", "dy");
    require_features(input_features(), dx.shape(), "Normed", "dx");
    ScratchScope scope(context.scratch());
    const ImagesView<Scalar> inner(scope.take<Scalar>(dy.pixels() * dy.channels()), dy.batch(), dy.height(), dy.width(),
                                   dy.channels(), dy.channels());
    norm.backward(dy.rows(), cache.norm, inner.rows(), context);
    projection.backward(inner, cache.projection, dx, context);
  }

  static void members(auto& self, auto&& visit) {
    visit("c", self.projection);
    visit("bn", self.norm);
  }

  Projection_ projection;
  BatchNorm<Scalar> norm;

 private:
  static typename Projection_::Options without_bias(typename Projection_::Options options) {
    options.bias = false;
    return options;
  }
  Normed(Projection_ made, const Options& options)
      : projection(std::move(made)),
        norm({.dim = projection.output_features(), .epsilon = options.epsilon, .statistics = options.statistics}) {}

  void check_norm() const {
    require(norm.input_features() == projection.output_features(), "Normed", "expected a norm of the ",
            projection.output_features(), " features that the projection gives, got ", norm.input_features());
  }
  /// What the norm would find out after the projection has written y.
  void check(Index rows, const Cache* cache) const {
    check_norm();
    const bool of_batch = cache != nullptr && !std::holds_alternative<FixedStatistics>(norm.statistics);
    require<ValueError>(!of_batch || rows != 1, "Normed", "expected more than 1 value per channel in training, got 1");
    if (!of_batch) norm.check_statistics();
  }
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
