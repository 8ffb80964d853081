// expect-error: forward takes no such arguments.* a mask is an object such as Causal
// SPDX-License-Identifier: MIT
// A mask is a type, not a flag.
#include <eigenformer/attention/grouped_query_attention.hpp>

namespace ef = eigenformer;

ef::Tensor<float, 3> call(const ef::GroupedQueryAttention<float>& attention, const ef::Tensor<float, 3>& x) {
#if defined(POSITIVE)
  return attention(x, ef::Causal{});
#else
  return attention(x, true);
#endif
}
