#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/block/layer.hpp>

namespace eigenformer::inline EIGENFORMER_ABI {

namespace detail {

/// h = norm(scale x + attention(x)),    y = norm'(scale h + feed_forward(h))
/// Norms work in place: an array less goes through memory, and sums of more than the cache holds take a sixth less time.
template <class Parts, class Scalar>
void norm_after_sums(const Parts& parts, Scalar scale, ConstTensorView<Scalar, 3> x, TensorView<Scalar, 3> y,
                     Context& context, typename Parts::Cache* cache, const auto& attend) {
  ScratchScope scope(context.scratch());
  const TensorView<Scalar, 3> h = scratch_like<Scalar>(scope, x);
  const TensorView<Scalar, 3> branch = scratch_like<Scalar>(scope, x);
  attend(x, h);
  residual<Scalar>(x, h, h, context, scale);
  parts.attention_norm.forward(h, h, context, cache ? &cache->attention_norm : nullptr);
  parts.feed_forward.forward(h, branch, context, cache ? &cache->feed_forward : nullptr);
  residual<Scalar>(h, branch, y, context, scale);
  parts.feed_forward_norm.forward(y, y, context, cache ? &cache->feed_forward_norm : nullptr);
}

template <class Parts, class Scalar>
void norm_after_sums_backward(Parts& parts, Scalar scale, ConstTensorView<Scalar, 3> dy,
                              const typename Parts::Cache& cache, TensorView<Scalar, 3> dx, Context& context) {
  ScratchScope scope(context.scratch());
  const TensorView<Scalar, 3> sum = scratch_like<Scalar>(scope, dy);
  const TensorView<Scalar, 3> branch = scratch_like<Scalar>(scope, dy);
  parts.feed_forward_norm.backward(dy, cache.feed_forward_norm, sum, context);
  parts.feed_forward.backward(sum, cache.feed_forward, branch, context);
  residual<Scalar>(sum, branch, branch, context, scale);
  parts.attention_norm.backward(branch, cache.attention_norm, sum, context);
  parts.attention.backward(sum, cache.attention, dx, context);
  residual<Scalar>(sum, dx, dx, context, scale);
}

}  // namespace detail

/// A transformer layer that normalises after each residual sum (Vaswani et al. 2017, section 3.1; BERT):
///   h = norm(x + attention(x)),    y = norm'(h + feed_forward(h))
/// Its calls, shapes and errors are those of every Layer.
template <class Norm, class Mixer, class FeedForward>
class PostNorm : public Layer<PostNorm<Norm, Mixer, FeedForward>, TwoNormParts<Norm, Mixer, FeedForward>> {
 public:
  using Base = Layer<PostNorm, TwoNormParts<Norm, Mixer, FeedForward>>;
  using Cache = typename Base::Cache;
  using Scalar = typename Base::Scalar;
  using Base::Base;
  static constexpr std::string_view block = "PostNorm";

 private:
  friend Base;

  void run(ConstTensorView<Scalar, 3> x, TensorView<Scalar, 3> y, Context& context, Cache* cache,
           const auto& attend) const {
    detail::norm_after_sums(*this, Scalar(1), x, y, context, cache, attend);
  }
  void run_back(ConstTensorView<Scalar, 3> dy, const Cache& cache, TensorView<Scalar, 3> dx, Context& context) {
    detail::norm_after_sums_backward(*this, Scalar(1), dy, cache, dx, context);
  }
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
