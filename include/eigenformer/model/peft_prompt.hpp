#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/block.hpp>
#include <eigenformer/core/scalar_of.hpp>
#include <eigenformer/io/checkpoint.hpp>
#include <eigenformer/model/peft_options.hpp>

#include <string>
#include <utility>

namespace eigenformer::inline EIGENFORMER_ABI::peft::detail {

/// A model that is the PromptTuning itself.
template <class Model>
concept Prompted = requires(Model& model) {
  model.prompt.value;
  model.body;
};

/// Reads the prompt of a model, `prompt_embeddings` [virtual tokens, D] in the file; `disagreement` receives a line for each
/// thing that does not fit.
template <class Model>
Result<void> load_prompt(const TensorSource auto& file, const PeftPromptConfig& config, Model& model,
                         const LoadOptions& options, std::string& disagreement) {
  if constexpr (Prompted<Model>) {
    using T = scalar_of<Model>;
    const Shape shape = {config.virtual_tokens, model.prompt.value.cols()};
    const std::string tensor(prompt_tensor);
    eigenformer::detail::CheckpointComparison comparison;
    comparison.template expect<T>(file, tensor, shape);
    disagreement = comparison.disagreement(file, {});
    if (config.features != 0 && config.features != shape[1]) {
      disagreement += "\n  expected token_dim " + std::to_string(shape[1]) + ", got " + std::to_string(config.features);
    }
    if (!disagreement.empty()) return eigenformer::detail::other_tensors();
    Parameter<T, 2> prompt(Matrix<T>(shape[0], shape[1]));
    if (Result<void> read = file.template try_read<T>(tensor, shape, prompt.values(), options.read); !read) return read;
    set_training(model, Training::frozen);
    model.prompt = std::move(prompt);
    return {};
  } else {
    disagreement = "\n  the model is no PromptTuning";
    return eigenformer::detail::other_tensors();
  }
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::peft::detail
