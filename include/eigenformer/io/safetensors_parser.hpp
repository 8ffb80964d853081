#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/io/json_format_parser.hpp>

#include <algorithm>
#include <array>
#include <span>
#include <string_view>

namespace eigenformer::inline EIGENFORMER_ABI::detail {

/// Where the parser put what it read.
struct ParsedHeader {
  std::size_t end = 0;             ///< bytes in use
  std::size_t metadata_begin = 0;  ///< the pairs of `__metadata__` among them
  std::size_t metadata_end = 0;
  std::uint32_t tensors = 0;
  std::uint32_t metadata = 0;
};

/// Recognises the JSON text of a safetensors header (rules 7 to 28 of one tensor each) and replaces it, in the same
/// memory, by records: pairs of metadata as key, 0xFF, value, 0xFF, and tensors as detail::encode_after_name has them.
/// The grammar is fixed and not recursive, so no nesting, however deep, can go beyond the three levels that it names.
template <class = void>
class BasicSafetensorsParser : private JsonFormatParser {
 public:
  BasicSafetensorsParser(std::span<char> text, std::uint64_t data_bytes, const SafetensorsLimits& limits)
      : JsonFormatParser(text, 8, limits), data_bytes_(data_bytes) {}

  Result<ParsedHeader> parse() {
    if (!(check_text() && top_level() && check_rest())) return fault_;
    parsed_.end = written_;
    return parsed_;
  }

 private:
  bool top_level() {
    if (!scanner_.take('{')) return mismatch(scanner_.kind_of_mismatch(), 13, "expected an object");
    if (scanner_.take('}')) return true;
    do {
      if (!name()) return false;
      if (!scanner_.take(':')) return fail(10, "expected ':'");
      if (!(name_ == "__metadata__" ? metadata() : tensor())) return false;
    } while (scanner_.take(','));
    name_ = {};
    return scanner_.take('}') || fail(10, "expected ',' or '}'");
  }

  bool metadata() {
    if (seen_metadata_) return fail_at(key_position_, 17, "expected __metadata__ once");
    seen_metadata_ = true;
    name_ = {};
    parsed_.metadata_begin = parsed_.metadata_end = written_;
    if (!scanner_.take('{')) return mismatch(scanner_.kind_of_mismatch(), 17, "expected __metadata__ to be an object");
    if (scanner_.take('}')) return true;
    do {
      std::size_t length = 0;
      if (!key(length)) return false;
      keep(length);
      if (!scanner_.take(':')) return fail(10, "expected ':'");
      if (const JsonFault what = scanner_.string(text_.subspan(written_), length); what != JsonFault::none) {
        return mismatch(what, scanner_.peek() == '{' ? 12 : 17, "expected a string as value of __metadata__");
      }
      keep(length);
      ++parsed_.metadata;
    } while (scanner_.take(','));
    parsed_.metadata_end = written_;
    return scanner_.take('}') || fail(10, "expected ',' or '}'");
  }

  bool tensor() {
    if (!check_name()) return false;
    if (parsed_.tensors == limits_.tensors) return fail_at(key_position_, 15, "expected fewer tensors");
    entry_ = {};
    entry_.position = static_cast<std::uint32_t>(text_begin_ + key_position_);
    if (!fields() || !check_extent()) return false;
    written_ =
        static_cast<std::size_t>(encode_after_name(entry_, text_.data() + written_ + name_.size()) - text_.data());
    ++parsed_.tensors;
    return true;
  }

  bool fields() {
    enum : unsigned { dtype = 1, shape = 2, offsets = 4 };
    unsigned seen = 0;
    if (!scanner_.take('{')) return mismatch(scanner_.kind_of_mismatch(), 19, "expected an object for the tensor");
    do {
      std::array<char, 16> spelling{};
      std::size_t length = 0;
      scanner_.skip_whitespace();
      if (seen == 0 && scanner_.peek() == '}') break;
      const std::size_t field_position = scanner_.position();
      const JsonFault what = scanner_.string(spelling, length);
      if (what == JsonFault::too_long)
        return fail_at(field_position, 19, "expected dtype, shape and data_offsets only");
      if (what != JsonFault::none) return mismatch(what, 10, "expected a field name in quotes");
      const std::string_view field(spelling.data(), length);
      const unsigned which = field == "dtype"          ? dtype
                             : field == "shape"        ? shape
                             : field == "data_offsets" ? offsets
                                                       : 0U;
      if (which == 0) return fail_at(field_position, 19, "expected dtype, shape and data_offsets only");
      if ((seen & which) != 0) return fail_at(field_position, 14, "expected each field once");
      seen |= which;
      if (!scanner_.take(':')) return fail(10, "expected ':'");
      if (!(which == dtype ? read_dtype() : which == shape ? read_shape() : read_offsets())) return false;
    } while (scanner_.take(','));
    if (!scanner_.take('}')) return fail(10, "expected ',' or '}'");
    return seen == (dtype | shape | offsets) ||
           fail_at(key_position_, 19, "expected all of dtype, shape and data_offsets");
  }

