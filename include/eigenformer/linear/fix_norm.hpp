#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/linear/embedding.hpp>
#include <eigenformer/linear/linear.hpp>
#include <eigenformer/norm/scale_norm.hpp>

#include <cmath>

namespace eigenformer::inline EIGENFORMER_ABI {

struct FixNormOptions {
  Index vocabulary = 0;
  Index dim = 0;
  double deviation = 1;    ///< of the initial weights, which are normal
  double epsilon = 1e-12;  ///< lower bound of a vector's length
};

/// FixNorm (Nguyen & Chiang 2018; Nguyen & Salazar 2019, section 2.2): an Embedding whose vectors count by their
/// direction alone, y = length E[token] / max(||E[token]||, epsilon). A new one has length = sqrt(D), which is not
/// trained. Its parameter is the Embedding's `weight`, as it is stored; FixNormOutput ties the output to it.
///   forward:   tokens of any shape [...], usually [batch, length] -> y [..., D]
///   backward:  adds to dE; with r = 1 / max(||e||, epsilon) and z = e r a token's row gets length r (dy - z (z . dy))
///   throws OptionError for a vocabulary or dim below 1 or a bad epsilon, ShapeError for a y or dy that does not fit,
///          ValueError for a token not in 0 .. vocabulary - 1, or if the weight is trained but was frozen when forward
///          ran
template <class T>
class FixNorm : public Block<FixNorm<T>> {
 public:
  using Options = FixNormOptions;
  struct Cache {
    typename Embedding<T>::Cache tokens;  ///< what the Embedding keeps
    NormCache<T> norm;                    ///< [N, D], empty while the weight is frozen
  };

  FixNorm(const FixNormOptions& options, Random random)
      : FixNorm(Embedding<T>({options.vocabulary, options.dim, options.deviation}, random.split()), options.epsilon) {}
  explicit FixNorm(Embedding<T> given_embedding, double given_epsilon = 1e-12)
      : embedding(std::move(given_embedding)),
        length(static_cast<T>(std::sqrt(static_cast<double>(embedding.output_features())))),
        epsilon(given_epsilon) {
    detail::require_epsilon(epsilon, "FixNorm");
  }

  Index vocabulary() const { return embedding.vocabulary(); }
  Index output_features() const { return embedding.output_features(); }

  void forward(TokensView tokens, RowsView<T> y, Context& context, Cache* cache = nullptr) const {
    const ProfileScope profile(context, "FixNorm");
    embedding.forward(tokens, y, context, cache ? &cache->tokens : nullptr);
    const bool kept = cache && embedding.weight.trainable;
    scale_norm<T>(y, length, epsilon, y, context, kept ? &cache->norm : nullptr);
  }

  void backward(ConstRowsView<T> dy, const Cache& cache, Context& context) {
    const ProfileScope profile(context, "FixNorm backward");
    if (!embedding.weight.trainable || cache.tokens.tokens.size() != dy.rows() || dy.features() != output_features()) {
      return embedding.backward(dy, cache.tokens, context);  // nothing to do, or a mistake that it knows
    }
    ScratchScope scope(context.scratch());
    const RowsView<T> drows = scope.rows<T>(dy.rows(), dy.features());
    scale_norm_backward<T>(dy, cache.norm, length, epsilon, drows, context);
    embedding.backward(drows, cache.tokens, context);
  }

  /// An owned tensor for y, as Embedding's.
  template <class Tokens>
  requires std::is_convertible_v<const Tokens&, TokensView>
  auto output_like(const Tokens& tokens) const { return embedding.output_like(tokens); }

  static void members(auto& self, auto&& visit) { visit("weight", self.embedding.weight); }

  Embedding<T> embedding;
  T length;  ///< of every vector that it gives
  double epsilon;
};

/// The output of a language model tied to FixNorm: logits = h N^T, where N has the rows of E scaled to length 1. It has
/// no weights; backward adds to the embedding's gradient.
///   forward:   h [..., D] -> logits [..., vocabulary]
///   backward:  dh = dlogits N,  and dN = dlogits^T h taken back through the scaling is added to dE
///   throws ShapeError for an h, logits or gradient that does not fit, ValueError if the embedding is trained but was
///          frozen when forward ran
template <class T>
struct FixNormOutput {
  using Scalar = T;
  struct Cache {
    NormCache<T> table;  ///< N, [vocabulary, D]
    Buffer<T> h;         ///< [N, D], empty while the embedding is frozen
    Index rows = 0;      ///< rows of h
  };

  void forward(const FixNorm<T>& fixed, ConstRowsView<T> h, RowsView<T> logits, Context& context,
               Cache* cache = nullptr) const {
    require_rows(h, fixed.output_features(), logits, fixed.vocabulary(), "FixNormOutput", "h", "logits");
    const ProfileScope profile(context, "FixNormOutput");
    ScratchScope scope(context.scratch());
    const RowsView<T> table = scope.rows<T>(fixed.vocabulary(), fixed.output_features());
    scale_norm<T>(fixed.embedding.weight.value, T(1), fixed.epsilon, table, context, cache ? &cache->table : nullptr);
    linear<T>(h, table, {}, logits, context);
    if (!cache) return;
    cache->rows = h.rows();
    const Index kept = fixed.embedding.weight.trainable ? h.rows() : 0;
    cache->h.resize(kept, h.features()) = h.topRows(kept);
  }

  void backward(FixNorm<T>& fixed, ConstRowsView<T> dlogits, const Cache& cache, RowsView<T> dh,
                Context& context) const {
    Parameter<T, 2>& weight = fixed.embedding.weight;
    require_rows(dlogits, fixed.vocabulary(), dh, fixed.output_features(), "FixNormOutput", "dlogits", "dh");
    require(dlogits.rows() == cache.rows && cache.table.normalised.size() == weight.size(), "FixNormOutput",
            "expected dlogits with the ", cache.rows, " rows of forward, got shape ", dlogits.shape());
    require<ValueError>(!weight.trainable || cache.h.size() == cache.rows * dh.features(), "FixNormOutput",
                        "expected the input of forward in the cache, but the embedding was frozen then");
    const ProfileScope profile(context, "FixNormOutput backward");
    if (weight.trainable) {
      ScratchScope scope(context.scratch());
      RowsView<T> dtable = scope.rows<T>(fixed.vocabulary(), fixed.output_features());
      dtable.setZero();
      linear_backward_weight<T>(dlogits, cache.h.rows(dh.features()), dtable, context);
      scale_norm_backward<T>(dtable, cache.table, T(1), fixed.epsilon, dtable, context);
      weight.accumulated_gradient() += dtable;
    }
    linear_backward_input<T>(dlogits, cache.table.normalised.rows(dh.features()), dh, context);
  }
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
