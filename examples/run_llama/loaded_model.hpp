#pragma once
// SPDX-License-Identifier: MIT

#include "model.hpp"

#include <eigenformer/io/safetensors_folder.hpp>
#include <eigenformer/kernels/compiled/kernels.hpp>
#include <eigenformer/model/llama_checkpoint.hpp>

#include <utility>
#include <variant>

/// A LanguageModel of a known type.
template <class Model>
class LoadedModel final : public LanguageModel {
 public:
  LoadedModel(Model model, const eigenformer::LlamaConfig& given_config, eigenformer::Dtype dtype)
      : model_(std::move(model)) {
    config = given_config;
    parameters = eigenformer::parameter_count(model_);
    stored_as = eigenformer::name(dtype);
  }
  void begin(eigenformer::Index tokens, eigenformer::Dtype cache) override {
    using eigenformer::Dtype;
    if (cache == Dtype::f32) key_values_ = model_.key_values(1, tokens);
    if (cache == Dtype::bf16) key_values_ = model_.template key_values<eigenformer::Bfloat16>(1, tokens);
    if (cache == Dtype::f16) key_values_ = model_.template key_values<eigenformer::Float16>(1, tokens);
  }
  void next_logits(std::span<const std::int32_t> tokens, std::span<float> logits,
                   eigenformer::Context& context) override {
    const auto count = static_cast<eigenformer::Index>(logits.size());
    const eigenformer::TokensView view(tokens.data(), {static_cast<eigenformer::Index>(tokens.size())});
    const eigenformer::RowsView<float> rows(logits.data(), 1, count, count);
    std::visit([&](auto& key_values) { model_.next_logits(view, rows, key_values, context); }, key_values_);
  }

 private:
  Model model_;
  std::variant<typename Model::KeyValues, typename Model::template KeyValuesOf<eigenformer::Bfloat16>,
               typename Model::template KeyValuesOf<eigenformer::Float16>>
      key_values_;
};

template <class Model>
std::unique_ptr<LanguageModel> loaded(Model model, const eigenformer::LlamaConfig& config, eigenformer::Dtype dtype) {
  return std::make_unique<LoadedModel<Model>>(std::move(model), config, dtype);
}

/// A NaN among the weights would only be noticed when the text makes no sense.
inline constexpr eigenformer::ReadOptions checked = {.finite = eigenformer::Finite::required};

/// The checkpoint with its weights in Storage; float, Bfloat16 and Float16 each have a source file to themselves.
template <class Storage>
std::unique_ptr<LanguageModel> load_stored_as(const eigenformer::SafetensorsFolder& checkpoint,
                                              const eigenformer::LlamaConfig& config) {
  namespace ef = eigenformer;
  constexpr ef::Dtype dtype = ef::dtype_of<Storage>;
  if (config.output == ef::OutputWeights::tied) {
    using Model = ef::LlamaDecoder<float, ef::TiedOutput<float, Storage>, ef::HalfSplit>;
    return loaded(ef::load_llama<Model>(checkpoint, config, checked), config, dtype);
  }
  using Model = ef::LlamaDecoder<float, ef::Linear<float, Storage>, ef::HalfSplit>;
  return loaded(ef::load_llama<Model>(checkpoint, config, checked), config, dtype);
}
extern template std::unique_ptr<LanguageModel> load_stored_as<float>(const eigenformer::SafetensorsFolder&,
                                                                     const eigenformer::LlamaConfig&);
extern template std::unique_ptr<LanguageModel> load_stored_as<eigenformer::Bfloat16>(
    const eigenformer::SafetensorsFolder&, const eigenformer::LlamaConfig&);
extern template std::unique_ptr<LanguageModel> load_stored_as<eigenformer::Float16>(
    const eigenformer::SafetensorsFolder&, const eigenformer::LlamaConfig&);
