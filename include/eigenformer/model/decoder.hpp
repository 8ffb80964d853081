#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/attention/grouped_query_attention.hpp>
#include <eigenformer/block/deep_norm.hpp>
#include <eigenformer/block/gated_feed_forward.hpp>
#include <eigenformer/block/pre_norm.hpp>
#include <eigenformer/block/stack.hpp>
#include <eigenformer/linear/tied_output.hpp>
#include <eigenformer/model/decoder_options.hpp>
#include <eigenformer/model/decoder_steps.hpp>
#include <eigenformer/norm/rms_norm.hpp>
#include <eigenformer/ops/activation.hpp>
#include <eigenformer/position/no_position.hpp>
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
  layer.attention.options.kv_heads;
  layer.feed_forward;
};

/// What Decoder adds to the embedding of each token: vectors for positions, as LearnedPositions and SinusoidalPositions
/// have them, or nothing.
template <class P, class T>
concept DecoderPositions = std::same_as<P, NoPosition> ||
    requires(const P& positions, ConstTensorView<T, 3> x, TensorView<T, 3> y, Context& context,
             typename P::Cache& cache) {
  positions.forward(x, y, Index(), context, &cache);
};

/// A language model that predicts each token from those before it: embedding, to which Positions may be added, layers
/// under a causal mask, a norm, and the output projection, which is the embedding itself (TiedOutput<T>) or one of its
/// own (Linear<T>). The embedding is stored as the output is, unless Storage says otherwise. Masks is Causal, another mask
/// that hides what comes later, or a MaskSchedule of such. Chosen are the options; those that have positions() and masks()
/// say what Positions and Masks are made from.
///   forward:   tokens [B, S] or [S] -> logits [B, S, vocabulary], or as rows [B S, vocabulary]
///   backward:  adds to the gradients; tokens have none
/// Step by step: `key_values(batch, capacity)` gives the caches, `key_values<Bfloat16>(...)` smaller ones,
/// `paged_key_values(...)` those of sequences of different length; `forward` with them takes the tokens that follow those
/// already there, and `next_logits` does too but only makes the logits of the last one, [B, vocabulary].
///   throws OptionError, ShapeError, and ValueError for a token out of range or a cache without room
template <class T, DecoderLayer<T> Layer = LlamaLayer<T>, class Output = TiedOutput<T>,
          class Storage = typename Output::Storage, DecoderPositions<T> Positions = NoPosition, class Masks = Causal,
          class Chosen = DecoderOptions>
class Decoder : public Block<Decoder<T, Layer, Output, Storage, Positions, Masks, Chosen>>,
                public DecoderSteps<Decoder<T, Layer, Output, Storage, Positions, Masks, Chosen>, T> {
  using Steps = DecoderSteps<Decoder, T>;

 public:
  using Scalar = T;
  using Options = Chosen;
  /// The norm behind the last layer, of the layers' type.
  using Norm = decltype(Layer::attention_norm);
  /// Whether the output projection is the embedding.
  static constexpr bool tied = std::is_same_v<Output, TiedOutput<T, Storage>>;
  /// Whether vectors for positions are added to the embedding.
  static constexpr bool adds_positions = !std::is_same_v<Positions, NoPosition>;
  static_assert(tied || Projection<Output, T>,
                "Decoder: the output is TiedOutput<T, Storage>, stored as the embedding, or a projection");

  struct Cache {
    typename Embedding<T, Storage>::Cache embedding;
    typename Positions::Cache positions;  ///< of what is added to the embedding
    typename Stack<Layer>::Cache layers;
    typename Norm::Cache norm;
    typename Output::Cache output;
    std::array<Index, 3> extents{};  ///< B, S, D
  };

  Decoder(const Options& options, Random random)
      : embedding({options.vocabulary, options.dim, options.embedding_deviation}, random.split()),
        positions(make_positions(options, random)),
        layers({options.layers, layer_options(options)}, random.split()),
        norm(layer_options(options).norm),
        output(make_output(options, random.split())),
        masks(make_masks(options)) {}
  Decoder(Embedding<T, Storage> given_embedding, Stack<Layer> given_layers, Norm given_norm,
          Output given_output = {}) requires(!adds_positions)
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
    add_positions(h, 0, context, cache);
    layers.forward(h, y, masks, context, cache ? &cache->layers : nullptr);
    norm.forward(y, h, context, cache ? &cache->norm : nullptr);
    project(h, logits, context, cache ? &cache->output : nullptr);
    if (cache) cache->extents = extents;
  }

  using Steps::forward;

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
    if constexpr (adds_positions) positions.backward(dh, cache.positions, dh, context);
    embedding.backward(dh, cache.embedding, context);
  }

  /// What each layer is made from.
  static typename Layer::Options layer_options(const DecoderOptions& options) {
    typename Layer::Options result;
    result.norm = {.dim = options.dim, .epsilon = options.epsilon};
    result.attention = {.dim = options.dim, .heads = options.heads};
    result.attention.head_dim = result.attention.value_dim = options.head_dim;
    result.attention.bias = options.attention_bias;
    if constexpr (requires { result.attention.kv_heads; }) {
      result.attention.kv_heads = options.kv_heads;
    } else {
      require<OptionError>(options.kv_heads == options.heads, "Decoder", "expected ", options.heads,
                           " kv_heads for layers whose heads have keys of their own, got ", options.kv_heads);
    }
    if constexpr (requires { result.attention.position.base; }) {
      result.attention.position.base = options.rope_base;
    }
    result.feed_forward = {.dim = options.dim, .hidden = options.hidden, .bias = options.feed_forward_bias};
    if constexpr (requires { result.attention.query_key_norm.epsilon; }) {
      result.attention.query_key_norm.epsilon = options.epsilon;
    }
    if constexpr (requires { result.gains; }) result.gains = deep_norm_gains(options.layers);
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
    if constexpr (adds_positions) visit("positions", self.positions);
    visit("layers", self.layers);
    visit("norm", self.norm);
    if constexpr (!tied) visit("output", self.output);
  }

  Embedding<T, Storage> embedding;
  Positions positions;  ///< added to the embedding
  Stack<Layer> layers;
  Norm norm;
  Output output;
  Masks masks{};  ///< of the layers

 private:
  friend Steps;

  static Positions make_positions(const Options& options, [[maybe_unused]] Random& random) {
    if constexpr (adds_positions) {
      return detail::make_part<Positions>(options.positions(), random);
    } else {
      return {};
    }
  }
  static Masks make_masks(const Options& options) {
    if constexpr (requires { options.masks(); }) {
      return options.masks();
    } else {
      return {};
    }
  }
  static Output make_output(const Options& options, Random random) {
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

  /// Of h, whose first row is position `start`.
  void add_positions([[maybe_unused]] TensorView<T, 3> h, [[maybe_unused]] Index start,
                     [[maybe_unused]] Context& context, [[maybe_unused]] Cache* cache = nullptr) const {
    if constexpr (adds_positions) positions.forward(h, h, start, context, cache ? &cache->positions : nullptr);
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
