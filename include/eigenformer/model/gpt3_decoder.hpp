#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/attention/multi_head_attention.hpp>
#include <eigenformer/block/feed_forward.hpp>
#include <eigenformer/model/decoder.hpp>
#include <eigenformer/model/gpt3_options.hpp>
#include <eigenformer/norm/layer_norm.hpp>

namespace eigenformer::inline EIGENFORMER_ABI {

/// A layer as in GPT-2 and GPT-3: LayerNorm before each branch, and GELU by its tanh formula, as GPT-2's published code has
/// it. Storage is what its projections are stored as.
template <class T, class Storage = T>
using Gpt3Layer =
    PreNorm<LayerNorm<T>, MultiHeadAttention<T, Linear<T, Storage>>, FeedForward<T, GeluTanh, Linear<T, Storage>>>;

/// The model of GPT-3 (Brown et al. 2020, section 2.1): learned positions, layers that are dense and banded in turn, a norm
/// behind them, and the embedding as output. With a bandwidth of max_length it is GPT-2 (Radford et al. 2019, section
/// 2.3). Weights start as each block's own do; GPT-2 starts those that end a branch smaller. There is no dropout.
///   throws OptionError for an option below 1, ValueError for positions beyond max_length, and what Decoder throws
/// @code
/// ef::Gpt3Decoder<float> model(
///     {.vocabulary = 97, .dim = 64, .layers = 4, .heads = 4, .max_length = 128, .bandwidth = 16}, ef::Random(42));
/// const std::vector<std::int32_t> prompt = {5, 17, 3};
/// auto key_values = model.key_values(1, 128);  // of one sequence
/// ef::Matrix<float> logits(1, 97);
/// ef::Context context;
/// model.next_logits(prompt, logits, key_values, context);  // of what follows the prompt
/// @endcode
template <class T, class Output = TiedOutput<T>, class Storage = typename Output::Storage>
using Gpt3Decoder = Decoder<T, Gpt3Layer<T, Storage>, Output, Storage, LearnedPositions<T>,
                            Alternating<Causal, LocalBanded>, Gpt3Options>;

}  // namespace eigenformer::inline EIGENFORMER_ABI
