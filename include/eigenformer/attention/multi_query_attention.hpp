#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/attention/grouped_query_attention.hpp>

namespace eigenformer::inline EIGENFORMER_ABI {

/// Attention in which all query heads share one head of keys and values (Shazeer 2019, "Fast Transformer Decoding: One
/// Write-Head is All You Need"): grouped-query attention with one key/value head. Without bias by default, as in PaLM.
template <class T, class Projection_ = Linear<T>, class Position = NoPosition, class QueryKeyNorm = NoNorm<T>,
          class InnerNorm = NoNorm<T>>
using MultiQueryAttention = GroupedQueryAttention<
    T, Projection_, Position, QueryKeyNorm, InnerNorm,
    MultiQueryAttentionOptions<Position, typename QueryKeyNorm::Options, typename InnerNorm::Options>>;

}  // namespace eigenformer::inline EIGENFORMER_ABI
