#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/attention/grouped_query_attention.hpp>
#include <eigenformer/block/deep_norm.hpp>
#include <eigenformer/block/gated_feed_forward.hpp>
#include <eigenformer/block/pre_norm.hpp>
#include <eigenformer/block/stack.hpp>
#include <eigenformer/linear/tied_output.hpp>
#include <eigenformer/model/decoder_options.hpp>
#include <eigenformer/norm/rms_norm.hpp>
#include <eigenformer/ops/activation.hpp>
#include <eigenformer/position/rotary.hpp>

namespace eigenformer::inline EIGENFORMER_ABI {

/// A layer as in Llama (Touvron et al. 2023, section 2.2), with grouped queries as in Llama 2 and 3. Storage is what its
/// projections are stored as: T, Bfloat16 or Float16.
template <class T, class Pairing = Interleaved, class Storage = T>
using LlamaLayer = PreNorm<RmsNorm<T>, GroupedQueryAttention<T, Linear<T, Storage>, Rotary<Pairing>>,
                           GatedFeedForward<T, Silu, Linear<T, Storage>>>;

/// What Decoder stacks: layers of a norm, attention that fills a key/value cache, and a feed-forward, as PreNorm arranges
/// them.
template <class L, class T>
concept DecoderLayer = SequenceBlock<L, T, Causal> && requires(const L& layer) {
  layer.attention_norm;
  layer.attention.key_value_cache(1, 1);
  layer.feed_forward;
};

/// A language model that predicts each token from those before it: embedding, layers under a causal mask, a norm, and
/// the output projection, which is the embedding itself (TiedOutput<T>) or one of its own (Linear<T>). The embedding is
/// stored as the output is, unless Storage says otherwise.
///   forward:   tokens [B, S] or [S] -> logits [B, S, vocabulary], or as rows [B S, vocabulary]
///   backward:  adds to the gradients; tokens have none
/// Step by step: `key_values(batch, capacity)` gives the caches, `key_values<Bfloat16>(...)` smaller ones; `forward` with
/// them takes the tokens that follow those already there, and `next_logits` does too but only makes the logits of the
/// last one, [B, vocabulary].
///   throws OptionError, ShapeError, and ValueError for a token out of range or a cache without room
template <class T, DecoderLayer<T> Layer = LlamaLayer<T>, class Output = TiedOutput<T>,
          class Storage = typename Output::Storage>
class Decoder : public Block<Decoder<T, Layer, Output, Storage>> {
 public:
  using Scalar = T;
  using Options = DecoderOptions;
  /// The norm behind the last layer, of the layers' type.
  using Norm = decltype(Layer::attention_norm);
  /// One cache for each layer, stored as T, in half precision or as Int8.
  template <class Stored>
  using KeyValuesOf = std::vector<KeyValueCache<T, Stored>>;
  /// The same stored as T.
  using KeyValues = KeyValuesOf<T>;
  /// Whether the output projection is the embedding.
  static constexpr bool tied = std::is_same_v<Output, TiedOutput<T, Storage>>;
  static_assert(tied || Projection<Output, T>,
                "Decoder: the output is TiedOutput<T, Storage>, stored as the embedding, or a projection");

  struct Cache {
    typename Embedding<T, Storage>::Cache embedding;
    typename Stack<Layer>::Cache layers;
    typename Norm::Cache norm;
    typename Output::Cache output;
    std::array<Index, 3> extents{};  ///< B, S, D
  };

  Decoder(const DecoderOptions& options, Random random)
      : embedding({options.vocabulary, options.dim, options.embedding_deviation}, random.split()),
        layers({options.layers, layer_options(options)}, random.split()),
        norm(layer_options(options).norm),
        output(make_output(options, random.split())) {}
  Decoder(Embedding<T, Storage> given_embedding, Stack<Layer> given_layers, Norm given_norm, Output given_output = {})
      : embedding(std::move(given_embedding)),
        layers(std::move(given_layers)),
        norm(std::move(given_norm)),
        output(std::move(given_output)) {}

