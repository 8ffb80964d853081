// expect-error: Norm maps rows of features, as LayerNorm<T> does
// SPDX-License-Identifier: MIT
// A placement takes norm, mixer and feed-forward in this order.
#include <eigenformer/attention/multi_head_attention.hpp>
#include <eigenformer/block/feed_forward.hpp>
#include <eigenformer/block/pre_norm.hpp>
#include <eigenformer/norm/layer_norm.hpp>
#include <eigenformer/ops/activation.hpp>

namespace ef = eigenformer;
#if defined(POSITIVE)
using Layer = ef::PreNorm<ef::LayerNorm<float>, ef::MultiHeadAttention<float>, ef::FeedForward<float, ef::Relu>>;
#else
using Layer = ef::PreNorm<ef::MultiHeadAttention<float>, ef::LayerNorm<float>, ef::FeedForward<float, ef::Relu>>;
#endif

ef::Tensor<float, 3> call(const Layer& layer, const ef::Tensor<float, 3>& x) { return layer(x, ef::Causal{}); }
