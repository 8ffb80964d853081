#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/attention/sliding_window.hpp>
#include <eigenformer/block/alternating.hpp>
#include <eigenformer/model/decoder_options.hpp>
#include <eigenformer/position/learned.hpp>

namespace eigenformer::inline EIGENFORMER_ABI {

/// Sizes and constants of a Gpt3Decoder. The smallest model of the paper's table 2.1 is {.vocabulary = 50257, .dim = 768,
/// .layers = 12, .heads = 12}; how wide the bands are it does not say.
struct Gpt3Options {
  Index vocabulary = 0;
  Index dim = 0;
  Index layers = 1;
  Index heads = 1;
  Index hidden = 4 * dim;             ///< inside the feed-forward blocks
  Index max_length = 2048;            ///< positions there are vectors for
  Index bandwidth = 256;              ///< keys that a query of the banded layers attends to, its own among them
  double epsilon = 1e-5;              ///< of the norms
  double embedding_deviation = 0.02;  ///< of the first embedding weights, which are normal
  double position_deviation = 0.01;   ///< of the first vectors for positions, which are normal

  /// What the layers are made from: every head has keys and values of its own, all projections have biases.
  operator DecoderOptions() const {
    return {.vocabulary = vocabulary,
            .dim = dim,
            .layers = layers,
            .heads = heads,
            .hidden = hidden,
            .attention_bias = true,
            .feed_forward_bias = true,
            .epsilon = epsilon,
            .embedding_deviation = embedding_deviation};
  }
  /// What the vectors for positions are made from.
  LearnedPositionsOptions positions() const { return {max_length, dim, position_deviation}; }
  /// Dense layers and banded ones, in turn.   throws OptionError for a bandwidth below 1
  Alternating<Causal, LocalBanded> masks() const {
    require_positive(bandwidth, "Gpt3Decoder", "bandwidth");
    return {{}, {bandwidth}};
  }
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
