#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/linear/embedding.hpp>
#include <eigenformer/linear/linear.hpp>

namespace eigenformer::inline EIGENFORMER_ABI {

/// The output of a language model whose logits are products with the embedding of each token, logits = h E^T (Press &
/// Wolf 2017, "Using the Output Embedding to Improve Language Models"). It has no weights: the embedding comes with
/// each call, and backward adds to the same gradient as the embedding's own; it has none if it is stored in half
/// precision.
///   forward:   h [..., D] -> logits [..., vocabulary]
///   backward:  dh = dlogits E,  dE += dlogits^T h
///   throws ShapeError for an h, logits or gradient that does not fit, ValueError if the embedding is trained but was
///          frozen when forward ran
template <class T, class Storage_ = T>
struct TiedOutput {
  using Scalar = T;
  using Storage = Storage_;
  using Cache = typename Linear<T, Storage>::Cache;

  void forward(const Embedding<T, Storage>& embedding, ConstRowsView<T> h, RowsView<T> logits, Context& context,
               Cache* cache = nullptr) const {
    require_rows(h, embedding.output_features(), logits, embedding.vocabulary(), "TiedOutput", "h", "logits");
    const ProfileScope profile(context, "TiedOutput");
    linear<T, Storage>(h, embedding.weight.value, {}, logits, context);
    if (!cache) return;
    cache->rows = h.rows();
    const Index kept = embedding.weight.trainable ? h.rows() : 0;
    cache->x.resize(kept, h.features()) = h.topRows(kept);
  }

  void backward(Embedding<T, Storage>& embedding, ConstRowsView<T> dlogits, const Cache& cache, RowsView<T> dh,
                Context& context) const {
    Parameter<Storage, 2>& weight = embedding.weight;
    require_rows(dlogits, embedding.vocabulary(), dh, embedding.output_features(), "TiedOutput", "dlogits", "dh");
    require(dlogits.rows() == cache.rows, "TiedOutput", "expected dlogits with the ", cache.rows,
            " rows of forward, got shape ", dlogits.shape());
    require<ValueError>(!weight.trainable || cache.x.size() == cache.rows * dh.features(), "TiedOutput",
                        "expected the input of forward in the cache, but the embedding was frozen then");
    const ProfileScope profile(context, "TiedOutput backward");
    if constexpr (Parameter<Storage, 2>::learnable) {
      if (weight.trainable) {
        linear_backward_weight<T>(dlogits, cache.x.rows(dh.features()), weight.accumulated_gradient(), context);
      }
    }
    linear_backward_input<T, Storage>(dlogits, weight.value, dh, context);
  }
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
