#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/model/llama2c_file.hpp>
#include <eigenformer/model/llama_checkpoint.hpp>

namespace eigenformer::inline EIGENFORMER_ABI {

/// Reads the model of a llama2.c file.
///   Model: a LlamaDecoder of float with Interleaved pairs, and TiedOutput or not as file.config().output says; else
///          OptionError
template <class Model>
Model load_llama2c(const Llama2cFile& file, const ReadOptions& read = {}) {
  detail::require_output<Model>(file.config(), "load_llama2c");
  Model model = detail::unread_llama<Model>(file.config().decoder);
  model.visit_parameters([&](const auto& name, auto& parameter) {
    value_or_throw(file.try_read(name.str(), parameter.shape(), parameter.values(), read), file.source());
  });
  return model;
}

}  // namespace eigenformer::inline EIGENFORMER_ABI
