#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/block/parts.hpp>
#include <eigenformer/block/residual.hpp>

namespace eigenformer::inline EIGENFORMER_ABI {

/// The parts of a layer with a norm for each of its two branches.
template <class Norm, class Mixer, class FeedForward>
struct TwoNormParts {
  using Scalar = scalar_of<Norm>;
  using Attention = Mixer;
  static_assert(TokenwiseBlock<Norm, Scalar>, "layer: Norm maps rows of features, as LayerNorm<T> does");
  static_assert(TokenwiseBlock<FeedForward, Scalar>,
                "layer: FeedForward maps rows of features of the norm's scalar type, as FeedForward<T> does");

  static_assert(ComputesIn<Mixer, Scalar>, "layer: Mixer computes in the norm's scalar type");

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

  TwoNormParts(const Options& options, Random random)
      : attention_norm(detail::make_part<Norm>(options.norm, random)),
        attention(detail::make_part<Mixer>(options.attention, random)),
        feed_forward_norm(detail::make_part<Norm>(options.norm, random)),
        feed_forward(detail::make_part<FeedForward>(options.feed_forward, random)) {}
  TwoNormParts(Norm norm_of_attention, Mixer mixer, Norm norm_of_feed_forward, FeedForward given_feed_forward)
      : attention_norm(std::move(norm_of_attention)),
        attention(std::move(mixer)),
        feed_forward_norm(std::move(norm_of_feed_forward)),
        feed_forward(std::move(given_feed_forward)) {}

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
};

/// What every arrangement of norms, a mixer of positions (attention) and a feed-forward has in common. The arrangement
/// itself, `Placement`, says in which order its parts run:
///   run(x, y, context, cache, attend) const, where attend(from, to) is attention under the mask of the call
///   run_back(dy, cache, dx, context)
/// and everyone sees
///   forward:   x, y [batch, length, D]; y may be x. With a key/value cache in place of the cache, the positions that
///              follow those already there
///   backward:  dx may be dy
///   throws ShapeError for an x, y, dy, dx or part that does not fit, before the first part writes; what the parts
///   throw
template <class Placement, class Parts>
class Layer : public Block<Placement>, public Parts {
 public:
  using Scalar = typename Parts::Scalar;
  using Cache = typename Parts::Cache;
  using Parts::Parts;

  template <class Mask>
  void forward(ConstTensorView<Scalar, 3> x, TensorView<Scalar, 3> y, const Mask& mask, Context& context,
               Cache* cache = nullptr) const {
    static_assert(SequenceBlock<typename Parts::Attention, Scalar, Mask>,
                  "layer: Mixer maps sequences under this mask, as attention does");
    check(x.shape(), y.shape(), "y");
    const ProfileScope profile(context, Placement::block);
    self().run(x, y, context, cache, [&](ConstTensorView<Scalar, 3> from, TensorView<Scalar, 3> to) {
      this->attention.forward(from, to, mask, context, cache ? &cache->attention : nullptr);
    });
  }
  template <class Mask, class KeyValueCache>
  void forward(ConstTensorView<Scalar, 3> x, TensorView<Scalar, 3> y, const Mask& mask, KeyValueCache& key_values,
               Context& context) const {
    check(x.shape(), y.shape(), "y");
    const ProfileScope profile(context, Placement::block);
    self().run(x, y, context, nullptr, [&](ConstTensorView<Scalar, 3> from, TensorView<Scalar, 3> to) {
      this->attention.forward(from, to, mask, key_values, context);
    });
  }

  void backward(ConstTensorView<Scalar, 3> dy, const Cache& cache, TensorView<Scalar, 3> dx, Context& context) {
    check(dy.shape(), dx.shape(), "dx");
    const ProfileScope profile(context, Placement::block);
    static_cast<Placement&>(*this).run_back(dy, cache, dx, context);
  }

  /// An empty key/value cache of the right sizes, with room for `capacity` positions.
  auto key_value_cache(Index batch, Index capacity) const { return this->attention.key_value_cache(batch, capacity); }

 private:
  const Placement& self() const { return static_cast<const Placement&>(*this); }
  void check(const Shape& x, const Shape& y, std::string_view y_name) const {
    require_shape(x, y, Placement::block, y_name);
    Parts::members(self(), [&](std::string_view name, const auto& part) {
      detail::require_width(part, x[-1], Placement::block, name);
    });
  }
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
