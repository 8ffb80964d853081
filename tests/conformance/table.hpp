#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/adapter/lora.hpp>
#include <eigenformer/adapter/lora_embedding.hpp>
#include <eigenformer/adapter/prefix.hpp>
#include <eigenformer/adapter/prefix_mlp.hpp>
#include <eigenformer/adapter/prompt_tuning.hpp>
#include <eigenformer/attention/cascaded_group_attention.hpp>
#include <eigenformer/attention/grouped_query_attention.hpp>
#include <eigenformer/attention/local_window_attention.hpp>
#include <eigenformer/attention/mask.hpp>
#include <eigenformer/attention/multi_head_attention.hpp>
#include <eigenformer/attention/multi_query_attention.hpp>
#include <eigenformer/attention/strided.hpp>
#include <eigenformer/block/cross_layer.hpp>
#include <eigenformer/block/deep_norm.hpp>
#include <eigenformer/block/efficient_vit_block.hpp>
#include <eigenformer/block/feed_forward.hpp>
#include <eigenformer/block/gated_feed_forward.hpp>
#include <eigenformer/block/parallel_block.hpp>
#include <eigenformer/block/post_norm.hpp>
#include <eigenformer/block/pre_norm.hpp>
#include <eigenformer/block/recurrent.hpp>
#include <eigenformer/block/sandwich.hpp>
#include <eigenformer/block/sequential.hpp>
#include <eigenformer/block/stack.hpp>
#include <eigenformer/convolution/convolution.hpp>
#include <eigenformer/convolution/depthwise_convolution.hpp>
#include <eigenformer/convolution/normed.hpp>
#include <eigenformer/linear/bit_linear.hpp>
#include <eigenformer/linear/embedding.hpp>
#include <eigenformer/linear/fix_norm.hpp>
#include <eigenformer/linear/linear.hpp>
#include <eigenformer/linear/packed_bit_linear.hpp>
#include <eigenformer/linear/packed_linear.hpp>
#include <eigenformer/model/decoder.hpp>
#include <eigenformer/model/encoder_decoder.hpp>
#include <eigenformer/model/gpt3_decoder.hpp>
#include <eigenformer/norm/batch_norm.hpp>
#include <eigenformer/norm/group_norm.hpp>
#include <eigenformer/norm/layer_norm.hpp>
#include <eigenformer/norm/no_norm.hpp>
#include <eigenformer/norm/plain_layer_norm.hpp>
#include <eigenformer/norm/rms_norm.hpp>
#include <eigenformer/norm/scale_norm.hpp>
#include <eigenformer/position/alibi.hpp>
#include <eigenformer/position/learned.hpp>
#include <eigenformer/position/relative_bias.hpp>
#include <eigenformer/position/rotary.hpp>
#include <eigenformer/position/sinusoidal.hpp>

#include "conformance/block_subject.hpp"
#include "conformance/own_memory.hpp"

