#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/shape.hpp>
#include <eigenformer/kernels/simd/lanes.hpp>

namespace eigenformer::inline EIGENFORMER_ABI::kernels {

// Convolution of each channel with a kernel of its own. A call takes some rows of one image and one vector of adjacent
// channels: it first copies what it reads into a strip with zeros around it, where no border needs care any more.

/// The channels of a vector, of one image. `spacing` is what its pixels are moved apart, with zeros in between: the
/// stride of a convolution, when its gradient is taken back.
template <class T>
struct DepthwiseImage {
  const T* data;
  Index row_stride;    ///< from a row to the next
  Index pixel_stride;  ///< from a pixel to the next
  Index height;
  Index width;
  Index spacing = 1;  ///< 1 or 2
};

/// The rows of the result that a call takes, `rows` of them from `first` on.
struct DepthwiseStrip {
  Index first;  ///< row of the result
  Index rows;
  Index columns;
  Index kernel;    ///< odd; the image is padded by kernel / 2
  Index stride;    ///< 1 or 2
  Index channels;  ///< 1 .. depthwise_lanes
};

/// Where the rows of the result, or of its gradient, lie: row `first` of the strip is the first.
template <class Element>
struct DepthwisePixels {
  Element* data;
  Index row_stride;    ///< from a row to the next
  Index pixel_stride;  ///< from a pixel to the next
};

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels

#define EIGENFORMER_KERNEL <eigenformer/kernels/depthwise.inl>
#include <eigenformer/kernels/simd/for_each_target.hpp>

namespace eigenformer::inline EIGENFORMER_ABI::kernels {

/// Channels that a call takes at most: weights lie in vectors of so many.
template <class T>
Index depthwise_lanes(InstructionSet instruction_set) {
  EIGENFORMER_DISPATCH(instruction_set, depthwise_lanes<T>());
}
/// Elements of memory that a call with such a strip needs.
template <class T>
Index depthwise_scratch(const DepthwiseStrip& strip, InstructionSet instruction_set) {
  EIGENFORMER_DISPATCH(instruction_set, depthwise_scratch<T>(strip));
}
/// y[r, j] = bias + sum_{u, v} weight[u, v] x[r stride + u - kernel / 2, j stride + v - kernel / 2].
///   weight: [kernel, kernel, lanes]    bias: [lanes], or null for none
template <class T>
void depthwise(const DepthwiseImage<T>& x, const DepthwiseStrip& strip, const T* weight, const T* bias,
               const DepthwisePixels<T>& y, T* memory, InstructionSet instruction_set) {
  EIGENFORMER_DISPATCH(instruction_set, depthwise<T>(x, strip, weight, bias, y, memory));
}
/// dweight[u, v] += sum_{r, j} dy[r, j] x[r stride + u - kernel / 2, j stride + v - kernel / 2].
///   dweight: [kernel, kernel, lanes]
template <class T>
void depthwise_backward_weight(const DepthwiseImage<T>& x, const DepthwiseStrip& strip,
                               const DepthwisePixels<const T>& dy, T* dweight, T* memory,
                               InstructionSet instruction_set) {
  EIGENFORMER_DISPATCH(instruction_set, depthwise_backward_weight<T>(x, strip, dy, dweight, memory));
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels
