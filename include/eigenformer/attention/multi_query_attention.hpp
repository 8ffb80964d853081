#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/attention/grouped_query_attention.hpp>

namespace eigenformer::inline EIGENFORMER_ABI {

/// Attention in which all query heads share one head of keys and values (Shazeer 2019, "Fast Transformer Decoding: One
/// Write-Head is All You Need"): grouped-query attention with one key/value head. Without bias by default, as in PaLM.
template <class T, class Projection_ = Linear<T>, class Position = NoPosition>
using MultiQueryAttention = GroupedQueryAttention<T, Projection_, Position, MultiQueryAttentionOptions<Position>>;

}  // namespace eigenformer::inline EIGENFORMER_ABI