  Index vocabulary() const {
    if constexpr (tied) {
      return embedding.vocabulary();
    } else {
      return output.output_features();
    }
  }

  void forward(TokensView tokens, RowsView<T> logits, Context& context, Cache* cache = nullptr) const {
    check(tokens, logits, tokens.size());
    const ProfileScope profile(context, "Decoder");
    ScratchScope scope(context.scratch());
    const std::array<Index, 3> extents = extents_of(tokens);
    const TensorView<T, 3> h(scope.take<T>(tokens.size() * extents[2]), extents);
    const TensorView<T, 3> y(scope.take<T>(tokens.size() * extents[2]), extents);
    embedding.forward(tokens, h, context, cache ? &cache->embedding : nullptr);
    layers.forward(h, y, Causal{}, context, cache ? &cache->layers : nullptr);
    norm.forward(y, h, context, cache ? &cache->norm : nullptr);
    project(h, logits, context, cache ? &cache->output : nullptr);
    if (cache) cache->extents = extents;
  }

  /// Tokens that follow those in the caches, which they are added to.
  template <class Stored>
  void forward(TokensView tokens, RowsView<T> logits, KeyValuesOf<Stored>& key_values, Context& context) const {
    check(tokens, logits, tokens.size());
    ScratchScope scope(context.scratch());
    project(run(tokens, key_values, scope, context), logits, context, nullptr);
  }
  /// The same with the logits of the last token alone.   logits: [B, vocabulary]
  template <class Stored>
  void next_logits(TokensView tokens, RowsView<T> logits, KeyValuesOf<Stored>& key_values, Context& context) const {
    const std::array<Index, 3> extents = extents_of(tokens);
    require(extents[1] > 0, "Decoder", "expected at least one token, got shape ", tokens.shape());
    check(tokens, logits, extents[0]);
    ScratchScope scope(context.scratch());
    const TensorView<T, 3> h = run(tokens, key_values, scope, context);
    const Index sequence = extents[1] * extents[2];
    project({h.data() + sequence - extents[2], extents[0], extents[2], sequence}, logits, context, nullptr);
  }

  void backward(ConstRowsView<T> dlogits, const Cache& cache, Context& context) {
    const std::array<Index, 3>& extents = cache.extents;
    const Index tokens = extents[0] * extents[1];
    require_features(vocabulary(), dlogits.shape(), "Decoder", "dlogits");
    require(dlogits.rows() == tokens && extents[2] == embedding.output_features(), "Decoder",
            "expected dlogits for the ", tokens, " tokens of forward, got shape ", dlogits.shape());
    const ProfileScope profile(context, "Decoder backward");
    ScratchScope scope(context.scratch());
    const TensorView<T, 3> dh(scope.take<T>(tokens * extents[2]), extents);
    const TensorView<T, 3> dy(scope.take<T>(tokens * extents[2]), extents);
    if constexpr (tied) {
      output.backward(embedding, dlogits, cache.output, dh, context);
    } else {
      output.backward(dlogits, cache.output, dh, context);
    }
    norm.backward(dh, cache.norm, dy, context);
    layers.backward(dy, cache.layers, dh, context);
    embedding.backward(dh, cache.embedding, context);
  }

  /// What each layer is made from.
  static typename Layer::Options layer_options(const DecoderOptions& options) {
    typename Layer::Options result;
    result.norm = {.dim = options.dim, .epsilon = options.epsilon};
    result.attention = {.dim = options.dim,
                        .heads = options.heads,
                        .kv_heads = options.kv_heads,
                        .head_dim = options.head_dim,
                        .bias = options.attention_bias};
    result.attention.position.base = options.rope_base;
    result.feed_forward = {.dim = options.dim, .hidden = options.hidden, .bias = options.feed_forward_bias};
    if constexpr (requires { result.attention.query_key_norm.epsilon; }) {
      result.attention.query_key_norm.epsilon = options.epsilon;
    }
    if constexpr (requires { result.gains; }) result.gains = deep_norm_gains(options.layers);
    return result;
  }

