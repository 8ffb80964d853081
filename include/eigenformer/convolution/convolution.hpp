#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/convolution/patches.hpp>
#include <eigenformer/core/block.hpp>
#include <eigenformer/core/random.hpp>
#include <eigenformer/linear/linear.hpp>

#include <cmath>
#include <optional>

namespace eigenformer::inline EIGENFORMER_ABI {

struct ConvolutionOptions {
  Index in_channels = 0;   ///< of x
  Index out_channels = 0;  ///< of y
  Index kernel = 3;
  Index stride = 1;
  Index padding = kernel / 2;  ///< zeros on each side
  bool bias = true;
};

/// Convolution of all channels, y[b, i, j, o] = bias[o] + sum_{c, u, v} weight[o, c, u, v] x[b, s i + u - p, s j + v - p, c],
/// x being zero outside: PyTorch's Conv2d, whose names and start values it has, with images channels last. What the
/// kernel sees is put into rows, about a megabyte at a time, and multiplied. A 1 x 1 convolution is better a Linear.
///   forward:   x [B, H, W, C] -> y [B, H', W', O] with H' = floor((H + 2 p - k) / s) + 1, which may not overlap
///   backward:  dy as y, dx as x; adds to the gradients of weight [O, C, k, k] and bias [O]
///   throws OptionError for channels, kernel or stride below 1 or a negative padding, ShapeError for an x, y, dy, dx,
///          weight or bias that does not fit, ValueError if the weight is trained but was frozen when forward ran
/// @code
/// const ef::Convolution<float> convolution({.in_channels = 3, .out_channels = 16, .stride = 2}, ef::Random(42));
/// ef::Tensor<float, 4> images(2, 64, 64, 3);
/// images.setConstant(1.0F);
/// const ef::Tensor<float, 4> y = convolution(images);  // [2, 32, 32, 16]
/// @endcode
template <class T>
class Convolution : public Block<Convolution<T>> {
 public:
  using Scalar = T;
  using Options = ConvolutionOptions;
  struct Cache {
    Buffer<T> x;              ///< [B, H, W, C], empty while the weight is frozen
    Shape shape{0, 0, 0, 0};  ///< of x
  };

  Convolution(const ConvolutionOptions& options, Random random) : stride(options.stride), padding(options.padding) {
    require_positive(options.in_channels, "Convolution", "in_channels");
    require_positive(options.out_channels, "Convolution", "out_channels");
    require_positive(options.kernel, "Convolution", "kernel");
    weight = Parameter<T, 4>(Tensor<T, 4>(options.out_channels, options.in_channels, options.kernel, options.kernel));
    start(weight.values(), random);
    if (options.bias) {
      bias.emplace(Vector<T>(options.out_channels));
      start(bias->values(), random);
    }
    check_parameters();
  }

  Index input_features() const { return weight.value.dimension(1); }
  Index output_features() const { return weight.value.dimension(0); }
  Index kernel() const { return weight.value.dimension(2); }
  /// The shape of y for an x of this shape.
  Shape output_shape(const Shape& x) const {
    const detail::Patches<T> patches = patches_of(x);
    return {x[0], patches.height(), patches.width(), output_features()};
  }
  /// An owned tensor for y.
  Tensor<T, 4> output_like(const ConstTensorView<T, 4>& x) const {
    const Shape y = output_shape(x.shape());
    return Tensor<T, 4>(y[0], y[1], y[2], y[3]);
  }

  void forward(const ConstImagesView<T>& x, const ImagesView<T>& y, Context& context, Cache* cache = nullptr) const {
    check_parameters();
    require_features(input_features(), x.shape(), "Convolution");
    require_shape(output_shape(x.shape()), y.shape(), "Convolution", "y");
    const ProfileScope profile(context, "Convolution");
    const std::span<const T> shift = bias ? bias->values() : std::span<const T>();
    ScratchScope scope(context.scratch());
    const ConstRowsView<T> flat = flat_weight(scope);
    for_each_piece(x, scope, [&](Index first, Index count, const RowsView<T>& rows) {
      gather(x, first, count, rows, context);
      linear<T>(rows, flat, shift, some_rows(y, first, count), context);
    });
    if (!cache) return;
    cache->shape = x.shape();
    const Index kept = weight.trainable ? x.pixels() : 0;
    cache->x.resize(kept, input_features()) = x.rows().topRows(kept);
  }

