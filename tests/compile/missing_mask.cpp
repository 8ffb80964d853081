// expect-error: forward takes no such arguments.* a mask is an object such as Causal
// SPDX-License-Identifier: MIT
// Whether attention looks ahead is said in every call.
#include <eigenformer/attention/grouped_query_attention.hpp>

namespace ef = eigenformer;

auto call(const ef::GroupedQueryAttention<float>& attention, const ef::Tensor<float, 3>& x) {
#if defined(POSITIVE)
  return attention(x, ef::NoMask{});
#else
  return attention(x);
#endif
}
