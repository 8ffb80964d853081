#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/block/layer.hpp>

namespace eigenformer::inline EIGENFORMER_ABI {

/// The parts of a layer whose branches share one norm.
template <class Norm, class Mixer, class FeedForward>
struct OneNormParts {
  using Scalar = scalar_of<Norm>;
  using Attention = Mixer;
  static_assert(TokenwiseBlock<Norm, Scalar>, "layer: Norm maps rows of features, as LayerNorm<T> does");
  static_assert(TokenwiseBlock<FeedForward, Scalar>,
                "layer: FeedForward maps rows of features, as FeedForward<T> does");

  using Options = typename TwoNormParts<Norm, Mixer, FeedForward>::Options;
  struct Cache {
    typename Norm::Cache norm;
    typename Mixer::Cache attention;
    typename FeedForward::Cache feed_forward;
  };

  OneNormParts(const Options& options, Random random)
      : norm(detail::make_part<Norm>(options.norm, random)),
        attention(detail::make_part<Mixer>(options.attention, random)),
        feed_forward(detail::make_part<FeedForward>(options.feed_forward, random)) {}
  OneNormParts(Norm given_norm, Mixer mixer, FeedForward given_feed_forward)
      : norm(std::move(given_norm)), attention(std::move(mixer)), feed_forward(std::move(given_feed_forward)) {}

  static void members(auto& self, auto&& visit) {
    visit("norm", self.norm);
    visit("attention", self.attention);
    visit("feed_forward", self.feed_forward);
  }

  Norm norm;
  Mixer attention;
  FeedForward feed_forward;
};

/// A transformer layer whose attention and feed-forward read the same normalised input side by side (Wang & Komatsuzaki
/// 2021, "GPT-J"; Chowdhery et al. 2022, "PaLM", section 2):
///   n = norm(x),    y = x + attention(n) + feed_forward(n)
/// Its calls, shapes and errors are those of every Layer.
template <class Norm, class Mixer, class FeedForward>
class ParallelBlock : public Layer<ParallelBlock<Norm, Mixer, FeedForward>, OneNormParts<Norm, Mixer, FeedForward>> {
 public:
  using Base = Layer<ParallelBlock, OneNormParts<Norm, Mixer, FeedForward>>;
  using Cache = typename Base::Cache;
  using Scalar = typename Base::Scalar;
  using Base::Base;
  static constexpr std::string_view block = "ParallelBlock";

 private:
  friend Base;

  void run(ConstTensorView<Scalar, 3> x, TensorView<Scalar, 3> y, Context& context, Cache* cache,
           const auto& attend) const {
    ScratchScope scope(context.scratch());
    const TensorView<Scalar, 3> normed = detail::scratch_like<Scalar>(scope, x);
    const TensorView<Scalar, 3> mixed = detail::scratch_like<Scalar>(scope, x);
    const TensorView<Scalar, 3> branch = detail::scratch_like<Scalar>(scope, x);
    this->norm.forward(x, normed, context, cache ? &cache->norm : nullptr);
    attend(normed, mixed);
    this->feed_forward.forward(normed, branch, context, cache ? &cache->feed_forward : nullptr);
    residual<Scalar>(mixed, branch, branch, context);
    residual<Scalar>(x, branch, y, context);
  }

  void run_back(ConstTensorView<Scalar, 3> dy, const Cache& cache, TensorView<Scalar, 3> dx, Context& context) {
    ScratchScope scope(context.scratch());
    const TensorView<Scalar, 3> dn = detail::scratch_like<Scalar>(scope, dy);
    const TensorView<Scalar, 3> branch = detail::scratch_like<Scalar>(scope, dy);
    this->attention.backward(dy, cache.attention, dn, context);
    this->feed_forward.backward(dy, cache.feed_forward, branch, context);
    residual<Scalar>(dn, branch, dn, context);
    this->norm.backward(dn, cache.norm, branch, context);
    residual<Scalar>(dy, branch, dx, context);
  }
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
