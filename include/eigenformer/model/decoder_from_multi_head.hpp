#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/attention/from_multi_head.hpp>
#include <eigenformer/model/decoder.hpp>

namespace eigenformer::inline EIGENFORMER_ABI {

/// The same model with fewer key/value heads in each layer's attention (Ainslie et al. 2023, "GQA", section 2.1), as
/// from_multi_head makes them of one attention; with RandomHeads every layer draws its own.
///   throws what from_multi_head of attention throws
/// @code
/// ef::LlamaDecoder<float> trained({.vocabulary = 97, .dim = 64, .layers = 2, .heads = 8}, ef::Random(42));
/// ef::LlamaDecoder<float> grouped = ef::from_multi_head(trained, {.kv_heads = 2});
/// @endcode
template <class T, class Layer, class... More>
Decoder<T, Layer, More...> from_multi_head(Decoder<T, Layer, More...> model, const HeadPoolingOptions& options) {
  HeadPoolingOptions of_layer = options;
  for (Layer& layer : model.layers.layers) {
    layer.attention = from_multi_head(layer.attention, of_layer);
    if (auto* const heads = std::get_if<RandomHeads>(&of_layer.pooling)) heads->random = heads->random.split();
  }
  visit_learnable(model, [](const Name&, auto& parameter) { parameter.gradient = {}; });
  return model;
}

}  // namespace eigenformer::inline EIGENFORMER_ABI
