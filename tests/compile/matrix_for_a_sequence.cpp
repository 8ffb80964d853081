// expect-error: forward takes no such arguments; x is of the block's scalar type and rank
// SPDX-License-Identifier: MIT
// Attention needs to know where a sequence ends: [batch, length, features].
#include <eigenformer/attention/grouped_query_attention.hpp>

namespace ef = eigenformer;

#if defined(POSITIVE)
constexpr int rank = 3;
#else
constexpr int rank = 2;
#endif

auto call(const ef::GroupedQueryAttention<float>& attention, const ef::Tensor<float, rank>& x) {
  return attention(x, ef::Causal{});
}
