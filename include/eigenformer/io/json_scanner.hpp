#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/io/utf8.hpp>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string_view>

namespace eigenformer::inline EIGENFORMER_ABI {

/// Why the scanner could not read what it was asked for.
enum class JsonFault {
  none,
  not_json,            ///< no JSON text goes on like this, or the text ends here
  other_kind,          ///< JSON, but not the kind of value asked for
  control_character,   ///< a raw byte below 0x20 inside a string
  bad_escape,          ///< an unknown escape, fewer than four hexadecimal digits, or half a surrogate pair
  too_long,            ///< a string longer than the room for it
  not_written_as_int,  ///< a number with sign, fraction or exponent
  too_large,           ///< an integer of 2^64 or more, or a number beyond the range of double
  too_deep,            ///< a value nested deeper than the caller allows
};

/// Reads the tokens of a JSON text (RFC 8259) one by one, as the caller's grammar asks for them. It builds nothing,
/// allocates nothing, never recurses and knows the position of everything; the text must be valid UTF-8.
///
/// This is the only JSON reader of the library. General parsers hold each string twice while they read it, take a zero
/// byte for the end of the text, skip a byte-order mark, and do not tell a position; each of these is a rule broken
/// here.
template <class = void>
class BasicJsonScanner {
 public:
  /// At the beginning of the text, which must outlive it.
  explicit BasicJsonScanner(std::string_view text) : text_(text) {}

  std::size_t position() const { return at_; }
  /// Whether all was read.
  bool at_end() const { return at_ == text_.size(); }
  /// The next character, or zero behind the last.
  char peek() const { return at_end() ? '\0' : text_[at_]; }

  /// Passes over the four characters that JSON takes for space.
  void skip_whitespace() {
    while (!at_end() && (peek() == ' ' || peek() == '\n' || peek() == '\r' || peek() == '\t')) ++at_;
  }
  /// Skips whitespace and takes the character if it comes next.
  bool take(char expected) {
    skip_whitespace();
    if (at_end() || text_[at_] != expected) return false;
    ++at_;
    return true;
  }

  /// Unescapes a string into `room` and sets `length`. `room` may be part of the text itself as long as it begins
  /// before the string does: unescaping never makes text longer. `position()` is at the offending byte after a fault.
  JsonFault string(std::span<char> room, std::size_t& length) {
    if (!take('"')) return kind_of_mismatch();
    char* out = room.data();
    char* const end = room.data() + room.size();
    for (; !at_end(); ++at_) {
      const char character = text_[at_];
      if (character == '"') {
        ++at_;
        length = static_cast<std::size_t>(out - room.data());
        return JsonFault::none;
      }
      if (static_cast<unsigned char>(character) < 0x20) return JsonFault::control_character;
      std::uint32_t code_point = static_cast<unsigned char>(character);
      if (character == '\\') {
        const std::optional<std::uint32_t> escaped = escape();
        if (!escaped) return at_end() ? JsonFault::not_json : JsonFault::bad_escape;
        code_point = *escaped;
        if (code_point >= 0x80) {
          if (end - out < utf8_length(code_point)) return JsonFault::too_long;
          out = write_utf8(code_point, out);
          continue;
        }
      }
      if (out == end) return JsonFault::too_long;
      *out++ = static_cast<char>(static_cast<unsigned char>(code_point));
    }
    return JsonFault::not_json;
  }

  /// Reads an integer that is written as one: digits only, no leading zero, below 2^64.
  JsonFault integer(std::uint64_t& value) {
    skip_whitespace();
    if (peek() == '-') return JsonFault::not_written_as_int;
    if (!is_digit(peek())) return kind_of_mismatch();
    const std::size_t first = at_;
    value = 0;
    for (; is_digit(peek()); ++at_) {
      if (at_ > first && text_[first] == '0') return JsonFault::not_json;
      const auto digit = static_cast<std::uint64_t>(peek() - '0');
      if (value > ((std::numeric_limits<std::uint64_t>::max)() - digit) / 10) return JsonFault::too_large;
      value = value * 10 + digit;
    }
    return peek() == '.' || peek() == 'e' || peek() == 'E' ? JsonFault::not_written_as_int : JsonFault::none;
  }

