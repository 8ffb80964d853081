#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/shape.hpp>

#include <cmath>

namespace eigenformer::inline EIGENFORMER_ABI {

/// Sizes and constants of an EncoderDecoder; by default those of the base model of Vaswani et al. 2017, table 3.
struct EncoderDecoderOptions {
  Index vocabulary = 0;
  Index dim = 512;
  Index encoder_layers = 6;  ///< layers that read the source
  Index decoder_layers = 6;  ///< layers that write the target
  Index heads = 8;
  Index hidden = 4 * dim;  ///< inside the feed-forward blocks
  double epsilon = 1e-5;   ///< of the norms
  /// of the first embedding weights, which are normal; multiplied by sqrt(dim) they have deviation 1
  double embedding_deviation = 1 / std::sqrt(static_cast<double>(dim));
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
