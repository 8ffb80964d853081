#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/io/peft_config_writer.hpp>

#include "fuzz/targets.hpp"

#include <nlohmann/json.hpp>

#include <memory>
#include <string>

namespace fuzz {

/// What was read of a field is what a general parser reads there.
inline void expect_adapter(const nlohmann::json& tree, const PeftLoraConfig& lora) {
  expect(tree["peft_type"] == "LORA" && tree.value("bias", "none") == "none", "what is not implemented is refused");
  expect(tree.value("r", 8) == lora.rank && lora.rank >= 1 && lora.rank <= PeftLimits::rank, "r");
  expect(tree.value("lora_alpha", 8.0) == lora.alpha && lora.alpha > 0 && lora.alpha <= PeftLimits::alpha,
         "lora_alpha");
  expect(tree.value("lora_dropout", 0.0) == lora.dropout && lora.dropout >= 0 && lora.dropout < 1, "lora_dropout");
  expect(tree.value("use_rslora", false) == lora.rank_stabilized, "use_rslora");
  expect(tree.value("use_dora", false) == lora.learned_magnitude, "use_dora");
  const nlohmann::json& targets = tree["target_modules"];
  if (targets.is_string()) expect(targets == "all-linear" && lora.targets.empty(), "all-linear");
  if (targets.is_array()) {
    for (const auto& target : targets) expect(lora.targets.contains(target.get<std::string>()), "targets");
    expect(!lora.targets.empty() && lora.targets.size() <= targets.size(), "no target of its own making");
  }
  const auto size = [&](const char* name) { return tree.contains(name) ? tree[name].size() : 0; };
  expect(lora.ranks.size() == size("rank_pattern") && lora.alphas.size() == size("alpha_pattern"), "patterns");
  for (const char* name : {"modules_to_save", "layers_to_transform", "lora_bias", "layer_replication", "unknown"}) {
    expect(!tree.contains(name) || tree[name].empty() || tree[name] == false || tree[name].dump() == "\"\"",
           "nothing is half loaded");
  }
}
inline void expect_adapter(const nlohmann::json& tree, const PeftPrefixConfig& prefix) {
  expect(tree["peft_type"] == "PREFIX_TUNING" && tree["num_virtual_tokens"] == prefix.virtual_tokens, "a prefix");
  expect(prefix.virtual_tokens >= 1 && prefix.layers >= 0 && prefix.kv_heads >= 0 && prefix.features >= 0, "sizes");
}
inline void expect_adapter(const nlohmann::json& tree, const PeftPromptConfig& prompt) {
  expect(tree["peft_type"] == "PROMPT_TUNING" && tree["num_virtual_tokens"] == prompt.virtual_tokens, "a prompt");
  expect(prompt.virtual_tokens >= 1 && prompt.features >= 0, "sizes");
}

/// The text of an adapter_config.json.
inline void adapter(std::string_view text) {
  const std::unique_ptr<char[]> copy(new char[text.size()]);
  std::copy(text.begin(), text.end(), copy.get());
  std::string problems;
  const Result<PeftConfig> config = try_parse_peft_config({copy.get(), text.size()}, problems);
  for (const char character : problems) {
    expect(character == '\n' || (character >= 0x20 && character < 0x7f), "names and values are shown escaped");
  }
  if (!config) {
    expect(config.fault().position <= text.size(), "a fault lies in the file");
    expect(!config.fault().reason.empty(), "a fault has a reason");
    return;
  }
  expect(problems.empty(), "what is read has no problems");
  const std::string again = peft_config_text(*config);
  const Result<PeftConfig> reread = try_parse_peft_config(again);
  expect(reread && peft_config_text(*reread) == again, "what is written is read back");
  const std::string whole(text);
  if (reference::has_huge_number(whole)) return;  // in a field that is passed over
  const nlohmann::json tree = nlohmann::json::parse(whole, nullptr, false);
  expect(tree.is_object(), "what is read is an object");
  std::visit([&](const auto& one) { expect_adapter(tree, one); }, *config);
}

}  // namespace fuzz
