#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/convolution/depthwise_convolution.hpp>
#include <eigenformer/convolution/normed.hpp>
#include <eigenformer/linear/fold.hpp>

namespace eigenformer::inline EIGENFORMER_ABI {

/// norm(previous(x)) of inference as one convolution, computed in double: weight[c] gain[c], bias[c] gain[c] + shift[c].
///   throws ShapeError if the channels differ, ValueError for running statistics that no deviation comes from
template <class T>
DepthwiseConvolution<T> fold(const DepthwiseConvolution<T>& previous, const BatchNorm<T>& norm) {
  const Index channels = previous.output_features();
  require(channels == norm.input_features(), "fold", "expected a DepthwiseConvolution of ", norm.input_features(),
          " channels, got a weight of shape ", previous.weight.shape());
  const detail::FeatureMap map = detail::map_of(norm);
  DepthwiseConvolution<T> folded = previous;
  if (!folded.bias) folded.bias.emplace(Vector<T>(Vector<T>::Zero(channels)));
  const Index places = previous.kernel() * previous.kernel();
  for (Index c = 0; c < channels; ++c) {
    const double gain = map.gain[static_cast<std::size_t>(c)];
    T& bias = folded.bias->value[c];
    bias = static_cast<T>(static_cast<double>(bias) * gain + map.shift[static_cast<std::size_t>(c)]);
    for (Index i = 0; i < places; ++i) {
      T& weight = folded.weight.value.data()[c * places + i];
      weight = static_cast<T>(static_cast<double>(weight) * gain);
    }
  }
  return folded;
}

/// A projection and its norm, as in inference, as one projection. Errors as above.
template <class Projection_>
Projection_ fold(const Normed<Projection_>& normed) {
  return fold(normed.projection, normed.norm);
}

}  // namespace eigenformer::inline EIGENFORMER_ABI
