#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/io/json_text.hpp>
#include <eigenformer/io/output_file.hpp>
#include <eigenformer/io/peft_config_reader.hpp>

#include <array>
#include <charconv>
#include <span>
#include <string>
#include <utility>

namespace eigenformer::inline EIGENFORMER_ABI {

namespace detail {

/// An adapter_config.json in the making, in the manner of PEFT: one field to a line, sorted by name.
template <class = void>
class BasicPeftConfigText {
 public:
  explicit BasicPeftConfigText(const PeftDescription& description) {
    const auto text_or_null = [](const std::string& text) { return text.empty() ? "null" : json_quoted(text); };
    fields_ = {{"auto_mapping", "null"},
               {"base_model_name_or_path", text_or_null(description.base_model)},
               {"inference_mode", "true"},
               {"revision", "null"},
               {"task_type", text_or_null(description.task)}};
  }

  void add(const PeftLoraConfig& lora) {
    set("peft_type", "\"LORA\"");
    set("alpha_pattern", object(lora.alphas));
    set("bias", "\"none\"");
    if (!lora.excluded.empty()) set("exclude_modules", list(lora.excluded));  // older versions have no such field
    set("fan_in_fan_out", "false");
    set("init_lora_weights", "true");
    set("lora_alpha", number(lora.alpha));
    set("lora_dropout", number(lora.dropout));
    set("modules_to_save", "null");
    set("r", number(lora.rank));
    set("rank_pattern", object(lora.ranks));
    set("target_modules", lora.targets.empty() ? "\"all-linear\"" : list(lora.targets));
    set("use_dora", lora.learned_magnitude ? "true" : "false");
    set("use_rslora", lora.rank_stabilized ? "true" : "false");
  }
  void add(const PeftPrefixConfig& prefix) {
    set("peft_type", "\"PREFIX_TUNING\"");
    set("encoder_hidden_size", "null");
    set("num_attention_heads", size(prefix.kv_heads));
    set("num_layers", size(prefix.layers));
    set("num_transformer_submodules", "1");
    set("num_virtual_tokens", number(prefix.virtual_tokens));
    set("prefix_projection", "false");
    set("token_dim", size(prefix.features));
  }
  void add(const PeftPromptConfig& prompt) {
    set("peft_type", "\"PROMPT_TUNING\"");
    set("num_transformer_submodules", "1");
    set("num_virtual_tokens", number(prompt.virtual_tokens));
    set("prompt_tuning_init", "\"RANDOM\"");
    set("token_dim", size(prompt.features));
  }

  std::string text() const {
    std::string text;
    for (const auto& [name, value] : fields_) {
      text.append(text.empty() ? "{\n  \"" : ",\n  \"").append(name).append("\": ").append(value);
    }
    return text + "\n}\n";
  }

 private:
  void set(std::string_view name, std::string value) { fields_[std::string(name)] = std::move(value); }

  static std::string number(auto value) {
    std::array<char, 32> digits{};
    return {digits.data(), std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr};
  }
  static std::string size(Index value) { return value == 0 ? "null" : number(value); }
  static std::string list(const PeftModules& modules) {
    std::string text;
    for (const std::string& module : modules) text.append(text.empty() ? "[" : ", ").append(json_quoted(module));
    return text + "]";
  }
  template <class Value>
  static std::string object(const PeftExceptions<Value>& values) {
    std::string text = "{";
    for (const auto& [module, value] : values) {
      text.append(text.size() == 1 ? "" : ", ").append(json_quoted(module)).append(": ").append(number(value));
    }
    return text + "}";
  }

  std::map<std::string, std::string> fields_;
};

/// The one BasicPeftConfigText, which is a template so that only who uses it compiles it.
using PeftConfigText = BasicPeftConfigText<>;

}  // namespace detail

/// The text of an adapter_config.json that PEFT reads.
template <class = void>
std::string peft_config_text(const PeftConfig& config, const PeftDescription& description = {}) {
  detail::PeftConfigText text(description);
  std::visit([&](const auto& one) { text.add(one); }, config);
  return text.text();
}

/// Replaces the file of that name, at once and only if all went well. What the reader would refuse is not written.
template <class = void>
Result<void> try_write_peft_config(const FilePath& path, const PeftConfig& config,
                                   const PeftDescription& description = {}) {
  const std::string text = peft_config_text(config, description);
  if (const Result<PeftConfig> readable = try_parse_peft_config(text); !readable) return readable.fault();
  Result<OutputFile> file = OutputFile::create(path);
  if (!file) return file.fault();
  if (Result<void> done = file->write(std::as_bytes(std::span(text))); !done) return done;
  return std::move(*file).commit();
}
/// The same; throws FileError.
template <class = void>
void write_peft_config(const FilePath& path, const PeftConfig& config, const PeftDescription& description = {}) {
  value_or_throw(try_write_peft_config(path, config, description), path.string());
}

}  // namespace eigenformer::inline EIGENFORMER_ABI
