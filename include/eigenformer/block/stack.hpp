#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/attention/memory.hpp>
#include <eigenformer/block/alternating.hpp>
#include <eigenformer/block/parts.hpp>
#include <eigenformer/block/residual.hpp>

namespace eigenformer::inline EIGENFORMER_ABI {

/// Key/value caches, one for each layer of a stack: a vector of them, or what is asked for them one by one.
template <class C>
concept CachesOfLayers = requires(C& caches, std::size_t layer) {
  { caches.size() } -> std::convertible_to<std::size_t>;
  caches[layer];
};

/// Layers of one type one after the other, y = layer_n(… layer_1(x)), each under the same mask, or under that which a
/// MaskSchedule such as Alternating gives it: the body of an encoder or a decoder. Parameters are named by the layer's
/// number, `0.attention.query.weight`.
///   forward:   x, y [batch, length, D], which may not overlap; without layers y = x. With key/value
///              caches, one for each layer, in place of the cache, the positions that follow those already there
/// Layers with a memory (CrossLayer) each attend to the same one; dmemory is the sum of what they give.
///   throws OptionError for a negative number of layers, ShapeError for an x, y, dy or dx that does not fit or another
///          number of caches, and what the layers throw
template <class Layer>
class Stack : public Block<Stack<Layer>> {
 public:
  using Scalar = scalar_of<Layer>;
  struct Options {
    Index count = 0;                  ///< number of layers
    detail::options_of<Layer> layer;  ///< of every layer
  };
  struct Cache {
    std::vector<typename Layer::Cache> layers;
  };

  Stack(const Options& options, Random random) {
    require<OptionError>(options.count >= 0, "Stack", "expected a count of at least 0, got ", options.count);
    layers.reserve(static_cast<std::size_t>(options.count));
    for (Index i = 0; i < options.count; ++i) layers.push_back(detail::make_part<Layer>(options.layer, random));
  }
  /// The layers in the order in which they run.
  explicit Stack(std::vector<Layer> given) : layers(std::move(given)) {}

  template <class Mask>
  void forward(ConstTensorView<Scalar, 3> x, TensorView<Scalar, 3> y, const Mask& mask, Context& context,
               Cache* cache = nullptr) const {
    if (cache) cache->layers.resize(layers.size());
    run(x, y, context, [&](std::size_t i, ConstTensorView<Scalar, 3> from, TensorView<Scalar, 3> to) {
      detail::with_mask(mask, i, [&]<class Own>(const Own& own) {
        static_assert(SequenceBlock<Layer, Scalar, Own>,
                      "Stack: Layer maps sequences under this mask, as PreNorm does");
        layers[i].forward(from, to, own, context, cache ? &cache->layers[i] : nullptr);
      });
    });
  }
  template <class Mask, CachesOfLayers Caches>
  void forward(ConstTensorView<Scalar, 3> x, TensorView<Scalar, 3> y, const Mask& mask, Caches& key_values,
               Context& context) const {
    check_count(key_values.size());
    run(x, y, context, [&](std::size_t i, ConstTensorView<Scalar, 3> from, TensorView<Scalar, 3> to) {
      auto&& of_layer = key_values[i];
      detail::with_mask(mask, i, [&](const auto& own) { layers[i].forward(from, to, own, of_layer, context); });
    });
  }

  template <class Mask, class MemoryMask>
  void forward(ConstTensorView<Scalar, 3> x, TensorView<Scalar, 3> y, const Mask& mask,
               const Memory<Scalar, MemoryMask>& memory, Context& context, Cache* cache = nullptr) const {
    if (cache) cache->layers.resize(layers.size());
    run(x, y, context, [&](std::size_t i, ConstTensorView<Scalar, 3> from, TensorView<Scalar, 3> to) {
      detail::with_mask(mask, i, [&](const auto& own) {
        layers[i].forward(from, to, own, memory, context, cache ? &cache->layers[i] : nullptr);
      });
    });
  }
  template <class Mask, class MemoryMask, class Storage>
  void forward(ConstTensorView<Scalar, 3> x, TensorView<Scalar, 3> y, const Mask& mask, const MemoryMask& memory_mask,
               std::vector<CrossKeyValues<Scalar, Storage>>& key_values, Context& context) const {
    check_count(key_values.size());
    run(x, y, context, [&](std::size_t i, ConstTensorView<Scalar, 3> from, TensorView<Scalar, 3> to) {
      detail::with_mask(
          mask, i, [&](const auto& own) { layers[i].forward(from, to, own, memory_mask, key_values[i], context); });
    });
  }

