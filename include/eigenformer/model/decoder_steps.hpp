#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/attention/key_value_cache.hpp>
#include <eigenformer/attention/memory.hpp>
#include <eigenformer/core/context.hpp>
#include <eigenformer/model/prompts.hpp>

namespace eigenformer::inline EIGENFORMER_ABI {

/// The part of a Decoder that goes step by step: its caches, and the calls that go on from what they hold. `key_values` are
/// those of a batch whose sequences are all as long, `paged_key_values` those of sequences of different length, of which
/// each call names some. Whatever throws leaves all caches as they were.
///   tokens: [B, S], or [S] of one sequence    logits: [B S, vocabulary] of forward, [B, vocabulary] of next_logits
///   sequences: [B]
template <class Model, class T>
class DecoderSteps {
 public:
  /// One cache for each layer, stored as T, in half precision or as Int8.
  template <class Stored>
  using KeyValuesOf = std::vector<KeyValueCache<T, Stored>>;
  /// The same stored as T.
  using KeyValues = KeyValuesOf<T>;

  /// Empty caches with room for `capacity` positions of `batch` sequences, stored as T unless told otherwise:
  /// `key_values<Bfloat16>(1, 4096)` takes half the memory of float and half the time to read, `key_values<Int8>` a quarter.
  template <HeadStorageOf<T> Stored = T>
  KeyValuesOf<Stored> key_values(Index batch, Index capacity) const {
    KeyValuesOf<Stored> result;
    for (const auto& layer : self().layers.layers) {
      result.push_back(layer.attention.template key_value_cache<Stored>(batch, capacity));
    }
    return result;
  }
  /// Caches without a sequence yet; the sizes of heads need not be given.   throws OptionError for a model without layers
  template <HeadStorageOf<T> Stored = T>
  PagedKeyValues<T, Stored> paged_key_values(PagedKeyValueCacheOptions options) const {
    std::vector<PagedKeyValueCacheOptions> of_layers;
    for (const auto& layer : self().layers.layers) {
      const auto& o = layer.attention.options;
      options.kv_heads = o.kv_heads, options.head_dim = o.head_dim, options.value_dim = o.value_dim;
      of_layers.push_back(options);
    }
    return PagedKeyValues<T, Stored>(of_layers);
  }
  /// Reads all prompts but for their last tokens, and gets ready to write `options.sequences` texts of up to
  /// `options.capacity` tokens for each of them, side by side.   throws ShapeError for a prompt without tokens
  PromptedKeyValues<T> key_values(const Prompts& prompts, const CrossKeyValuesOptions& options,
                                  Context& context) const {
    require_positive(options.sequences, "Decoder", "sequences");
    require<OptionError>(options.capacity >= 0, "Decoder", "expected capacity of at least 0, got ", options.capacity);
    PagedKeyValueCacheOptions paged{.sequences = (std::max)(options.sequences * prompts.size(), Index(1))};
    for (Index b = 0; b < prompts.size(); ++b) {
      require(prompts[b].size() > 0, "Decoder", "expected prompts of at least one token, got none in prompt ", b);
      // Full pages of the prompt are shared; every row has pages of its own from there.
      const Index shared = (prompts[b].size() - 1) / paged.page_length;
      const Index all = (prompts[b].size() - 1 + options.capacity + paged.page_length - 1) / paged.page_length;
      paged.pages += shared + options.sequences * (all - shared);
    }
    PromptedKeyValues<T> result{paged_key_values(paged), {}, {}, {}};
    for (Index b = 0; b < prompts.size(); ++b) {
      const TokensView prompt = prompts[b];
      const Index first[] = {result.layers.add()};
      ScratchScope scope(context.scratch());
      auto selected = result.layers.select(first);
      run(TokensView(prompt.data(), {1, prompt.size() - 1}), selected, scope, context);
      result.lengths.push_back(prompt.size());
      for (Index i = 0; i < options.sequences; ++i) {
        result.rows.push_back(i == 0 ? first[0] : result.layers.fork(first[0]));
        result.last_tokens.push_back(prompt[prompt.size() - 1]);
      }
    }
    return result;
  }

  /// Tokens that follow those in the caches, which they are added to.
  template <class Stored>
  void forward(TokensView tokens, RowsView<T> logits, KeyValuesOf<Stored>& key_values, Context& context) const {
    all_logits(tokens, logits, key_values, context);
  }
  template <class Stored>
  void forward(TokensView tokens, RowsView<T> logits, PagedKeyValues<T, Stored>& key_values,
               std::span<const Index> sequences, Context& context) const {
    auto selected = key_values.select(sequences);
    all_logits(tokens, logits, selected, context);
  }
  /// The same with the logits of the last token alone.
  template <class Stored>
  void next_logits(TokensView tokens, RowsView<T> logits, KeyValuesOf<Stored>& key_values, Context& context) const {
    last_logits(tokens, logits, key_values, context);
  }
  /// The same of some sequences of paged caches.
  template <class Stored>
  void next_logits(TokensView tokens, RowsView<T> logits, PagedKeyValues<T, Stored>& key_values,
                   std::span<const Index> sequences, Context& context) const {
    auto selected = key_values.select(sequences);
    last_logits(tokens, logits, selected, context);
  }
  /// The same of all rows behind prompts.
  void next_logits(TokensView tokens, RowsView<T> logits, PromptedKeyValues<T>& key_values, Context& context) const {
    next_logits(tokens, logits, key_values.layers, key_values.rows, context);
  }

