#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/context.hpp>
#include <eigenformer/core/images.hpp>
#include <eigenformer/kernels/depthwise.hpp>

#include <algorithm>

namespace eigenformer::inline EIGENFORMER_ABI::detail {

/// Rows or columns of a result from so many, kernels being odd and padded by half of themselves.
constexpr Index strided_extent(Index extent, Index stride) { return extent > 0 ? (extent - 1) / stride + 1 : 0; }

/// In which order a kernel's weights meet what is convolved: as they lie, or turned by half a turn, as in a gradient.
enum class KernelOrder { straight, turned };

/// How a depthwise convolution is cut into tasks: each takes a vector of channels of some rows of one image, so few that
/// its strip stays in the first cache. The cuts depend on the shapes and the instruction set alone.
template <class T>
class DepthwiseTasks {
 public:
  /// To make images of the result's height and width.
  DepthwiseTasks(Index batch, Index height, Index width, Index channels, Index kernel, Index stride, Context& context)
      : batch_(batch),
        height_(height),
        channels_(channels),
        context_(context),
        lanes_(kernels::depthwise_lanes<T>(context.instruction_set())),
        strip_{0, 1, width, kernel, stride, lanes_} {
    constexpr Index cached = 32768;  // bytes
    constexpr Index least = 4;
    const Index row = (width * stride + kernel) * lanes_ * static_cast<Index>(sizeof(T));
    strip_.rows = std::clamp((cached / row - kernel) / stride + 1, least, (std::max)(least, height));
  }

  Index units() const { return batch_ * strips(); }
  Index blocks() const { return (channels_ + lanes_ - 1) / lanes_; }
  Index weights() const { return blocks() * places() * lanes_; }
  Index places() const { return strip_.kernel * strip_.kernel; }
  Index lanes() const { return lanes_; }
  double operations() const {
    return 2.0 * static_cast<double>(batch_ * height_ * strip_.columns) * static_cast<double>(channels_ * places());
  }
  Index scratch() const { return kernels::depthwise_scratch<T>(strip_, context_.instruction_set()); }

  /// Strip `unit` of all images, and the channels of block `block`.
  kernels::DepthwiseStrip strip(Index unit, Index block) const {
    kernels::DepthwiseStrip result = strip_;
    result.first = unit % strips() * strip_.rows;
    result.rows = (std::min)(strip_.rows, height_ - result.first);
    result.channels = (std::min)(lanes_, channels_ - block * lanes_);
    return result;
  }
  Index image(Index unit) const { return unit / strips(); }

  /// weight [C, 1, k, k] as vectors of channels [blocks, k, k, lanes], zeros beyond the last.
  void pack(const T* weight, KernelOrder order, T* to) const {
    for (Index c = 0; c < blocks() * lanes_; ++c) {
      T* const vector = to + c / lanes_ * places() * lanes_ + c % lanes_;
      for (Index i = 0; i < places(); ++i) {
        const Index from = order == KernelOrder::straight ? i : places() - 1 - i;
        vector[i * lanes_] = c < channels_ ? weight[c * places() + from] : T(0);
      }
    }
  }

 private:
  Index strips() const { return (height_ + strip_.rows - 1) / strip_.rows; }

  Index batch_;
  Index height_;
  Index channels_;
  Context& context_;
  Index lanes_;
  kernels::DepthwiseStrip strip_;
};

/// One image as a kernel sees it, from the first channel of a block on.
template <class T>
kernels::DepthwiseImage<T> image_of(const ConstImagesView<T>& x, Index image, Index channel, Index spacing) {
  return {x.at(image, 0, 0) + channel, x.width() * x.stride(), x.stride(), x.height(), x.width(), spacing};
}
template <class View>
auto pixels_of(const View& y, Index image, Index row, Index channel) {
  using Element = std::remove_pointer_t<decltype(y.data())>;
  return kernels::DepthwisePixels<Element>{y.at(image, row, 0) + channel, y.width() * y.stride(), y.stride()};
}

/// What a depthwise convolution is, forward and, from dy to dx, backward.
template <class T>
struct DepthwiseProblem {
  ConstImagesView<T> x;
  const T* weight;  ///< [C, 1, k, k]
  const T* bias;    ///< [C], or null
  ImagesView<T> y;
  Index kernel;
  Index stride;
  Index spacing;
  KernelOrder order;
};

template <class T>
void convolve_depthwise(const DepthwiseProblem<T>& p, Context& context) {
  const ImagesView<T>& y = p.y;
  const DepthwiseTasks<T> tasks(y.batch(), y.height(), y.width(), y.channels(), p.kernel, p.stride, context);
  ScratchScope scope(context.scratch());
  T* const weight = scope.take<T>(tasks.weights());
  tasks.pack(p.weight, p.order, weight);
  T* const bias = p.bias != nullptr ? scope.take<T>(tasks.blocks() * tasks.lanes()) : nullptr;
  if (bias != nullptr) {
    std::fill_n(bias, tasks.blocks() * tasks.lanes(), T(0));
    std::copy_n(p.bias, y.channels(), bias);
  }
  const Index memory_size = tasks.scratch();
  T* const memory = scope.take<T>(memory_size * context.threads());
  context.parallel_for_workers(tasks.units() * tasks.blocks(), tasks.operations(), [&](Index task, Index worker) {
    const Index unit = task / tasks.blocks();
    const Index block = task % tasks.blocks();
    const Index image = tasks.image(unit);
    const Index channel = block * tasks.lanes();
    const kernels::DepthwiseStrip strip = tasks.strip(unit, block);
    kernels::depthwise<T>(image_of(p.x, image, channel, p.spacing), strip, weight + channel * tasks.places(),
                          bias != nullptr ? bias + channel : nullptr, pixels_of(y, image, strip.first, channel),
                          memory + worker * memory_size, context.instruction_set());
  });
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::detail
