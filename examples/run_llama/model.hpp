#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/context.hpp>
#include <eigenformer/core/tokens.hpp>
#include <eigenformer/io/dtype.hpp>
#include <eigenformer/io/input_directory.hpp>
#include <eigenformer/model/llama_config.hpp>

#include <filesystem>
#include <memory>
#include <span>
#include <string>

/// A language model of a type that is only known when its file has been opened: tied or not, with one or the other
/// rotary pairing, its weights stored as the file has them.
class LanguageModel {
 public:
  virtual ~LanguageModel() = default;

  /// Begins a text that will have at most this many tokens, whose keys and values are kept as F32, BF16 or F16.
  virtual void begin(eigenformer::Index tokens, eigenformer::Dtype cache) = 0;
  /// Goes on with these tokens and predicts the one after them.   logits: [vocabulary]
  virtual void next_logits(std::span<const std::int32_t> tokens, std::span<float> logits,
                           eigenformer::Context& context) = 0;

  eigenformer::LlamaConfig config;
  eigenformer::Index parameters = 0;
  std::string stored_as;  ///< the weights' element type
};

/// Opens a folder with config.json and safetensors, or a file of llama2.c. Throws what the readers throw, and
/// std::runtime_error for a path that is neither.
std::unique_ptr<LanguageModel> open_model(const std::filesystem::path& path, eigenformer::SymbolicLinks links);
