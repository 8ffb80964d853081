#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/adapter/prompt_tuning.hpp>
#include <eigenformer/io/peft_config_writer.hpp>
#include <eigenformer/io/safetensors_folder.hpp>
#include <eigenformer/model/peft_lora_loader.hpp>
#include <eigenformer/model/peft_lora_saver.hpp>
#include <eigenformer/model/peft_prefix.hpp>
#include <eigenformer/model/peft_prompt.hpp>

#include <string>

namespace eigenformer::inline EIGENFORMER_ABI::peft {

// Adapters in the files of HuggingFace's PEFT: a folder with adapter_config.json and adapter_model.safetensors.

namespace detail {

template <class Model>
Result<void> load(const TensorSource auto& file, const PeftConfig& config, Model& model, const LoadOptions& options,
                  std::string& disagreement) {
  if (const auto* const lora = std::get_if<PeftLoraConfig>(&config)) {
    return LoraLoader(file, *lora, model, options).load(disagreement);
  }
  if (const auto* const prefix = std::get_if<PeftPrefixConfig>(&config)) {
    return load_prefixes(file, *prefix, model, options, disagreement);
  }
  return load_prompt(file, std::get<PeftPromptConfig>(config), model, options, disagreement);
}

/// What is wrong with a file of the folder.
inline FileFault in_file(FileFault fault, std::string_view file) {
  fault.file = file;
  return fault;
}

template <class Model>
Result<void> load(const FilePath& folder, Model& model, const LoadOptions& options, std::string& list) {
  const Result<InputDirectory> directory = InputDirectory::open(folder, options.links);
  if (!directory) return directory.fault();
  const Result<PeftConfig> config = eigenformer::detail::try_read_peft_config(directory->open_file(config_file), list);
  if (!config) return in_file(config.fault(), config_file);
  const Result<SafetensorsFolder> file =
      SafetensorsFolder::try_open(folder, {.name = tensors_file, .links = options.links});
  if (file) return load(*file, *config, model, options, list);
  FileFault fault = file.fault();
  if (directory->open_file("adapter_model.bin")) {
    fault.reason = {
        "expected adapter_model.safetensors; adapter_model.bin is a pickle, which can run programs and is not read: "
        "convert it"};
  }
  return fault;
}

/// Writes the tensors, and last the configuration, without which the folder is no adapter.
template <class = void>
Result<void> save(const FilePath& folder, SafetensorsWriter& writer, const PeftConfig& config,
                  const SaveOptions& options) {
  if (const Result<PeftConfig> readable = try_parse_peft_config(peft_config_text(config, options.description));
      !readable) {
    return readable.fault();
  }
  writer.metadata["format"] = "pt";
  const std::string tensors = folder / (std::string(tensors_file) + ".safetensors");
  if (Result<void> done = writer.try_write(tensors); !done) return done;
  return try_write_peft_config(folder / config_file, config, options.description);
}
/// Raises the fault, with the whole list that belongs to it.
inline void raise_fault(const Result<void>& done, const std::string& list, const FilePath& folder) {
  if (!done) raise(FileError(done.fault(), folder.string(), list));
}
/// The fault with as much of the list as it has room for.
inline Result<void> with_list(const Result<void>& done, const std::string& list) {
  if (done || list.empty()) return done;
  FileFault fault = done.fault();
  fault.reason.append(list);
  return fault;
}
/// That the model has what no file can say.
inline FileFault unsaid() {
  return {.rule = 0,
          .position = 0,
          .tensor = {},
          .reason = {"PEFT's files cannot say what the model has:"},
          .format = "adapter"};
}

template <class Model>
Result<void> save_lora(const FilePath& folder, const Model& model, const SaveOptions& options, std::string& list) {
  LoraSaver<Model> saver(model, options);
  list = saver.problems();
  return list.empty() ? save(folder, saver.writer(), saver.config(), options) : unsaid();
}
template <class Model>
Result<void> save_prefixes(const FilePath& folder, const Model& model, const SaveOptions& options, std::string& list) {
  PeftPrefixConfig config;
  const auto rows = prefix_rows(model, config, list);
  if (!list.empty()) return unsaid();
  SafetensorsWriter writer;
  writer.add(std::string(prompt_tensor), {rows.rows(), rows.cols()},
             std::span(rows.data(), static_cast<std::size_t>(rows.size())));
  return save(folder, writer, config, options);
}
template <class Body>
Result<void> save_prompt(const FilePath& folder, const PromptTuning<Body>& model, const SaveOptions& options,
                         std::string& list) {
  const auto& prompt = model.prompt;
  if (prompt.size() == 0) list = "\n  its prompt has no positions";
  if (!list.empty()) return unsaid();
  SafetensorsWriter writer;
  writer.add(std::string(prompt_tensor), prompt.shape(), prompt.values());
  return save(folder, writer, PeftPromptConfig{prompt.value.rows(), prompt.value.cols()}, options);
}

}  // namespace detail

/// Makes an adapter that PEFT has saved part of a model, and freezes all else. Which kind it is, its configuration says:
///   LORA            becomes an adapter, active from now on, of each Lora that its targets name, as lora::attach makes them
///   PREFIX_TUNING   replaces every prefix of a model of Prefixed attentions; PEFT has folded the projection away already
///   PROMPT_TUNING   replaces the prompt of a PromptTuning
/// The folder may come from a stranger. What the configuration says is honoured or refused, see try_parse_peft_config;
/// files and model must agree on every tensor, module and shape, and every number must be finite unless options.read
/// says otherwise. float16 and bfloat16 are widened. An embedding's weight, which PEFT repeats in the file of its adapter,
/// must be the model's.
///   throws FileError that lists all that does not fit, with both shapes; then the model is as it was
/// Names are the model's own, or those of the base's checkpoint by its table. HuggingFace's names for a Llama also mean its
/// order of rows, that of LlamaDecoder with HalfSplit positions.
/// @code
/// using Projection = ef::Lora<ef::Linear<float>>;
/// ef::MultiHeadAttention<float, Projection> model({.dim = 64, .heads = 4}, ef::Random(42));
/// ef::lora::attach(model, {.rank = 8, .targets = {"query", "value"}}, ef::Random(43));
/// ef::peft::save_lora(".", model);  // adapter_config.json and adapter_model.safetensors
/// ef::MultiHeadAttention<float, Projection> other({.dim = 64, .heads = 4}, ef::Random(42));
/// ef::peft::load(".", other);
/// @endcode
template <class Model>
void load(const FilePath& folder, Model& model, const LoadOptions& options = {}) {
  std::string list;
  const Result<void> done = detail::load(folder, model, options, list);
  detail::raise_fault(done, list, folder);
}
/// The same with the failure as a value, which has room for the first lines of the list only.
template <class Model>
Result<void> try_load(const FilePath& folder, Model& model, const LoadOptions& options = {}) {
  std::string list;
  const Result<void> done = detail::load(folder, model, options, list);
  return detail::with_list(done, list);
}

/// Writes the adapter of that name of a model, all that PEFT needs to load it, into an existing folder. Each file is
/// replaced at once; the configuration comes last. Whether the adapter is active, merged or weighted is no part of it.
///   throws FileError that lists what PEFT's files cannot say: modules that differ in scaling, magnitude or dropout, or have
///          no name in the table; and for files that cannot be written
template <class Model>
void save_lora(const FilePath& folder, const Model& model, const SaveOptions& options = {}) {
  std::string list;
  const Result<void> done = detail::save_lora(folder, model, options, list);
  detail::raise_fault(done, list, folder);
}
/// The same with the failure as a value.
template <class Model>
Result<void> try_save_lora(const FilePath& folder, const Model& model, const SaveOptions& options = {}) {
  std::string list;
  const Result<void> done = detail::save_lora(folder, model, options, list);
  return detail::with_list(done, list);
}

/// Writes all prefixes of a model, in the same manner. They must be of one length, with as many heads and features in every
/// layer, keys and values alike.
template <class Model>
void save_prefixes(const FilePath& folder, const Model& model,
                   const SaveOptions& options = {.description = {.task = "CAUSAL_LM"}}) {
  std::string list;
  const Result<void> done = detail::save_prefixes(folder, model, options, list);
  detail::raise_fault(done, list, folder);
}
/// The same with the failure as a value.
template <class Model>
Result<void> try_save_prefixes(const FilePath& folder, const Model& model,
                               const SaveOptions& options = {.description = {.task = "CAUSAL_LM"}}) {
  std::string list;
  const Result<void> done = detail::save_prefixes(folder, model, options, list);
  return detail::with_list(done, list);
}

/// Writes a prompt, in the same manner.
template <class Body>
void save_prompt(const FilePath& folder, const PromptTuning<Body>& model,
                 const SaveOptions& options = {.description = {.task = "CAUSAL_LM"}}) {
  std::string list;
  const Result<void> done = detail::save_prompt(folder, model, options, list);
  detail::raise_fault(done, list, folder);
}
/// The same with the failure as a value.
template <class Body>
Result<void> try_save_prompt(const FilePath& folder, const PromptTuning<Body>& model,
                             const SaveOptions& options = {.description = {.task = "CAUSAL_LM"}}) {
  std::string list;
  const Result<void> done = detail::save_prompt(folder, model, options, list);
  return detail::with_list(done, list);
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::peft
