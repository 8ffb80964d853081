#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/model/llama2c_file.hpp>
#include <eigenformer/model/llama_checkpoint.hpp>

namespace eigenformer::inline EIGENFORMER_ABI {

/// Reads the model of a llama2.c file.
///   Model: a LlamaDecoder of float with Interleaved pairs, with TiedOutput or not as file.config().output says
template <class Model>
Result<Model> try_load_llama2c(const Llama2cFile& file, const ReadOptions& read = {}) {
  Result<void> done = detail::check_output<Model>(file.config(), Llama2cFile::format);
  if (!done) return done.fault();
  Model model = detail::unread_llama<Model>(file.config().decoder);
  model.visit_parameters([&](const auto& name, auto& parameter) {
    if (done) done = file.try_read(name.str(), parameter.shape(), parameter.values(), read);
  });
  if (!done) return done.fault();
  return model;
}
/// The same; throws FileError.
template <class Model>
Model load_llama2c(const Llama2cFile& file, const ReadOptions& read = {}) {
  return value_or_throw(try_load_llama2c<Model>(file, read), file.source());
}

}  // namespace eigenformer::inline EIGENFORMER_ABI
