#pragma once
// SPDX-License-Identifier: MIT

#include "reference/activations.hpp"
#include "reference/array.hpp"
#include "reference/attention.hpp"
#include "reference/gemm.hpp"
#include "reference/norm.hpp"
#include "reference/rotary.hpp"

#include <cstddef>
#include <functional>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

namespace reference {

template <class T>
Array<T> sum(Array<T> a, const Array<T>& b) {
  if (a.shape != b.shape) throw std::invalid_argument("reference::sum: shapes differ");
  for (long i = 0; i < a.size(); ++i) a.data()[i] += b.data()[i];
  return a;
}

/// A projection's weight [out, in] and bias [out], which may be empty.
template <class T>
struct Projection {
  Array<T> weight;
  Array<T> bias;
  Array<T> operator()(const Array<T>& x) const { return linear(x, weight, bias).value; }
};

template <class T>
struct AttentionWeights {
  Projection<T> query;   ///< [H dk, D]
  Projection<T> key;     ///< [Hkv dk, D_context]
  Projection<T> value;   ///< [Hkv dv, D_context]
  Projection<T> output;  ///< [D, H dv]
  /// Norms of rows: of every head of queries and keys before they turn, and of all heads side by side before `output`.
  /// None where empty.
  std::function<Array<T>(const Array<T>&)> query_norm = {}, key_norm = {}, inner_norm = {};
};

struct AttentionModuleOptions {
  long heads = 1;
  long kv_heads = 1;
  AttentionOptions attention = {};
  std::optional<RotaryOptions> rotary = {};  ///< turns queries and keys; its offset is the position of both first rows
};

/// y = concat_h(attention(x Wq, c Wk, c Wv)) Wo  (Vaswani et al. 2017, section 3.2.2; Ainslie et al. 2023 for
/// kv_heads < heads). Heads are consecutive runs of columns.
///   x: [B, S, D]   context c: [B, T, D_context] (x itself for self-attention)   returns [B, S, D]
template <class T>
Array<T> multi_head_attention(const Array<T>& x, const Array<T>& context, const AttentionWeights<T>& weights,
                              const AttentionModuleOptions& options) {
  const auto split = [](const Array<T>& rows, long heads) {
    return rows.reshaped({rows.dimension(0), rows.dimension(1), heads, rows.dimension(2) / heads});
  };
  Array<T> q = split(weights.query(x), options.heads);
  Array<T> k = split(weights.key(context), options.kv_heads);
  const Array<T> v = split(weights.value(context), options.kv_heads);
  if (weights.query_norm) q = weights.query_norm(q);
  if (weights.key_norm) k = weights.key_norm(k);
  if (options.rotary) {
    q = rotary(q, *options.rotary);
    k = rotary(k, *options.rotary);
  }
  const Array<T> attended = attention(q, k, v, options.attention).out;
  const Array<T> heads =
      attended.reshaped({attended.dimension(0), attended.dimension(1), options.heads * attended.dimension(3)});
  return weights.output(weights.inner_norm ? weights.inner_norm(heads) : heads);
}

/// down(f(up(x)))  (Vaswani et al. 2017, equation 2).
template <class T>
Array<T> feed_forward(const Array<T>& x, const Projection<T>& up, const Projection<T>& down, T (*activation)(T)) {
  Array<T> hidden = up(x);
  for (T& number : hidden.values) number = activation(number);
  return down(hidden);
}

template <class T>
struct GatedWeights {
  Projection<T> gate;  ///< [hidden, D]
  Projection<T> up;    ///< [hidden, D]
  Projection<T> down;  ///< [D, hidden]
};

/// down(f(gate(x)) * up(x))  (Shazeer 2020, equation 6).
template <class T>
Array<T> gated_feed_forward(const Array<T>& x, const GatedWeights<T>& weights, T (*activation)(T)) {
  Array<T> hidden = weights.gate(x);
  const Array<T> up = weights.up(x);
  for (long i = 0; i < hidden.size(); ++i) hidden.data()[i] = activation(hidden.data()[i]) * up.data()[i];
  return weights.down(hidden);
}

template <class T>
struct DecoderBlockWeights {
  Array<T> attention_norm;  ///< [D]
  AttentionWeights<T> attention;
  Array<T> feed_forward_norm;  ///< [D]
  GatedWeights<T> feed_forward;
};

/// h = x + attention(RmsNorm(x)),  y = h + gated_feed_forward(RmsNorm(h)) with SiLU  (Touvron et al. 2023,
/// section 2.2). The mask is the caller's.   x, y: [B, S, D]
template <class T>
Array<T> decoder_block(const Array<T>& x, const DecoderBlockWeights<T>& weights, const AttentionModuleOptions& options,
                       T epsilon) {
  const Array<T> normed = rms_norm(x, weights.attention_norm, epsilon).y;
  const Array<T> h = sum(x, multi_head_attention(normed, normed, weights.attention, options));
  return sum(h, gated_feed_forward(rms_norm(h, weights.feed_forward_norm, epsilon).y, weights.feed_forward, silu<T>));
}

template <class T>
struct DecoderWeights {
  Array<T> embedding;  ///< [V, D], also the output projection if that is empty
  std::vector<DecoderBlockWeights<T>> layers;
  Array<T> final_norm;  ///< [D]
  Array<T> output;      ///< [V, D] or empty: tied to the embedding
};

/// Logits of every position, causal.   tokens: B rows of S   returns [B, S, V]
template <class T>
Array<T> decoder(const std::vector<std::vector<long>>& tokens, const DecoderWeights<T>& weights,
                 AttentionModuleOptions options, T epsilon) {
  const long batch = static_cast<long>(tokens.size());
  const long length = static_cast<long>(tokens.at(0).size());
  const long dim = weights.embedding.dimension(1);
  Array<T> x({batch, length, dim});
  for (long b = 0; b < batch; ++b) {
    for (long s = 0; s < length; ++s) {
      const long token = tokens.at(static_cast<std::size_t>(b)).at(static_cast<std::size_t>(s));
      for (long d = 0; d < dim; ++d) x(b, s, d) = weights.embedding(token, d);
    }
  }
  options.attention.mask = causal_mask(0);
  for (const DecoderBlockWeights<T>& layer : weights.layers) x = decoder_block(x, layer, options, epsilon);
  x = rms_norm(x, weights.final_norm, epsilon).y;
  return linear(x, weights.output.empty() ? weights.embedding : weights.output).value;
}

}  // namespace reference
