#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/tensor.hpp>

#include <string>

namespace eigenformer::inline EIGENFORMER_ABI::peft::detail {

// What the tensors of one module with LoRA are called in PEFT's files:
//   base_model.model.<module>.lora_A.weight            [rank, in]
//   base_model.model.<module>.lora_B.weight            [out, rank]
//   base_model.model.<module>.lora_magnitude_vector    [out], of DoRA
//   base_model.model.<module>.lora_embedding_A         [rank, vocabulary], of an embedding
//   base_model.model.<module>.lora_embedding_B         [dim, rank]

template <class Layer>
concept EmbedsTokens = requires(const Layer& layer) {
  layer.vocabulary();
};

/// What a Lora maps from: features, or tokens.
template <class Layer>
Index extent_in(const Layer& layer) {
  if constexpr (EmbedsTokens<Layer>) {
    return layer.vocabulary();
  } else {
    return layer.input_features();
  }
}

/// The names of one module's tensors.
struct LoraNames {
  std::string a, b, magnitude;
};
/// Those of PEFT's files, or, with the adapter's name, those of its state dicts, in which that stands behind what it is.
template <class Layer>
LoraNames lora_names(const std::string& module, const std::string& adapter = {}) {
  const std::string begin = "base_model.model." + module;
  const std::string name = adapter.empty() ? "" : '.' + adapter;
  if constexpr (EmbedsTokens<Layer>) {
    return {begin + ".lora_embedding_A" + name, begin + ".lora_embedding_B" + name, {}};
  } else {
    const std::string weight = name + ".weight";
    return {begin + ".lora_A" + weight, begin + ".lora_B" + weight,
            begin + ".lora_magnitude_vector" + (adapter.empty() ? name : weight)};
  }
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::peft::detail
