#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/tensor.hpp>

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <variant>

namespace eigenformer::inline EIGENFORMER_ABI {

/// The most that is believed of an adapter_config.json. Far above every published one.
struct PeftLimits {
  static constexpr std::uint64_t bytes = 1'000'000;         ///< of the file
  static constexpr std::size_t name_bytes = 4096;           ///< of a module's name
  static constexpr std::size_t names = 10'000;              ///< in one list or pattern
  static constexpr std::size_t fields = 1000;               ///< of the configuration
  static constexpr Index rank = 65536;                      ///< of a product B A
  static constexpr double alpha = 1e6;                      ///< of a scale alpha / rank
  static constexpr Index virtual_tokens = Index(1) << 20U;  ///< of a prefix or prompt
  static constexpr Index layers = 1024;                     ///< with prefixes
  static constexpr Index heads = 65536;                     ///< of one layer's prefix
  static constexpr Index features = Index(1) << 20U;        ///< of one layer's keys, or of a prompt
};

namespace detail {

/// Calls found(end) for a dotted name and for each shorter end of it in whole parts, until one returns true, and returns
/// whether one did:  a.b.c, b.c, c
template <class Found>
bool any_end_of(std::string_view name, const Found& found) {
  for (;;) {
    if (found(name)) return true;
    const std::size_t dot = name.find('.');
    if (dot == std::string_view::npos) return false;
    name.remove_prefix(dot + 1);
  }
}

}  // namespace detail

/// Names of modules or ends of names in whole parts: "q_proj" is every module of that name, "layers.0.self_attn.q_proj"
/// that of the first layer. They are no patterns, and their order means nothing.
using PeftModules = std::set<std::string, std::less<>>;

/// What differs from the rest in the modules of these names, or of names with these ends. With ^ in front it is the whole
/// name. No module is meant by two that differ, because PEFT would take whichever stands first.
template <class Value>
using PeftExceptions = std::map<std::string, Value, std::less<>>;

/// What applies to a module of that name.
template <class Value>
Value peft_value(const PeftExceptions<Value>& exceptions, std::string_view module, Value common) {
  if (const auto whole = exceptions.find("^" + std::string(module)); whole != exceptions.end()) return whole->second;
  Value value = common;
  detail::any_end_of(module, [&](std::string_view end) {
    const auto found = exceptions.find(end);
    if (found == exceptions.end()) return false;
    value = found->second;
    return true;
  });
  return value;
}

/// LoRA, as PEFT describes it (`peft_type` LORA).
template <class = void>
struct BasicPeftLoraConfig {
  Index rank = 8;                      ///< `r`
  double alpha = 8;                    ///< `lora_alpha`
  double dropout = 0;                  ///< `lora_dropout`
  bool rank_stabilized = false;        ///< `use_rslora`: the scale is alpha / sqrt(rank)
  bool learned_magnitude = false;      ///< `use_dora`
  PeftModules targets = {};            ///< `target_modules`; empty for "all-linear"
  PeftModules excluded = {};           ///< `exclude_modules`, of those that are targets
  PeftExceptions<Index> ranks = {};    ///< `rank_pattern`
  PeftExceptions<double> alphas = {};  ///< `alpha_pattern`

  /// Whether the module of that name is named as a target, and not excluded. What "all-linear" stands for, the model
  /// knows.
  bool adapts(std::string_view module) const {
    const auto in = [&](const PeftModules& names) {
      return detail::any_end_of(module, [&](std::string_view end) { return names.find(end) != names.end(); });
    };
    return (targets.empty() || in(targets)) && !in(excluded);
  }
  /// Of the module of that name.
  Index rank_of(std::string_view module) const { return peft_value(ranks, module, rank); }
  /// Of the module of that name.
  double alpha_of(std::string_view module) const { return peft_value(alphas, module, alpha); }
};

/// The one BasicPeftLoraConfig, which is a template so that only who uses it compiles it.
using PeftLoraConfig = BasicPeftLoraConfig<>;

/// Keys and values before those of every sequence (`peft_type` PREFIX_TUNING). Sizes that the file leaves out are 0.
struct PeftPrefixConfig {
  Index virtual_tokens = 0;  ///< `num_virtual_tokens`
  Index layers = 0;          ///< `num_layers`
  Index kv_heads = 0;        ///< `num_attention_heads`, of the keys and values
  Index features = 0;        ///< `token_dim`, of one layer's keys: kv_heads head_dim
};

/// Vectors before the embedded tokens (`peft_type` PROMPT_TUNING). A size that the file leaves out is 0.
struct PeftPromptConfig {
  Index virtual_tokens = 0;  ///< `num_virtual_tokens`
  Index features = 0;        ///< `token_dim`
};

/// What an adapter_config.json describes.
using PeftConfig = std::variant<PeftLoraConfig, PeftPrefixConfig, PeftPromptConfig>;

/// What a configuration says beside the adapter itself; nothing here depends on it.
struct PeftDescription {
  std::string base_model = {};  ///< `base_model_name_or_path`
  /// `task_type`, such as CAUSAL_LM, without which PEFT does not apply prefixes and prompts
  std::string task = {};
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
