#pragma once
// SPDX-License-Identifier: MIT

#include "reference/encoder_decoder.hpp"

namespace reference {

template <class T>
struct Gpt3Weights {
  Array<T> embedding;  ///< [V, D], the output too
  Array<T> positions;  ///< [L, D]
  std::vector<EncoderLayerWeights<T>> layers;
  NormWeights<T> norm;
};

/// Logits of every position: h = E[token] + P[position]; layers h + attention(norm(h)), then h + feed_forward(norm(h)) with
/// GELU; the first, third, … of them causal, the second, fourth, … with the last `bandwidth` keys alone (Radford et al.
/// 2019, section 2.3; Brown et al. 2020, section 2.1).   tokens: B rows of S   returns [B, S, V]
template <class T>
Array<T> gpt3(const std::vector<std::vector<long>>& tokens, const Gpt3Weights<T>& w, long heads, long bandwidth) {
  const long batch = static_cast<long>(tokens.size()), length = static_cast<long>(tokens.at(0).size());
  const long dim = w.embedding.dimension(1);
  Array<T> h({batch, length, dim});
  for (long b = 0; b < batch; ++b) {
    for (long s = 0; s < length; ++s) {
      const long token = tokens.at(static_cast<std::size_t>(b)).at(static_cast<std::size_t>(s));
      for (long d = 0; d < dim; ++d) h(b, s, d) = w.embedding(token, d) + w.positions(s, d);
    }
  }
  for (std::size_t i = 0; i < w.layers.size(); ++i) {
    const EncoderLayerWeights<T>& layer = w.layers[i];
    AttentionModuleOptions options{.heads = heads, .kv_heads = heads};
    options.attention.mask = [=](long, long query, long key) {
      return key <= query && (i % 2 == 0 || query - key < bandwidth);
    };
    h = residual_branch(h, layer.attention_norm, NormPlace::before,
                        [&](const Array<T>& x) { return multi_head_attention(x, x, layer.attention, options); });
    h = residual_branch(h, layer.feed_forward_norm, NormPlace::before,
                        [&](const Array<T>& x) { return feed_forward(x, layer.up, layer.down, gelu_tanh<T>); });
  }
  return linear(w.norm(h), w.embedding).value;
}

}  // namespace reference
