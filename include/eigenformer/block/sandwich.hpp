#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/block/layer.hpp>

namespace eigenformer::inline EIGENFORMER_ABI {

/// The parts of a layer with a norm before and a norm after each of its two branches.
template <class Norm, class Mixer, class FeedForward>
struct FourNormParts : TwoNormParts<Norm, Mixer, FeedForward> {
  using Base = TwoNormParts<Norm, Mixer, FeedForward>;
  using Options = typename Base::Options;
  /// What forward keeps for backward.
  struct Cache : Base::Cache {
    typename Norm::Cache attention_output_norm;     ///< of what attention gives
    typename Norm::Cache feed_forward_output_norm;  ///< of what the feed-forward gives
  };

  FourNormParts(const Options& options, Random random)
      : Base(options, random.split()),
        attention_output_norm(detail::make_part<Norm>(options.norm, random)),
        feed_forward_output_norm(detail::make_part<Norm>(options.norm, random)) {}
  FourNormParts(Norm norm_of_attention, Mixer mixer, Norm norm_of_attention_output, Norm norm_of_feed_forward,
                FeedForward given_feed_forward, Norm norm_of_feed_forward_output)
      : Base(std::move(norm_of_attention), std::move(mixer), std::move(norm_of_feed_forward),
             std::move(given_feed_forward)),
        attention_output_norm(std::move(norm_of_attention_output)),
        feed_forward_output_norm(std::move(norm_of_feed_forward_output)) {}

  static void members(auto& self, auto&& visit) {
    Base::members(self, visit);
    visit("attention_output_norm", self.attention_output_norm);
    visit("feed_forward_output_norm", self.feed_forward_output_norm);
  }

  Norm attention_output_norm;     ///< of what attention gives
  Norm feed_forward_output_norm;  ///< of what the feed-forward gives
};

/// A transformer layer that normalises what enters each branch and what leaves it (Ding et al. 2021, "CogView", section
/// 2.3; Gemma 2 and 3):
///   h = x + norm2(attention(norm1(x))),    y = h + norm4(feed_forward(norm3(h)))
/// Its calls, shapes and errors are those of every Layer.
template <class Norm, class Mixer, class FeedForward>
class Sandwich : public Layer<Sandwich<Norm, Mixer, FeedForward>, FourNormParts<Norm, Mixer, FeedForward>> {
 public:
  using Base = Layer<Sandwich, FourNormParts<Norm, Mixer, FeedForward>>;
  using Cache = typename Base::Cache;
  using Scalar = typename Base::Scalar;
  using Base::Base;
  static constexpr std::string_view block = "Sandwich";

 private:
  friend Base;

  void run(ConstTensorView<Scalar, 3> x, TensorView<Scalar, 3> y, Context& context, Cache* cache,
           const auto& attend) const {
    ScratchScope scope(context.scratch());
    const TensorView<Scalar, 3> normed = detail::scratch_like<Scalar>(scope, x);
    const TensorView<Scalar, 3> branch = detail::scratch_like<Scalar>(scope, x);
    this->attention_norm.forward(x, normed, context, cache ? &cache->attention_norm : nullptr);
    attend(normed, branch);
    this->attention_output_norm.forward(branch, branch, context, cache ? &cache->attention_output_norm : nullptr);
    residual<Scalar>(x, branch, y, context);
    this->feed_forward_norm.forward(y, normed, context, cache ? &cache->feed_forward_norm : nullptr);
    this->feed_forward.forward(normed, branch, context, cache ? &cache->feed_forward : nullptr);
    this->feed_forward_output_norm.forward(branch, branch, context, cache ? &cache->feed_forward_output_norm : nullptr);
    residual<Scalar>(y, branch, y, context);
  }

  void run_back(ConstTensorView<Scalar, 3> dy, const Cache& cache, TensorView<Scalar, 3> dx, Context& context) {
    ScratchScope scope(context.scratch());
    const TensorView<Scalar, 3> branch = detail::scratch_like<Scalar>(scope, dy);
    const TensorView<Scalar, 3> inner = detail::scratch_like<Scalar>(scope, dy);
    const TensorView<Scalar, 3> dh = detail::scratch_like<Scalar>(scope, dy);
    this->feed_forward_output_norm.backward(dy, cache.feed_forward_output_norm, branch, context);
    this->feed_forward.backward(branch, cache.feed_forward, inner, context);
    this->feed_forward_norm.backward(inner, cache.feed_forward_norm, dh, context);
    residual<Scalar>(dh, dy, dh, context);
    this->attention_output_norm.backward(dh, cache.attention_output_norm, branch, context);
    this->attention.backward(branch, cache.attention, inner, context);
    this->attention_norm.backward(inner, cache.attention_norm, dx, context);
    residual<Scalar>(dx, dh, dx, context);
  }
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
