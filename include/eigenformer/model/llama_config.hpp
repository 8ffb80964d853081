#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/io/input_file.hpp>
#include <eigenformer/model/decoder_options.hpp>

#include <array>
#include <cstdint>
#include <span>

namespace eigenformer::inline EIGENFORMER_ABI {

/// Where a model's output projection is: it is the embedding, or one of its own.
enum class OutputWeights { tied, separate };

/// A Llama model as its checkpoint describes it.
struct LlamaConfig {
  static constexpr std::int32_t no_token = -1;  ///< in place of a token that a model does not have
  static constexpr int most_end_tokens = 16;    ///< room in `end_tokens`

  DecoderOptions decoder;   ///< sizes, as Decoder takes them
  Index max_length = 2048;  ///< positions that the model was made for
  OutputWeights output = OutputWeights::separate;
  std::int32_t begin_token = 1;                                ///< put before a text, or no_token
  std::array<std::int32_t, most_end_tokens> end_tokens = {2};  ///< each of which ends a text
  int end_token_count = 1;                                     ///< how many of `end_tokens` count

  /// The tokens that end a text.
  std::span<const std::int32_t> ends() const { return {end_tokens.data(), static_cast<std::size_t>(end_token_count)}; }
};

/// The most that is believed of any description of a model, so that products of sizes fit 64 bits and no list of names
/// grows beyond reason. Far above every published model.
struct LlamaLimits {
  /// of the model, or of one head
  static constexpr Index features = Index(1) << 20;
  /// inside the feed-forward blocks
  static constexpr Index hidden = Index(1) << 22;
  static constexpr Index layers = 1024;
  static constexpr Index heads = 65536;
  /// of the vocabulary
  static constexpr Index tokens = Index(1) << 24;
  /// positions
  static constexpr Index length = Index(1) << 31;
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
