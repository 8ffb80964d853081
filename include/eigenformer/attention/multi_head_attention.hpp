#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/attention/grouped_query_attention.hpp>

namespace eigenformer::inline EIGENFORMER_ABI {

/// Attention in which every query head has keys and values of its own (Vaswani et al. 2017, section 3.2.2):
/// grouped-query attention with as many key/value heads as heads. With bias by default, as PyTorch's
/// nn.MultiheadAttention, whose weights fit: in_proj_weight is query, key and value one below the other.
template <class T, class Projection_ = Linear<T>, class Position = NoPosition, class QueryKeyNorm = NoNorm<T>,
          class InnerNorm = NoNorm<T>>
using MultiHeadAttention = GroupedQueryAttention<
    T, Projection_, Position, QueryKeyNorm, InnerNorm,
    MultiHeadAttentionOptions<Position, typename QueryKeyNorm::Options, typename InnerNorm::Options>>;

}  // namespace eigenformer::inline EIGENFORMER_ABI
