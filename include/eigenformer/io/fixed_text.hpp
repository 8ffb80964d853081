#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/abi.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <concepts>
#include <cstdint>
#include <string_view>

namespace eigenformer::inline EIGENFORMER_ABI {

/// A line of text of at most Capacity bytes, held by value: building and copying it can neither allocate nor throw, so
/// that an error can be described even when memory is what ran out. What does not fit is cut and ends in `...`.
template <std::size_t Capacity>
class FixedText {
 public:
  constexpr FixedText() = default;
  /// The text, cut to the capacity.
  FixedText(std::string_view text) { append(text); }

  FixedText& append(std::string_view text) {
    const std::size_t taken = (std::min)(text.size(), Capacity - length_);
    std::copy_n(text.data(), taken, characters_.data() + length_);
    length_ += taken;
    if (taken < text.size()) std::fill_n(characters_.data() + Capacity - 3, 3, '.');
    return *this;
  }
  FixedText& append(std::integral auto number) {
    std::array<char, 24> digits{};
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
    // Without the bound g++ 12 believes that the copy might read past the array, and warns.
    const std::size_t count = (std::min)(static_cast<std::size_t>(end - digits.data()), digits.size());
    return append(std::string_view(digits.data(), count));
  }
  /// Appends text from a stranger: all but printable ASCII, and the quote and the backslash, as `\xNN`.
  FixedText& append_escaped(std::string_view text) {
    constexpr std::string_view hexadecimal = "0123456789abcdef";
    for (const char character : text) {
      if (length_ == Capacity) return append(".");
      const auto byte = static_cast<unsigned char>(character);
      if (byte >= 0x20 && byte < 0x7f && character != '"' && character != '\\') {
        append(std::string_view(&character, 1));
      } else {
        const std::array<char, 4> escape = {'\\', 'x', hexadecimal[byte >> 4U], hexadecimal[byte & 15U]};
        append(std::string_view(escape.data(), escape.size()));
      }
    }
    return *this;
  }

  std::string_view view() const { return {characters_.data(), length_}; }
  bool empty() const { return length_ == 0; }

 private:
  std::array<char, Capacity> characters_{};
  std::size_t length_ = 0;
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
