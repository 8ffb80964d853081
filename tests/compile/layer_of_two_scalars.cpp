// expect-error: layer: FeedForward maps rows of features of the norm's scalar type, as FeedForward<T> does
// SPDX-License-Identifier: MIT
// All parts of a layer compute in one type.
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
using Layer = ef::PreNorm<ef::LayerNorm<float>, ef::MultiHeadAttention<float>, ef::FeedForward<Scalar, ef::Relu>>;

auto call(const Layer& layer, const ef::Tensor<float, 3>& x) { return layer(x, ef::Causal{}); }