 private:
  const Model& self() const { return static_cast<const Model&>(*this); }

  template <class Caches>
  void all_logits(TokensView tokens, RowsView<T> logits, Caches& caches, Context& context) const {
    self().check(tokens, logits, tokens.size());
    ScratchScope scope(context.scratch());
    self().project(run(tokens, caches, scope, context), logits, context, nullptr);
  }
  template <class Caches>
  void last_logits(TokensView tokens, RowsView<T> logits, Caches& caches, Context& context) const {
    const std::array<Index, 3> extents = self().extents_of(tokens);
    require(extents[1] > 0, "Decoder", "expected at least one token, got shape ", tokens.shape());
    self().check(tokens, logits, extents[0]);
    ScratchScope scope(context.scratch());
    const TensorView<T, 3> h = run(tokens, caches, scope, context);
    const Index sequence = extents[1] * extents[2];
    self().project({h.data() + sequence - extents[2], extents[0], extents[2], sequence}, logits, context, nullptr);
  }

  /// What the output projection reads, in scratch memory of the caller's scope.
  template <class Caches>
  TensorView<T, 3> run(TokensView tokens, Caches& caches, ScratchScope& scope, Context& context) const {
    const ProfileScope profile(context, "Decoder");
    const std::array<Index, 3> extents = self().extents_of(tokens);
    require(caches.size() == self().layers.layers.size(), "Decoder", "expected a key/value cache for each of ",
            self().layers.layers.size(), " layers, got ", caches.size());
    check_caches(caches, extents);
    const TensorView<T, 3> h(scope.take<T>(tokens.size() * extents[2]), extents);
    const TensorView<T, 3> y(scope.take<T>(tokens.size() * extents[2]), extents);
    self().embedding.forward(tokens, h, context);
    add_positions(h, caches, context);
    self().layers.forward(h, y, self().masks, caches, context);
    self().norm.forward(y, h, context);
    return h;
  }

  // The layers look at their own cache alone, and write into it: before the first does, all are looked at.

  template <class Stored>
  void check_caches(const KeyValuesOf<Stored>& caches, const std::array<Index, 3>& extents) const {
    for (std::size_t i = 0; i < caches.size(); ++i) {
      const KeyValueCacheOptions& o = caches[i].options();
      check_heads(i, o);
      require(o.batch == extents[0], "Decoder", "expected key/value caches of ", extents[0], " sequences, got ",
              o.batch);
      require<ValueError>(caches[i].length() == caches[0].length(), "Decoder",
                          "expected key/value caches of the same length, got ", caches[0].length(), " and ",
                          caches[i].length());
      caches[i].require_room(extents[1]);
    }
    self().masks.check({extents[0], extents[1], before(caches) + extents[1]});
  }
  template <class Stored>
  void check_caches(const SelectedKeyValues<T, Stored>& caches, const std::array<Index, 3>& extents) const {
    for (std::size_t i = 0; i < caches.size(); ++i) check_heads(i, caches[i].cache.options());
    require_shape({extents[0]}, {static_cast<Index>(caches.sequences().size())}, "Decoder", "sequences");
    caches.require_room(extents[1]);
    for (const Index sequence : caches.sequences()) {
      self().masks.check({extents[0], extents[1], caches.length(sequence) + extents[1]});
    }
  }
  template <class CacheOptions>
  void check_heads(std::size_t layer, const CacheOptions& of) const {
    const auto& o = self().layers.layers[layer].attention.options;
    require_shape({o.kv_heads, o.head_dim, o.value_dim}, {of.kv_heads, of.head_dim, of.value_dim}, "Decoder",
                  "a key/value cache [kv_heads, head_dim, value_dim]");
  }

  template <class Stored>
  void add_positions(TensorView<T, 3> h, const KeyValuesOf<Stored>& caches, Context& context) const {
    self().add_positions(h, before(caches), context);
  }
  template <class Stored>
  void add_positions(TensorView<T, 3> h, const SelectedKeyValues<T, Stored>& caches, Context& context) const {
    const Index length = h.dimension(1), dim = h.dimension(2);
    T* row = h.data();
    for (const Index sequence : caches.sequences()) {
      self().add_positions(TensorView<T, 3>(row, 1, length, dim), caches.length(sequence), context);
      row += length * dim;
    }
  }
  template <class Stored>
  static Index before(const KeyValuesOf<Stored>& caches) {
    return caches.empty() ? 0 : caches.front().length();
  }
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
