#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/check.hpp>
#include <eigenformer/core/tokens.hpp>

#include <cmath>

namespace eigenformer::inline EIGENFORMER_ABI {

/// How a search for likely sequences goes.
struct SearchOptions {
  TokensView::Token start = 0;  ///< what stands before the first token, unless that is a prompt
  TokensView::Token end = 1;    ///< what ends a sequence
  Index max_length = 0;         ///< most tokens of a sequence, the end among them
  Index beams = 4;              ///< of beam search: sequences that are kept at a time
  double length_penalty = 0.6;  ///< of beam search: alpha of length_penalty; 0 prefers short sequences
};

/// A sequence that a search found.
struct Hypothesis {
  std::vector<TokensView::Token> tokens;  ///< without the start; the end is the last of them if it was reached
  double log_probability = 0;             ///< in nats, given the start
  double score = 0;                       ///< log_probability / length_penalty
};

/// lp(Y) = ((5 + |Y|) / 6)^alpha, by which log-probabilities are divided, as every token makes them smaller (Wu et al.
/// 2016, "Google's Neural Machine Translation System", equation 14).
inline double length_penalty(Index length, double alpha) {
  return std::pow((5 + static_cast<double>(length)) / 6, alpha);
}

/// Throws OptionError for options out of range, ValueError for a start or end that is not in the vocabulary.
inline void require_search_options(const SearchOptions& options, Index vocabulary, std::string_view block) {
  require_positive(options.max_length, block, "max_length");
  require_positive(options.beams, block, "beams");
  require<OptionError>(options.length_penalty >= 0, block, "expected length_penalty of at least 0, got ",
                       options.length_penalty);
  for (const TokensView::Token token : {options.start, options.end}) {
    require<ValueError>(token >= 0 && token < vocabulary, block, "expected start and end in 0 .. ", vocabulary - 1,
                        ", got ", token);
  }
}

namespace detail {

/// The token that each row of a search goes on from first: the last of its prompt, or the start.
template <class KeyValues>
std::vector<TokensView::Token> first_tokens([[maybe_unused]] const KeyValues& key_values, Index rows,
                                            const SearchOptions& options) {
  if constexpr (requires { key_values.last_tokens; }) {
    return key_values.last_tokens;
  } else {
    return std::vector<TokensView::Token>(static_cast<std::size_t>(rows), options.start);
  }
}

}  // namespace detail
}  // namespace eigenformer::inline EIGENFORMER_ABI
