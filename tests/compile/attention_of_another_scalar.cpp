// expect-error: layer: Mixer computes in the norm's scalar type
// SPDX-License-Identifier: MIT
// A layer of float does not run attention of double.
#include <eigenformer/attention/multi_head_attention.hpp>
#include <eigenformer/block/feed_forward.hpp>
#include <eigenformer/block/pre_norm.hpp>
#include <eigenformer/norm/layer_norm.hpp>

namespace ef = eigenformer;

#if defined(POSITIVE)
using Scalar = float;
#else
using Scalar = double;
#endif
using Layer = ef::PreNorm<ef::LayerNorm<float>, ef::MultiHeadAttention<Scalar>, ef::FeedForward<float, ef::Relu>>;

auto call(const Layer& layer, const ef::Tensor<float, 3>& x) { return layer(x, ef::Causal{}); }