  /// Reads a number in any form that JSON has, rounded to the nearest double.
  JsonFault number(double& value) {
    skip_whitespace();
    const std::size_t first = at_;
    if (peek() != '-' && !is_digit(peek())) return kind_of_mismatch();
    if (!pass_number()) return JsonFault::not_json;
    const std::errc error = std::from_chars(text_.data() + first, text_.data() + at_, value).ec;
    return error == std::errc() ? JsonFault::none : JsonFault::too_large;
  }
  /// Reads `true` or `false`.
  JsonFault boolean(bool& value) {
    value = take_word("true");
    return value || take_word("false") ? JsonFault::none : kind_of_mismatch();
  }
  /// Takes `null`, `true` or `false` if that comes next.
  bool take_word(std::string_view word) {
    skip_whitespace();
    if (!text_.substr(at_).starts_with(word)) return false;
    at_ += word.size();
    return true;
  }

  static constexpr int max_depth = 64;  ///< deepest nesting that skip_value follows
  /// Passes over a value of any kind, which must be JSON and nest objects and arrays at most `depth` deep (up to
  /// max_depth). Keys may repeat.
  JsonFault skip_value(int depth) {
    std::uint64_t objects = 0;  // bit i: the container at level i is an object
    int level = 0;
    for (;;) {
      skip_whitespace();
      const char opening = peek();
      if (opening == '{' || opening == '[') {
        if (level == depth || level == max_depth) return JsonFault::too_deep;
        ++at_;
        objects = (objects << 1U) | (opening == '{' ? 1U : 0U);
        ++level;
        if (!take(closing(objects))) {
          if (const JsonFault fault = skip_key(objects); fault != JsonFault::none) return fault;
          continue;
        }
        objects >>= 1U;
        --level;
      } else if (const JsonFault fault = skip_scalar(); fault != JsonFault::none) {
        return fault;
      }
      for (; level > 0 && take(closing(objects)); --level) objects >>= 1U;
      if (level == 0) return JsonFault::none;
      if (!take(',')) return JsonFault::not_json;
      if (const JsonFault fault = skip_key(objects); fault != JsonFault::none) return fault;
    }
  }

  /// Copies a value that is neither object nor array: a string unescaped, a number or word as it is written. `room` is
  /// as for `string`.
  JsonFault scalar(std::span<char> room, std::size_t& length) {
    skip_whitespace();
    if (peek() == '"') return string(room, length);
    if (peek() == '{' || peek() == '[') return JsonFault::other_kind;
    const std::size_t first = at_;
    if (const JsonFault fault = skip_scalar(); fault != JsonFault::none) return fault;
    const std::string_view spelling = text_.substr(first, at_ - first);
    if (spelling.size() > room.size()) return JsonFault::too_long;
    std::copy(spelling.begin(), spelling.end(), room.begin());
    length = spelling.size();
    return JsonFault::none;
  }

  /// Whether what comes next could begin some JSON value, which decides how a wrong one is reported.
  JsonFault kind_of_mismatch() const {
    constexpr std::string_view beginnings = "\"{[-0123456789tfn";
    return !at_end() && beginnings.find(text_[at_]) != std::string_view::npos ? JsonFault::other_kind
                                                                              : JsonFault::not_json;
  }

 private:
  static constexpr bool is_digit(char character) { return character >= '0' && character <= '9'; }
  static constexpr std::ptrdiff_t utf8_length(std::uint32_t code_point) {
    return code_point < 0x800 ? 2 : code_point < 0x10000 ? 3 : 4;
  }