namespace conformance {

// Every block of the library stands here; a block without a row fails the build (check_completeness.cmake). Widths are
// prime or twice a prime, and wide enough that the largest extent of the tests is worth several threads.

template <class T>
using PreNormLayer = ef::PreNorm<ef::RmsNorm<T>, ef::GroupedQueryAttention<T, ef::Linear<T>, ef::Rotary<>>,
                                 ef::GatedFeedForward<T, ef::Silu>>;
template <class T>
using PostNormLayer = ef::PostNorm<ef::LayerNorm<T>, ef::MultiHeadAttention<T>, ef::FeedForward<T, ef::Relu>>;
template <class T>
using ParallelLayer =
    ef::ParallelBlock<ef::LayerNorm<T>, ef::MultiQueryAttention<T, ef::Linear<T>, ef::Rotary<ef::HalfSplit>>,
                      ef::GatedFeedForward<T, ef::Gelu>>;

/// As in Gemma 3: norms before and after each branch, and of each head's queries and keys.
template <class T>
using SandwichLayer =
    ef::Sandwich<ef::RmsNorm<T>, ef::GroupedQueryAttention<T, ef::Linear<T>, ef::Rotary<ef::HalfSplit>, ef::RmsNorm<T>>,
                 ef::GatedFeedForward<T, ef::GeluTanh>>;

template <class T>
PreNormLayer<T> pre_norm_layer(ef::Random random) {
  return PreNormLayer<T>({.norm = {.dim = 38},
                          .attention = {.dim = 38, .heads = 4, .kv_heads = 2, .head_dim = 10},
                          .feed_forward = {.dim = 38, .hidden = 53}},
                         random.split());
}

/// BatchNorm as most properties know blocks: what a row becomes does not depend on the others. Training by the statistics
/// of the batch has its own tests.
template <class T>
ef::BatchNorm<T> batch_norm(ef::Random random) {
  ef::BatchNorm<T> norm({.dim = 79, .statistics = ef::FixedStatistics{}});
  for (T& mean : norm.running_mean.values()) mean = static_cast<T>(random.normal());
  for (T& variance : norm.running_var.values()) variance = static_cast<T>(random.uniform(0.5, 2));
  return norm;
}

/// Norms as in batch_norm above, and gains that are not zero, as those at the end of residual branches are at first.
template <class Block>
Block with_gains(Block block) {
  block.visit_parameters([](const ef::Name& name, auto& parameter) {
    if (name.str().ends_with("bn.weight")) std::fill(parameter.values().begin(), parameter.values().end(), 1);
  });
  return block;
}
inline const ef::CascadedGroupAttentionOptions cascade = {
    .dim = 21, .key_dim = 5, .heads = 3, .resolution = 3, .kernels = {5, 1, 3}, .statistics = ef::FixedStatistics{}};

/// Two adapters whose B is not zero, or A of an embedding, over a base that is trained too.
template <class Layer>
Layer with_adapters(Layer layer, ef::LoraOptions options, ef::Random random) {
  for (const char* name : {"first", "second"}) {
    layer.add(name, options, random.split());
    for (auto* matrix : {&layer.adapter(name).a, &layer.adapter(name).b}) {
      for (auto& value : matrix->values()) value = static_cast<typename Layer::Scalar>(0.3 * random.normal());
    }
    options.rank += 2;
  }
  ef::set_training(layer, ef::Training::trained);
  return layer;
}

template <class T>
std::vector<Row<T>> table() {
  std::vector<Row<T>> rows;
  const auto add = [&](std::string name, auto input, auto make, auto... extra) {
    rows.push_back(row<T>(std::move(name), input, make, extra...));
  };

  add("LayerNorm", Features{79}, [](ef::Random) { return ef::LayerNorm<T>({.dim = 79}); });
  add("RmsNorm", Features{79}, [](ef::Random) { return ef::RmsNorm<T>({.dim = 79}); });
  add("PlainLayerNorm", Features{79}, [](ef::Random) { return ef::PlainLayerNorm<T>({.dim = 79}); });
  add("NoNorm", Features{79}, [](ef::Random) { return ef::NoNorm<T>(); });
  add("RmsNorm_with_unit_offset", Features{79}, [](ef::Random) { return ef::RmsNorm<T, ef::UnitOffset>({.dim = 79}); });
  add("BatchNorm", Features{79}, [](ef::Random random) { return batch_norm<T>(random.split()); });
  add("GroupNorm", Features{78}, [](ef::Random) { return ef::GroupNorm<T>({.dim = 78, .groups = 6}); });
  add("FixNorm", Tokens{29},
      [](ef::Random random) { return ef::FixNorm<T>({.vocabulary = 29, .dim = 79}, random.split()); });
  add("ScaleNorm", Features{79}, [](ef::Random) { return ef::ScaleNorm<T>({.dim = 79}); });
  add("SinusoidalPositions", Features{74}, [](ef::Random) { return ef::SinusoidalPositions<T>({.dim = 74}); });
  add("SinusoidalPositions_half_split", Features{74},
      [](ef::Random) { return ef::SinusoidalPositions<T, ef::HalfSplit>({.dim = 74}); });
  add("LearnedPositions", Features{79},
      [](ef::Random random) { return ef::LearnedPositions<T>({.max_length = 83, .dim = 79}, random.split()); });
  add("Linear", Features{31},
      [](ef::Random random) { return ef::Linear<T>({.in_features = 31, .out_features = 43}, random.split()); });
  add("Linear_without_bias", Features{31}, [](ef::Random random) {
    return ef::Linear<T>({.in_features = 31, .out_features = 43, .bias = false}, random.split());
  });
  add("Linear_in_bfloat16", Features{31}, [](ef::Random random) {
    return ef::Linear<T, ef::Bfloat16>({.in_features = 31, .out_features = 43}, random.split());
  });
  add("Linear_in_float16_without_bias", Features{31}, [](ef::Random random) {
    return ef::Linear<T, ef::Float16>({.in_features = 31, .out_features = 43, .bias = false}, random.split());
  });
  add("PackedLinear", Features{31},
      [](ef::Random random) { return ef::PackedLinear<T>({.in_features = 31, .out_features = 43}, random.split()); });
  add("PackedLinear_in_bfloat16_without_bias", Features{31}, [](ef::Random random) {
    return ef::PackedLinear<T, ef::Bfloat16>({.in_features = 31, .out_features = 43, .bias = false}, random.split());
  });
  add("BitLinear", Features{31},
      [](ef::Random random) { return ef::BitLinear<T>({.in_features = 31, .out_features = 43}, random.split()); });
  add("BitLinear_158_with_RmsNorm", Features{31}, [](ef::Random random) {
    using Layer = ef::BitLinear<T, ef::TernaryWeights, ef::RmsNorm<T>, ef::Absmax158>;
    return Layer({.in_features = 31, .out_features = 43, .bias = false}, random.split());
  });
  add("BitLinear_in_groups", Features{38}, [](ef::Random random) {
    using Activations = ef::Absmax<ef::ShiftedUnsignedRange>;
    using Layer = ef::BitLinear<T, ef::BinaryWeights, ef::PlainLayerNorm<T>, Activations>;
    return Layer({.in_features = 38, .out_features = 46, .groups = {.outputs = 2, .inputs = 2}}, random.split());
  });
  add("PackedBitLinear", Features{31}, [](ef::Random random) {
    return ef::PackedBitLinear<T>({.in_features = 31, .out_features = 43}, random.split());
  });
  add("PackedBitLinear_158_with_RmsNorm", Features{31}, [](ef::Random random) {
    using Layer = ef::PackedBitLinear<T, ef::TernaryWeights, ef::RmsNorm<T>, ef::Absmax158>;
    return Layer({.in_features = 31, .out_features = 43}, random.split());
  });
  add("Lora", Features{31}, [](ef::Random random) {
    using Layer = ef::Lora<ef::Linear<T>>;
    return with_adapters(Layer({.in_features = 31, .out_features = 43}, random.split()), {.rank = 3, .alpha = 5},
                         random.split());
  });
  add("Lora_over_float16", Features{31}, [](ef::Random random) {
    using Layer = ef::Lora<ef::Linear<T, ef::Float16>>;
    return with_adapters(Layer({.in_features = 31, .out_features = 43}, random.split()), {.rank = 3, .alpha = 5},
                         random.split());
  });
  add("Lora_over_BitLinear", Features{31}, [](ef::Random random) {
    using Layer = ef::Lora<ef::BitLinear<T>>;
    return with_adapters(Layer({.in_features = 31, .out_features = 43}, random.split()), {.rank = 3, .alpha = 5},
                         random.split());
  });
  add("Lora_of_Embedding", Tokens{29}, [](ef::Random random) {
    using Layer = ef::Lora<ef::Embedding<T>>;
    return with_adapters(Layer({.vocabulary = 29, .dim = 79}, random.split()), {.rank = 3, .alpha = 5}, random.split());
  });
  add("DepthwiseConvolution", Images{5, 19},
      [](ef::Random random) { return ef::DepthwiseConvolution<T>({.channels = 19, .kernel = 5}, random.split()); });
  add("DepthwiseConvolution_without_bias", Images{7, 13},
      [](ef::Random random) { return ef::DepthwiseConvolution<T>({.channels = 13, .bias = false}, random.split()); });
  add("Convolution", Images{5, 13},
      [](ef::Random random) { return ef::Convolution<T>({.in_channels = 13, .out_channels = 17}, random.split()); });
  add("Normed_linear", Features{31}, [](ef::Random random) {
    return ef::Normed<ef::Linear<T>>(
        {.projection = {.in_features = 31, .out_features = 43}, .statistics = ef::FixedStatistics{}}, random.split());
  });
  add("Normed_convolution", Images{5, 17}, [](ef::Random random) {
    return ef::Normed<ef::DepthwiseConvolution<T>>(
        {.projection = {.channels = 17}, .statistics = ef::FixedStatistics{}}, random.split());
  });
  add("Embedding", Tokens{29},
      [](ef::Random random) { return ef::Embedding<T>({.vocabulary = 29, .dim = 79}, random.split()); });
  add("Embedding_in_float16", Tokens{29},
      [](ef::Random random) { return ef::Embedding<T, ef::Float16>({.vocabulary = 29, .dim = 79}, random.split()); });
  add("FeedForward", Features{31},
      [](ef::Random random) { return ef::FeedForward<T, ef::Gelu>({.dim = 31, .hidden = 59}, random.split()); });
  add("GatedFeedForward", Features{31},
      [](ef::Random random) { return ef::GatedFeedForward<T, ef::Silu>({.dim = 31, .hidden = 59}, random.split()); });
  add(
      "GroupedQueryAttention", Features{37},
      [](ef::Random random) {
        using Attention = ef::GroupedQueryAttention<T, ef::Linear<T>, ef::Rotary<>>;
        return Attention({.dim = 37, .heads = 6, .kv_heads = 3, .head_dim = 10, .value_dim = 7}, random.split());
      },
      ef::Causal{});
  add(
      "GroupedQueryAttention_with_sinks", Features{37},
      [](ef::Random random) {
        using Attention = ef::GroupedQueryAttention<T, ef::Linear<T>, ef::Rotary<>>;
        return Attention({.dim = 37, .heads = 6, .kv_heads = 3, .head_dim = 10, .sinks = ef::LearnedSinks{0.5}},
                         random.split());
      },
      ef::Causal{});
  add(
      "MultiHeadAttention", Features{34},
      [](ef::Random random) { return ef::MultiHeadAttention<T>({.dim = 34, .heads = 2}, random.split()); },
      ef::NoMask{});
  add(
      "MultiQueryAttention", Features{39},
      [](ef::Random random) { return ef::MultiQueryAttention<T>({.dim = 39, .heads = 3}, random.split()); },
      ef::Causal{});
  add("CascadedGroupAttention", Windows{3, 21},
      [](ef::Random random) { return with_gains(ef::CascadedGroupAttention<T>(cascade, random.split())); });
  add("CascadedGroupAttention_folded", Windows{3, 21},
      [](ef::Random random) { return ef::fold(with_gains(ef::CascadedGroupAttention<T>(cascade, random.split()))); });
  add("LocalWindowAttention", Images{5, 21},
      [](ef::Random random) { return with_gains(ef::LocalWindowAttention<T>(cascade, random.split())); });
  add("EfficientViTBlock", Images{5, 21}, [](ef::Random random) {
    return with_gains(ef::EfficientViTBlock<T>({.attention = cascade, .hidden = 31}, random.split()));
  });
  add(
      "MultiQueryAttention_Alibi", Features{39},
      [](ef::Random random) {
        using Attention = ef::MultiQueryAttention<T, ef::Linear<T>, ef::Alibi>;
        return Attention({.dim = 39, .heads = 3}, random.split());
      },
      ef::Causal{});
  add(
      "GroupedQueryAttention_RelativeBias_Strided", Features{37},
      [](ef::Random random) {
        using Attention = ef::GroupedQueryAttention<T, ef::Linear<T>, ef::RelativeBias<T>>;
        return Attention({.dim = 37, .heads = 4, .kv_heads = 2, .head_dim = 7, .position = {.num_buckets = 6}},
                         random.split());
      },
      ef::Strided{3, 2});
  const auto prefixed = []<class Attention>(Attention attention) {
    ef::Prefixed<Attention> result(std::move(attention));
    result.prefix = result.own_prefix(5, ef::Random(7));
    return result;
  };
  add(
      "Prefixed", Features{37},
      [=](ef::Random random) {
        using Attention = ef::GroupedQueryAttention<T, ef::Linear<T>, ef::Rotary<>>;
        return prefixed(
            Attention({.dim = 37, .heads = 6, .kv_heads = 3, .head_dim = 10, .value_dim = 7}, random.split()));
      },
      ef::Causal{});
  add(
      "Prefixed_in_a_window_with_Alibi", Features{39},
      [=](ef::Random random) {
        using Attention = ef::MultiQueryAttention<T, ef::Linear<T>, ef::Alibi>;
        return prefixed(Attention({.dim = 39, .heads = 3}, random.split()));
      },
      ef::LocalBanded{3});
  add("PrefixMlp", Tokens{29}, [](ef::Random random) {
    return LookedUp<ef::PrefixMlp<T>>(
        ef::PrefixMlp<T>({.length = 29, .dim = 13, .hidden = 23, .out_features = 79}, random.split()));
  });
  add(
      "PromptTuning", Features{38},
      [](ef::Random random) {
        return ef::PromptTuning<PreNormLayer<T>>(pre_norm_layer<T>(random.split()), {.length = 3, .dim = 38},
                                                 random.split());
      },
      ef::Causal{});
  add(
      "PreNorm", Features{38}, [](ef::Random random) { return pre_norm_layer<T>(random.split()); }, ef::Causal{});
  add(
      "PostNorm", Features{38},
      [](ef::Random random) {
        return PostNormLayer<T>(
            {.norm = {.dim = 38}, .attention = {.dim = 38, .heads = 2}, .feed_forward = {.dim = 38, .hidden = 53}},
            random.split());
      },
      ef::NoMask{});
  add(
      "ParallelBlock", Features{38},
      [](ef::Random random) {
        return ParallelLayer<T>({.norm = {.dim = 38, .bias = false},
                                 .attention = {.dim = 38, .heads = 3, .head_dim = 14},
                                 .feed_forward = {.dim = 38, .hidden = 53}},
                                random.split());
      },
      ef::Causal{});
  add(
      "Sandwich", Features{38},
      [](ef::Random random) {
        return SandwichLayer<T>({.norm = {.dim = 38},
                                 .attention = {.dim = 38, .heads = 4, .kv_heads = 2, .head_dim = 10},
                                 .feed_forward = {.dim = 38, .hidden = 53}},
                                random.split());
      },
      ef::Causal{});
  add(
      "DeepNorm", Features{38},
      [](ef::Random random) {
        return ef::DeepNorm<ef::LayerNorm<T>, ef::MultiHeadAttention<T>, ef::FeedForward<T, ef::Relu>>(
            {.norm = {.dim = 38},
             .attention = {.dim = 38, .heads = 2},
             .feed_forward = {.dim = 38, .hidden = 53},
             .gains = ef::deep_norm_gains(7)},
            random.split());
      },
      ef::NoMask{});
  add(
      "PreNorm_with_inner_norms", Features{38},
      [](ef::Random random) {
        using Norm = ef::LayerNorm<T>;
        using Attention = ef::MultiHeadAttention<T, ef::Linear<T>, ef::NoPosition, ef::NoNorm<T>, Norm>;
        return ef::PreNorm<Norm, Attention, ef::FeedForward<T, ef::Gelu, ef::Linear<T>, Norm>>(
            {.norm = {.dim = 38}, .attention = {.dim = 38, .heads = 2}, .feed_forward = {.dim = 38, .hidden = 53}},
            random.split());
      },
      ef::Causal{});
  add(
      "Stack", Features{38},
      [](ef::Random random) {
        return ef::Stack<PreNormLayer<T>>(
            {pre_norm_layer<T>(random.split()), pre_norm_layer<T>(random.split()), pre_norm_layer<T>(random.split())});
      },
      ef::Causal{});
  add("Sequential", Features{31}, [](ef::Random random) {
    return ef::Sequential(ef::LayerNorm<T>({.dim = 31}),
                          ef::Linear<T>({.in_features = 31, .out_features = 43}, random.split()),
                          ef::FeedForward<T, ef::GeluTanh>({.dim = 43, .hidden = 13}, random.split()));
  });
  add(
      "Sequential_of_sequences", Features{31},
      [](ef::Random random) {
        return ef::Sequential(ef::Linear<T>({.in_features = 31, .out_features = 38}, random.split()),
                              pre_norm_layer<T>(random.split()), ef::RmsNorm<T>({.dim = 38}));
      },
      ef::Causal{});
  const auto add_recurrent = [&]<class Cell>(std::string name, std::type_identity<Cell>) {
    add(std::move(name), Features{31},
        [](ef::Random random) { return ef::Recurrent<Cell>({.in_features = 31, .hidden = 23}, random.split()); });
  };
  using Normed = ef::LayerNorm<T>;
  add_recurrent("Lstm", std::type_identity<ef::LstmCell<T>>());
  add_recurrent("Lstm_with_layer_norm", std::type_identity<ef::LstmCell<T, Normed>>());
  add_recurrent("Lstm_with_layer_norm_of_its_cells", std::type_identity<ef::LstmCell<T, Normed, ef::NormedState>>());
  add_recurrent("Gru", std::type_identity<ef::GruCell<T>>());
  add_recurrent("Gru_with_layer_norm", std::type_identity<ef::GruCell<T, Normed>>());
  const auto add_cross = [&]<class Order>(std::string name, std::type_identity<Order>) {
    add(
        std::move(name), Features{38},
        [](ef::Random random) {
          using Layer = ef::CrossLayer<ef::LayerNorm<T>, ef::MultiHeadAttention<T>, ef::FeedForward<T, ef::Relu>, Order,
                                       ef::MultiQueryAttention<T>>;
          return OwnMemory<Layer>(Layer({.norm = {.dim = 38},
                                         .attention = {.dim = 38, .heads = 2},
                                         .cross_attention = {.dim = 38, .heads = 3, .head_dim = 10},
                                         .feed_forward = {.dim = 38, .hidden = 53}},
                                        random.split()));
        },
        ef::Causal{});
  };
  add_cross("CrossLayer", std::type_identity<ef::NormAfter>());
  add_cross("CrossLayer_with_norms_before", std::type_identity<ef::NormBefore>());
  add("EncoderDecoder", Tokens{29}, [](ef::Random random) {
    return OwnSource<ef::Transformer<T>>(ef::Transformer<T>(
        {.vocabulary = 29, .dim = 42, .encoder_layers = 2, .decoder_layers = 3, .heads = 3, .hidden = 53},
        random.split()));
  });
  add("Decoder", Tokens{29}, [](ef::Random random) {
    return ef::LlamaDecoder<T>({.vocabulary = 29, .dim = 42, .layers = 2, .heads = 3, .kv_heads = 1, .hidden = 53},
                               random.split());
  });
  add("Decoder_with_output", Tokens{29}, [](ef::Random random) {
    return ef::LlamaDecoder<T, ef::Linear<T>, ef::HalfSplit>(
        {.vocabulary = 29, .dim = 42, .layers = 2, .heads = 3, .kv_heads = 3, .hidden = 53}, random.split());
  });
  add("Decoder_in_bfloat16", Tokens{29}, [](ef::Random random) {
    return ef::LlamaDecoder<T, ef::TiedOutput<T, ef::Bfloat16>>(
        {.vocabulary = 29, .dim = 42, .layers = 2, .heads = 3, .kv_heads = 1, .hidden = 53}, random.split());
  });
  add("Decoder_of_gpt3", Tokens{29}, [](ef::Random random) {
    return ef::Gpt3Decoder<T>(
        {.vocabulary = 29, .dim = 42, .layers = 2, .heads = 3, .hidden = 53, .max_length = 83, .bandwidth = 3},
        random.split());
  });
  add(
      "PreNorm_in_float16", Features{38},
      [](ef::Random random) {
        return ef::LlamaLayer<T, ef::HalfSplit, ef::Float16>(
            {.norm = {.dim = 38},
             .attention = {.dim = 38, .heads = 4, .kv_heads = 2, .head_dim = 10, .bias = true},
             .feed_forward = {.dim = 38, .hidden = 53}},
            random.split());
      },
      ef::Causal{});
  return rows;
}

}  // namespace conformance
