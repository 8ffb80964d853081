#pragma once
// SPDX-License-Identifier: MIT

#include "reference/array.hpp"

#include <cmath>
#include <vector>

namespace reference {

/// One number for each of `groups` in each of `items`, or for each channel.
template <class T>
struct ChannelNormalised {
  Array<T> y;         ///< [items, rows, C]
  Array<T> mean;      ///< [items, groups]
  Array<T> variance;  ///< [items, groups], biased
};
template <class T>
struct ChannelGradients {
  Array<T> dx;       ///< [items, rows, C]
  Array<T> dweight;  ///< [C]
  Array<T> dbias;    ///< [C]
};

/// Which rows of [items, rows] count; empty for all.
using Counted = std::vector<bool>;

/// y = (x - mean) / sqrt(variance + epsilon) weight + bias, with mean and biased variance over the rows that count and
/// the C / groups adjacent channels of a group, for each item alone. One item and C groups are BatchNorm (Ioffe & Szegedy
/// 2015), else it is GroupNorm (Wu & He 2018). Rows that do not count give zeros.
template <class T>
ChannelNormalised<T> channel_norm(const Array<T>& x, long groups, const Array<T>& weight, const Array<T>& bias,
                                  T epsilon, const Counted& counted = {}) {
  const long items = x.dimension(0), rows = x.dimension(1), channels = x.dimension(2), width = channels / groups;
  const auto counts = [&](long b, long n) { return counted.empty() || counted[std::size_t(b * rows + n)]; };
  ChannelNormalised<T> result{Array<T>(x.shape), Array<T>({items, groups}), Array<T>({items, groups})};
  for (long b = 0; b < items; ++b) {
    for (long g = 0; g < groups; ++g) {
      T count = 0, mean = 0, variance = 0;
      for (long n = 0; n < rows; ++n) count += counts(b, n) ? T(width) : T(0);
      for (long n = 0; n < rows; ++n) {
        for (long c = g * width; c < (g + 1) * width; ++c) mean += counts(b, n) ? x(b, n, c) / count : T(0);
      }
      for (long n = 0; n < rows; ++n) {
        for (long c = g * width; c < (g + 1) * width; ++c) {
          if (counts(b, n)) variance += (x(b, n, c) - mean) * (x(b, n, c) - mean) / count;
        }
      }
      result.mean(b, g) = mean;
      result.variance(b, g) = variance;
      for (long n = 0; n < rows; ++n) {
        for (long c = g * width; c < (g + 1) * width; ++c) {
          if (counts(b, n))
            result.y(b, n, c) = (x(b, n, c) - mean) / std::sqrt(variance + epsilon) * weight(c) + bias(c);
        }
      }
    }
  }
  return result;
}

/// By the chain rule through mean and variance (Ioffe & Szegedy 2015, section 3), term by term.
template <class T>
ChannelGradients<T> channel_norm_backward(const Array<T>& x, long groups, const Array<T>& weight, T epsilon,
                                          const Array<T>& dy, const Counted& counted = {}) {
  const long items = x.dimension(0), rows = x.dimension(1), channels = x.dimension(2), width = channels / groups;
  const auto counts = [&](long b, long n) { return counted.empty() || counted[std::size_t(b * rows + n)]; };
  const auto forward =
      channel_norm(x, groups, Array<T>({channels}, T(1)), Array<T>({channels}, T(0)), epsilon, counted);
  ChannelGradients<T> gradients{Array<T>(x.shape), Array<T>({channels}), Array<T>({channels})};
  for (long b = 0; b < items; ++b) {
    for (long g = 0; g < groups; ++g) {
      const T mean = forward.mean(b, g);
      const T deviation = std::sqrt(forward.variance(b, g) + epsilon);
      T count = 0, dvariance = 0, dmean = 0;
      for (long n = 0; n < rows; ++n) {
        if (!counts(b, n)) continue;
        count += T(width);
        for (long c = g * width; c < (g + 1) * width; ++c) {
          const T dz = dy(b, n, c) * weight(c);
          dvariance += dz * (x(b, n, c) - mean) / (-2 * deviation * deviation * deviation);
          dmean -= dz / deviation;  // sum of x - mean is zero, so the variance has no part in it
          gradients.dweight(c) += dy(b, n, c) * forward.y(b, n, c);
          gradients.dbias(c) += dy(b, n, c);
        }
      }
      for (long n = 0; n < rows; ++n) {
        if (!counts(b, n)) continue;
        for (long c = g * width; c < (g + 1) * width; ++c) {
          const T dz = dy(b, n, c) * weight(c);
          gradients.dx(b, n, c) = dz / deviation + dvariance * 2 * (x(b, n, c) - mean) / count + dmean / count;
        }
      }
    }
  }
  return gradients;
}

/// y = (x - mean) / sqrt(variance + epsilon) weight + bias with given statistics.   x: [rows, C]
template <class T>
Array<T> channel_norm_by(const Array<T>& x, const Array<T>& mean, const Array<T>& variance, const Array<T>& weight,
                         const Array<T>& bias, T epsilon) {
  Array<T> y(x.shape);
  for (long n = 0; n < x.dimension(0); ++n) {
    for (long c = 0; c < x.dimension(1); ++c) {
      y(n, c) = (x(n, c) - mean(c)) / std::sqrt(variance(c) + epsilon) * weight(c) + bias(c);
    }
  }
  return y;
}

/// PyTorch's running statistics: (1 - share) running + share batch, the batch's variance unbiased; share is the momentum,
/// or one over the number of batches for the cumulative average.
template <class T>
T running_average(T running, T batch, T share) {
  return (1 - share) * running + share * batch;
}

}  // namespace reference
