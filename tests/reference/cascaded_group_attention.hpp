#pragma once
// SPDX-License-Identifier: MIT

#include "reference/channel_norm.hpp"
#include "reference/convolution.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

namespace reference {

/// A convolution without bias and the BatchNorm behind it.
template <class T>
struct ConvolutionNorm {
  Array<T> weight;    ///< [O, C / groups, k, k]
  Array<T> gain;      ///< [O]
  Array<T> shift;     ///< [O]
  Array<T> mean;      ///< [O], running
  Array<T> variance;  ///< [O], running
};

/// By which statistics the norms go.
enum class NormBy { running, batch };

template <class T>
Array<T> convolution_norm(const Array<T>& x, const ConvolutionNorm<T>& layer, const Convolution& how, T epsilon,
                          NormBy by) {
  const Array<T> convolved = convolution(x, layer.weight, Array<T>(), how).value;
  const long rows = convolved.rows(), channels = convolved.row_length();
  if (by == NormBy::running) {
    return channel_norm_by(convolved.reshaped({rows, channels}), layer.mean, layer.variance, layer.gain, layer.shift,
                           epsilon)
        .reshaped(convolved.shape);
  }
  return channel_norm(convolved.reshaped({1, rows, channels}), channels, layer.gain, layer.shift, epsilon)
      .y.reshaped(convolved.shape);
}

template <class T>
struct CascadedGroupAttention {
  std::vector<ConvolutionNorm<T>> qkvs;
  std::vector<ConvolutionNorm<T>> dws;
  ConvolutionNorm<T> proj;
  Array<T> biases;  ///< [heads, r r]
  T epsilon = T(1e-5);
};

/// Channels first .. first + count - 1.
template <class T>
Array<T> channels_of(const Array<T>& x, long first, long count) {
  Array<T> result({x.dimension(0), x.dimension(1), x.dimension(2), count});
  for (long n = 0; n < result.rows(); ++n) {
    for (long c = 0; c < count; ++c) result.data()[n * count + c] = x.data()[n * x.row_length() + first + c];
  }
  return result;
}

/// softmax(q k^T / sqrt(d) + bias) v between the pixels of each window (Liu et al. 2023, equations 2 and 3).
///   q, k: [windows, r, r, d]    v: [windows, r, r, dv]    bias: [heads, r r]
template <class T>
Array<T> attend_window(const Array<T>& q, const Array<T>& k, const Array<T>& v, const Array<T>& bias, long head) {
  const long side = q.dimension(1), pixels = side * side;
  Array<T> y(v.shape);
  for (long w = 0; w < q.dimension(0); ++w) {
    for (long from = 0; from < pixels; ++from) {
      std::vector<T> p(static_cast<std::size_t>(pixels));
      T largest = 0, sum = 0;
      for (long to = 0; to < pixels; ++to) {
        T score = 0;
        for (long e = 0; e < q.dimension(3); ++e) {
          score += q(w, from / side, from % side, e) * k(w, to / side, to % side, e);
        }
        const long down = std::abs(from / side - to / side), across = std::abs(from % side - to % side);
        score = score / std::sqrt(T(q.dimension(3))) + bias(head, down * side + across);
        p[static_cast<std::size_t>(to)] = score;
        largest = to == 0 ? score : std::max(largest, score);
      }
      for (T& score : p) sum += score = std::exp(score - largest);
      for (long to = 0; to < pixels; ++to) {
        for (long e = 0; e < v.dimension(3); ++e) {
          y(w, from / side, from % side, e) += p[static_cast<std::size_t>(to)] / sum * v(w, to / side, to % side, e);
        }
      }
    }
  }
  return y;
}

/// Cascaded group attention (Liu et al. 2023, section 3.2) of windows [windows, r, r, dim]: every head attends to its share
/// of the channels, to which what the head before gave is added.
template <class T>
Array<T> cascaded_group_attention(const Array<T>& x, const CascadedGroupAttention<T>& model, NormBy by) {
  const long heads = static_cast<long>(model.qkvs.size()), part = x.dimension(3) / heads;
  Array<T> all(x.shape), before;
  for (long h = 0; h < heads; ++h) {
    const auto at = static_cast<std::size_t>(h);
    Array<T> fed = channels_of(x, h * part, part);
    for (long i = 0; h > 0 && i < fed.size(); ++i) fed.data()[i] += before.data()[i];
    const Array<T> qkv = convolution_norm(fed, model.qkvs[at], {}, model.epsilon, by);
    const long key_dim = (qkv.dimension(3) - part) / 2, kernel = model.dws[at].weight.dimension(2);
    const Array<T> q =
        convolution_norm(channels_of(qkv, 0, key_dim), model.dws[at], {1, kernel / 2, key_dim}, model.epsilon, by);
    before = attend_window(q, channels_of(qkv, key_dim, key_dim), channels_of(qkv, 2 * key_dim, part), model.biases, h);
    for (long n = 0; n < before.rows(); ++n) {
      for (long c = 0; c < part; ++c) {
        all.data()[n * x.dimension(3) + h * part + c] = std::max(T(0), before.data()[n * part + c]);
      }
    }
  }
  return convolution_norm(all, model.proj, {}, model.epsilon, by);
}

}  // namespace reference
