#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/attention/attention_sinks.hpp>
#include <eigenformer/core/check.hpp>
#include <eigenformer/core/dropout.hpp>
#include <eigenformer/norm/no_norm.hpp>
#include <eigenformer/position/rotary.hpp>

#include <optional>

namespace eigenformer::inline EIGENFORMER_ABI {

namespace detail {

struct NoPositionOptions {};
template <class Position>
struct PositionOptions {
  using Type = std::conditional_t<std::is_constructible_v<Position, RotaryOptions>, RotaryOptions, NoPositionOptions>;
};
template <class Position>
requires requires { typename Position::Options; }
struct PositionOptions<Position> {
  using Type = typename Position::Options;
};
template <class Position>
using position_options = typename PositionOptions<Position>::Type;

/// dim / heads, or -1, which is refused, if that is no whole number.
constexpr Index equal_share(Index dim, Index heads) { return heads > 0 && dim % heads == 0 ? dim / heads : -1; }

}  // namespace detail

/// Options of attention in which groups of query heads share a key/value head (Ainslie et al. 2023, "GQA"). No bias by
/// default, as in Llama.
template <class Position, class QueryKeyNorm = NoNormOptions, class InnerNorm = NoNormOptions>
struct GroupedQueryAttentionOptions {
  static constexpr std::string_view block = "GroupedQueryAttention";
  Index dim = 0;
  Index heads = 1;
  Index kv_heads = heads;
  Index head_dim = detail::equal_share(dim, heads);  ///< of queries and keys
  Index value_dim = head_dim;
  Index memory_dim = dim;  ///< of what keys and values are made from, in cross-attention
  bool bias = false;
  std::optional<double> softmax_scale{};          ///< 1 / sqrt(head_dim) if not given
  double softcap = 0;                             ///< 0 is none
  detail::position_options<Position> position{};  ///< heads, head_dim and rotary_dim are filled in where 0
  QueryKeyNorm query_key_norm{};                  ///< of every head's queries and keys, over head_dim
  InnerNorm inner_norm{};                         ///< of what the heads give, before the last projection
  std::optional<LearnedSinks> sinks{};            ///< of each query head; none if not given
  double dropout = 0;                             ///< rate at which weights are dropped in training
};

/// Options of attention in which every head has keys and values of its own (Vaswani et al. 2017, section 3.2.2). With
/// bias by default, as PyTorch's nn.MultiheadAttention.
template <class Position, class QueryKeyNorm = NoNormOptions, class InnerNorm = NoNormOptions>
struct MultiHeadAttentionOptions {
  static constexpr std::string_view block = "MultiHeadAttention";
  Index dim = 0;
  Index heads = 1;
  Index head_dim = detail::equal_share(dim, heads);  ///< of queries and keys
  Index value_dim = head_dim;
  Index memory_dim = dim;
  bool bias = true;
  std::optional<double> softmax_scale{};
  double softcap = 0;
  detail::position_options<Position> position{};
  QueryKeyNorm query_key_norm{};
  InnerNorm inner_norm{};
  std::optional<LearnedSinks> sinks{};
  double dropout = 0;

  /// The same as options of grouped-query attention.
  operator GroupedQueryAttentionOptions<Position, QueryKeyNorm, InnerNorm>() const {
    return {dim,           heads,   heads,    head_dim,       value_dim,  memory_dim, bias,
            softmax_scale, softcap, position, query_key_norm, inner_norm, sinks,      dropout};
  }
};

/// Options of attention in which all heads share one key/value head (Shazeer 2019, "Fast Transformer Decoding"). No
/// bias by default, as in PaLM.
template <class Position, class QueryKeyNorm = NoNormOptions, class InnerNorm = NoNormOptions>
struct MultiQueryAttentionOptions {
  static constexpr std::string_view block = "MultiQueryAttention";
  Index dim = 0;
  Index heads = 1;
  Index head_dim = detail::equal_share(dim, heads);  ///< of queries and keys
  Index value_dim = head_dim;
  Index memory_dim = dim;
  bool bias = false;
  std::optional<double> softmax_scale{};
  double softcap = 0;
  detail::position_options<Position> position{};
  QueryKeyNorm query_key_norm{};
  InnerNorm inner_norm{};
  std::optional<LearnedSinks> sinks{};
  double dropout = 0;

  /// The same as options of grouped-query attention.
  operator GroupedQueryAttentionOptions<Position, QueryKeyNorm, InnerNorm>() const {
    return {dim,           heads,   1,        head_dim,       value_dim,  memory_dim, bias,
            softmax_scale, softcap, position, query_key_norm, inner_norm, sinks,      dropout};
  }
};

/// Throws OptionError, in the name of the block, unless the options go together.
template <class Position, class QueryKeyNorm, class InnerNorm>
void require_attention_options(const GroupedQueryAttentionOptions<Position, QueryKeyNorm, InnerNorm>& options,
                               std::string_view block) {
  require_positive(options.dim, block, "dim");
  require_positive(options.heads, block, "heads");
  require_positive(options.kv_heads, block, "kv_heads");
  require<OptionError>(options.heads % options.kv_heads == 0, block, "expected heads divisible by kv_heads, got ",
                       options.heads, " heads and ", options.kv_heads, " kv_heads");
  require<OptionError>(options.head_dim != -1, block,
                       "expected dim divisible by heads unless head_dim is given, got dim ", options.dim, " and ",
                       options.heads, " heads");
  require_positive(options.head_dim, block, "head_dim");
  require_positive(options.value_dim, block, "value_dim");
  require_positive(options.memory_dim, block, "memory_dim");
  require<OptionError>(options.softcap >= 0, block, "expected softcap of at least 0, got ", options.softcap);
  require_dropout(options.dropout, block);
}

}  // namespace eigenformer::inline EIGENFORMER_ABI
