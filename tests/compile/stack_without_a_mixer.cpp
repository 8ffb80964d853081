// expect-error: Stack: Layer maps sequences under this mask, as PreNorm does
// SPDX-License-Identifier: MIT
// A stack hands its mask to every layer; a feed-forward alone takes none.
#include <eigenformer/attention/multi_head_attention.hpp>
#include <eigenformer/block/feed_forward.hpp>
#include <eigenformer/block/stack.hpp>

namespace ef = eigenformer;

#if defined(POSITIVE)
using Layer = ef::MultiHeadAttention<float>;
#else
using Layer = ef::FeedForward<float, ef::Relu>;
#endif

void call(const ef::Stack<Layer>& stack, const ef::Tensor<float, 3>& x, ef::Tensor<float, 3>& y, ef::Context& context) {
  stack.forward(x, y, ef::Causal{}, context);
}
