#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/attention/multi_head_attention.hpp>
#include <eigenformer/block/cross_layer.hpp>
#include <eigenformer/block/feed_forward.hpp>
#include <eigenformer/block/post_norm.hpp>
#include <eigenformer/block/stack.hpp>
#include <eigenformer/linear/tied_output.hpp>
#include <eigenformer/model/encoder_decoder_options.hpp>
#include <eigenformer/norm/layer_norm.hpp>
#include <eigenformer/position/sinusoidal.hpp>

namespace eigenformer::inline EIGENFORMER_ABI {

/// What an encoder reads.
///   tokens: [B, T], or [T] of one sequence    lengths: [B], of the sequences that are not padding; empty if all are whole
struct Source {
  /// Tensors and lists of tokens are sources as they are.
  template <class Tokens>
  requires std::is_convertible_v<const Tokens&, TokensView> Source(const Tokens& sequences,
                                                                   std::span<const Index> live = {})
      : tokens(sequences), lengths(live) {}

  TokensView tokens;               ///< padding is any token of the vocabulary
  std::span<const Index> lengths;  ///< tokens of each sequence that are read; not owned
};

namespace detail {

/// x times a factor, in place.
template <class T>
void scale(RowsView<T> x, T factor, Context& context) {
  for_each_piece(
      1, context,
      [&](Index row, Index begin, Index count) {
        Eigen::Map<Eigen::Array<T, Eigen::Dynamic, 1>>(at(x, row, begin), count) *= factor;
      },
      x);
}

}  // namespace detail

/// A model that writes a sequence while it reads another (Vaswani et al. 2017): an encoder whose layers see the whole
/// source, and a decoder that predicts each token of the target from those before it and from what the encoder gives.
///   h = sqrt(dim) E[token] + positions,   memory = norm(encoder(h_source)),
///   logits = norm'(decoder(h_target, memory)) E^T
/// with one embedding E for source, target and output (section 3.4) and sinusoidal positions (section 3.5). FinalNorm is
/// NoNorm in the paper, and LayerNorm<T> in PyTorch's nn.Transformer. There is no dropout.
///   forward:   target [B, S], source [B, T] -> logits [B, S, vocabulary], or as rows [B S, vocabulary]
///   backward:  adds to the gradients; tokens have none
/// Step by step: `key_values(source, {.capacity}, context)` runs the encoder and projects its output for each layer's
/// cross-attention, once; `next_logits` takes the tokens that follow and gives the logits of the last, [B, vocabulary].
///   throws OptionError, ShapeError, and ValueError for a token or length out of range or a cache without room
/// @code
/// ef::Transformer<float> model({.vocabulary = 97, .dim = 64, .encoder_layers = 2, .decoder_layers = 2}, ef::Random(42));
/// const std::vector<std::int32_t> source = {5, 17, 3}, target = {0, 9};
/// ef::Matrix<float> logits(2, 97);
/// ef::Context context;
/// model.forward(target, logits, source, context);
/// @endcode
template <class T, class EncoderLayer, class DecoderLayer, class FinalNorm>
class EncoderDecoder : public Block<EncoderDecoder<T, EncoderLayer, DecoderLayer, FinalNorm>> {
 public:
  using Scalar = T;
  using Options = EncoderDecoderOptions;
  struct Cache {
    typename Embedding<T>::Cache source;          ///< the embedding as it read the source
    typename Stack<EncoderLayer>::Cache encoder;  ///< of the layers that read the source
    typename FinalNorm::Cache encoder_norm;       ///< of what they give
    typename Embedding<T>::Cache target;          ///< the embedding as it read the target
    typename Stack<DecoderLayer>::Cache decoder;  ///< of the layers that read target and memory
    typename FinalNorm::Cache decoder_norm;       ///< of what they give
    typename TiedOutput<T>::Cache output;
    std::array<Index, 3> source_extents{};  ///< B, T, D
    std::array<Index, 3> target_extents{};  ///< B, S, D
  };
  /// What decoding step by step goes on from. A value: a copy goes its own way.
  struct KeyValues {
    std::vector<CrossKeyValues<T>> layers;
    std::vector<Index> lengths;  ///< of the sources, all of them
    Index position = 0;          ///< tokens so far

    /// Sequence `to` goes on from what sequence `from` has, which is of the same source.
    void copy_sequence(Index from, Index to) {
      for (CrossKeyValues<T>& layer : layers) layer.own.copy_sequence(from, to);
    }
  };

  EncoderDecoder(const EncoderDecoderOptions& options, Random random)
      : embedding({options.vocabulary, options.dim, options.embedding_deviation}, random.split()),
        positions({.dim = options.dim}),
        encoder({options.encoder_layers, encoder_options(options)}, random.split()),
        encoder_norm(final_norm(options)),
        decoder({options.decoder_layers, decoder_options(options)}, random.split()),
        decoder_norm(encoder_norm) {}

  Index vocabulary() const { return embedding.vocabulary(); }

