#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/adapter/lora.hpp>
#include <eigenformer/linear/embedding.hpp>

namespace eigenformer::inline EIGENFORMER_ABI {

/// An embedding that carries low-rank adapters: for each that is active
///   y_n = E[token_n] + weight scale A[:, token_n] B^T
/// A starts at zero and B standard normal, the reverse of projections, as in PEFT: so a token that was never trained is
/// never touched. There is neither dropout nor a magnitude. Half precision and merging as for projections, where the
/// merged weight is E + sum weight scale (B A)^T.
///   forward:   tokens [...] -> y [..., D]
///   a [rank, vocabulary]    b [D, rank]
///   throws what Embedding and Lora throw; OptionError for a dropout or a magnitude
/// @code
/// ef::Lora<ef::Embedding<float>> embedding({.vocabulary = 11, .dim = 5}, ef::Random(42));
/// embedding.add("names", {.rank = 2, .alpha = 4}, ef::Random(43));
/// const ef::Matrix<float> y = embedding(std::vector<std::int32_t>{3, 1, 4});  // [3, 5]
/// @endcode
template <class T, class Stored>
class Lora<Embedding<T, Stored>> : public Block<Lora<Embedding<T, Stored>>>,
                                   public LoraAdapters<Lora<Embedding<T, Stored>>, T, Stored> {
 public:
  using Scalar = T;
  using Storage = Stored;
  using Options = EmbeddingOptions;
  static constexpr std::string_view block = "Lora";
  static constexpr bool merges = true;  ///< whether adapters can be merged into the base
  /// What one adapter keeps.
  struct AdapterCache : AdapterInForward {
    Buffer<T> h{};  ///< [its rows, rank], scaled; empty while B is frozen
  };
  struct Cache {
    typename Embedding<T, Stored>::Cache base;
    Buffer<TokensView::Token> tokens;    ///< [N], empty while every A is frozen or idle
    std::vector<AdapterCache> adapters;  ///< of each in their order
    Index rows = 0;                      ///< N
  };

  /// The base as it would start, without adapters.
  Lora(const Options& options, Random random) : base(options, Random(random)) {}
  /// Over a given base.
  explicit Lora(Embedding<T, Stored> given) : base(std::move(given)) {}

  Index vocabulary() const { return base.vocabulary(); }
  Index output_features() const { return base.output_features(); }
  template <class Tokens>
  requires std::is_convertible_v<const Tokens&, TokensView>
  auto output_like(const Tokens& tokens) const { return base.output_like(tokens); }

  /// What it has of adapters.
  using Adapters = LoraAdapters<Lora, T, Stored>;
  using Adapters::add;
  /// Adds a new adapter, which is active from now on, and freezes the base.
  void add(std::string name, const LoraOptions& options, Random random) {
    this->check_add(name, options);
    LoraAdapter<T> adapter = {std::move(name), options};
    adapter.a.value = Matrix<T>::Zero(options.rank, vocabulary());
    adapter.b.value.resize(output_features(), options.rank);
    for (T& value : adapter.b.values()) value = static_cast<T>(random.normal());
    add(std::move(adapter));
  }

  void forward(TokensView tokens, RowsView<T> y, Context& context, Cache* cache = nullptr) const {
    this->check_adapters(tokens.size(), context);
    if (cache) keep(tokens, *cache, context);
    base.forward(tokens, y, context, cache ? &cache->base : nullptr);
    const ProfileScope profile(context, block);
    for (std::size_t i = 0; i < this->entries().size(); ++i) {
      const Entry& entry = this->entries()[i];
      ScratchScope scope(context.scratch());
      const RowRuns runs = this->rows_of(entry, tokens.size(), context, scope);
      if (runs.empty()) continue;
      const Index rank = entry.adapter.options.rank;
      if (cache) cache->adapters[i].h.resize(0);
      RowsView<T> h = cache && entry.adapter.b.trainable ? cache->adapters[i].h.resize(row_count(runs), rank)
                                                         : scope.template rows<T>(row_count(runs), rank);
      for_rows(runs, [&](Index n, Index row) {
        for (Index r = 0; r < rank; ++r) h(row, r) = factor(entry) * entry.adapter.a.value(r, tokens[n]);
      });
      on_rows<T>(y, runs, context, [&](RowsView<T> rows) { low_rank_up<T>(h, entry.adapter.b.value, rows, context); });
    }
  }

  void backward(ConstRowsView<T> dy, const Cache& cache, Context& context) {
    this->check_adapters(dy.rows(), context);
    require_features(output_features(), dy.shape(), block, "dy");
    check_kept(dy, cache);
    const ProfileScope profile(context, "Lora backward");
    base.backward(dy, cache.base, context);
    for (std::size_t i = 0; i < this->entries().size(); ++i) {
      const RowRuns runs = cache.adapters[i].rows.values();
      if (runs.empty()) continue;
      Entry& entry = this->entries()[i];
      LoraAdapter<T>& adapter = entry.adapter;
      const Index rank = adapter.options.rank;
      ScratchScope scope(context.scratch());
      const ConstRowsView<T> dy_rows = gathered<T>(dy, runs, scope);
      if (adapter.b.trainable) {
        linear_backward_weight<T>(dy_rows, cache.adapters[i].h.rows(rank), adapter.b.accumulated_gradient(), context);
      }
      if (!adapter.a.trainable) continue;
      RowsView<T> dh = scope.template rows<T>(dy_rows.rows(), rank);
      linear_backward_input<T>(dy_rows, adapter.b.value, dh, context);
      Matrix<T>& gradient = adapter.a.accumulated_gradient();
      for_rows(runs, [&](Index n, Index row) {
        for (Index r = 0; r < rank; ++r) gradient(r, cache.tokens.data()[n]) += factor(entry) * dh(row, r);
      });
    }
  }

  static void members(auto& self, auto&& visit) {
    visit("", self.base);
    Adapters::visit_adapters(self, visit);
  }

  /// Throws unless these are options of an adapter of this base.
  void check(const LoraOptions& options) const {
    require_lora_options(options, vocabulary(), output_features(), block);
    require<OptionError>(options.dropout == 0 && !options.magnitude, block,
                         "an adapter of an embedding has neither dropout nor a magnitude, got dropout ",
                         options.dropout);
  }
  /// Throws unless it is an adapter of this base.
  void check(const LoraAdapter<T>& adapter) const {
    check(adapter.options);
    require_shape({adapter.options.rank, vocabulary()}, adapter.a.shape(), block, "A [rank, vocabulary]");
    require_shape({output_features(), adapter.options.rank}, adapter.b.shape(), block, "B [dim, rank]");
    require<OptionError>(!adapter.magnitude, block, "an adapter of an embedding has no magnitude");
  }

  Embedding<T, Stored> base;  ///< what adapters are added to

 private:
  friend Adapters;
  using typename Adapters::Entry;

  static T factor(const Entry& entry) { return static_cast<T>(entry.weight * entry.adapter.scale()); }
  void keep(TokensView tokens, Cache& cache, Context& context) const {
    cache.rows = tokens.size();
    const Index kept = this->remember(cache.adapters, tokens.size(), context) ? tokens.size() : 0;
    std::copy_n(tokens.data(), kept, cache.tokens.resize(kept));
  }
  void check_kept(ConstRowsView<T> dy, const Cache& cache) const {
    require(dy.rows() == cache.rows, block, "expected dy with a row for each of ", cache.rows, " tokens, got shape ",
            dy.shape());
    this->require_remembered(cache.adapters, [&](std::size_t i) {
      const LoraAdapter<T>& adapter = this->entries()[i].adapter;
      return (!adapter.a.trainable || cache.tokens.size() == cache.rows) &&
             (!adapter.b.trainable ||
              cache.adapters[i].h.size() == row_count(cache.adapters[i].rows.values()) * adapter.options.rank);
    });
  }
  /// sum += weight scale (B A)^T, for merging.
  void add_to(Matrix<T>& sum, const LoraAdapter<T>& adapter, double weight, Context& context) const {
    const Matrix<T> scaled = static_cast<T>(weight * adapter.scale()) * adapter.b.value.transpose();
    linear_backward_weight<T>(adapter.a.value, scaled, sum, context);
  }
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
