#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/block/layer.hpp>

namespace eigenformer::inline EIGENFORMER_ABI {

/// A transformer layer that normalises what enters each branch and leaves the residual path alone (Xiong et al. 2020,
/// "On Layer Normalization in the Transformer Architecture"; GPT-2, Llama):
///   h = x + attention(norm(x)),    y = h + feed_forward(norm'(h))
/// With an inner norm in attention and in the feed-forward this is Sub-LN (Wang et al. 2022, "Foundation Transformers";
/// BitNet), whose gains at the start are in scale_branches.hpp. Its calls, shapes and errors are those of every Layer.
template <class Norm, class Mixer, class FeedForward>
class PreNorm : public Layer<PreNorm<Norm, Mixer, FeedForward>, TwoNormParts<Norm, Mixer, FeedForward>> {
 public:
  using Base = Layer<PreNorm, TwoNormParts<Norm, Mixer, FeedForward>>;
  using Cache = typename Base::Cache;
  using Scalar = typename Base::Scalar;
  using Base::Base;
  static constexpr std::string_view block = "PreNorm";

 private:
  friend Base;

  void run(ConstTensorView<Scalar, 3> x, TensorView<Scalar, 3> y, Context& context, Cache* cache,
           const auto& attend) const {
    ScratchScope scope(context.scratch());
    const TensorView<Scalar, 3> normed = detail::scratch_like<Scalar>(scope, x);
    const TensorView<Scalar, 3> branch = detail::scratch_like<Scalar>(scope, x);
    this->attention_norm.forward(x, normed, context, cache ? &cache->attention_norm : nullptr);
    attend(normed, branch);
    residual<Scalar>(x, branch, y, context);
    this->feed_forward_norm.forward(y, normed, context, cache ? &cache->feed_forward_norm : nullptr);
    this->feed_forward.forward(normed, branch, context, cache ? &cache->feed_forward : nullptr);
    residual<Scalar>(y, branch, y, context);
  }

  void run_back(ConstTensorView<Scalar, 3> dy, const Cache& cache, TensorView<Scalar, 3> dx, Context& context) {
    ScratchScope scope(context.scratch());
    const TensorView<Scalar, 3> branch = detail::scratch_like<Scalar>(scope, dy);
    const TensorView<Scalar, 3> dh = detail::scratch_like<Scalar>(scope, dy);
    this->feed_forward.backward(dy, cache.feed_forward, branch, context);
    this->feed_forward_norm.backward(branch, cache.feed_forward_norm, dh, context);
    residual<Scalar>(dh, dy, dh, context);
    this->attention.backward(dh, cache.attention, branch, context);
    this->attention_norm.backward(branch, cache.attention_norm, dx, context);
    residual<Scalar>(dx, dh, dx, context);
  }
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