  /// What the decoder attends to.   memory: [B, T, dim]
  void encode(const Source& source, TensorView<T, 3> memory, Context& context, Cache* cache = nullptr) const {
    const std::array<Index, 3> extents = extents_of(source.tokens, "source");
    require_shape(shape_of(extents), memory.shape(), block, "memory");
    const ProfileScope profile(context, "encoder");
    ScratchScope scope(context.scratch());
    const TensorView<T, 3> h(scope.take<T>(memory.size()), extents);
    embed(source.tokens, h, 0, context, cache ? &cache->source : nullptr);
    with_mask(source.lengths,
              [&](const auto& mask) { encoder.forward(h, memory, mask, context, cache ? &cache->encoder : nullptr); });
    encoder_norm.forward(memory, memory, context, cache ? &cache->encoder_norm : nullptr);
    if (cache) cache->source_extents = extents;
  }

  void forward(TokensView target, RowsView<T> logits, const Source& source, Context& context,
               Cache* cache = nullptr) const {
    const std::array<Index, 3> extents = extents_of(target, "target");
    const std::array<Index, 3> source_extents = extents_of(source.tokens, "source");
    require(extents[0] == source_extents[0], block, "expected a source for each of ", extents[0],
            " targets, got shape ", source.tokens.shape());
    check_logits(target, logits, target.size());
    const ProfileScope profile(context, block);
    ScratchScope scope(context.scratch());
    const TensorView<T, 3> memory(scope.take<T>(source.tokens.size() * extents[2]), source_extents);
    const TensorView<T, 3> h(scope.take<T>(target.size() * extents[2]), extents);
    const TensorView<T, 3> y(scope.take<T>(target.size() * extents[2]), extents);
    encode(source, memory, context, cache);
    embed(target, h, 0, context, cache ? &cache->target : nullptr);
    with_mask(source.lengths, [&](const auto& mask) {
      decoder.forward(h, y, Causal{}, Memory{memory, mask}, context, cache ? &cache->decoder : nullptr);
    });
    decoder_norm.forward(y, y, context, cache ? &cache->decoder_norm : nullptr);
    output.forward(embedding, y, logits, context, cache ? &cache->output : nullptr);
    if (cache) cache->target_extents = extents;
  }

  void backward(ConstRowsView<T> dlogits, const Cache& cache, Context& context) {
    const std::array<Index, 3>& extents = cache.target_extents;
    const Index tokens = extents[0] * extents[1];
    require_features(vocabulary(), dlogits.shape(), block, "dlogits");
    require(dlogits.rows() == tokens && extents[2] == embedding.output_features(), block, "expected dlogits for the ",
            tokens, " tokens of forward, got shape ", dlogits.shape());
    const ProfileScope profile(context, "EncoderDecoder backward");
    ScratchScope scope(context.scratch());
    const TensorView<T, 3> dh(scope.take<T>(tokens * extents[2]), extents);
    const TensorView<T, 3> dy(scope.take<T>(tokens * extents[2]), extents);
    const std::array<Index, 3>& source = cache.source_extents;
    const TensorView<T, 3> dmemory(scope.take<T>(source[0] * source[1] * source[2]), source);
    const TensorView<T, 3> dsource(scope.take<T>(dmemory.size()), source);
    output.backward(embedding, dlogits, cache.output, dy, context);
    decoder_norm.backward(dy, cache.decoder_norm, dy, context);
    decoder.backward(dy, cache.decoder, dh, dmemory, context);
    embed_backward(dh, cache.target, context);
    encoder_norm.backward(dmemory, cache.encoder_norm, dmemory, context);
    encoder.backward(dmemory, cache.encoder, dsource, context);
    embed_backward(dsource, cache.source, context);
  }

  /// Reads the source and gets ready to write `options.sequences` targets for each of its sequences, side by side.
  KeyValues key_values(const Source& source, const CrossKeyValuesOptions& options, Context& context) const {
    const std::array<Index, 3> extents = extents_of(source.tokens, "source");
    ScratchScope scope(context.scratch());
    const TensorView<T, 3> memory(scope.take<T>(source.tokens.size() * extents[2]), extents);
    encode(source, memory, context);
    KeyValues result = {decoder.key_values(memory, options, context), {source.lengths.begin(), source.lengths.end()}};
    if (result.lengths.empty()) result.lengths.assign(static_cast<std::size_t>(extents[0]), extents[1]);
    return result;
  }
  /// The logits of what follows the tokens, which follow those already there.   tokens: [n B, S], or [S] of one sequence
  /// logits: [n B, vocabulary]
  void next_logits(TokensView tokens, RowsView<T> logits, KeyValues& key_values, Context& context) const {
    const std::array<Index, 3> extents = extents_of(tokens, "target");
    require(extents[1] > 0, block, "expected at least one token, got shape ", tokens.shape());
    check_logits(tokens, logits, extents[0]);
    const ProfileScope profile(context, block);
    ScratchScope scope(context.scratch());
    const TensorView<T, 3> h(scope.take<T>(tokens.size() * extents[2]), extents);
    const TensorView<T, 3> y(scope.take<T>(tokens.size() * extents[2]), extents);
    embed(tokens, h, key_values.position, context, nullptr);
    decoder.forward(h, y, Causal{}, Padding{key_values.lengths}, key_values.layers, context);
    decoder_norm.forward(y, y, context);
    const Index sequence = extents[1] * extents[2];
    const ConstRowsView<T> last(y.data() + sequence - extents[2], extents[0], extents[2], sequence);
    output.forward(embedding, last, logits, context);
    key_values.position += extents[1];
  }

