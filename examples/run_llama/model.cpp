// SPDX-License-Identifier: MIT

#include "model.hpp"

#include <eigenformer/model/llama2c.hpp>
#include <eigenformer/model/llama_checkpoint.hpp>

#include <stdexcept>
#include <utility>

namespace ef = eigenformer;

namespace {

template <class Model>
class Loaded final : public LanguageModel {
 public:
  Loaded(Model model, const ef::LlamaConfig& given_config, std::string_view dtype) : model_(std::move(model)) {
    config = given_config;
    parameters = ef::parameter_count(model_);
    stored_as = dtype;
  }
  void begin(ef::Index tokens) override { key_values_ = model_.key_values(1, tokens); }
  void next_logits(std::span<const std::int32_t> tokens, std::span<float> logits, ef::Context& context) override {
    const auto count = static_cast<ef::Index>(logits.size());
    model_.next_logits(ef::TokensView(tokens.data(), {static_cast<ef::Index>(tokens.size())}),
                       ef::RowsView<float>(logits.data(), 1, count, count), key_values_, context);
  }

 private:
  Model model_;
  typename Model::KeyValues key_values_;
};

template <class Model>
std::unique_ptr<LanguageModel> loaded(Model model, const ef::LlamaConfig& config, ef::Dtype dtype) {
  return std::make_unique<Loaded<Model>>(std::move(model), config, ef::name(dtype));
}

/// A NaN among the weights would only be noticed when the text makes no sense.
constexpr ef::ReadOptions checked = {.finite = ef::Finite::required};

std::unique_ptr<LanguageModel> from_tensors(const ef::TensorSource auto& file, const ef::LlamaConfig& config) {
  const ef::Dtype dtype = ef::llama_weights_dtype(file);
  if (config.output == ef::OutputWeights::tied) {
    using Model = ef::LlamaDecoder<float, ef::TiedOutput<float>, ef::HalfSplit>;
    return loaded(ef::load_llama<Model>(file, config, checked), config, dtype);
  }
  using Model = ef::LlamaDecoder<float, ef::Linear<float>, ef::HalfSplit>;
  return loaded(ef::load_llama<Model>(file, config, checked), config, dtype);
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

std::unique_ptr<LanguageModel> open_model(const std::filesystem::path& path) {
  const std::filesystem::file_status status = std::filesystem::status(path);
  if (!std::filesystem::exists(status)) {
    throw std::runtime_error("'" + path.string() + "' does not exist: expected a folder or a model file of llama2.c");
  }
  if (!std::filesystem::is_directory(status)) {
    if (path.extension() == ".safetensors" || path.extension() == ".json") {
      throw std::runtime_error("'" + path.string() + "': expected the folder that it is in");
    }
    return from_llama2c(path);
  }
  const ef::LlamaConfig config = ef::read_llama_config(path / "config.json");
  return from_tensors(ef::SafetensorsFile(path / "model.safetensors"), config);
}
