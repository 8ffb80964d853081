#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/linear/packed_bit_linear.hpp>
#include <eigenformer/model/decoder.hpp>

namespace eigenformer::inline EIGENFORMER_ABI {

/// The projection of BitNet b1.58: ternary weights behind an RmsNorm (Ma et al. 2024, section 2).
template <class T>
using BitLinear158 = BitLinear<T, TernaryWeights, RmsNorm<T>, Absmax158>;

/// A layer whose projections are all bits: rotary positions, SwiGLU and no biases as in BitNet b1.58 (Ma et al. 2024,
/// section 2, "LLaMA-alike components"). Each projection has a norm of its own in front of its quantiser, which is Sub-LN
/// (Wang et al. 2023, section 2.1).
template <class T, class Projection_ = BitLinear<T>>
using BitNetLayer = PreNorm<RmsNorm<T>, GroupedQueryAttention<T, Projection_, Rotary<HalfSplit>>,
                            GatedFeedForward<T, Silu, Projection_>>;

/// BitNet: a decoder of bits everywhere but in embedding and output (Wang et al. 2023, section 2: "BitNet ... only
/// replaces linear projections"). BitLinear<T> makes it the model of 1 bit, BitLinear158<T> the ternary one, Linear<T> the
/// float model of the same size.
/// @code
/// ef::BitNetDecoder<float> model({.vocabulary = 97, .dim = 64, .layers = 2, .heads = 4, .hidden = 96}, ef::Random(42));
/// const auto packed = ef::pack(model);  // a bit for each weight, for inference
/// ef::Tensor<std::int32_t, 1> tokens(3);
/// tokens.setValues({5, 17, 3});
/// const ef::Tensor<float, 2> logits = packed(tokens);  // [3, 97]
/// @endcode
template <class T, class Projection_ = BitLinear<T>, class Output = TiedOutput<T>>
using BitNetDecoder = Decoder<T, BitNetLayer<T, Projection_>, Output>;

/// The same model with packed projections, for inference: what it gives is what the trained one gives.
template <class T, class Weights, class Norm, class Activations, class Output>
BitNetDecoder<T, PackedBitLinear<T, Weights, Norm, Activations>, Output> pack(
    const BitNetDecoder<T, BitLinear<T, Weights, Norm, Activations>, Output>& model) {
  using Packed = PackedBitLinear<T, Weights, Norm, Activations>;
  using Attention = GroupedQueryAttention<T, Packed, Rotary<HalfSplit>>;
  std::vector<BitNetLayer<T, Packed>> layers;
  layers.reserve(model.layers.layers.size());
  for (const auto& layer : model.layers.layers) {
    const auto& trained = layer.attention;
    Attention attention(trained.options, Random(0));
    attention.query = trained.query.pack();
    attention.key = trained.key.pack();
    attention.value = trained.value.pack();
    attention.output = trained.output.pack();
    const auto& network = layer.feed_forward;
    layers.emplace_back(layer.attention_norm, std::move(attention), layer.feed_forward_norm,
                        GatedFeedForward<T, Silu, Packed>(network.gate.pack(), network.up.pack(), network.down.pack()));
  }
  return BitNetDecoder<T, Packed, Output>(model.embedding, Stack<BitNetLayer<T, Packed>>(std::move(layers)), model.norm,
                                          model.output);
}

}  // namespace eigenformer::inline EIGENFORMER_ABI
