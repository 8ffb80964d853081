#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/attention/mask.hpp>
#include <eigenformer/core/concepts.hpp>

namespace eigenformer::inline EIGENFORMER_ABI {

namespace detail {
struct AnyMaskUser {
  void operator()(const auto&) const {}
};
}  // namespace detail

/// What gives each layer of a stack a mask of its own. `with_mask(layer, use)` calls use(mask) with that of the layer,
/// counted from 0; check(extent) throws if one of the masks does not fit.
template <class M>
concept MaskSchedule = std::copyable<M> && requires(const M& masks, const AttentionExtent& extent, Index layer) {
  masks.check(extent);
  masks.with_mask(layer, detail::AnyMaskUser{});
};

/// Layers 0, 2, 4, … of a stack under one mask and layers 1, 3, 5, … under another: Alternating<Causal, LocalBanded> is
/// "alternating dense and locally banded" (Brown et al. 2020, "GPT-3", section 2.1).
/// @code
/// using Layer = ef::PreNorm<ef::LayerNorm<float>, ef::MultiHeadAttention<float>, ef::FeedForward<float, ef::Gelu>>;
/// const ef::Stack<Layer> stack({.count = 4,
///                               .layer = {.norm = {.dim = 64},
///                                         .attention = {.dim = 64, .heads = 4},
///                                         .feed_forward = {.dim = 64}}},
///                              ef::Random(42));
/// ef::Tensor<float, 3> x(2, 11, 64);
/// x.setZero();
/// ef::Tensor<float, 3> y = stack(x, ef::Alternating{ef::Causal{}, ef::LocalBanded{5}});
/// @endcode
template <AttentionMask Even, AttentionMask Odd>
struct Alternating {
  Even even{};  ///< the mask of layers 0, 2, 4, …
  Odd odd{};    ///< the mask of layers 1, 3, 5, …

  void check(const AttentionExtent& extent) const {
    even.check(extent);
    odd.check(extent);
  }
  /// Calls use(mask) with the mask of this layer.
  template <class Use>
  void with_mask(Index layer, const Use& use) const {
    if (layer % 2 == 0) {
      use(even);
    } else {
      use(odd);
    }
  }
};
template <class Even, class Odd>
Alternating(Even, Odd) -> Alternating<Even, Odd>;

namespace detail {

/// Calls use(mask) with the mask of a layer; a mask alone is that of every layer.
template <class Masks, class Use>
void with_mask(const Masks& masks, [[maybe_unused]] std::size_t layer, const Use& use) {
  if constexpr (MaskSchedule<Masks>) {
    masks.with_mask(static_cast<Index>(layer), use);
  } else {
    use(masks);
  }
}

}  // namespace detail
}  // namespace eigenformer::inline EIGENFORMER_ABI
