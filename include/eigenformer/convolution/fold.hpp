#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/convolution/convolution.hpp>
#include <eigenformer/convolution/depthwise_convolution.hpp>
#include <eigenformer/convolution/normed.hpp>
#include <eigenformer/linear/fold.hpp>

namespace eigenformer::inline EIGENFORMER_ABI {

namespace detail {

/// norm(previous(x)) of inference, for a convolution whose weight has the outputs first, computed in double:
/// weight[o] gain[o], bias[o] gain[o] + shift[o].
template <class Convolution_, class T>
Convolution_ fold_into_convolution(const Convolution_& previous, const BatchNorm<T>& norm) {
  const Index outputs = previous.output_features();
  require(outputs == norm.input_features(), "fold", "expected a convolution of ", norm.input_features(),
          " output channels, got a weight of shape ", previous.weight.shape());
  const FeatureMap map = map_of(norm);
  Convolution_ folded = previous;
  if (!folded.bias) folded.bias.emplace(Vector<T>(Vector<T>::Zero(outputs)));
  const Index size = previous.weight.size() / outputs;
  for (Index o = 0; o < outputs; ++o) {
    const double gain = map.gain[static_cast<std::size_t>(o)];
    T& bias = folded.bias->value[o];
    bias = static_cast<T>(static_cast<double>(bias) * gain + map.shift[static_cast<std::size_t>(o)]);
    for (Index i = o * size; i < (o + 1) * size; ++i) {
      T& weight = folded.weight.value.data()[i];
      weight = static_cast<T>(static_cast<double>(weight) * gain);
    }
  }
  return folded;
}

}  // namespace detail

/// norm(previous(x)) of inference as one convolution.
///   throws ShapeError if the channels differ, ValueError for running statistics that no deviation comes from
template <class T>
DepthwiseConvolution<T> fold(const DepthwiseConvolution<T>& previous, const BatchNorm<T>& norm) {
  return detail::fold_into_convolution(previous, norm);
}
/// The same for one of all channels.
template <class T>
Convolution<T> fold(const Convolution<T>& previous, const BatchNorm<T>& norm) {
  return detail::fold_into_convolution(previous, norm);
}

/// A projection and its norm, as in inference, as one projection. Errors as above.
template <class Projection_>
Projection_ fold(const Normed<Projection_>& normed) {
  return fold(normed.projection, normed.norm);
}

}  // namespace eigenformer::inline EIGENFORMER_ABI