  /// Empty caches with room for `capacity` positions of `batch` sequences, stored as T unless told otherwise:
  /// `key_values<Bfloat16>(1, 4096)` takes half the memory of float and half the time to read, `key_values<Int8>` a quarter.
  template <HeadStorageOf<T> Stored = T>
  KeyValuesOf<Stored> key_values(Index batch, Index capacity) const {
    KeyValuesOf<Stored> result;
    for (const Layer& layer : layers.layers) {
      result.push_back(layer.attention.template key_value_cache<Stored>(batch, capacity));
    }
    return result;
  }

  template <class Tokens>
  requires std::is_convertible_v<const Tokens&, TokensView>
  auto output_like(const Tokens& tokens) const {
    auto dimensions = embedding.output_like(tokens).dimensions();
    dimensions.back() = vocabulary();
    return Tensor<T, Tokens::NumDimensions + 1>(dimensions);
  }

  static void members(auto& self, auto&& visit) {
    visit("embedding", self.embedding);
    visit("layers", self.layers);
    visit("norm", self.norm);
    if constexpr (!tied) visit("output", self.output);
  }

  Embedding<T, Storage> embedding;
  Stack<Layer> layers;
  Norm norm;
  Output output;

 private:
  static Output make_output(const DecoderOptions& options, Random random) {
    if constexpr (tied) {
      return {};
    } else {
      return Output({.in_features = options.dim, .out_features = options.vocabulary, .bias = false}, random.split());
    }
  }

  /// [B, S, D]
  std::array<Index, 3> extents_of(const TokensView& tokens) const {
    const Shape& shape = tokens.shape();
    require(shape.rank() == 1 || shape.rank() == 2, "Decoder",
            "expected tokens [batch, length] or [length], got shape ", shape);
    return {shape.rank() == 2 ? shape[0] : 1, shape[-1], embedding.output_features()};
  }
  void check(const TokensView& tokens, const RowsView<T>& logits, Index rows) const {
    extents_of(tokens);
    require_features(vocabulary(), logits.shape(), "Decoder", "logits");
    require(logits.rows() == rows, "Decoder", "expected logits of ", rows, " rows for tokens of shape ", tokens.shape(),
            ", got shape ", logits.shape());
  }

  /// What the output projection reads, in scratch memory of the caller's scope.
  template <class Stored>
  TensorView<T, 3> run(TokensView tokens, KeyValuesOf<Stored>& key_values, ScratchScope& scope,
                       Context& context) const {
    const ProfileScope profile(context, "Decoder");
    const std::array<Index, 3> extents = extents_of(tokens);
    require(key_values.size() == layers.layers.size(), "Decoder", "expected a key/value cache for each of ",
            layers.layers.size(), " layers, got ", key_values.size());
    const TensorView<T, 3> h(scope.take<T>(tokens.size() * extents[2]), extents);
    const TensorView<T, 3> y(scope.take<T>(tokens.size() * extents[2]), extents);
    embedding.forward(tokens, h, context);
    layers.forward(h, y, Causal{}, key_values, context);
    norm.forward(y, h, context);
    return h;
  }
  void project(ConstRowsView<T> h, RowsView<T> logits, Context& context, typename Output::Cache* cache) const {
    if constexpr (tied) {
      output.forward(embedding, h, logits, context, cache);
    } else {
      output.forward(h, logits, context, cache);
    }
  }
};

/// The model of Llama. Its published checkpoints have an output projection of their own: `LlamaDecoder<float,
/// Linear<float>>`. All weights but those of the norms are stored as the output's: `LlamaDecoder<float, Linear<float,
/// Bfloat16>>` and `LlamaDecoder<float, TiedOutput<float, Bfloat16>>` take half the memory, and read a checkpoint in
/// bfloat16 bit for bit.
template <class T, class Output = TiedOutput<T>, class Pairing = Interleaved, class Storage = typename Output::Storage>
using LlamaDecoder = Decoder<T, LlamaLayer<T, Pairing, Storage>, Output, Storage>;

}  // namespace eigenformer::inline EIGENFORMER_ABI
