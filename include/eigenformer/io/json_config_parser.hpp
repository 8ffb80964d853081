#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/tensor.hpp>
#include <eigenformer/io/file_error.hpp>
#include <eigenformer/io/json_scanner.hpp>

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace eigenformer::inline EIGENFORMER_ABI::detail {

/// What configurations in JSON have in common: objects that are read key by key, values that are shown where they are
/// not what was expected, and everything else passed over. The nesting of what is passed over is limited.
///   KeyBytes: of the longest key that is told from others
template <std::size_t KeyBytes>
class JsonConfigParser {
 protected:
  static constexpr int most_depth = 16;  ///< of what is passed over
  /// What a number may be.
  struct Range {
    double low, high;
  };

  JsonConfigParser(std::string_view text, std::string_view format) : text_(text), scanner_(text), format_(format) {}

  bool check_text() {
    const std::size_t invalid = first_invalid_utf8(text_);
    if (invalid == text_.size()) return true;
    fault_ = at(invalid, "expected UTF-8");
    return false;
  }
  bool check_rest() {
    scanner_.skip_whitespace();
    return scanner_.at_end() || not_json("expected nothing behind the object");
  }

  /// `{`, any number of keys, each left in key_ and followed by what member() reads, `}`.
  bool object(const auto& member) {
    if (!scanner_.take('{')) return not_json("expected an object");
    if (scanner_.take('}')) return true;
    do {
      if (!key() || !member()) return false;
    } while (scanner_.take(','));
    return scanner_.take('}') || not_json("expected ',' or '}'");
  }
  /// A key that is longer than KeyBytes is passed over, and empty.
  bool key() {
    scanner_.skip_whitespace();
    key_position_ = scanner_.position();
    JsonScanner from_here = scanner_;
    std::size_t length = 0;
    const JsonFault read = scanner_.string(key_text_, length);
    if (read == JsonFault::too_long) {
      scanner_ = from_here;
      length = 0;
      if (scanner_.skip_value(0) != JsonFault::none) return not_json("expected a key in quotes");
    } else if (read != JsonFault::none) {
      return not_json("expected a key in quotes");
    }
    key_ = {key_text_.data(), length};
    return scanner_.take(':') || not_json("expected ':'");
  }
  bool skip() {
    const JsonFault fault = scanner_.skip_value(most_depth);
    if (fault == JsonFault::none) return true;
    return fault == JsonFault::too_deep ? not_json("expected values nested less deeply") : not_json("expected JSON");
  }

  /// Notes where a value begins, to show it if it is not what was expected.
  void begin_value() {
    scanner_.skip_whitespace();
    value_ = scanner_;
  }
  bool read_integer(Index& value, Index most) {
    std::uint64_t number = 0;
    const JsonFault read = scanner_.integer(number);
    if (read != JsonFault::none || number < 1 || number > static_cast<std::uint64_t>(most)) return false;
    value = static_cast<Index>(number);
    return true;
  }
  bool read_number(double& value, Range range) {
    return scanner_.number(value) == JsonFault::none && value >= range.low && value <= range.high;
  }
  bool read_boolean(bool& value) { return scanner_.boolean(value) == JsonFault::none; }
  bool read_word(std::string_view only) {
    std::array<char, 32> room{};
    std::size_t length = 0;
    return scanner_.string(room, length) == JsonFault::none && std::string_view(room.data(), length) == only;
  }

  /// The value that began last, as it is written, and passes over it; nothing, and a fault, if it is not JSON.
  std::optional<FixedText<60>> shown() {
    scanner_ = value_;
    if (scanner_.skip_value(most_depth) != JsonFault::none) {
      not_json("expected JSON");
      return std::nullopt;
    }
    FixedText<60> text;
    for (const char& character : text_.substr(value_.position(), scanner_.position() - value_.position())) {
      character == '"' ? text.append("\"") : text.append_escaped({&character, 1});
    }
    return text;
  }

  bool not_json(std::string_view expected) {
    fault_ = at(scanner_.position(), expected);
    return false;
  }
  FileFault at(std::size_t position, std::string_view reason) const {
    return {.rule = 0, .position = position, .tensor = {}, .reason = reason, .format = format_};
  }

  std::string_view text_;
  JsonScanner scanner_;
  JsonScanner value_ = scanner_;  ///< where the value began last
  std::string_view format_;
  std::array<char, KeyBytes> key_text_{};
  std::string_view key_;
  std::size_t key_position_ = 0;
  FileFault fault_;
};

}  // namespace eigenformer::inline EIGENFORMER_ABI::detail
