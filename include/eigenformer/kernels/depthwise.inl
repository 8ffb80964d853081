// SPDX-License-Identifier: MIT
// Body for depthwise.hpp. Results are made some pixels of a row at once, so that a weight is loaded once for all of them.

namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET {
using namespace simd::EIGENFORMER_TARGET;

template <class T>
Index depthwise_lanes() {
  return Vec<T>::lanes;
}

/// Pixels come in eights and, at the end of a row, four: so many columns are computed.
EIGENFORMER_INLINE Index computed_columns(Index columns) { return (columns + 3) / 4 * 4; }
EIGENFORMER_INLINE Index strip_rows(const DepthwiseStrip& strip) {
  return (strip.rows - 1) * strip.stride + strip.kernel;
}
EIGENFORMER_INLINE Index strip_width(const DepthwiseStrip& strip) {
  return (computed_columns(strip.columns) - 1) * strip.stride + strip.kernel;
}
template <class T>
Index depthwise_scratch(const DepthwiseStrip& strip) {
  return strip_rows(strip) * strip_width(strip) * Vec<T>::lanes;
}

/// Copies what a strip reads into `to` [strip_rows, strip_width, lanes], zeros where there is no pixel.
template <class T, class Lanes>
EIGENFORMER_INLINE void copy_strip(Lanes lanes, const DepthwiseImage<T>& x, const DepthwiseStrip& strip, T* to) {
  constexpr Index vector = Vec<T>::lanes;
  const Index width = strip_width(strip);
  const Index pad = strip.kernel / 2;
  const Index fitting = (width - pad - 1) / x.spacing + 1;
  const Index columns = x.width < fitting ? x.width : fitting;
  const Vec<T> zero = Vec<T>::zero();
  for (Index i = 0; i < strip_rows(strip); ++i, to += width * vector) {
    for (Index j = 0; j < width; ++j) zero.store(to + j * vector);
    const Index apart = strip.first * strip.stride + i - pad;
    if (apart < 0 || apart % x.spacing != 0 || apart / x.spacing >= x.height) continue;
    const T* const from = x.data + apart / x.spacing * x.row_stride;
    for (Index j = 0; j < columns; ++j) {
      lanes.load(from + j * x.pixel_stride).store(to + (pad + j * x.spacing) * vector);
    }
  }
}

/// The first `count` of `pixels` results.
template <int pixels, int stride, class T, class Lanes>
EIGENFORMER_INLINE void convolve_pixels(Lanes lanes, const T* x, Index width, const T* weight, Index kernel,
                                        Vec<T> bias, T* y, Index y_stride, Index count) {
  constexpr Index vector = Vec<T>::lanes;
  Vec<T> sum[pixels];
#pragma GCC unroll 8
  for (int p = 0; p < pixels; ++p) sum[p] = bias;
  for (Index u = 0; u < kernel; ++u, x += width * vector) {
    const T* at = x;
    for (Index v = 0; v < kernel; ++v, at += vector, weight += vector) {
      const Vec<T> w = Vec<T>::load(weight);
#pragma GCC unroll 8
      for (int p = 0; p < pixels; ++p) sum[p] = fma(Vec<T>::load(at + p * stride * vector), w, sum[p]);
    }
  }
#pragma GCC unroll 8
  for (int p = 0; p < pixels; ++p) {
    if (p < count) lanes.store(sum[p], y + p * y_stride);
  }
}

template <int stride, class T, class Lanes>
EIGENFORMER_INLINE void convolve_strip(Lanes lanes, const DepthwiseStrip& strip, const T* x, const T* weight,
                                       const T* bias, const DepthwisePixels<T>& y) {
  constexpr Index vector = Vec<T>::lanes;
  const Index width = strip_width(strip);
  const Vec<T> start = bias != nullptr ? Vec<T>::load(bias) : Vec<T>::zero();
  for (Index r = 0; r < strip.rows; ++r) {
    const T* const row = x + r * stride * width * vector;
    T* const to = y.data + r * y.row_stride;
    for (Index j = 0; j < strip.columns;) {
      const Index left = strip.columns - j;
      const T* const from = row + j * stride * vector;
      T* const at = to + j * y.pixel_stride;
      if (left > 4) {
        convolve_pixels<8, stride>(lanes, from, width, weight, strip.kernel, start, at, y.pixel_stride, left);
        j += 8;
      } else {
        convolve_pixels<4, stride>(lanes, from, width, weight, strip.kernel, start, at, y.pixel_stride, left);
        j += 4;
      }
    }
  }
}

template <class T, class Lanes>
EIGENFORMER_INLINE void depthwise_of(Lanes lanes, const DepthwiseImage<T>& x, const DepthwiseStrip& strip,
                                     const T* weight, const T* bias, const DepthwisePixels<T>& y, T* memory) {
  copy_strip(lanes, x, strip, memory);
  if (strip.stride == 1) {
    convolve_strip<1>(lanes, strip, memory, weight, bias, y);
  } else {
    convolve_strip<2>(lanes, strip, memory, weight, bias, y);
  }
}
template <class T>
void depthwise(const DepthwiseImage<T>& x, const DepthwiseStrip& strip, const T* weight, const T* bias,
               const DepthwisePixels<T>& y, T* memory) {
  if (strip.channels == Vec<T>::lanes) {
    depthwise_of(AllLanes<T>(), x, strip, weight, bias, y, memory);
  } else {
    depthwise_of(FirstLanes<T>{first_lanes<T>(strip.channels)}, x, strip, weight, bias, y, memory);
  }
}

/// dweight of `taps` adjacent places in a row of the kernel; `x` is the first pixel that the first of them meets.
template <int taps, class T, class Lanes>
EIGENFORMER_INLINE void add_taps(Lanes lanes, const DepthwiseStrip& strip, const T* x,
                                 const DepthwisePixels<const T>& dy, T* dweight) {
  constexpr Index vector = Vec<T>::lanes;
  const Index width = strip_width(strip);
  Vec<T> sum[taps];
#pragma GCC unroll 8
  for (int t = 0; t < taps; ++t) sum[t] = Vec<T>::zero();
  for (Index r = 0; r < strip.rows; ++r) {
    const T* at = x + r * strip.stride * width * vector;
    const T* gradient = dy.data + r * dy.row_stride;
    for (Index j = 0; j < strip.columns; ++j, at += strip.stride * vector, gradient += dy.pixel_stride) {
      const Vec<T> g = lanes.load(gradient);
#pragma GCC unroll 8
      for (int t = 0; t < taps; ++t) sum[t] = fma(Vec<T>::load(at + t * vector), g, sum[t]);
    }
  }
#pragma GCC unroll 8
  for (int t = 0; t < taps; ++t) (Vec<T>::load(dweight + t * vector) + sum[t]).store(dweight + t * vector);
}

template <class T, class Lanes>
EIGENFORMER_INLINE void depthwise_backward_weight_of(Lanes lanes, const DepthwiseImage<T>& x,
                                                     const DepthwiseStrip& strip, const DepthwisePixels<const T>& dy,
                                                     T* dweight, T* memory) {
  constexpr Index vector = Vec<T>::lanes;
  copy_strip(lanes, x, strip, memory);
  for (Index u = 0; u < strip.kernel; ++u) {
    const T* const row = memory + u * strip_width(strip) * vector;
    T* const to = dweight + u * strip.kernel * vector;
    Index v = 0;
    for (; v + 5 <= strip.kernel; v += 5) add_taps<5>(lanes, strip, row + v * vector, dy, to + v * vector);
    for (; v + 3 <= strip.kernel; v += 3) add_taps<3>(lanes, strip, row + v * vector, dy, to + v * vector);
    for (; v < strip.kernel; ++v) add_taps<1>(lanes, strip, row + v * vector, dy, to + v * vector);
  }
}
template <class T>
void depthwise_backward_weight(const DepthwiseImage<T>& x, const DepthwiseStrip& strip,
                               const DepthwisePixels<const T>& dy, T* dweight, T* memory) {
  if (strip.channels == Vec<T>::lanes) {
    depthwise_backward_weight_of(AllLanes<T>(), x, strip, dy, dweight, memory);
  } else {
    depthwise_backward_weight_of(FirstLanes<T>{first_lanes<T>(strip.channels)}, x, strip, dy, dweight, memory);
  }
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET
