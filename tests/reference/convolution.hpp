#pragma once
// SPDX-License-Identifier: MIT

#include "reference/array.hpp"

#include <cmath>
#include <vector>

namespace reference {

/// How a kernel moves over an image, zeros being around it.
struct Convolution {
  long stride = 1;
  long padding = 0;
  long groups = 1;

  long extent(long of, long kernel) const { return (of + 2 * padding - kernel) / stride + 1; }
};

template <class T>
struct Convolved {
  Array<T> value;      ///< [B, H', W', O]
  Array<T> magnitude;  ///< the same sums of absolute values
};
template <class T>
struct ConvolutionGradients {
  Array<T> dx;       ///< [B, H, W, C]
  Array<T> dweight;  ///< [O, C / groups, k, k]
  Array<T> dbias;    ///< [O]
  Array<T> dx_magnitude;
  Array<T> dweight_magnitude;
  Array<T> dbias_magnitude;
};

/// Calls body(b, i, j, o, y, x, c, place in the group, u, v) for every product of a convolution.
template <class T, class Body>
void for_each_product(const Array<T>& x, const Array<T>& weight, const Convolution& how, const Body& body) {
  const long kernel = weight.dimension(2), outputs = weight.dimension(0), depth = weight.dimension(1);
  for (long b = 0; b < x.dimension(0); ++b) {
    for (long i = 0; i < how.extent(x.dimension(1), kernel); ++i) {
      for (long j = 0; j < how.extent(x.dimension(2), weight.dimension(3)); ++j) {
        for (long o = 0; o < outputs; ++o) {
          for (long d = 0; d < depth; ++d) {
            for (long u = 0; u < kernel; ++u) {
              for (long v = 0; v < weight.dimension(3); ++v) {
                const long row = i * how.stride + u - how.padding, column = j * how.stride + v - how.padding;
                if (row < 0 || row >= x.dimension(1) || column < 0 || column >= x.dimension(2)) continue;
                body(b, i, j, o, row, column, o / (outputs / how.groups) * depth + d, d, u, v);
              }
            }
          }
        }
      }
    }
  }
}

/// y[b, i, j, o] = bias[o] + sum_{c, u, v} weight[o, c, u, v] x[b, s i + u - p, s j + v - p, c], c over the channels of
/// o's group; PyTorch's conv2d, channels last. An empty bias is none.
template <class T>
Convolved<T> convolution(const Array<T>& x, const Array<T>& weight, const Array<T>& bias, const Convolution& how) {
  const std::vector<long> shape = {x.dimension(0), how.extent(x.dimension(1), weight.dimension(2)),
                                   how.extent(x.dimension(2), weight.dimension(3)), weight.dimension(0)};
  Convolved<T> result{Array<T>(shape), Array<T>(shape)};
  for (long n = 0; !bias.empty() && n < result.value.rows(); ++n) {
    for (long o = 0; o < weight.dimension(0); ++o) {
      result.value.values[static_cast<std::size_t>(n * weight.dimension(0) + o)] = bias(o);
      result.magnitude.values[static_cast<std::size_t>(n * weight.dimension(0) + o)] = std::abs(bias(o));
    }
  }
  for_each_product(x, weight, how, [&](long b, long i, long j, long o, long y, long z, long c, long d, long u, long v) {
    result.value(b, i, j, o) += weight(o, d, u, v) * x(b, y, z, c);
    result.magnitude(b, i, j, o) += std::abs(weight(o, d, u, v) * x(b, y, z, c));
  });
  return result;
}

/// Each product of the sum gives its share to what it was made of.
template <class T>
ConvolutionGradients<T> convolution_backward(const Array<T>& x, const Array<T>& weight, const Convolution& how,
                                             const Array<T>& dy) {
  const std::vector<long> outputs = {weight.dimension(0)};
  ConvolutionGradients<T> result{Array<T>(x.shape), Array<T>(weight.shape), Array<T>(outputs),
                                 Array<T>(x.shape), Array<T>(weight.shape), Array<T>(outputs)};
  for_each_product(x, weight, how, [&](long b, long i, long j, long o, long y, long z, long c, long d, long u, long v) {
    result.dx(b, y, z, c) += weight(o, d, u, v) * dy(b, i, j, o);
    result.dx_magnitude(b, y, z, c) += std::abs(weight(o, d, u, v) * dy(b, i, j, o));
    result.dweight(o, d, u, v) += x(b, y, z, c) * dy(b, i, j, o);
    result.dweight_magnitude(o, d, u, v) += std::abs(x(b, y, z, c) * dy(b, i, j, o));
  });
  for (long n = 0; n < dy.rows(); ++n) {
    for (long o = 0; o < weight.dimension(0); ++o) {
      const T value = dy.values[static_cast<std::size_t>(n * weight.dimension(0) + o)];
      result.dbias(o) += value;
      result.dbias_magnitude(o) += std::abs(value);
    }
  }
  return result;
}

/// [B, C, H, W], as PyTorch has images -> [B, H, W, C].
template <class T>
Array<T> channels_last(const Array<T>& x) {
  Array<T> result({x.dimension(0), x.dimension(2), x.dimension(3), x.dimension(1)});
  for (long b = 0; b < x.dimension(0); ++b) {
    for (long c = 0; c < x.dimension(1); ++c) {
      for (long i = 0; i < x.dimension(2); ++i) {
        for (long j = 0; j < x.dimension(3); ++j) result(b, i, j, c) = x(b, c, i, j);
      }
    }
  }
  return result;
}

}  // namespace reference
