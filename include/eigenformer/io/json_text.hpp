#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/abi.hpp>

#include <string>
#include <string_view>

namespace eigenformer::inline EIGENFORMER_ABI::detail {

/// Text, which must be UTF-8, as a string of JSON.
inline std::string json_quoted(std::string_view text) {
  constexpr std::string_view hexadecimal = "0123456789abcdef";
  std::string quoted = "\"";
  for (const char character : text) {
    if (character == '"' || character == '\\') quoted += '\\';
    if (static_cast<unsigned char>(character) >= 0x20) {
      quoted += character;
    } else {
      quoted += "\\u00";
      quoted += hexadecimal[static_cast<unsigned char>(character) >> 4U];
      quoted += hexadecimal[static_cast<unsigned char>(character) & 15U];
    }
  }
  return quoted + '"';
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::detail
