#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/attention/score_bias.hpp>
#include <eigenformer/core/check.hpp>
#include <eigenformer/core/random.hpp>
#include <eigenformer/norm/no_norm.hpp>

#include <string_view>

namespace eigenformer::inline EIGENFORMER_ABI::detail {

/// A projection with a bias if attention's options say so.
template <class Projection, class Options>
Projection make_projection(const Options& options, Index in, Index out, Random& random) {
  typename Projection::Options chosen;
  chosen.in_features = in;
  chosen.out_features = out;
  chosen.bias = options.bias;
  return Projection(chosen, random.split());
}

template <class Projection>
void require_projection(const Projection& part, Index in, Index out, std::string_view block, std::string_view name) {
  require(part.input_features() == in && part.output_features() == out, block, "expected ", name, " to map ", in,
          " to ", out, " features, got ", part.input_features(), " to ", part.output_features());
}

/// Throws ShapeError, in the name of the block, unless the parts of an attention, which are public and may have been
/// replaced, fit its options.
template <class Attention>
void require_attention_parts(const Attention& a) {
  using T = typename Attention::Scalar;
  const auto& o = a.options;
  require_projection(a.query, o.dim, o.heads * o.head_dim, a.block, "query");
  require_projection(a.key, o.memory_dim, o.kv_heads * o.head_dim, a.block, "key");
  require_projection(a.value, o.memory_dim, o.kv_heads * o.value_dim, a.block, "value");
  require_projection(a.output, o.heads * o.value_dim, o.dim, a.block, "output");
  if constexpr (HasDistanceBiases<decltype(a.position), T>) {
    require(a.position.heads() == o.heads, a.block, "expected position of ", o.heads, " heads, got ",
            a.position.heads());
  }
  require(!a.sinks || a.sinks->size() == o.heads, a.block, "expected sinks of ", o.heads, " heads, got ",
          a.sinks ? a.sinks->size() : 0);
  require_norm_over(o.head_dim, a.query_norm, a.block, "query_norm");
  require_norm_over(o.head_dim, a.key_norm, a.block, "key_norm");
  require_norm_over(o.heads * o.value_dim, a.inner_norm, a.block, "inner_norm");
}

/// Throws ShapeError unless a key/value cache is one of this self-attention and of that many sequences.
///   stored: [batch, kv_heads, head_dim, value_dim] of the cache
template <class Attention>
void require_stored_like(const Attention& a, const Shape& stored, Index batch) {
  const auto& o = a.options;
  require(o.memory_dim == o.dim, a.block, "expected memory_dim equal to dim for self-attention, got ", o.memory_dim,
          " and ", o.dim);
  require_shape({batch, o.kv_heads, o.head_dim, o.value_dim}, stored, a.block,
                "a key/value cache [batch, kv_heads, head_dim, value_dim]");
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::detail
