#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/io/input_directory.hpp>
#include <eigenformer/io/parameter_names.hpp>
#include <eigenformer/io/peft_config.hpp>
#include <eigenformer/io/safetensors_access.hpp>

#include <optional>
#include <string>

namespace eigenformer::inline EIGENFORMER_ABI::peft {

/// How a folder that PEFT wrote becomes part of a model.
struct LoadOptions {
  std::string name = "default";  ///< of the adapter in the model, as lora::merge and others take it
  ParameterNames names = {};     ///< what the base's checkpoint calls the model's parameters, such as llama_names
  ReadOptions read = {.finite = Finite::required};  ///< adapters are refused if a number in them is not finite
  SymbolicLinks links = SymbolicLinks::inside;      ///< of the two files
};

/// How part of a model becomes a folder that PEFT reads.
struct SaveOptions {
  std::string name = "default";      ///< of the adapter in the model, which the files do not tell
  ParameterNames names = {};         ///< what the base's checkpoint calls the model's parameters, such as llama_names
  PeftDescription description = {};  ///< what the configuration says of the base and the task
};

namespace detail {

/// How the configuration's file is called.
inline constexpr std::string_view config_file = "adapter_config.json";
/// How the tensors' file is called, without its ending.
inline constexpr std::string_view tensors_file = "adapter_model";

/// What prefixes and prompts are called in their file.
inline constexpr std::string_view prompt_tensor = "prompt_embeddings";

/// What the base's checkpoint calls the module of that name, or nothing if its table has no row for the module's weight.
inline std::optional<std::string> module_name(const ParameterNames& names, const std::string& ours) {
  constexpr std::string_view ending = ".weight";
  std::optional<std::string> name = names.in_file(ours + std::string(ending));
  if (!name || !name->ends_with(ending) || name->size() == ending.size()) return std::nullopt;
  name->resize(name->size() - ending.size());
  return name;
}

/// A line in a list of what does not fit.
inline void add_line(std::string& lines, std::string_view name, std::string_view what) {
  FixedText<160> escaped;
  lines.append("\n  ").append(escaped.append_escaped(name).view()).append(": ").append(what);
}

}  // namespace detail

}  // namespace eigenformer::inline EIGENFORMER_ABI::peft
