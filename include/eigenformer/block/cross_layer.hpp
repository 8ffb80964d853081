#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/attention/memory.hpp>
#include <eigenformer/attention/projected_memory.hpp>
#include <eigenformer/block/layer.hpp>
#include <eigenformer/block/norm_order.hpp>

namespace eigenformer::inline EIGENFORMER_ABI {

/// A decoder's layer in an encoder-decoder (Vaswani et al. 2017, section 3.1): self-attention, cross-attention to a memory,
/// feed-forward, each around a residual with a norm of its own. Order says where the norms stand; with NormAfter, as in
/// the paper:
///   h = norm(x + attention(x)),   h' = norm'(h + cross_attention(h, memory)),   y = norm''(h' + feed_forward(h'))
/// The memory is not normalised.
///   forward:   x, y [batch, length, D]; y may be x. memory [batch, T, D_memory]. With CrossKeyValues in place of the
///              memory and cache, the positions that follow those already there
///   backward:  dx may be dy; dmemory is written
///   throws ShapeError for an x, y, dy, dx or part that does not fit, before the first part writes; what the parts
///   throw
template <class Norm, class Mixer, class FeedForward, class Order = NormAfter, class CrossMixer = Mixer>
class CrossLayer : public Block<CrossLayer<Norm, Mixer, FeedForward, Order, CrossMixer>>,
                   public TwoNormParts<Norm, Mixer, FeedForward> {
 public:
  using Base = TwoNormParts<Norm, Mixer, FeedForward>;
  using Scalar = typename Base::Scalar;
  static_assert(ComputesIn<CrossMixer, Scalar>, "CrossLayer: cross-attention computes in the norm's scalar type");
  static constexpr std::string_view block = "CrossLayer";

  struct Options {
    detail::options_of<Norm> norm;
    detail::options_of<Mixer> attention;
    detail::options_of<CrossMixer> cross_attention;  ///< of the attention to the memory
    detail::options_of<FeedForward> feed_forward;
  };
  /// What forward keeps for backward.
  struct Cache : Base::Cache {
    typename Norm::Cache cross_attention_norm;   ///< of the branch with cross-attention
    typename CrossMixer::Cache cross_attention;  ///< of the attention to the memory
  };

  CrossLayer(const Options& options, Random random)
      : Base({options.norm, options.attention, options.feed_forward}, random.split()),
        cross_attention_norm(detail::make_part<Norm>(options.norm, random)),
        cross_attention(detail::make_part<CrossMixer>(options.cross_attention, random)) {}
  CrossLayer(Base given_parts, Norm norm_of_cross_attention, CrossMixer given_cross_attention)
      : Base(std::move(given_parts)),
        cross_attention_norm(std::move(norm_of_cross_attention)),
        cross_attention(std::move(given_cross_attention)) {}

  template <class Mask, class MemoryMask>
  void forward(ConstTensorView<Scalar, 3> x, TensorView<Scalar, 3> y, const Mask& mask,
               const Memory<Scalar, MemoryMask>& memory, Context& context, Cache* cache = nullptr) const {
    check(x.shape(), y.shape(), "y");
    run(
        x, y, context, cache,
        [&](auto from, auto to) {
          this->attention.forward(from, to, mask, context, cache ? &cache->attention : nullptr);
        },
        [&](auto from, auto to) {
          cross_attention.forward(from, to, memory.values, memory.mask, context,
                                  cache ? &cache->cross_attention : nullptr);
        });
  }
  template <class Mask, class MemoryMask, class Storage>
  void forward(ConstTensorView<Scalar, 3> x, TensorView<Scalar, 3> y, const Mask& mask, const MemoryMask& memory_mask,
               CrossKeyValues<Scalar, Storage>& key_values, Context& context) const {
    check(x.shape(), y.shape(), "y");
    run(
        x, y, context, nullptr,
        [&](auto from, auto to) { this->attention.forward(from, to, mask, key_values.own, context); },
        [&](auto from, auto to) {
          attend_to_memory<Scalar>(cross_attention, from, to, memory_mask, key_values.memory, context);
        });
  }

  void backward(ConstTensorView<Scalar, 3> dy, const Cache& cache, TensorView<Scalar, 3> dx,
                TensorView<Scalar, 3> dmemory, Context& context) {
    check(dy.shape(), dx.shape(), "dx");
    const ProfileScope profile(context, block);
    Order::template backward<Scalar>(
        this->feed_forward_norm, dy, dx, context, cache.feed_forward_norm,
        [&](auto from, auto to) { this->feed_forward.backward(from, cache.feed_forward, to, context); });
    Order::template backward<Scalar>(
        cross_attention_norm, dx, dx, context, cache.cross_attention_norm,
        [&](auto from, auto to) { cross_attention.backward(from, cache.cross_attention, to, dmemory, context); });
    Order::template backward<Scalar>(
        this->attention_norm, dx, dx, context, cache.attention_norm,
        [&](auto from, auto to) { this->attention.backward(from, cache.attention, to, context); });
  }

  /// What to go step by step with: the memory projected, and no positions yet.   memory: [B, T, D_memory]
  template <HeadStorageOf<Scalar> Storage = Scalar>
  CrossKeyValues<Scalar, Storage> key_values(ConstTensorView<Scalar, 3> memory, const CrossKeyValuesOptions& options,
                                             Context& context) const {
    require_positive(options.sequences, block, "sequences");
    const Index batch = memory.dimension(0);
    CrossKeyValues<Scalar, Storage> result = {
        this->attention.template key_value_cache<Storage>(batch * options.sequences, options.capacity),
        cross_attention.template key_value_cache<Storage>(batch, memory.dimension(1))};
    project_memory<Scalar>(cross_attention, memory, result.memory, context);
    return result;
  }

  static void members(auto& self, auto&& visit) {
    Base::members(self, visit);
    visit("cross_attention_norm", self.cross_attention_norm);
    visit("cross_attention", self.cross_attention);
  }

  Norm cross_attention_norm;   ///< of the branch with cross-attention
  CrossMixer cross_attention;  ///< attention to the memory

 private:
  void run(ConstTensorView<Scalar, 3> x, TensorView<Scalar, 3> y, Context& context, Cache* cache, const auto& attend,
           const auto& attend_across) const {
    const ProfileScope profile(context, block);
    Order::template forward<Scalar>(this->attention_norm, x, y, context, cache ? &cache->attention_norm : nullptr,
                                    attend);
    Order::template forward<Scalar>(cross_attention_norm, y, y, context, cache ? &cache->cross_attention_norm : nullptr,
                                    attend_across);
    Order::template forward<Scalar>(
        this->feed_forward_norm, y, y, context, cache ? &cache->feed_forward_norm : nullptr, [&](auto from, auto to) {
          this->feed_forward.forward(from, to, context, cache ? &cache->feed_forward : nullptr);
        });
  }
  void check(const Shape& x, const Shape& y, std::string_view y_name) const {
    require_shape(x, y, block, y_name);
    members(*this, [&](std::string_view name, const auto& part) { detail::require_width(part, x[-1], block, name); });
  }
};

/// CrossLayer with its norms behind the residual sums, as in the original Transformer.
template <class Norm, class Mixer, class FeedForward, class CrossMixer = Mixer>
using PostNormCross = CrossLayer<Norm, Mixer, FeedForward, NormAfter, CrossMixer>;
/// CrossLayer with its norms before the branches.
template <class Norm, class Mixer, class FeedForward, class CrossMixer = Mixer>
using PreNormCross = CrossLayer<Norm, Mixer, FeedForward, NormBefore, CrossMixer>;

}  // namespace eigenformer::inline EIGENFORMER_ABI
