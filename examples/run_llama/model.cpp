// SPDX-License-Identifier: MIT

#include "model.hpp"

#include "loaded_model.hpp"

#include <eigenformer/model/llama2c.hpp>

#include <filesystem>
#include <stdexcept>

namespace ef = eigenformer;

namespace {

std::unique_ptr<LanguageModel> from_folder(const std::filesystem::path& path, ef::SymbolicLinks links) {
  const ef::LlamaConfig config = ef::read_llama_config(path / "config.json");
  const ef::SafetensorsFolder checkpoint(path, {.links = links});
  switch (ef::llama_weights_dtype(checkpoint)) {
    case ef::Dtype::bf16: return load_stored_as<ef::Bfloat16>(checkpoint, config);
    case ef::Dtype::f16: return load_stored_as<ef::Float16>(checkpoint, config);
    default: return load_stored_as<float>(checkpoint, config);
  }
}

std::unique_ptr<LanguageModel> from_llama2c(const std::filesystem::path& path) {
  const ef::Llama2cFile file(path);
  const ef::LlamaConfig& config = file.config();
  if (config.output == ef::OutputWeights::tied) {
    return loaded(ef::load_llama2c<ef::LlamaDecoder<float>>(file, checked), config, ef::Dtype::f32);
  }
  using Model = ef::LlamaDecoder<float, ef::Linear<float>>;
  return loaded(ef::load_llama2c<Model>(file, checked), config, ef::Dtype::f32);
}

}  // namespace

std::unique_ptr<LanguageModel> open_model(const std::filesystem::path& path, ef::SymbolicLinks links) {
  const std::filesystem::file_status status = std::filesystem::status(path);
  if (!std::filesystem::exists(status)) {
    throw std::runtime_error("'" + path.string() + "' does not exist: expected a folder or a model file of llama2.c");
  }
  if (std::filesystem::is_directory(status)) return from_folder(path, links);
  if (path.extension() == ".safetensors" || path.extension() == ".json") {
    throw std::runtime_error("'" + path.string() + "': expected the folder that it is in");
  }
  return from_llama2c(path);
}