  static constexpr char closing(std::uint64_t objects) { return (objects & 1U) != 0 ? '}' : ']'; }

  /// A key and its colon, if the innermost container is an object.
  JsonFault skip_key(std::uint64_t objects) {
    if ((objects & 1U) == 0) return JsonFault::none;
    skip_whitespace();
    if (peek() != '"') return JsonFault::not_json;
    if (const JsonFault fault = skip_string(); fault != JsonFault::none) return fault;
    return take(':') ? JsonFault::none : JsonFault::not_json;
  }
  JsonFault skip_scalar() {
    if (peek() == '"') return skip_string();
    if (take_word("true") || take_word("false") || take_word("null")) return JsonFault::none;
    return pass_number() ? JsonFault::none : JsonFault::not_json;
  }
  JsonFault skip_string() {
    for (++at_; !at_end(); ++at_) {
      if (text_[at_] == '"') {
        ++at_;
        return JsonFault::none;
      }
      if (static_cast<unsigned char>(text_[at_]) < 0x20) return JsonFault::control_character;
      if (text_[at_] == '\\' && !escape()) return at_end() ? JsonFault::not_json : JsonFault::bad_escape;
    }
    return JsonFault::not_json;
  }

  bool pass_digits() {
    const std::size_t first = at_;
    while (is_digit(peek())) ++at_;
    return at_ > first;
  }
  /// RFC 8259, section 6: -0 and 1e5 are numbers; 01, 1. and .5 are none.
  bool pass_number() {
    if (peek() == '-') ++at_;
    const bool zero = peek() == '0';
    const std::size_t first = at_;
    if (!pass_digits() || (zero && at_ > first + 1)) return false;
    if (peek() == '.') {
      ++at_;
      if (!pass_digits()) return false;
    }
    if (peek() != 'e' && peek() != 'E') return true;
    ++at_;
    if (peek() == '+' || peek() == '-') ++at_;
    return pass_digits();
  }

  /// Reads an escape whose backslash is at the present position; stays on its last character.
  std::optional<std::uint32_t> escape() {
    constexpr std::string_view letters = "\"\\/bfnrt";
    constexpr std::string_view meanings = "\"\\/\b\f\n\r\t";
    if (++at_; at_end()) return std::nullopt;
    if (text_[at_] != 'u') {
      const std::size_t which = letters.find(text_[at_]);
      if (which == std::string_view::npos) return std::nullopt;
      return static_cast<unsigned char>(meanings[which]);
    }
    const std::optional<std::uint32_t> first = four_digits();
    if (!first || *first < 0xd800 || *first > 0xdfff) return first;
    // A code point beyond the first plane comes as two escapes, a high and then a low surrogate.
    if (*first > 0xdbff || text_.size() - at_ < 3 || text_[at_ + 1] != '\\' || text_[at_ + 2] != 'u') {
      return std::nullopt;
    }
    at_ += 2;
    const std::optional<std::uint32_t> second = four_digits();
    if (!second || *second < 0xdc00 || *second > 0xdfff) return std::nullopt;
    return 0x10000U + ((*first - 0xd800U) << 10U) + (*second - 0xdc00U);
  }

  std::optional<std::uint32_t> four_digits() {
    std::uint32_t value = 0;
    for (int i = 0; i < 4; ++i) {
      if (++at_; at_end()) return std::nullopt;
      const char character = text_[at_];
      const char lower = static_cast<char>(character | 0x20);
      if (is_digit(character)) {
        value = value * 16 + static_cast<std::uint32_t>(character - '0');
      } else if (lower >= 'a' && lower <= 'f') {
        value = value * 16 + static_cast<std::uint32_t>(lower - 'a') + 10;
      } else {
        return std::nullopt;
      }
    }
    return value;
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

/// The one BasicJsonScanner, which is a template so that only who uses it compiles it.
using JsonScanner = BasicJsonScanner<>;

}  // namespace eigenformer::inline EIGENFORMER_ABI
