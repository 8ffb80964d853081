#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/block.hpp>

#include <array>
#include <cmath>

namespace eigenformer::inline EIGENFORMER_ABI {

/// The gain of Sub-LN's branches in a model that is nothing but `layers` encoder layers, or nothing but decoder layers
/// (Wang et al. 2022, "Foundation Transformers", figure 2): sqrt(ln 2N).    throws OptionError for layers below 1
inline double sub_norm_gain(Index layers) {
  require_positive(layers, "sub_norm_gain", "layers");
  return std::sqrt(std::log(2 * static_cast<double>(layers)));
}
/// Of the encoder's layers in a model with N encoder and M decoder layers: sqrt(ln 3M ln 2N / 3).
inline double sub_norm_encoder_gain(Index encoder_layers, Index decoder_layers) {
  require_positive(encoder_layers, "sub_norm_encoder_gain", "encoder_layers");
  require_positive(decoder_layers, "sub_norm_encoder_gain", "decoder_layers");
  return std::sqrt(std::log(3 * static_cast<double>(decoder_layers)) *
                   std::log(2 * static_cast<double>(encoder_layers)) / 3);
}
/// Of the decoder's layers in a model with an encoder and M decoder layers: sqrt(ln 3M).
inline double sub_norm_decoder_gain(Index decoder_layers) {
  require_positive(decoder_layers, "sub_norm_decoder_gain", "decoder_layers");
  return std::sqrt(std::log(3 * static_cast<double>(decoder_layers)));
}

/// Multiplies the weights that a layer's branches grow with, so that deep stacks start gently: attention's `value` and
/// `output` and the feed-forward's `up` and `down`. Queries and keys, gates, norms and biases stay as they are.
/// DeepNorm does it by itself; for Sub-LN it is `scale_branches(layer, sub_norm_gain(layers))`.
template <class Layer>
void scale_branches(Layer& layer, double gain) {
  const auto scale = [&](const std::array<std::string_view, 2>& projections) {
    return [&, projections]<class P>(const Name& name, P& parameter) {
      using Stored = typename P::Scalar;
      using Wide = std::conditional_t<HalfPrecision<Stored>, float, Stored>;
      const std::string text = name.str();
      const std::string_view first = std::string_view(text).substr(0, text.find('.'));
      if (P::rank != 2 || (first != projections[0] && first != projections[1])) return;
      for (Stored& value : parameter.values()) {
        value = rounded<Stored>(static_cast<Wide>(gain * static_cast<double>(widened<Wide>(value))));
      }
    };
  };
  layer.attention.visit_parameters(scale({"value", "output"}));
  layer.feed_forward.visit_parameters(scale({"up", "down"}));
}

}  // namespace eigenformer::inline EIGENFORMER_ABI
