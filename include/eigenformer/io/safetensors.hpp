#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/io/safetensors_access.hpp>
#include <eigenformer/io/safetensors_content.hpp>

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace eigenformer::inline EIGENFORMER_ABI {

/// A safetensors file: a header that says where each tensor lies, and the tensors' bytes
/// (https://huggingface.co/docs/safetensors). Everything the header claims is checked when the file is opened, by the
/// rules that FileError::rule() numbers; the file may come from a stranger. Tensors are read one by one, straight into
/// the memory they are for: opening takes no more memory than the header has bytes.
///
/// Functions named `try_...` return a Result and never throw; the others raise FileError with the same content.
/// Metadata is handed out on request and never interpreted. A const file may be read by several threads at once.
/// @code
/// ef::save_safetensors("example.safetensors", ef::LayerNorm<float>({.dim = 7}));
/// const ef::SafetensorsFile file("example.safetensors");
/// const ef::Tensor<float, 1> weight = file.tensor<float, 1>("weight");
/// @endcode
template <class Unused = void>
class BasicSafetensorsFile : public SafetensorsAccess<BasicSafetensorsFile<Unused>> {
 public:
  /// Opens a regular file, which stays open as long as the object lives.
  explicit BasicSafetensorsFile(const FilePath& path, const SafetensorsLimits& limits = {})
      : BasicSafetensorsFile(value_or_throw(try_open(path, limits), path.string())) {}
  /// Takes the content of a file from memory, which must live as long as the object.
  explicit BasicSafetensorsFile(std::span<const std::byte> bytes, const SafetensorsLimits& limits = {})
      : BasicSafetensorsFile(value_or_throw(try_open(bytes, limits), "bytes in memory")) {}

  static Result<BasicSafetensorsFile> try_open(const FilePath& path, const SafetensorsLimits& limits = {}) noexcept {
    Result<InputFile> file = InputFile::open(path);
    if (!file) return file.fault();
    return opened(SafetensorsContent::open(std::move(*file), limits), path.c_str());
  }
  static Result<BasicSafetensorsFile> try_open(std::span<const std::byte> bytes,
                                               const SafetensorsLimits& limits = {}) noexcept {
    return opened(SafetensorsContent::open(bytes, limits), "bytes in memory");
  }

  /// Number of tensors.
  std::size_t size() const { return content_.header.size(); }
  /// The i-th tensor in the order of names.
  SafetensorsEntry operator[](std::size_t i) const { return content_.header[i]; }
  std::optional<SafetensorsEntry> find(std::string_view name) const { return content_.header.find(name); }
  const SafetensorsHeader& header() const { return content_.header; }
  /// Where it came from, for messages.
  std::string source() const { return std::string(source_.view()); }
  std::optional<std::string_view> metadata(std::string_view key) const { return content_.header.find_metadata(key); }

 private:
  friend class SafetensorsAccess<BasicSafetensorsFile<Unused>>;

  BasicSafetensorsFile(SafetensorsContent content, std::string_view source)
      : content_(std::move(content)), source_(source) {}
  static Result<BasicSafetensorsFile> opened(Result<SafetensorsContent> content, std::string_view source) noexcept {
    if (!content) return content.fault();
    return BasicSafetensorsFile(std::move(*content), source);
  }
  detail::TensorBytes bytes_of(const SafetensorsEntry&) const {
    return {.file = content_.bytes, .data_begin = content_.data_begin};
  }

  SafetensorsContent content_;
  FixedText<240> source_;
};

/// The one BasicSafetensorsFile, which is a template so that only who uses it compiles it.
using SafetensorsFile = BasicSafetensorsFile<>;

}  // namespace eigenformer::inline EIGENFORMER_ABI
