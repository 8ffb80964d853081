#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/block/parts.hpp>
#include <eigenformer/block/residual.hpp>

namespace eigenformer::inline EIGENFORMER_ABI {

/// A transformer layer whose attention and feed-forward read the same normalised input side by side (Wang & Komatsuzaki
/// 2021, "GPT-J"; Chowdhery et al. 2022, "PaLM", section 2):
///   n = norm(x),    y = x + attention(n) + feed_forward(n)
/// The mixer is attention or whatever mixes positions under a mask.
///   forward:   x, y [batch, length, D]; y may be x. With key/value caches in place of the cache, the positions that
///   follow
///              those already there
///   backward:  dx may be dy
///   throws ShapeError for an x, y, dy, dx or part that does not fit, and what the parts throw
template <class Norm, class Mixer, class FeedForward>
class ParallelBlock : public Block<ParallelBlock<Norm, Mixer, FeedForward>> {
 public:
  using Scalar = scalar_of<Norm>;
  static_assert(TokenwiseBlock<Norm, Scalar>, "ParallelBlock: Norm maps rows of features, as LayerNorm<T> does");
  static_assert(TokenwiseBlock<FeedForward, Scalar>,
                "ParallelBlock: FeedForward maps rows of features, as FeedForward<T> does");

  struct Options {
    detail::options_of<Norm> norm;
    detail::options_of<Mixer> attention;
    detail::options_of<FeedForward> feed_forward;
  };
  struct Cache {
    typename Norm::Cache norm;
    typename Mixer::Cache attention;
    typename FeedForward::Cache feed_forward;
  };

  ParallelBlock(const Options& options, Random random)
      : norm(detail::make_part<Norm>(options.norm, random)),
        attention(detail::make_part<Mixer>(options.attention, random)),
        feed_forward(detail::make_part<FeedForward>(options.feed_forward, random)) {}
  ParallelBlock(Norm given_norm, Mixer mixer, FeedForward given_feed_forward)
      : norm(std::move(given_norm)), attention(std::move(mixer)), feed_forward(std::move(given_feed_forward)) {}

  template <class Mask>
  void forward(ConstTensorView<Scalar, 3> x, TensorView<Scalar, 3> y, const Mask& mask, Context& context,
               Cache* cache = nullptr) const {
    static_assert(SequenceBlock<Mixer, Scalar, Mask>,
                  "ParallelBlock: Mixer maps sequences under this mask, as attention does");
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
    const ProfileScope profile(context, "ParallelBlock backward");
    ScratchScope scope(context.scratch());
    const TensorView<Scalar, 3> dn = detail::scratch_like<Scalar>(scope, dy);
    const TensorView<Scalar, 3> branch = detail::scratch_like<Scalar>(scope, dy);
    attention.backward(dy, cache.attention, dn, context);
    feed_forward.backward(dy, cache.feed_forward, branch, context);
    residual<Scalar>(dn, branch, dn, context);
    norm.backward(dn, cache.norm, branch, context);
    residual<Scalar>(dy, branch, dx, context);
  }

  /// An empty key/value cache of the right sizes, with room for `capacity` positions.
  auto key_value_cache(Index batch, Index capacity) const { return attention.key_value_cache(batch, capacity); }

  static void members(auto& self, auto&& visit) {
    visit("norm", self.norm);
    visit("attention", self.attention);
    visit("feed_forward", self.feed_forward);
  }

  Norm norm;
  Mixer attention;
  FeedForward feed_forward;

 private:
  template <class Attend>
  void run(ConstTensorView<Scalar, 3> x, TensorView<Scalar, 3> y, Context& context, Cache* cache,
           const Attend& attend) const {
    check(x.shape(), y.shape(), "y");
    const ProfileScope profile(context, "ParallelBlock");
    ScratchScope scope(context.scratch());
    const TensorView<Scalar, 3> normed = detail::scratch_like<Scalar>(scope, x);
    const TensorView<Scalar, 3> mixed = detail::scratch_like<Scalar>(scope, x);
    const TensorView<Scalar, 3> branch = detail::scratch_like<Scalar>(scope, x);
    norm.forward(x, normed, context, cache ? &cache->norm : nullptr);
    attend(normed, mixed);
    feed_forward.forward(normed, branch, context, cache ? &cache->feed_forward : nullptr);
    residual<Scalar>(mixed, branch, branch, context);
    residual<Scalar>(x, branch, y, context);
  }
  void check(const Shape& x, const Shape& y, std::string_view y_name) const {
    require_shape(x, y, "ParallelBlock", y_name);
    detail::require_width(norm, x[-1], "ParallelBlock", "norm");
    detail::require_width(attention, x[-1], "ParallelBlock", "attention");
    detail::require_width(feed_forward, x[-1], "ParallelBlock", "feed_forward");
  }
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
