#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/io/byte_source.hpp>
#include <eigenformer/io/safetensors_header.hpp>

#include <cstddef>
#include <span>
#include <utility>

namespace eigenformer::inline EIGENFORMER_ABI {

/// The bytes of a safetensors file with their validated header (rules 1 to 33).
template <class = void>
struct BasicSafetensorsContent {
  ByteSource bytes;  ///< the whole file
  SafetensorsHeader header;
  std::uint64_t data_begin = 0;  ///< where the tensors' bytes begin

  static Result<BasicSafetensorsContent> open(ByteSource bytes, const SafetensorsLimits& limits) noexcept {
    BasicSafetensorsContent content;
    content.bytes = std::move(bytes);
    const std::uint64_t size = content.bytes.size();
    if (size < 8) return FileFault{.rule = 1, .position = size, .tensor = {}, .reason = {"expected at least 8 bytes"}};
    unsigned char prefix[8];
    if (Result<void> got = content.bytes.read(0, std::as_writable_bytes(std::span(prefix))); !got) return got.fault();
    const Result<std::uint64_t> length = SafetensorsHeader::text_bytes(size, prefix, limits);
    if (!length) return length.fault();
    Result<HeaderText> text = HeaderText::allocate(*length);
    if (!text) return text.fault();
    if (Result<void> got = content.bytes.read(8, std::as_writable_bytes(text->characters())); !got) return got.fault();
    content.data_begin = 8 + *length;
    Result<SafetensorsHeader> header = SafetensorsHeader::parse(std::move(*text), size - content.data_begin, limits);
    if (!header) return header.fault();
    content.header = std::move(*header);
    return content;
  }
};

/// The one BasicSafetensorsContent, which is a template so that only who uses it compiles it.
using SafetensorsContent = BasicSafetensorsContent<>;

}  // namespace eigenformer::inline EIGENFORMER_ABI
