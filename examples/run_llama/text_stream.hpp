#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/io/utf8.hpp>

#include <algorithm>
#include <string>
#include <string_view>

/// Makes text that a terminal can take from bytes that come piece by piece: a character whose bytes have not all come
/// is held back, bytes that are no UTF-8 become U+FFFD, and control characters but newline and tab are dropped.
class TextStream {
 public:
  /// What can be shown now that these bytes have come.
  std::string push(std::string_view bytes) {
    pending_ += bytes;
    std::string text;
    for (;;) {
      const std::size_t valid = eigenformer::first_invalid_utf8(pending_);
      append_shown(std::string_view(pending_).substr(0, valid), text);
      pending_.erase(0, valid);
      if (pending_.empty() || may_be_completed(pending_)) return text;
      text += replacement;
      pending_.erase(0, 1);
    }
  }
  /// What is left at the end.
  std::string finish() {
    std::string text;
    for (std::size_t i = 0; i < pending_.size(); ++i) text += replacement;
    pending_.clear();
    return text;
  }

 private:
  static constexpr std::string_view replacement = "\xef\xbf\xbd";

  /// Whether the bytes, which are no whole character, are the beginning of one.
  static bool may_be_completed(std::string_view bytes) {
    const auto lead = static_cast<unsigned char>(bytes[0]);
    const std::size_t length = lead >= 0xc2 && lead < 0xe0   ? 2
                               : lead >= 0xe0 && lead < 0xf0 ? 3
                               : lead >= 0xf0 && lead < 0xf5 ? 4
                                                             : 0;
    return bytes.size() < length && std::all_of(bytes.begin() + 1, bytes.end(), [](char byte) {
             return (static_cast<unsigned char>(byte) & 0xc0U) == 0x80U;
           });
  }
  static void append_shown(std::string_view valid, std::string& text) {
    for (std::size_t i = 0; i < valid.size(); ++i) {
      const auto byte = static_cast<unsigned char>(valid[i]);
      const bool second_block = byte == 0xc2 && static_cast<unsigned char>(valid[i + 1]) < 0xa0;
      if (second_block) {
        ++i;
      } else if ((byte >= 0x20 && byte != 0x7f) || byte == '\n' || byte == '\t') {
        text += valid[i];
      }
    }
  }

  std::string pending_;
};