  /// What each layer of the encoder is made from.
  static typename EncoderLayer::Options encoder_options(const EncoderDecoderOptions& options) {
    typename EncoderLayer::Options result;
    result.norm = {.dim = options.dim, .epsilon = options.epsilon};
    result.attention = {.dim = options.dim, .heads = options.heads};
    result.feed_forward = {.dim = options.dim, .hidden = options.hidden};
    return result;
  }
  /// What each layer of the decoder is made from.
  static typename DecoderLayer::Options decoder_options(const EncoderDecoderOptions& options) {
    typename DecoderLayer::Options result;
    result.norm = {.dim = options.dim, .epsilon = options.epsilon};
    result.attention = {.dim = options.dim, .heads = options.heads};
    result.cross_attention = result.attention;
    result.feed_forward = {.dim = options.dim, .hidden = options.hidden};
    return result;
  }

  template <class Tokens>
  requires std::is_convertible_v<const Tokens&, TokensView>
  auto output_like(const Tokens& target) const {
    auto result = embedding.output_like(target).dimensions();
    result.back() = vocabulary();
    return Tensor<T, Tokens::NumDimensions + 1>(result);
  }

  static void members(auto& self, auto&& visit) {
    visit("embedding", self.embedding);
    visit("encoder", self.encoder);
    visit("encoder_norm", self.encoder_norm);
    visit("decoder", self.decoder);
    visit("decoder_norm", self.decoder_norm);
  }

  Embedding<T> embedding;            ///< of source, target and output
  SinusoidalPositions<T> positions;  ///< added to both
  Stack<EncoderLayer> encoder;       ///< the layers that read the source
  FinalNorm encoder_norm;            ///< of what they give
  Stack<DecoderLayer> decoder;       ///< the layers that read target and memory
  FinalNorm decoder_norm;            ///< of what they give
  TiedOutput<T> output;

 private:
  static constexpr std::string_view block = "EncoderDecoder";

  static FinalNorm final_norm(const EncoderDecoderOptions& options) {
    typename FinalNorm::Options result;
    if constexpr (requires { result.dim; }) result = {.dim = options.dim, .epsilon = options.epsilon};
    return FinalNorm(result);
  }
  static void with_mask(std::span<const Index> lengths, const auto& body) {
    if (lengths.empty()) {
      body(NoMask{});
    } else {
      body(Padding{lengths});
    }
  }
  T embedding_scale() const { return std::sqrt(static_cast<T>(embedding.output_features())); }

  void embed(TokensView tokens, TensorView<T, 3> h, Index start, Context& context,
             typename Embedding<T>::Cache* cache) const {
    embedding.forward(tokens, h, context, cache);
    detail::scale<T>(h, embedding_scale(), context);
    positions.forward(h, h, start, context);
  }
  void embed_backward(TensorView<T, 3> dh, const typename Embedding<T>::Cache& cache, Context& context) {
    detail::scale<T>(dh, embedding_scale(), context);
    embedding.backward(dh, cache, context);
  }

  /// [B, length, D]
  std::array<Index, 3> extents_of(const TokensView& tokens, std::string_view name) const {
    const Shape& shape = tokens.shape();
    require(shape.rank() == 1 || shape.rank() == 2, block, "expected ", name,
            " tokens [batch, length] or [length], got shape ", shape);
    return {shape.rank() == 2 ? shape[0] : 1, shape[-1], embedding.output_features()};
  }
  void check_logits(const TokensView& tokens, const RowsView<T>& logits, Index rows) const {
    require_features(vocabulary(), logits.shape(), block, "logits");
    require(logits.rows() == rows, block, "expected logits of ", rows, " rows for tokens of shape ", tokens.shape(),
            ", got shape ", logits.shape());
  }
};

/// The original Transformer (Vaswani et al. 2017): norms behind the residual sums, ReLU, no final norm unless FinalNorm
/// is one, as in PyTorch's nn.Transformer.
template <class T, class FinalNorm = NoNorm<T>>
using Transformer = EncoderDecoder<T, PostNorm<LayerNorm<T>, MultiHeadAttention<T>, FeedForward<T, Relu>>,
                                   PostNormCross<LayerNorm<T>, MultiHeadAttention<T>, FeedForward<T, Relu>>, FinalNorm>;

}  // namespace eigenformer::inline EIGENFORMER_ABI
