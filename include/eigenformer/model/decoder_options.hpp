#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/attention/attention_options.hpp>

namespace eigenformer::inline EIGENFORMER_ABI {

/// Sizes and constants of a Decoder.
struct DecoderOptions {
  Index vocabulary = 0;
  Index dim = 0;
  Index layers = 1;
  Index heads = 1;
  Index kv_heads = heads;
  /// features of a head; dim / heads unless given
  Index head_dim = detail::equal_share(dim, heads);
  Index hidden = 4 * dim;          ///< inside the feed-forward blocks
  bool attention_bias = false;     ///< of all four projections
  bool feed_forward_bias = false;  ///< of all three projections
  double rope_base = 10000;
  double epsilon = 1e-5;              ///< of the norms
  double embedding_deviation = 0.02;  ///< of the first embedding weights, which are normal
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
