#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/io/input_file.hpp>
#include <eigenformer/model/llama_config_parser.hpp>

#include <memory>
#include <new>

namespace eigenformer::inline EIGENFORMER_ABI {

/// Reads the text of a config.json as HuggingFace's transformers writes it for a Llama model. What is left out has
/// transformers' default, except sizes, which must be there; null counts as left out. A field of another meaning than
/// this library's Llama (another activation, stretched rotary positions, a sliding window, quantised weights, another
/// model_type) is an error that names it, with what was expected and what came; fields that do not change the model's
/// function are passed over. The text may come from a stranger: at most 1 MB, JSON of limited depth, sizes in
/// LlamaLimits.
template <class = void>
Result<LlamaConfig> try_parse_llama_config(std::string_view json) noexcept {
  return detail::LlamaConfigParser(json).parse();
}

template <class = void>
Result<LlamaConfig> try_read_llama_config(const FilePath& path) noexcept {
  constexpr std::uint64_t most_bytes = 1'000'000;
  const auto failed = [](FileFault fault) {
    fault.format = detail::LlamaConfigParser::format;
    return fault;
  };
  const Result<InputFile> file = InputFile::open(path);
  if (!file) return failed(file.fault());
  FileFault fault;
  if (file->size() > most_bytes) {
    fault.reason.append("expected at most ").append(most_bytes).append(" bytes, got ").append(file->size());
    return failed(fault);
  }
  const auto size = static_cast<std::size_t>(file->size());
  const std::unique_ptr<char[]> text(new (std::nothrow) char[size + 1]);
  if (!text) return failed({.rule = 0, .position = 0, .tensor = {}, .reason = {"not enough memory"}});
  if (const Result<void> got = file->read(0, std::as_writable_bytes(std::span<char>(text.get(), size))); !got) {
    return failed(got.fault());
  }
  return try_parse_llama_config({text.get(), size});
}

/// The same; throws FileError.
template <class = void>
LlamaConfig read_llama_config(const FilePath& path) {
  return value_or_throw(try_read_llama_config(path), path.string());
}

}  // namespace eigenformer::inline EIGENFORMER_ABI
