#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/attention/grouped_query_attention.hpp>
#include <eigenformer/attention/mask.hpp>
#include <eigenformer/block/gated_feed_forward.hpp>
#include <eigenformer/block/stack.hpp>
#include <eigenformer/linear/fix_norm.hpp>
#include <eigenformer/linear/tied_output.hpp>
#include <eigenformer/position/rotary.hpp>

#include <cmath>

namespace ef = eigenformer;

/// How large a model is.
struct Sizes {
  long dim = 64;
  long layers = 6;
  long heads = 4;
  long hidden = 172;
};

/// Words and their output as they mostly are: the embedding's vectors, read again as the output's weights.
struct PlainEnds {
  using Embedding = ef::Embedding<float>;
  using Output = ef::TiedOutput<float>;
};
/// The same with vectors of one length (Nguyen & Chiang 2018).
struct FixedEnds {
  using Embedding = ef::FixNorm<float>;
  using Output = ef::FixNormOutput<float>;
};

/// A decoder of bytes whose parts can all be changed: the placement of its norms, the norm, the ends.
template <template <class, class, class> class Placement, class Norm, class Ends>
class ByteModel : public ef::Block<ByteModel<Placement, Norm, Ends>> {
 public:
  using Attention = ef::GroupedQueryAttention<float, ef::Linear<float>, ef::Rotary<>>;
  using FeedForward = ef::GatedFeedForward<float, ef::Silu>;
  using Layer = Placement<Norm, Attention, FeedForward>;
  struct Cache {
    typename Ends::Embedding::Cache embedding;
    typename ef::Stack<Layer>::Cache layers;
    typename Norm::Cache norm;
    typename Ends::Output::Cache output;
  };

  ByteModel(const Sizes& sizes, ef::Random random)
      : embedding({.vocabulary = 256, .dim = sizes.dim, .deviation = 1 / std::sqrt(static_cast<double>(sizes.dim))},
                  random.split()),  // so that logits start with a deviation of one
        layers({sizes.layers,
                {.norm = {.dim = sizes.dim},
                 .attention = {.dim = sizes.dim, .heads = sizes.heads},
                 .feed_forward = {.dim = sizes.dim, .hidden = sizes.hidden}}},
               random.split()),
        norm({.dim = sizes.dim}) {}

  /// tokens [B, L] -> logits [B, L, 256]
  void forward(ef::TokensView tokens, ef::TensorView<float, 3> logits, ef::Context& context, Cache* cache) const {
    ef::ScratchScope scope(context.scratch());
    const auto h = like_rows(tokens.shape(), scope), y = like_rows(tokens.shape(), scope);
    embedding.forward(tokens, h, context, cache ? &cache->embedding : nullptr);
    layers.forward(h, y, ef::Causal{}, context, cache ? &cache->layers : nullptr);
    norm.forward(y, h, context, cache ? &cache->norm : nullptr);
    output.forward(embedding, h, logits, context, cache ? &cache->output : nullptr);
  }
  void backward(ef::ConstTensorView<float, 3> dlogits, const Cache& cache, ef::Context& context) {
    ef::ScratchScope scope(context.scratch());
    const ef::Shape tokens = {dlogits.dimension(0), dlogits.dimension(1)};
    const auto dh = like_rows(tokens, scope), dy = like_rows(tokens, scope);
    output.backward(embedding, dlogits, cache.output, dh, context);
    norm.backward(dh, cache.norm, dy, context);
    layers.backward(dy, cache.layers, dh, context);
    embedding.backward(dh, cache.embedding, context);
  }

  static void members(auto& self, auto&& visit) {
    visit("embedding", self.embedding);
    visit("layers", self.layers);
    visit("norm", self.norm);
  }

  typename Ends::Embedding embedding;
  ef::Stack<Layer> layers;
  Norm norm;
  typename Ends::Output output;

 private:
  ef::TensorView<float, 3> like_rows(const ef::Shape& tokens, ef::ScratchScope& scope) const {
    const ef::Index dim = embedding.output_features();
    return {scope.take<float>(tokens.size() * dim), tokens[0], tokens[1], dim};
  }
};
