#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/convolution/depthwise_tasks.hpp>
#include <eigenformer/core/block.hpp>
#include <eigenformer/core/random.hpp>
#include <eigenformer/linear/linear.hpp>

#include <optional>

namespace eigenformer::inline EIGENFORMER_ABI {

struct DepthwiseConvolutionOptions {
  Index channels = 0;
  Index kernel = 3;  ///< odd
  Index stride = 1;  ///< 1 or 2
  bool bias = true;
};

/// y[b, i, j, c] = bias[c] + sum_{u, v} weight[c, 0, u, v] x[b, s i + u - k/2, s j + v - k/2, c], x being zero outside.
///   x: [B, H, W, C]    weight: [C, 1, k, k]    bias: [C], or empty for none    y: [B, ceil(H / s), ceil(W / s), C]
template <class T>
void depthwise_convolution(const ConstImagesView<T>& x, ConstTensorView<T, 4> weight, std::span<const T> bias,
                           const ImagesView<T>& y, Index stride, Context& context) {
  detail::convolve_depthwise<T>({.x = x,
                                 .weight = weight.data(),
                                 .bias = bias.empty() ? nullptr : bias.data(),
                                 .y = y,
                                 .kernel = weight.dimension(2),
                                 .stride = stride,
                                 .spacing = 1,
                                 .order = detail::KernelOrder::straight},
                                context);
}

/// dx[b, i, j, c] = sum_{u, v} weight[c, 0, u, v] dy[b, (i + k/2 - u) / s, (j + k/2 - v) / s, c], over whole quotients.
template <class T>
void depthwise_convolution_backward_input(const ConstImagesView<T>& dy, ConstTensorView<T, 4> weight,
                                          const ImagesView<T>& dx, Index stride, Context& context) {
  detail::convolve_depthwise<T>({.x = dy,
                                 .weight = weight.data(),
                                 .bias = nullptr,
                                 .y = dx,
                                 .kernel = weight.dimension(2),
                                 .stride = 1,
                                 .spacing = stride,
                                 .order = detail::KernelOrder::turned},
                                context);
}

/// dweight[c, 0, u, v] += sum_{b, i, j} dy[b, i, j, c] x[b, s i + u - k/2, s j + v - k/2, c], strip by strip, then in at
/// most 16 runs of strips whose sums are added up in order.
template <class T>
void depthwise_convolution_backward_weight(const ConstImagesView<T>& dy, const ConstImagesView<T>& x,
                                           TensorView<T, 4> dweight, Index stride, Context& context) {
  constexpr Index most_runs = 16;
  const Index kernel = dweight.dimension(2);
  const detail::DepthwiseTasks<T> tasks(dy.batch(), dy.height(), dy.width(), dy.channels(), kernel, stride, context);
  const Index length = (std::max)(Index(1), (tasks.units() + most_runs - 1) / most_runs);
  const Index runs = (tasks.units() + length - 1) / length;
  const Index places = tasks.places();
  const Index lanes = tasks.lanes();
  const Index memory_size = tasks.scratch();
  ScratchScope scope(context.scratch());
  T* const sums = scope.take<T>(runs * tasks.weights());
  T* const memory = scope.take<T>(memory_size * context.threads());
  std::fill_n(sums, runs * tasks.weights(), T(0));
  context.parallel_for_workers(runs * tasks.blocks(), tasks.operations(), [&](Index task, Index worker) {
    const Index run = task / tasks.blocks();
    const Index channel = task % tasks.blocks() * lanes;
    for (Index unit = run * length; unit < (std::min)(tasks.units(), (run + 1) * length); ++unit) {
      const kernels::DepthwiseStrip strip = tasks.strip(unit, channel / lanes);
      const Index image = tasks.image(unit);
      kernels::depthwise_backward_weight<T>(
          detail::image_of(x, image, channel, 1), strip, detail::pixels_of(dy, image, strip.first, channel),
          sums + run * tasks.weights() + channel * places, memory + worker * memory_size, context.instruction_set());
    }
  });
  for (Index c = 0; c < dy.channels(); ++c) {
    for (Index i = 0; i < places; ++i) {
      const T* const of_first_run = sums + (c / lanes * places + i) * lanes + c % lanes;
      T total = 0;
      for (Index run = 0; run < runs; ++run) total += of_first_run[run * tasks.weights()];
      dweight.data()[c * places + i] += total;
    }
  }
}

/// Depthwise convolution: each channel by a kernel of its own, as PyTorch's Conv2d with groups = channels and padding
/// k/2, whose names and start values it has, with images channels last.
///   forward:   x [B, H, W, C] -> y [B, ceil(H / stride), ceil(W / stride), C], which may not overlap; no pixels at all
///              are allowed
///   backward:  dy as y, dx as x; adds to the gradients of weight [C, 1, k, k] and bias [C]
///   throws OptionError for channels below 1, an even kernel or another stride than 1 and 2, ShapeError for an x, y, dy,
///          dx, weight or bias that does not fit, ValueError if the weight is trained but was frozen when forward ran
/// @code
/// const ef::DepthwiseConvolution<float> convolution({.channels = 8, .kernel = 5, .stride = 2}, ef::Random(42));
/// ef::Tensor<float, 4> images(3, 14, 14, 8);
/// images.setConstant(1.0F);
/// const ef::Tensor<float, 4> y = convolution(images);  // [3, 7, 7, 8]
/// @endcode
template <class T>
class DepthwiseConvolution : public Block<DepthwiseConvolution<T>> {
 public:
  using Scalar = T;
  using Options = DepthwiseConvolutionOptions;
  struct Cache {
    Buffer<T> x;              ///< [B, H, W, C], empty while the weight is frozen
    Shape shape{0, 0, 0, 0};  ///< of x
  };