  void backward(ConstTensorView<Scalar, 3> dy, const Cache& cache, TensorView<Scalar, 3> dx,
                TensorView<Scalar, 3> dmemory, Context& context) {
    check_count(cache.layers.size());
    if (layers.empty()) std::fill_n(dmemory.data(), dmemory.size(), Scalar(0));
    ScratchScope scope(context.scratch());
    const TensorView<Scalar, 3> part = detail::scratch_like<Scalar>(scope, dmemory);
    const std::size_t last = layers.size() - 1;
    run(dy, dx, context, [&](std::size_t i, ConstTensorView<Scalar, 3> from, TensorView<Scalar, 3> to) {
      layers[last - i].backward(from, cache.layers[last - i], to, i == 0 ? dmemory : part, context);
      if (i > 0) residual<Scalar>(part, dmemory, dmemory, context);
    });
  }
  void backward(ConstTensorView<Scalar, 3> dy, const Cache& cache, TensorView<Scalar, 3> dx, Context& context) {
    check_count(cache.layers.size());
    const std::size_t last = layers.size() - 1;
    run(dy, dx, context, [&](std::size_t i, ConstTensorView<Scalar, 3> from, TensorView<Scalar, 3> to) {
      layers[last - i].backward(from, cache.layers[last - i], to, context);
    });
  }

  /// An empty key/value cache for each layer, with room for `capacity` positions.
  auto key_value_caches(Index batch, Index capacity) const {
    std::vector<decltype(std::declval<const Layer&>().key_value_cache(batch, capacity))> caches;
    for (const Layer& layer : layers) caches.push_back(layer.key_value_cache(batch, capacity));
    return caches;
  }
  /// What to go step by step with for each layer with a memory.   memory: [B, T, D_memory]
  template <HeadStorageOf<Scalar> Storage = Scalar>
  auto key_values(ConstTensorView<Scalar, 3> memory, const CrossKeyValuesOptions& options, Context& context) const {
    std::vector<CrossKeyValues<Scalar, Storage>> result;
    for (const Layer& layer : layers) result.push_back(layer.template key_values<Storage>(memory, options, context));
    return result;
  }

  static void members(auto& self, auto&& visit) { visit("", self.layers); }

  std::vector<Layer> layers;

 private:
  /// step(i, from, to) for each layer. What lies between two layers alternates between y and scratch memory, so that
  /// the last one writes y.
  template <class Step>
  void run(ConstTensorView<Scalar, 3> x, TensorView<Scalar, 3> y, Context& context, const Step& step) const {
    require_shape(x.shape(), y.shape(), "Stack", "an output");
    if (layers.empty()) {
      std::copy_n(x.data(), x.size(), y.data());
      return;
    }
    const ProfileScope profile(context, "Stack");
    ScratchScope scope(context.scratch());
    Scalar* const between = layers.size() > 1 ? scope.take<Scalar>(x.size()) : nullptr;
    const Scalar* from = x.data();
    for (std::size_t i = 0; i < layers.size(); ++i) {
      Scalar* const to = (layers.size() - 1 - i) % 2 == 0 ? y.data() : between;
      step(i, ConstTensorView<Scalar, 3>(from, x.dimensions()), TensorView<Scalar, 3>(to, x.dimensions()));
      from = to;
    }
  }
  void check_count(std::size_t count) const {
    require(count == layers.size(), "Stack", "expected a cache for each of ", layers.size(), " layers, got ", count);
  }
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
