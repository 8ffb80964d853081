#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/io/header_text.hpp>
#include <eigenformer/io/input_file.hpp>
#include <eigenformer/io/peft_config_parser.hpp>

namespace eigenformer::inline EIGENFORMER_ABI {

/// Reads the text of an adapter_config.json as PEFT writes it (every version since 0.2): LoRA, with rsLoRA, DoRA, ranks
/// and alphas by module; prefix tuning; prompt tuning. What is left out has PEFT's default. Each of PEFT's fields is
/// honoured, or makes no difference to what the adapter computes (where the base came from, how A and B started), or is
/// refused by name: biases other than "none", modules_to_save, layers_to_transform, layer_replication, target_parameters,
/// loftq_config, lora_bias, aLoRA, QA-LoRA and whatever later versions add, unless there is nothing in it. One error
/// lists all that is wrong. The text may come from a stranger: at most 1 MB, values in PeftLimits, names that are literal,
/// because to PEFT some are regular expressions.
///   throws nothing but std::bad_alloc
template <class = void>
Result<PeftConfig> try_parse_peft_config(std::string_view json, std::string& problems) {
  if (json.size() <= PeftLimits::bytes) return detail::PeftConfigParser(json).parse(problems);
  FileFault fault;
  fault.format = detail::PeftConfigParser::format;
  fault.reason.append("expected at most ").append(PeftLimits::bytes).append(" bytes, got ").append(json.size());
  return fault;
}
/// The same, with the list in the fault, which has room for the first lines only.
template <class = void>
Result<PeftConfig> try_parse_peft_config(std::string_view json) {
  std::string problems;
  Result<PeftConfig> config = try_parse_peft_config(json, problems);
  if (problems.empty()) return config;
  FileFault fault = config.fault();
  fault.reason.append(problems);
  return fault;
}

namespace detail {

template <class = void>
Result<PeftConfig> try_read_peft_config(const Result<InputFile>& file, std::string& problems) {
  const auto failed = [](FileFault fault) {
    fault.format = PeftConfigParser::format;
    return fault;
  };
  if (!file) return failed(file.fault());
  // One byte more than is taken is enough to be refused.
  const std::uint64_t bytes = (std::min)(file->size(), PeftLimits::bytes + 1);
  const Result<HeaderText> text = HeaderText::allocate(bytes);
  if (!text) return failed(text.fault());
  const std::span<char> characters = text->characters();
  if (const Result<void> got = file->read(0, std::as_writable_bytes(characters)); !got) return failed(got.fault());
  return try_parse_peft_config({characters.data(), characters.size()}, problems);
}

}  // namespace detail

/// Reads such a file.
template <class = void>
Result<PeftConfig> try_read_peft_config(const FilePath& path, std::string& problems) {
  return detail::try_read_peft_config(InputFile::open(path), problems);
}
/// The same; throws FileError.
template <class = void>
PeftConfig read_peft_config(const FilePath& path) {
  std::string problems;
  Result<PeftConfig> config = try_read_peft_config(path, problems);
  if (!problems.empty()) raise(FileError(config.fault(), path.string(), problems));
  return value_or_throw(std::move(config), path.string());
}

}  // namespace eigenformer::inline EIGENFORMER_ABI
