#pragma once
// SPDX-License-Identifier: MIT

#include "reference/encoder_decoder.hpp"
#include "support/golden.hpp"

#include <eigenformer/attention/multi_head_attention.hpp>
#include <eigenformer/block/cross_layer.hpp>
#include <eigenformer/block/feed_forward.hpp>
#include <eigenformer/norm/layer_norm.hpp>

#include <string>

// What the tests of encoder-decoders share: weights as the reference reads them, and from PyTorch's checkpoints.
namespace cross {

namespace ef = eigenformer;
using ef::Index;

template <class T>
reference::Projection<double> weights_of(const ef::Linear<T>& linear) {
  reference::Projection<double> result = {
      reference::widened(linear.weight.value.data(), {linear.output_features(), linear.input_features()}), {}};
  if (linear.bias) result.bias = reference::widened(linear.bias->value.data(), {linear.bias->size()});
  return result;
}
template <class Attention>
reference::AttentionWeights<double> attention_weights(const Attention& a) {
  return {weights_of(a.query), weights_of(a.key), weights_of(a.value), weights_of(a.output)};
}
template <class T>
reference::NormWeights<double> weights_of(const ef::LayerNorm<T>& norm) {
  return {reference::widened(norm.weight.value.data(), {norm.weight.size()}),
          reference::widened(norm.bias->value.data(), {norm.bias->size()}), norm.epsilon};
}
template <class T>
reference::NormWeights<double> weights_of(const ef::NoNorm<T>&) {
  return {};
}
template <class Layer>
reference::EncoderLayerWeights<double> encoder_layer_weights(const Layer& layer) {
  return {attention_weights(layer.attention), weights_of(layer.attention_norm), weights_of(layer.feed_forward.up),
          weights_of(layer.feed_forward.down), weights_of(layer.feed_forward_norm)};
}
template <class Layer>
reference::CrossLayerWeights<double> cross_layer_weights(const Layer& layer) {
  return {encoder_layer_weights(layer), attention_weights(layer.cross_attention),
          weights_of(layer.cross_attention_norm)};
}

/// Our name for a parameter of PyTorch's nn.Transformer, and where in the packed tensor it begins.
struct TheirName {
  std::string tensor;
  Index first_row = 0;
};

/// PyTorch packs query, key and value one below the other. norm2 of an encoder's layer is that of the feed-forward, of a
/// decoder's that of the cross-attention.
inline TheirName their_name(const std::string& ours, Index dim, bool crosses) {
  const auto replaced = [](std::string text, const std::string& what, const std::string& by) {
    const std::size_t at = text.find(what);
    return at == std::string::npos ? text : text.replace(at, what.size(), by);
  };
  TheirName result{ours};
  const std::string parts[] = {"query", "key", "value"};
  for (Index i = 0; i < 3; ++i) {
    const std::string& part = parts[i];
    if (result.tensor.find("." + part + ".") == std::string::npos) continue;
    result.tensor = replaced(result.tensor, "." + part + ".weight", ".in_proj_weight");
    result.tensor = replaced(result.tensor, "." + part + ".bias", ".in_proj_bias");
    result.first_row = i * dim;
  }
  result.tensor = replaced(result.tensor, "cross_attention_norm", "norm2");
  result.tensor = replaced(result.tensor, "attention_norm", "norm1");
  result.tensor = replaced(result.tensor, "feed_forward_norm", crosses ? "norm3" : "norm2");
  result.tensor = replaced(result.tensor, "cross_attention", "multihead_attn");
  result.tensor = replaced(result.tensor, "attention", "self_attn");
  result.tensor = replaced(result.tensor, "output", "out_proj");
  result.tensor = replaced(result.tensor, "feed_forward.up", "linear1");
  result.tensor = replaced(result.tensor, "feed_forward.down", "linear2");
  return result;
}

}  // namespace cross
