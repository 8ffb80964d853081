#pragma once
// SPDX-License-Identifier: MIT

#include <cctype>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

namespace support {

/// Calls `judge` with the text cut after every byte but the last, and returns how often.
template <class Judge>
int for_each_prefix(const std::string& text, Judge&& judge) {
  for (std::size_t size = 0; size < text.size(); ++size) judge(text.substr(0, size));
  return static_cast<int>(text.size());
}

/// Calls `judge` with each bit of the first `bytes` bytes turned over, and returns how often.
template <class Judge>
int for_each_flipped_bit(const std::string& text, std::size_t bytes, Judge&& judge) {
  for (std::size_t bit = 0; bit < 8 * bytes; ++bit) {
    std::string damaged = text;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    judge(damaged);
  }
  return static_cast<int>(8 * bytes);
}

/// Cuts a JSON text into strings, numbers and single characters, whitespace among them.
inline std::vector<std::string> json_tokens(const std::string& json) {
  std::vector<std::string> found;
  for (std::size_t i = 0; i < json.size();) {
    std::size_t end = i + 1;
    if (json[i] == '"') {
      while (json[end] != '"') end += json[end] == '\\' ? 2 : 1;
      ++end;
    } else if (std::isdigit(static_cast<unsigned char>(json[i])) != 0) {
      while (std::isdigit(static_cast<unsigned char>(json[end])) != 0) ++end;
    }
    found.push_back(json.substr(i, end - i));
    i = end;
  }
  return found;
}

/// Calls `judge` with each token dropped, doubled, swapped with each later one, and replaced by each of `others`; returns
/// how often.
template <class Judge>
int for_each_token_edit(const std::string& json, const std::vector<std::string>& others, Judge&& judge) {
  int count = 0;
  const std::vector<std::string> all = json_tokens(json);
  const auto put_together = [&](const std::vector<std::string>& tokens) {
    std::string text;
    for (const std::string& token : tokens) text += token;
    ++count;
    judge(text);
  };
  for (std::size_t i = 0; i < all.size(); ++i) {
    std::vector<std::string> edited = all;
    edited.erase(edited.begin() + static_cast<std::ptrdiff_t>(i));
    put_together(edited);
    edited = all;
    edited.insert(edited.begin() + static_cast<std::ptrdiff_t>(i), all[i]);
    put_together(edited);
    for (std::size_t j = i + 1; j < all.size(); ++j) {
      edited = all;
      std::swap(edited[i], edited[j]);
      put_together(edited);
    }
    for (const std::string& other : others) {
      edited = all;
      edited[i] = other;
      put_together(edited);
    }
  }
  return count;
}

/// Tokens that mean something in a header or an index.
inline std::vector<std::string> telling_tokens() {
  return {"{",
          "}",
          "[",
          "]",
          ":",
          ",",
          "0",
          "1",
          "-1",
          "1.0",
          "1e3",
          "18446744073709551615",
          "\"\"",
          "null",
          "true",
          "\"a\"",
          "\"dtype\"",
          "\"\\u0061\"",
          "\"__metadata__\"",
          "\"F32\"",
          " ",
          "\n"};
}

}  // namespace support
