#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/io/json_scanner.hpp>
#include <eigenformer/io/result.hpp>
#include <eigenformer/io/safetensors_entry.hpp>
#include <eigenformer/io/safetensors_limits.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace eigenformer::inline EIGENFORMER_ABI::detail {

/// What the two JSON texts of the format have in common, a header and an index: one object in UTF-8 whose keys are
/// bounded, read once from front to back, while records of what was read replace it from the front. The grammars are
/// fixed and not recursive, so no nesting, however deep, can go beyond the levels that they name.
template <class = void>
class BasicJsonFormatParser {
 protected:
  /// `text_begin` is where the text begins in its file.
  BasicJsonFormatParser(std::span<char> text, std::uint64_t text_begin, const SafetensorsLimits& limits)
      : text_(text), scanner_({text.data(), text.size()}), text_begin_(text_begin), limits_(limits) {}

  bool check_text() {
    const std::string_view text(text_.data(), text_.size());
    if (text.starts_with("\xef\xbb\xbf")) return fail_at(0, 7, "expected JSON, got a byte-order mark");
    const std::size_t invalid = first_invalid_utf8(text);
    if (invalid != text.size()) return fail_at(invalid, 7, "expected UTF-8");
    if (limits_.style == HeaderStyle::strict && !text.starts_with('{')) {
      return fail_at(0, 8, "expected '{' at the start");
    }
    return true;
  }

  bool check_rest() {
    const std::string_view padding = limits_.style == HeaderStyle::strict ? " " : " \t\n\r";
    const std::size_t other =
        std::string_view(text_.data(), text_.size()).find_first_not_of(padding, scanner_.position());
    return other == std::string_view::npos ||
           fail_at(other, 9, "expected nothing but padding behind the header's object");
  }

  /// A key of 1 to limits.name_bytes bytes, left unescaped behind the records.
  bool key(std::size_t& length) {
    scanner_.skip_whitespace();
    key_position_ = scanner_.position();
    const std::span<char> room = text_.subspan(written_);
    const std::size_t most = (std::min)(room.size(), static_cast<std::size_t>(limits_.name_bytes));
    if (const JsonFault what = scanner_.string(room.first(most), length); what != JsonFault::none) {
      return mismatch(what, 10, "expected a key in quotes");
    }
    return length != 0 || fail_at(key_position_, 15, "expected a key of at least one byte");
  }

  /// A tensor's name, left as `name_`.
  bool name() {
    name_ = {};
    std::size_t length = 0;
    if (!key(length)) return false;
    name_ = {text_.data() + written_, length};
    return true;
  }

  bool check_name() {
    for (std::size_t i = 0; i < name_.size(); ++i) {
      const auto byte = static_cast<unsigned char>(name_[i]);
      // The second block of control characters is C2 80 .. C2 9F; valid UTF-8 does not end in C2.
      const bool second_block = byte == 0xc2 && static_cast<unsigned char>(name_[i + 1]) < 0xa0;
      if (byte < 0x20 || byte == 0x7f || second_block) {
        return fail_at(key_position_, 16, "expected a name without control characters");
      }
    }
    return true;
  }

  /// Makes the text of `length` bytes behind the records part of them.
  void keep(std::size_t length) {
    written_ += length;
    text_[written_++] = record_separator;
  }

  /// Whether an array or object comes, which no grammar here expects inside another.
  bool nested() const { return scanner_.peek() == '[' || scanner_.peek() == '{'; }

  /// Reports what the scanner says; `rule` is for JSON that is right but not what the format asks for.
  bool mismatch(JsonFault what, int rule, std::string_view expected) {
    switch (what) {
      case JsonFault::control_character: return fail(11, "expected no control character inside a string");
      case JsonFault::bad_escape: return fail(11, "expected a valid escape");
      case JsonFault::too_long: return fail(15, "expected a shorter key");
      case JsonFault::not_json: return fail(10, expected);
      default: return fail(rule, expected);
    }
  }

  bool fail(int rule, std::string_view reason) { return fail_at(scanner_.position(), rule, reason); }
  bool fail_at(std::size_t position, int rule, std::string_view reason) {
    fault_ = FileFault{.rule = rule, .position = text_begin_ + position, .tensor = {}, .reason = reason};
    fault_.tensor.append_escaped(name_);
    return false;
  }

  std::span<char> text_;
  JsonScanner scanner_;
  std::uint64_t text_begin_;
  SafetensorsLimits limits_;
  std::size_t written_ = 0;       ///< records end here; never beyond the scanner
  std::size_t key_position_ = 0;  ///< of the key read last
  std::string_view name_;         ///< of the tensor being read, unescaped
  FileFault fault_;
};

/// The one BasicJsonFormatParser, which is a template so that only who uses it compiles it.
using JsonFormatParser = BasicJsonFormatParser<>;

}  // namespace eigenformer::inline EIGENFORMER_ABI::detail