  DepthwiseConvolution(const DepthwiseConvolutionOptions& options, Random random) : stride(options.stride) {
    require_positive(options.channels, "DepthwiseConvolution", "channels");
    require<OptionError>(options.kernel >= 1 && options.kernel % 2 == 1, "DepthwiseConvolution",
                         "expected an odd kernel, got ", options.kernel);
    weight = Parameter<T, 4>(Tensor<T, 4>(options.channels, Index(1), options.kernel, options.kernel));
    start(weight.values(), options.kernel, random);
    if (options.bias) {
      bias.emplace(Vector<T>(options.channels));
      start(bias->values(), options.kernel, random);
    }
    check_parameters();
  }
  explicit DepthwiseConvolution(Tensor<T, 4> given_weight, const std::optional<Vector<T>>& given_bias = std::nullopt,
                                Index given_stride = 1)
      : weight(std::move(given_weight)), stride(given_stride) {
    if (given_bias) bias.emplace(*given_bias);
    check_parameters();
  }

  Index input_features() const { return weight.value.dimension(0); }
  Index output_features() const { return weight.value.dimension(0); }
  Index kernel() const { return weight.value.dimension(2); }
  /// The shape of y for an x of this shape.
  Shape output_shape(const Shape& x) const {
    return {x[0], detail::strided_extent(x[1], stride), detail::strided_extent(x[2], stride), x[3]};
  }
  /// An owned tensor for y.
  Tensor<T, 4> output_like(const ConstTensorView<T, 4>& x) const {
    const Shape y = output_shape(x.shape());
    return Tensor<T, 4>(y[0], y[1], y[2], input_features());
  }

  void forward(const ConstImagesView<T>& x, const ImagesView<T>& y, Context& context, Cache* cache = nullptr) const {
    check_parameters();
    require_features(input_features(), x.shape(), "DepthwiseConvolution");
    require_shape(output_shape(x.shape()), y.shape(), "DepthwiseConvolution", "y");
    const ProfileScope profile(context, "DepthwiseConvolution");
    depthwise_convolution<T>(x, weight.value, bias ? bias->values() : std::span<const T>(), y, stride, context);
    if (!cache) return;
    cache->shape = x.shape();
    const Index kept = weight.trainable ? x.pixels() : 0;
    cache->x.resize(kept, input_features()) = x.rows().topRows(kept);
  }

  void backward(const ConstImagesView<T>& dy, const Cache& cache, const ImagesView<T>& dx, Context& context) {
    require_features(input_features(), dy.shape(), "DepthwiseConvolution", "dy");
    require_shape(output_shape(cache.shape), dy.shape(), "DepthwiseConvolution", "dy");
    require_shape(cache.shape, dx.shape(), "DepthwiseConvolution", "dx");
    require<ValueError>(!weight.trainable || cache.x.size() == dx.pixels() * dx.channels(), "DepthwiseConvolution",
                        "expected the input of forward in the cache, but the weight was frozen then");
    const ProfileScope profile(context, "DepthwiseConvolution backward");
    if (weight.trainable) {
      const Index width = input_features();
      const ConstImagesView<T> x(cache.x.data(), dx.batch(), dx.height(), dx.width(), width, width);
      depthwise_convolution_backward_weight<T>(dy, x, weight.accumulated_gradient(), stride, context);
    }
    if (bias && bias->trainable) {
      bias->accumulated_gradient();
      linear_backward_bias<T>(dy.rows(), bias->gradients(), context);
    }
    depthwise_convolution_backward_input<T>(dy, weight.value, dx, stride, context);
  }

  static void members(auto& self, auto&& visit) {
    visit("weight", self.weight);
    visit("bias", self.bias);
  }

  /// What forward checks: a weight [C, 1, k, k] with an odd k, a bias that fits, and the stride.
  void check_parameters() const {
    const Shape shape = weight.shape();
    require<OptionError>(shape[0] >= 1 && shape[1] == 1 && shape[2] % 2 == 1 && shape[2] == shape[3],
                         "DepthwiseConvolution", "expected a weight [channels, 1, k, k] with an odd k, got ", shape);
    require(!bias || bias->size() == shape[0], "DepthwiseConvolution", "expected a bias of ", shape[0],
            " values for the weight of shape ", shape, ", got ", bias ? bias->size() : 0);
    require<OptionError>(stride == 1 || stride == 2, "DepthwiseConvolution", "expected a stride of 1 or 2, got ",
                         stride);
  }

  Parameter<T, 4> weight;            ///< [C, 1, k, k]
  std::optional<Parameter<T>> bias;  ///< [C]
  Index stride;                      ///< pixels from one place of the kernel to the next: 1 or 2

 private:
  static void start(std::span<T> values, Index kernel, Random& random) {
    const double bound = 1 / static_cast<double>(kernel);  // PyTorch's 1 / sqrt of what a sum has
    for (T& value : values) value = static_cast<T>(random.uniform(-bound, bound));
  }
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
