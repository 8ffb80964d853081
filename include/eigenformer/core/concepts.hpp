#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/block.hpp>
#include <eigenformer/core/images.hpp>

#include <concepts>

namespace eigenformer::inline EIGENFORMER_ABI {

namespace detail {
struct AnyVisitor {
  void operator()(const Name&, const auto&) const {}
};
}  // namespace detail

/// A value type whose parameters can be visited by name.
template <class B>
concept ParameterHolder = std::copyable<B> && requires(B& block, const B& constant, detail::AnyVisitor visitor) {
  block.visit_parameters(visitor);
  constant.visit_parameters(visitor);
};

/// Whether a block says that what it gives for a row depends on the shape that the rows come in, as GroupNorm's does.
template <class B>
concept MixesPositions = requires {
  requires B::mixes_positions;
};

/// A block that maps each row of features on its own: norms, projections, feed-forward.
template <class B, class T>
concept TokenwiseBlock = ParameterHolder<B> && !MixesPositions<B> &&
                         requires(B & block, const B& constant, ConstRowsView<T> read, RowsView<T> write,
                                  Context& context, typename B::Cache& cache) {
  constant.forward(read, write, context);
  constant.forward(read, write, context, &cache);
  block.backward(read, cache, write, context);
};

/// A block that maps whole sequences [batch, length, features] under a mask.
template <class B, class T, class Mask>
concept SequenceBlock = ParameterHolder<B> &&
    requires(B& block, const B& constant, ConstTensorView<T, 3> read, TensorView<T, 3> write, const Mask& mask,
             Context& context, typename B::Cache& cache) {
  constant.forward(read, write, mask, context);
  constant.forward(read, write, mask, context, &cache);
  block.backward(read, cache, write, context);
};

/// A block that maps images [batch, height, width, channels].
template <class B, class T>
concept SpatialBlock = ParameterHolder<B> &&
    requires(B& block, const B& constant, const ConstImagesView<T>& read, const ImagesView<T>& write, Context& context,
             typename B::Cache& cache) {
  constant.forward(read, write, context);
  constant.forward(read, write, context, &cache);
  block.backward(read, cache, write, context);
};

/// What attention and feed-forward multiply by: Linear and whatever stands in for it.
template <class P, class T>
concept Projection = TokenwiseBlock<P, T> && requires(const P& projection) {
  { projection.input_features() } -> std::convertible_to<Index>;
  { projection.output_features() } -> std::convertible_to<Index>;
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
