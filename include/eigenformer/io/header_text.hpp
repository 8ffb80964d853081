#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/io/result.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <span>

namespace eigenformer::inline EIGENFORMER_ABI {

/// Memory for the text of a header or an index: as large as the text, made before anything is known about it and never
/// grown. What is read from the text replaces it there, and 32-bit positions of the records lie behind them.
template <class = void>
class BasicHeaderText {
 public:
  static Result<BasicHeaderText> allocate(std::uint64_t bytes) noexcept {
    BasicHeaderText text;
    text.words_.reset(new (std::nothrow) std::uint32_t[static_cast<std::size_t>(bytes / 4 + 1)]);
    text.bytes_ = static_cast<std::size_t>(bytes);
    if (!text.words_)
      return FileFault{.rule = 43, .position = 0, .tensor = {}, .reason = {"not enough memory for the header"}};
    return text;
  }

  /// All of it, to be parsed in place.
  std::span<char> characters() const { return {reinterpret_cast<char*>(words_.get()), bytes_}; }
  /// Room for `count` positions behind the first `end` bytes. Whether there is room, the caller must know.
  std::span<std::uint32_t> positions_behind(std::size_t end, std::size_t count) const {
    return {words_.get() + (end + 3) / 4, count};
  }

 private:
  std::unique_ptr<std::uint32_t[]> words_;
  std::size_t bytes_ = 0;
};

/// The one BasicHeaderText, which is a template so that only who uses it compiles it.
using HeaderText = BasicHeaderText<>;

}  // namespace eigenformer::inline EIGENFORMER_ABI
