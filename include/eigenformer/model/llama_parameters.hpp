#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/io/parameter_names.hpp>
#include <eigenformer/model/llama_config.hpp>

#include <array>
#include <string>

namespace eigenformer::inline EIGENFORMER_ABI {

/// What HuggingFace's Llama checkpoints call the parameters of a LlamaDecoder. Their query and key weights are for
/// half-split rotary positions.
inline constexpr std::array<NamePair, 19> llama_names = {{
    {"embedding.weight", "model.embed_tokens.weight"},
    {"layers.*.attention_norm.weight", "model.layers.*.input_layernorm.weight"},
    {"layers.*.attention.query.weight", "model.layers.*.self_attn.q_proj.weight"},
    {"layers.*.attention.query.bias", "model.layers.*.self_attn.q_proj.bias"},
    {"layers.*.attention.key.weight", "model.layers.*.self_attn.k_proj.weight"},
    {"layers.*.attention.key.bias", "model.layers.*.self_attn.k_proj.bias"},
    {"layers.*.attention.value.weight", "model.layers.*.self_attn.v_proj.weight"},
    {"layers.*.attention.value.bias", "model.layers.*.self_attn.v_proj.bias"},
    {"layers.*.attention.output.weight", "model.layers.*.self_attn.o_proj.weight"},
    {"layers.*.attention.output.bias", "model.layers.*.self_attn.o_proj.bias"},
    {"layers.*.feed_forward_norm.weight", "model.layers.*.post_attention_layernorm.weight"},
    {"layers.*.feed_forward.gate.weight", "model.layers.*.mlp.gate_proj.weight"},
    {"layers.*.feed_forward.gate.bias", "model.layers.*.mlp.gate_proj.bias"},
    {"layers.*.feed_forward.up.weight", "model.layers.*.mlp.up_proj.weight"},
    {"layers.*.feed_forward.up.bias", "model.layers.*.mlp.up_proj.bias"},
    {"layers.*.feed_forward.down.weight", "model.layers.*.mlp.down_proj.weight"},
    {"layers.*.feed_forward.down.bias", "model.layers.*.mlp.down_proj.bias"},
    {"norm.weight", "model.norm.weight"},
    {"output.weight", "lm_head.weight"},
}};

/// A parameter that every layer has, by its name within the layer.
struct LlamaLayerParameter {
  std::string_view name;
  Shape shape;
};

/// The weights of one layer, in the order of a LlamaLayer. Biases are not among them.
inline std::array<LlamaLayerParameter, 9> llama_layer_weights(const DecoderOptions& o) {
  return {{{"attention_norm.weight", {o.dim}},
           {"attention.query.weight", {o.heads * o.head_dim, o.dim}},
           {"attention.key.weight", {o.kv_heads * o.head_dim, o.dim}},
           {"attention.value.weight", {o.kv_heads * o.head_dim, o.dim}},
           {"attention.output.weight", {o.dim, o.heads * o.head_dim}},
           {"feed_forward_norm.weight", {o.dim}},
           {"feed_forward.gate.weight", {o.hidden, o.dim}},
           {"feed_forward.up.weight", {o.hidden, o.dim}},
           {"feed_forward.down.weight", {o.dim, o.hidden}}}};
}

/// Calls visit(name, shape) for each parameter of the LlamaDecoder that a description stands for: what a checkpoint has
/// to hold is known before there is memory for the model.
template <class Visit>
void for_each_llama_parameter(const LlamaConfig& config, const Visit& visit) {
  const DecoderOptions& o = config.decoder;
  visit(std::string("embedding.weight"), Shape{o.vocabulary, o.dim});
  for (Index i = 0; i < o.layers; ++i) {
    const std::string layer = "layers." + std::to_string(i) + ".";
    for (const LlamaLayerParameter& parameter : llama_layer_weights(o)) {
      visit(layer + std::string(parameter.name), parameter.shape);
      const bool attention = parameter.name.starts_with("attention.");
      const bool biased = attention ? o.attention_bias : o.feed_forward_bias;
      if (!biased || parameter.shape.rank() != 2) continue;
      const std::string_view part = parameter.name.substr(0, parameter.name.size() - std::string_view("weight").size());
      visit(layer + std::string(part) + "bias", Shape{parameter.shape[0]});
    }
  }
  visit(std::string("norm.weight"), Shape{o.dim});
  if (config.output == OutputWeights::separate) visit(std::string("output.weight"), Shape{o.vocabulary, o.dim});
}

}  // namespace eigenformer::inline EIGENFORMER_ABI
