#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/tokens.hpp>
#include <eigenformer/model/paged_key_values.hpp>

namespace eigenformer::inline EIGENFORMER_ABI {

/// What a decoder goes on from: one prompt for each text to write, which need not be all as long.
/// @code
/// ef::LlamaDecoder<float> model({.vocabulary = 97, .dim = 64, .layers = 2, .heads = 4}, ef::Random(42));
/// const std::vector<std::vector<std::int32_t>> prompts = {{5, 17, 3}, {11}};
/// ef::Context context;
/// const auto found = ef::beam_search(model, ef::Prompts(prompts), {.end = 1, .max_length = 9}, context);
/// const std::vector<std::int32_t>& best = found[1][0].tokens;  // behind the second prompt
/// @endcode
template <class = void>
class BasicPrompts {
 public:
  /// Each of a list of prompts, not owned.
  BasicPrompts(const std::vector<std::vector<TokensView::Token>>& lists) : prompts_(lists.begin(), lists.end()) {}
  /// Each row of [B, S], or one prompt [S]; not owned.
  template <class Tokens>
  requires std::is_convertible_v<const Tokens&, TokensView> BasicPrompts(const Tokens& tokens) {
    const TokensView all(tokens);
    const Shape& shape = all.shape();
    require(shape.rank() == 1 || shape.rank() == 2, "Prompts",
            "expected prompts [batch, length] or [length], got shape ", shape);
    const Index count = shape.rank() == 2 ? shape[0] : 1;
    for (Index b = 0; b < count; ++b) prompts_.emplace_back(all.data() + b * shape[-1], Shape{shape[-1]});
  }

  Index size() const { return static_cast<Index>(prompts_.size()); }
  TokensView operator[](Index i) const { return prompts_[static_cast<std::size_t>(i)]; }

 private:
  std::vector<TokensView> prompts_;
};

/// The one BasicPrompts, which is a template so that only who uses it compiles it.
using Prompts = BasicPrompts<>;

/// What decoding goes on from behind prompts, some rows for each: what a search works with. A prompt's keys and values are
/// stored once for all its rows. A value: a copy goes its own way.
template <class T>
struct PromptedKeyValues {
  PagedKeyValues<T> layers;
  std::vector<Index> rows;                     ///< [n B], the sequence of each row
  std::vector<Index> lengths;                  ///< [B], of the prompts
  std::vector<TokensView::Token> last_tokens;  ///< [n B], the end of each row's prompt, which is not in the caches yet

  /// Row `to` goes on from what row `from` has.
  void copy_sequence(Index from, Index to) {
    if (from == to) return;
    Index& overwritten = rows[static_cast<std::size_t>(to)];
    layers.remove(overwritten);
    overwritten = layers.fork(rows[static_cast<std::size_t>(from)]);
  }
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
