#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/block.hpp>
#include <eigenformer/core/random.hpp>
#include <eigenformer/core/tokens.hpp>
#include <eigenformer/kernels/norm.hpp>

#include <concepts>

namespace eigenformer::inline EIGENFORMER_ABI {

struct EmbeddingOptions {
  Index vocabulary = 0;
  Index dim = 0;
  double deviation = 1;  ///< of the initial weights, which are normal; 0.02 is customary where the output is tied
};

/// y_n = E[token_n].   tokens: [N]    weight E: [vocabulary, D]    y: [N, D]
template <class T, class Storage = T>
void embedding(TokensView tokens, ConstRowsView<std::type_identity_t<Storage>> weight, RowsView<T> y,
               Context& context) {
  context.parallel_for(tokens.size(), static_cast<double>(y.size()), [&](Index n) {
    const Storage* const from = weight.row(tokens[n]).data();
    if constexpr (std::is_same_v<Storage, T>) {
      std::copy_n(from, y.features(), y.row(n).data());
    } else {
      std::transform(from, from + y.features(), y.row(n).data(), [](Storage value) { return widened<T>(value); });
    }
  });
}

/// dE[token_n] += dy_n, one after the other. Threads share the work by columns: by rows, two could meet at a token, and
/// the order of additions would be theirs.   tokens: [N]    dy: [N, D]    dweight: [vocabulary, D]
template <class T>
void embedding_backward(TokensView tokens, ConstRowsView<T> dy, RowsView<T> dweight, Context& context) {
  constexpr Index line = 16;  // columns that two threads should not share
  const Index block_columns = ((dy.features() + context.threads() - 1) / context.threads() + line - 1) / line * line;
  const Index blocks = (dy.features() + block_columns - 1) / block_columns;
  context.parallel_for(blocks, static_cast<double>(dy.size()), [&](Index block) {
    const Index first = block * block_columns;
    const Index columns = (std::min)(block_columns, dy.features() - first);
    for (Index n = 0; n < tokens.size(); ++n) {
      kernels::add_rows<T>(dy.data() + n * dy.stride() + first, 1, columns,
                           dweight.data() + tokens[n] * dweight.stride() + first, context.instruction_set());
    }
  });
}

/// A learned vector for each token, y = E[token]. Starts normal with mean 0 and the given deviation, 1 as in PyTorch.
/// With Bfloat16 or Float16 as Storage the weight takes half the memory and is frozen for good; y is its values in T.
///   forward:   tokens of any shape [...], usually [batch, length] -> y [..., D]
///   backward:  dE[token] += dy; tokens have no gradient, so there is no dx. The sums' order does not depend on threads
///   throws OptionError for a vocabulary or dim below 1, ShapeError for a y or dy that does not fit, ValueError for a
///          token not in 0 .. vocabulary - 1, or if the weight is trained but was frozen when forward ran
template <class T, class Storage_ = T>
class Embedding : public Block<Embedding<T, Storage_>> {
 public:
  static_assert(StorageOf<Storage_, T>, "Embedding: the weight is stored as T, Bfloat16 or Float16");
  using Scalar = T;
  using Storage = Storage_;
  using Options = EmbeddingOptions;
  struct Cache {
    Buffer<TokensView::Token> tokens;  ///< [N], empty while the weight is frozen
    Index rows = 0;                    ///< N
  };

  Embedding(const EmbeddingOptions& options, Random random) : Embedding(start_weight(options, random)) {}
  template <std::convertible_to<Matrix<Storage>> Weight>  // not a list in braces, as for Linear
  explicit Embedding(Weight given_weight) : weight(Matrix<Storage>(std::move(given_weight))) {
    require<OptionError>(weight.size() > 0, "Embedding", "expected a weight [vocabulary, dim] of at least [1, 1], got ",
                         weight.shape());
  }
  /// The same vectors stored otherwise: rounded to the nearest, ties to even, or widened, which is exact.
  template <class Other>
  requires(!std::same_as<Other, Storage>) explicit Embedding(const Embedding<T, Other>& other)
      : weight(stored_as<Storage>(other.weight.value)) {}

  Index vocabulary() const { return weight.value.rows(); }
  Index output_features() const { return weight.value.cols(); }

  void forward(TokensView tokens, RowsView<T> y, Context& context, Cache* cache = nullptr) const {
    check_rows(y.shape(), y.rows(), tokens.size(), "y");
    for (Index n = 0; n < tokens.size(); ++n) {
      require<ValueError>(tokens[n] >= 0 && tokens[n] < vocabulary(), "Embedding", "expected tokens in 0 .. ",
                          vocabulary() - 1, ", got ", tokens[n], " at position ", n, " of tokens of shape ",
                          tokens.shape());
    }
    const ProfileScope profile(context, "Embedding");
    embedding<T, Storage>(tokens, weight.value, y, context);
    if (!cache) return;
    cache->rows = tokens.size();
    const Index kept = weight.trainable ? tokens.size() : 0;
    std::copy_n(tokens.data(), kept, cache->tokens.resize(kept));
  }

  void backward(ConstRowsView<T> dy, const Cache& cache, Context& context) {
    check_rows(dy.shape(), dy.rows(), cache.rows, "dy");
    if constexpr (decltype(weight)::learnable) {
      if (!weight.trainable) return;
      require<ValueError>(cache.tokens.size() == cache.rows, "Embedding",
                          "expected the tokens of forward in the cache, but the weight was frozen then");
      const ProfileScope profile(context, "Embedding backward");
      embedding_backward<T>(cache.tokens.values(), dy, weight.accumulated_gradient(), context);
    }
  }

  /// An owned tensor for y: one dimension more than the tokens' tensor, or a matrix for a list of tokens.
  template <class Tokens>
  requires std::is_convertible_v<const Tokens&, TokensView>
  auto output_like(const Tokens& tokens) const {
    const Shape shape = TokensView(tokens).shape();
    if constexpr (requires { Tokens::NumDimensions; }) {
      std::array<Index, Tokens::NumDimensions + 1> dimensions{};
      for (int i = 0; i < shape.rank(); ++i) dimensions[static_cast<std::size_t>(i)] = shape[i];
      dimensions.back() = output_features();
      return Tensor<T, Tokens::NumDimensions + 1>(dimensions);
    } else {
      return Matrix<T>(shape.size(), output_features());
    }
  }

  static void members(auto& self, auto&& visit) { visit("weight", self.weight); }

  Parameter<Storage, 2> weight;  ///< [vocabulary, D]

 private:
  static Matrix<Storage> start_weight(const EmbeddingOptions& options, Random& random) {
    require_positive(options.vocabulary, "Embedding", "vocabulary");
    require_positive(options.dim, "Embedding", "dim");
    Matrix<Storage> start(options.vocabulary, options.dim);
    for (Storage& value : std::span(start.data(), static_cast<std::size_t>(start.size()))) {
      value = rounded<Storage>(static_cast<T>(options.deviation * random.normal()));
    }
    return start;
  }
  void check_rows(const Shape& shape, Index rows, Index tokens, std::string_view name) const {
    require_features(output_features(), shape, "Embedding", name);
    require(rows == tokens, "Embedding", "expected ", name, " with a row for each of ", tokens, " tokens, got shape ",
            shape);
  }
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