  void backward(const ConstImagesView<T>& dy, const Cache& cache, const ImagesView<T>& dx, Context& context) {
    require_features(output_features(), dy.shape(), "Convolution", "dy");
    require_shape(output_shape(cache.shape), dy.shape(), "Convolution", "dy");
    require_shape(cache.shape, dx.shape(), "Convolution", "dx");
    require<ValueError>(!weight.trainable || cache.x.size() == dx.pixels() * dx.channels(), "Convolution",
                        "expected the input of forward in the cache, but the weight was frozen then");
    const ProfileScope profile(context, "Convolution backward");
    if (bias && bias->trainable) {
      bias->accumulated_gradient();
      linear_backward_bias<T>(dy.rows(), bias->gradients(), context);
    }
    ScratchScope scope(context.scratch());
    if (weight.trainable) backward_weight(dy, cache, scope, context);
    const ConstRowsView<T> flat = flat_weight(scope);
    dx.rows().setZero();
    for_each_piece(dx, scope, [&](Index first, Index count, const RowsView<T>& rows) {
      linear_backward_input<T>(some_rows(dy, first, count), flat, rows, context);
      patches_of(dx.shape()).scatter(ConstRowsView<T>(rows).data(), first, count, dx, context);
    });
  }

  static void members(auto& self, auto&& visit) {
    visit("weight", self.weight);
    visit("bias", self.bias);
  }

  /// What forward checks: a weight [O, C, k, k], a bias that fits, stride and padding.
  void check_parameters() const {
    const Shape shape = weight.shape();
    require<OptionError>(shape.size() > 0 && shape[2] == shape[3], "Convolution",
                         "expected a weight [out_channels, in_channels, k, k], got ", shape);
    require(!bias || bias->size() == shape[0], "Convolution", "expected a bias of ", shape[0],
            " values for the weight of shape ", shape, ", got ", bias ? bias->size() : 0);
    require_positive(stride, "Convolution", "stride");
    require<OptionError>(padding >= 0, "Convolution", "expected padding of at least 0, got ", padding);
  }

  Parameter<T, 4> weight;            ///< [O, C, k, k]
  std::optional<Parameter<T>> bias;  ///< [O]
  Index stride;                      ///< pixels from one place of the kernel to the next
  Index padding;                     ///< zeros on each side

 private:
  void start(std::span<T> values, Random& random) const {
    const double bound = 1 / std::sqrt(static_cast<double>(input_features() * kernel() * kernel()));
    for (T& value : values) value = static_cast<T>(random.uniform(-bound, bound));
  }
  detail::Patches<T> patches_of(const Shape& x) const { return {x, kernel(), stride, padding}; }

  /// Calls body(first, place) for the weights of each output and channel: the weight in memory and in a patch.
  template <class Body>
  void for_each_weight(const Body& body) const {
    const Index channels = input_features(), places = kernel() * kernel();
    for (Index o = 0; o < output_features(); ++o) {
      for (Index c = 0; c < channels; ++c) {
        for (Index i = 0; i < places; ++i) body((o * channels + c) * places + i, (o * places + i) * channels + c);
      }
    }
  }
  /// The weight in the order of patches: [O, k k C].
  ConstRowsView<T> flat_weight(ScratchScope& scope) const {
    T* const flat = scope.take<T>(weight.size());
    for_each_weight([&](Index from, Index to) { flat[to] = weight.value.data()[from]; });
    return {flat, output_features(), weight.size() / output_features(), weight.size() / output_features()};
  }
  /// Rows of pixels of results.
  template <class Images>
  auto some_rows(const Images& y, Index first, Index count) const {
    auto rows = y.rows();
    return decltype(rows)(y.data() + first * y.width() * y.stride(), count * y.width(), y.channels(), y.stride());
  }
  /// Calls body(first, count, memory for their patches) for some rows of results after the other.
  template <class Images, class Body>
  void for_each_piece(const Images& x, ScratchScope& scope, const Body& body) const {
    const detail::Patches<T> patches = patches_of(x.shape());
    if (patches.width() == 0) return;
    const Index most = (std::min)(patches.rows_at_once(), patches.rows());
    T* const memory = scope.take<T>(most * patches.width() * patches.features());
    for (Index first = 0; first < patches.rows(); first += most) {
      const Index count = (std::min)(most, patches.rows() - first);
      body(first, count, RowsView<T>(memory, count * patches.width(), patches.features(), patches.features()));
    }
  }
  void gather(const ConstImagesView<T>& x, Index first, Index count, RowsView<T> rows, Context& context) const {
    patches_of(x.shape()).gather(x, first, count, rows.data(), context);
  }
  void backward_weight(const ConstImagesView<T>& dy, const Cache& cache, ScratchScope& scope, Context& context) {
    const Shape& shape = cache.shape;
    const ConstImagesView<T> x(cache.x.data(), shape[0], shape[1], shape[2], shape[3], shape[3]);
    T* const flat = scope.take<T>(weight.size());
    std::fill_n(flat, weight.size(), T(0));
    const Index features = weight.size() / output_features();
    for_each_piece(x, scope, [&](Index first, Index count, const RowsView<T>& rows) {
      gather(x, first, count, rows, context);
      linear_backward_weight<T>(some_rows(dy, first, count), rows,
                                RowsView<T>(flat, output_features(), features, features), context);
    });
    T* const gradient = weight.accumulated_gradient().data();
    for_each_weight([&](Index at, Index in_patch) { gradient[at] += flat[in_patch]; });
  }
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
