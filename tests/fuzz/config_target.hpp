#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/model/llama_config_reader.hpp>

#include "fuzz/targets.hpp"

#include <nlohmann/json.hpp>

#include <memory>
#include <string>

namespace fuzz {

/// What was read of a field is what a general parser reads there.
inline void expect_field(const nlohmann::json& tree, const char* name, const auto& value) {
  if (tree.contains(name) && !tree[name].is_null()) expect(tree[name] == value, name);
}

/// The text of a config.json.
inline void config(std::string_view text) {
  const std::unique_ptr<char[]> copy(new char[text.size()]);
  std::copy(text.begin(), text.end(), copy.get());
  const Result<LlamaConfig> config = try_parse_llama_config({copy.get(), text.size()});
  if (!config) {
    expect(config.fault().position <= text.size(), "a fault lies in the file");
    expect(!config.fault().reason.empty(), "a fault has a reason");
    for (const char character : config.fault().reason.view()) {
      expect(character >= 0x20 && character < 0x7f, "what came is shown escaped");
    }
    return;
  }
  const std::string whole(text);
  if (reference::has_huge_number(whole)) return;  // in a field that is passed over
  const nlohmann::json tree = nlohmann::json::parse(whole, nullptr, false);
  expect(tree.is_object(), "what is read is an object");
  const DecoderOptions& decoder = config->decoder;
  expect_field(tree, "model_type", "llama");
  expect_field(tree, "hidden_size", decoder.dim);
  expect_field(tree, "intermediate_size", decoder.hidden);
  expect_field(tree, "num_hidden_layers", decoder.layers);
  expect_field(tree, "num_attention_heads", decoder.heads);
  expect_field(tree, "num_key_value_heads", decoder.kv_heads);
  expect_field(tree, "head_dim", decoder.head_dim);
  expect_field(tree, "vocab_size", decoder.vocabulary);
  expect_field(tree, "max_position_embeddings", config->max_length);
  expect_field(tree, "rms_norm_eps", decoder.epsilon);
  expect_field(tree, "attention_bias", decoder.attention_bias);
  expect_field(tree, "mlp_bias", decoder.feed_forward_bias);
  expect_field(tree, "tie_word_embeddings", config->output == OutputWeights::tied);
  expect_field(tree, "bos_token_id", config->begin_token);
  expect(decoder.dim >= 1 && decoder.dim <= LlamaLimits::features, "sizes are in their ranges");
  expect(decoder.layers >= 1 && decoder.layers <= LlamaLimits::layers, "sizes are in their ranges");
  expect(decoder.heads >= 1 && decoder.heads % decoder.kv_heads == 0, "heads share evenly");
  expect(decoder.head_dim >= 2 && decoder.head_dim % 2 == 0, "heads have pairs");
  expect(decoder.rope_base >= 1 && decoder.epsilon > 0, "constants are in their ranges");
  for (const std::int32_t token : config->ends()) expect(token < decoder.vocabulary, "tokens are in the vocabulary");
}

}  // namespace fuzz
