#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/block/parts.hpp>
#include <eigenformer/block/residual.hpp>

namespace eigenformer::inline EIGENFORMER_ABI {

/// A transformer layer that normalises what enters each branch and leaves the residual path alone (Xiong et al. 2020,
/// "On Layer Normalization in the Transformer Architecture"; GPT-2, Llama):
///   h = x + attention(norm(x)),    y = h + feed_forward(norm'(h))
/// The mixer is attention or whatever mixes positions under a mask.
///   forward:   x, y [batch, length, D]; y may be x. With key/value caches in place of the cache, the positions that
///   follow
///              those already there
///   backward:  dx may be dy
///   throws ShapeError for an x, y, dy, dx or part that does not fit, and what the parts throw
template <class Norm, class Mixer, class FeedForward>
class PreNorm : public Block<PreNorm<Norm, Mixer, FeedForward>> {
 public:
  using Scalar = scalar_of<Norm>;
  static_assert(TokenwiseBlock<Norm, Scalar>, "PreNorm: Norm maps rows of features, as LayerNorm<T> does");
  static_assert(TokenwiseBlock<FeedForward, Scalar>,
                "PreNorm: FeedForward maps rows of features, as FeedForward<T> does");

  struct Options {
    detail::options_of<Norm> norm;
    detail::options_of<Mixer> attention;
    detail::options_of<FeedForward> feed_forward;
  };
  struct Cache {
    typename Norm::Cache attention_norm;
    typename Mixer::Cache attention;
    typename Norm::Cache feed_forward_norm;
    typename FeedForward::Cache feed_forward;
  };

  PreNorm(const Options& options, Random random)
      : attention_norm(detail::make_part<Norm>(options.norm, random)),
        attention(detail::make_part<Mixer>(options.attention, random)),
        feed_forward_norm(detail::make_part<Norm>(options.norm, random)),
        feed_forward(detail::make_part<FeedForward>(options.feed_forward, random)) {}
  PreNorm(Norm norm_before_attention, Mixer mixer, Norm norm_before_feed_forward, FeedForward given_feed_forward)
      : attention_norm(std::move(norm_before_attention)),
        attention(std::move(mixer)),
        feed_forward_norm(std::move(norm_before_feed_forward)),
        feed_forward(std::move(given_feed_forward)) {}

  template <class Mask>
  void forward(ConstTensorView<Scalar, 3> x, TensorView<Scalar, 3> y, const Mask& mask, Context& context,
               Cache* cache = nullptr) const {
    static_assert(SequenceBlock<Mixer, Scalar, Mask>,
                  "PreNorm: Mixer maps sequences under this mask, as attention does");
    run(x, y, context, cache, [&](ConstTensorView<Scalar, 3> from, TensorView<Scalar, 3> to) {
      attention.forward(from, to, mask, context, cache ? &cache->attention : nullptr);
    });
  }
  template <class Mask, class KeyValueCache>
  void forward(ConstTensorView<Scalar, 3> x, TensorView<Scalar, 3> y, const Mask& mask, KeyValueCache& key_values,
               Context& context) const {
    run(x, y, context, nullptr, [&](ConstTensorView<Scalar, 3> from, TensorView<Scalar, 3> to) {
      attention.forward(from, to, mask, key_values, context);
    });
  }

  void backward(ConstTensorView<Scalar, 3> dy, const Cache& cache, TensorView<Scalar, 3> dx, Context& context) {
    check(dy.shape(), dx.shape(), "dx");
    const ProfileScope profile(context, "PreNorm backward");
    ScratchScope scope(context.scratch());
    const TensorView<Scalar, 3> branch = detail::scratch_like<Scalar>(scope, dy);
    const TensorView<Scalar, 3> dh = detail::scratch_like<Scalar>(scope, dy);
    feed_forward.backward(dy, cache.feed_forward, branch, context);
    feed_forward_norm.backward(branch, cache.feed_forward_norm, dh, context);
    residual<Scalar>(dh, dy, dh, context);
    attention.backward(dh, cache.attention, branch, context);
    attention_norm.backward(branch, cache.attention_norm, dx, context);
    residual<Scalar>(dx, dh, dx, context);
  }

  /// An empty key/value cache of the right sizes, with room for `capacity` positions.
  auto key_value_cache(Index batch, Index capacity) const { return attention.key_value_cache(batch, capacity); }

  static void members(auto& self, auto&& visit) {
    visit("attention_norm", self.attention_norm);
    visit("attention", self.attention);
    visit("feed_forward_norm", self.feed_forward_norm);
    visit("feed_forward", self.feed_forward);
  }

  Norm attention_norm;
  Mixer attention;
  Norm feed_forward_norm;
  FeedForward feed_forward;

 private:
  template <class Attend>
  void run(ConstTensorView<Scalar, 3> x, TensorView<Scalar, 3> y, Context& context, Cache* cache,
           const Attend& attend) const {
    check(x.shape(), y.shape(), "y");
    const ProfileScope profile(context, "PreNorm");
    ScratchScope scope(context.scratch());
    const TensorView<Scalar, 3> normed = detail::scratch_like<Scalar>(scope, x);
    const TensorView<Scalar, 3> branch = detail::scratch_like<Scalar>(scope, x);
    attention_norm.forward(x, normed, context, cache ? &cache->attention_norm : nullptr);
    attend(normed, branch);
    residual<Scalar>(x, branch, y, context);
    feed_forward_norm.forward(y, normed, context, cache ? &cache->feed_forward_norm : nullptr);
    feed_forward.forward(normed, branch, context, cache ? &cache->feed_forward : nullptr);
    residual<Scalar>(y, branch, y, context);
  }
  void check(const Shape& x, const Shape& y, std::string_view y_name) const {
    require_shape(x, y, "PreNorm", y_name);
    detail::require_width(attention_norm, x[-1], "PreNorm", "attention_norm");
    detail::require_width(attention, x[-1], "PreNorm", "attention");
    detail::require_width(feed_forward_norm, x[-1], "PreNorm", "feed_forward_norm");
    detail::require_width(feed_forward, x[-1], "PreNorm", "feed_forward");
  }
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
