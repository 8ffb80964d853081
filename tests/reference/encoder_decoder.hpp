#pragma once
// SPDX-License-Identifier: MIT

#include "reference/model.hpp"

#include <cmath>
#include <vector>

namespace reference {

template <class T>
struct NormWeights {
  Array<T> weight;  ///< [D]; empty is no norm
  Array<T> bias;    ///< [D]
  T epsilon = T(1e-5L);
  Array<T> operator()(const Array<T>& x) const { return weight.empty() ? x : layer_norm(x, weight, bias, epsilon).y; }
};

template <class T>
struct EncoderLayerWeights {
  AttentionWeights<T> attention;
  NormWeights<T> attention_norm;
  Projection<T> up;
  Projection<T> down;
  NormWeights<T> feed_forward_norm;
};

template <class T>
struct CrossLayerWeights {
  EncoderLayerWeights<T> own;
  AttentionWeights<T> cross_attention;
  NormWeights<T> cross_attention_norm;
};

/// Where a layer's norms stand: behind the residual sums (Vaswani et al. 2017) or before the branches.
enum class NormPlace { after, before };

/// norm(x + f(x)) or x + f(norm(x)).
template <class T, class Branch>
Array<T> residual_branch(const Array<T>& x, const NormWeights<T>& norm, NormPlace place, const Branch& f) {
  return place == NormPlace::after ? norm(sum(x, f(x))) : sum(x, f(norm(x)));
}

template <class T>
Array<T> encoder_layer(const Array<T>& x, const EncoderLayerWeights<T>& w, const AttentionModuleOptions& options,
                       NormPlace place) {
  const Array<T> h = residual_branch(
      x, w.attention_norm, place, [&](const Array<T>& a) { return multi_head_attention(a, a, w.attention, options); });
  return residual_branch(h, w.feed_forward_norm, place,
                         [&](const Array<T>& a) { return feed_forward(a, w.up, w.down, relu<T>); });
}

/// `own` and `cross` say heads and masks of the two attentions.
template <class T>
Array<T> cross_layer(const Array<T>& x, const Array<T>& memory, const CrossLayerWeights<T>& w,
                     const AttentionModuleOptions& own, const AttentionModuleOptions& cross, NormPlace place) {
  Array<T> h = residual_branch(x, w.own.attention_norm, place,
                               [&](const Array<T>& a) { return multi_head_attention(a, a, w.own.attention, own); });
  h = residual_branch(h, w.cross_attention_norm, place,
                      [&](const Array<T>& a) { return multi_head_attention(a, memory, w.cross_attention, cross); });
  return residual_branch(h, w.own.feed_forward_norm, place,
                         [&](const Array<T>& a) { return feed_forward(a, w.own.up, w.own.down, relu<T>); });
}

template <class T>
struct EncoderDecoderWeights {
  Array<T> embedding;  ///< [V, D]
  std::vector<EncoderLayerWeights<T>> encoder;
  NormWeights<T> encoder_norm;
  std::vector<CrossLayerWeights<T>> decoder;
  NormWeights<T> decoder_norm;
};

/// sqrt(D) E[token] + PE(position)  (Vaswani et al. 2017, sections 3.4 and 3.5).
template <class T>
Array<T> embedded(const std::vector<std::vector<long>>& tokens, const Array<T>& embedding) {
  const long length = static_cast<long>(tokens.at(0).size()), dim = embedding.dimension(1);
  const Array<T> positions = sinusoidal_positions<T>(length, dim);
  Array<T> h({static_cast<long>(tokens.size()), length, dim});
  for (long b = 0; b < h.dimension(0); ++b) {
    for (long s = 0; s < length; ++s) {
      const long token = tokens.at(static_cast<std::size_t>(b)).at(static_cast<std::size_t>(s));
      for (long d = 0; d < dim; ++d) h(b, s, d) = std::sqrt(T(dim)) * embedding(token, d) + positions(s, d);
    }
  }
  return h;
}

/// Logits of every position of the target.   source: B rows of S   target: B rows of L   lengths: of the sources
template <class T>
Array<T> encoder_decoder(const std::vector<std::vector<long>>& source, const std::vector<std::vector<long>>& target,
                         const std::vector<long>& lengths, const EncoderDecoderWeights<T>& w, long heads) {
  AttentionModuleOptions padded{.heads = heads, .kv_heads = heads};
  padded.attention.mask = padding_mask(lengths);
  AttentionModuleOptions causal = padded;
  causal.attention.mask = causal_mask(0);
  Array<T> memory = embedded(source, w.embedding);
  for (const auto& layer : w.encoder) memory = encoder_layer(memory, layer, padded, NormPlace::after);
  memory = w.encoder_norm(memory);
  Array<T> h = embedded(target, w.embedding);
  for (const auto& layer : w.decoder) h = cross_layer(h, memory, layer, causal, padded, NormPlace::after);
  return linear(w.decoder_norm(h), w.embedding).value;
}

}  // namespace reference
