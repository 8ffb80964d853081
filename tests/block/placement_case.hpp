#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/attention/grouped_query_attention.hpp>
#include <eigenformer/attention/mask.hpp>
#include <eigenformer/block/deep_norm.hpp>
#include <eigenformer/block/gated_feed_forward.hpp>
#include <eigenformer/block/parallel_block.hpp>
#include <eigenformer/block/post_norm.hpp>
#include <eigenformer/block/pre_norm.hpp>
#include <eigenformer/block/sandwich.hpp>
#include <eigenformer/position/rotary.hpp>

// The formula of each placement over the calls of its parts, which have references of their own.
namespace placement {

namespace ef = eigenformer;
using Sequence = ef::Tensor<double, 3>;

template <class N, class M, class F>
Sequence formula(const ef::PreNorm<N, M, F>& b, const Sequence& x) {
  const Sequence h = x + b.attention(b.attention_norm(x), ef::Causal{});
  return h + b.feed_forward(b.feed_forward_norm(h));
}
template <class N, class M, class F>
Sequence formula(const ef::PostNorm<N, M, F>& b, const Sequence& x) {
  const Sequence sum = x + b.attention(x, ef::Causal{});
  const Sequence h = b.attention_norm(sum);
  const Sequence outer = h + b.feed_forward(h);
  return b.feed_forward_norm(outer);
}
template <class N, class M, class F>
Sequence formula(const ef::DeepNorm<N, M, F>& b, const Sequence& x) {
  const Sequence sum = x * b.alpha + b.attention(x, ef::Causal{});
  const Sequence h = b.attention_norm(sum);
  const Sequence outer = h * b.alpha + b.feed_forward(h);
  return b.feed_forward_norm(outer);
}
template <class N, class M, class F>
Sequence formula(const ef::Sandwich<N, M, F>& b, const Sequence& x) {
  const Sequence h = x + b.attention_output_norm(b.attention(b.attention_norm(x), ef::Causal{}));
  return h + b.feed_forward_output_norm(b.feed_forward(b.feed_forward_norm(h)));
}
template <class N, class M, class F>
Sequence formula(const ef::ParallelBlock<N, M, F>& b, const Sequence& x) {
  const Sequence n = b.norm(x);
  return x + b.attention(n, ef::Causal{}) + b.feed_forward(n);
}

/// A placement of a norm around rotary attention and a gated feed-forward, whose widths are `dim`; Inner is the norm
/// inside them.
template <template <class, class, class> class Placement, class Norm, class Inner = ef::NoNorm<double>>
struct Case {
  using Attention = ef::GroupedQueryAttention<double, ef::Linear<double>, ef::Rotary<>, Inner, Inner>;
  using FeedForward = ef::GatedFeedForward<double, ef::Silu, ef::Linear<double>, Inner>;
  using Block = Placement<Norm, Attention, FeedForward>;
  static constexpr ef::Index dim = 13;

  static Block make() {
    typename Block::Options options;
    options.norm.dim = dim;
    options.attention = {.dim = dim, .heads = 4, .kv_heads = 2, .head_dim = 6};
    options.feed_forward = {.dim = dim, .hidden = 17};
    if constexpr (requires { options.gains; }) options.gains = ef::deep_norm_gains(7);
    return Block(options, ef::Random(3));
  }
};

}  // namespace placement