  bool read_dtype() {
    std::array<char, 16> spelling{};
    std::size_t length = 0;
    scanner_.skip_whitespace();
    const std::size_t dtype_position = scanner_.position();
    const JsonFault what = scanner_.string(spelling, length);
    if (what == JsonFault::too_long) return fail_at(dtype_position, 20, "expected a known dtype");
    if (what != JsonFault::none) return mismatch(what, nested() ? 12 : 20, "expected a string as dtype");
    const std::optional<Dtype> dtype = dtype_named({spelling.data(), length});
    if (!dtype) return fail_at(dtype_position, 20, "expected a known dtype");
    entry_.dtype = *dtype;
    return true;
  }

  bool read_shape() {
    std::array<Index, Shape::max_rank> extents{};
    int rank = 0;
    if (!scanner_.take('['))
      return mismatch(scanner_.kind_of_mismatch(), scanner_.peek() == '{' ? 12 : 21, "expected an array as shape");
    if (!scanner_.take(']')) {
      do {
        if (rank == (std::min)(limits_.rank, Shape::max_rank)) return fail(22, "expected fewer dimensions");
        std::uint64_t extent = 0;
        const JsonFault what = scanner_.integer(extent);
        if (what == JsonFault::too_large || (what == JsonFault::none && extent > limits_.dimension)) {
          return fail(22, "expected a dimension below 2^48");
        }
        if (what != JsonFault::none)
          return mismatch(what, nested() ? 12 : 21, "expected a dimension written as an integer");
        extents[static_cast<std::size_t>(rank++)] = static_cast<Index>(extent);
      } while (scanner_.take(','));
      if (!scanner_.take(']')) return fail(10, "expected ',' or ']'");
    }
    entry_.shape = Shape(extents.data(), rank);
    return true;
  }

  bool read_offsets() {
    std::array<std::uint64_t, 2> offsets{};
    if (!scanner_.take('['))
      return mismatch(scanner_.kind_of_mismatch(), scanner_.peek() == '{' ? 12 : 25,
                      "expected an array as data_offsets");
    for (std::size_t i = 0; i < 2; ++i) {
      if (i == 1 && !scanner_.take(',')) return fail(scanner_.peek() == ']' ? 25 : 10, "expected two data_offsets");
      const JsonFault what = scanner_.integer(offsets[i]);
      if (what == JsonFault::none) continue;
      if (i == 0 && scanner_.peek() == ']') return fail(25, "expected two data_offsets");
      return mismatch(what, nested() ? 12 : 25, "expected a non-negative integer in data_offsets");
    }
    if (!scanner_.take(']')) return fail(scanner_.peek() == ',' ? 25 : 10, "expected two data_offsets");
    entry_.begin = offsets[0];
    entry_.end = offsets[1];
    return true;
  }

  /// Whether shape, dtype and offsets agree with each other and with the size of the data section.
  bool check_extent() {
    std::uint64_t elements = 1;  // of the dimensions that are not zero, so that their order cannot matter
    bool empty = false;
    for (int i = 0; i < entry_.shape.rank(); ++i) {
      const auto extent = static_cast<std::uint64_t>(entry_.shape[i]);
      empty = empty || extent == 0;
      const std::optional<std::uint64_t> product = checked_product(elements, extent == 0 ? 1 : extent);
      if (!product || *product > static_cast<std::uint64_t>((std::numeric_limits<Index>::max)())) {
        return fail_at(key_position_, 23, "expected a number of elements below 2^63");
      }
      elements = *product;
    }
    const std::optional<std::uint64_t> size_in_bits = checked_product(empty ? 0 : elements, bits(entry_.dtype));
    if (!size_in_bits || *size_in_bits % 8 != 0)
      return fail_at(key_position_, 24, "expected elements that fill whole bytes, fewer than 2^61");
    if (entry_.begin > entry_.end) return fail_at(key_position_, 26, "expected data_offsets in order");
    if (entry_.end - entry_.begin != *size_in_bits / 8) return wrong_size(*size_in_bits / 8);
    return entry_.end <= data_bytes_ || fail_at(key_position_, 28, "expected data_offsets inside the file");
  }

  bool wrong_size(std::uint64_t expected) {
    fail_at(key_position_, 27, "expected ");
    fault_.reason.append(expected).append(" bytes from shape and dtype, got ").append(entry_.end - entry_.begin);
    return false;
  }

  std::uint64_t data_bytes_;
  ParsedHeader parsed_;
  SafetensorsEntry entry_;
  bool seen_metadata_ = false;
};

/// The one BasicSafetensorsParser, which is a template so that only who uses it compiles it.
using SafetensorsParser = BasicSafetensorsParser<>;

}  // namespace eigenformer::inline EIGENFORMER_ABI::detail
