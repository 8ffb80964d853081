#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/io/fixed_text.hpp>
#include <eigenformer/io/input_directory.hpp>
#include <eigenformer/io/json_format_parser.hpp>
#include <eigenformer/io/safetensors_entry.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <new>
#include <span>
#include <string_view>

namespace eigenformer::inline EIGENFORMER_ABI::detail {

inline constexpr std::string_view shard_ending = ".safetensors";

/// The record of a tensor in an index: its name, a separator, the position in the file (4 bytes), the number of its
/// shard (2 bytes); where a shard is named for the first time also that name without its ending, and a separator. With
/// the position of the record (4 bytes) that is the name plus 11 bytes, or the name and the shard's name, while the
/// shortest text `"":".safetensors",` has 18 bytes plus the name: a parsed index fits into the memory of its text.
template <class Place>
Place decode_place(const char*& in) {
  Place place;
  place.name = fetch_text(in);
  in = fetch(in, place.position);
  std::uint16_t shard = 0;
  in = fetch(in, shard);
  place.shard = shard;
  return place;
}

/// The different shards of an index, numbered in the order of their first mention, and findable by name.
template <class = void>
class BasicShardTable {
 public:
  Result<void> allocate(std::size_t most) noexcept {
    names_.reset(new (std::nothrow) std::uint32_t[most]);
    sorted_.reset(new (std::nothrow) std::uint16_t[most]);
    if (!names_ || !sorted_)
      return FileFault{.rule = 43, .position = 0, .tensor = {}, .reason = {"not enough memory for the index"}};
    most_ = most;
    return {};
  }

  std::size_t size() const { return size_; }
  /// `base` is the beginning of the text, in which the names lie.
  FixedText<255> name(const char* base, std::uint16_t shard) const {
    const char* in = base + names_[shard];
    return FixedText<255>(fetch_text(in)).append(shard_ending);
  }

  /// The shard of that name, or size() if there is none.
  std::uint16_t find(const char* base, std::string_view sought) const {
    const std::uint16_t* const at = lower_bound(base, sought);
    return at != end() && name(base, *at).view() == sought ? *at : static_cast<std::uint16_t>(size_);
  }
  /// False if there is no room for another one.
  bool add(const char* base, std::string_view added, std::uint32_t name_position) {
    if (size_ == most_) return false;
    auto* const at = const_cast<std::uint16_t*>(lower_bound(base, added));
    std::copy_backward(at, sorted_.get() + size_, sorted_.get() + size_ + 1);
    *at = static_cast<std::uint16_t>(size_);
    names_[size_++] = name_position;
    return true;
  }

 private:
  const std::uint16_t* end() const { return sorted_.get() + size_; }
  const std::uint16_t* lower_bound(const char* base, std::string_view sought) const {
    return std::lower_bound(
        static_cast<const std::uint16_t*>(sorted_.get()), end(), sought,
        [&](std::uint16_t shard, std::string_view other) { return name(base, shard).view() < other; });
  }

  std::unique_ptr<std::uint32_t[]> names_;   // position of each shard's name
  std::unique_ptr<std::uint16_t[]> sorted_;  // shards in the order of names
  std::size_t size_ = 0;
  std::size_t most_ = 0;
};

/// The one BasicShardTable, which is a template so that only who uses it compiles it.
using ShardTable = BasicShardTable<>;

/// Where the parser put what it read.
struct ParsedIndex {
  std::size_t end = 0;        ///< bytes in use
  std::size_t map_begin = 0;  ///< the tensors
  std::uint32_t tensors = 0;
  std::size_t metadata_begin = 0;  ///< pairs of key and value, each with a separator behind it
  std::uint32_t metadata = 0;
};

/// Recognises the JSON text of an index, `{"metadata": {...}, "weight_map": {"tensor": "shard", ...}}`, by the rules of
/// headers (7 to 16) and 45 and 46, and replaces it by records.
template <class = void>
class BasicShardIndexParser : private JsonFormatParser {
 public:
  BasicShardIndexParser(std::span<char> text, const SafetensorsLimits& limits, ShardTable& shards)
      : JsonFormatParser(text, 0, limits), shards_(shards) {}

  Result<ParsedIndex> parse() {
    const std::size_t mentioned = text_.size() / shard_ending.size();  // at most
    const auto allowed = static_cast<std::size_t>((std::min)(limits_.shards, std::uint64_t{65'535}));
    if (Result<void> made = shards_.allocate((std::min)(mentioned, allowed)); !made) return made.fault();
    if (!(check_text() && top_level() && check_rest())) return fault_;
    parsed_.end = written_;
    return parsed_;
  }

 private:
  bool top_level() {
    enum : unsigned { metadata = 1, map = 2 };
    unsigned seen = 0;
    if (!scanner_.take('{')) return mismatch(scanner_.kind_of_mismatch(), 13, "expected an object");
    do {
      std::array<char, 16> spelling{};
      std::size_t length = 0;
      scanner_.skip_whitespace();
      if (seen == 0 && scanner_.peek() == '}') break;
      const std::size_t field_position = scanner_.position();
      const JsonFault what = scanner_.string(spelling, length);
      if (what == JsonFault::too_long) return fail_at(field_position, 45, "expected metadata and weight_map only");
      if (what != JsonFault::none) return mismatch(what, 10, "expected a key in quotes");
      const std::string_view field(spelling.data(), length);
      const unsigned which = field == "metadata" ? metadata : field == "weight_map" ? map : 0U;
      if (which == 0) return fail_at(field_position, 45, "expected metadata and weight_map only");
      if ((seen & which) != 0) return fail_at(field_position, 14, "expected each key once");
      seen |= which;
      if (!scanner_.take(':')) return fail(10, "expected ':'");
      if (!(which == map ? weight_map() : read_metadata())) return false;
    } while (scanner_.take(','));
    if (!scanner_.take('}')) return fail(10, "expected ',' or '}'");
    return (seen & map) != 0 || fail_at(0, 45, "expected a weight_map");
  }

  bool weight_map() {
    parsed_.map_begin = written_;
    if (!scanner_.take('{'))
      return mismatch(scanner_.kind_of_mismatch(), nested() ? 12 : 45, "expected weight_map to be an object");
    if (scanner_.take('}')) return true;
    do {
      if (!name() || !check_name()) return false;
      if (parsed_.tensors == limits_.tensors) return fail_at(key_position_, 15, "expected fewer tensors");
      if (!scanner_.take(':')) return fail(10, "expected ':'");
      if (!shard()) return false;
      ++parsed_.tensors;
    } while (scanner_.take(','));
    name_ = {};
    return scanner_.take('}') || fail(10, "expected ',' or '}'");
  }

  /// The name of a shard; writes the record of the tensor `name_`.
  bool shard() {
    std::array<char, 256> room{};
    std::size_t length = 0;
    scanner_.skip_whitespace();
    const std::size_t position = scanner_.position();
    const JsonFault what = scanner_.string(room, length);
    constexpr std::string_view expected =
        "expected the name of a .safetensors file in this folder, of at most 255 bytes";
    if (what == JsonFault::too_long) return fail_at(position, 46, expected);
    if (what != JsonFault::none) return mismatch(what, nested() ? 12 : 45, "expected a string in weight_map");
    const std::string_view file(room.data(), length);
    if (!is_shard_name(file)) return fail_at(position, 46, expected);
    const char* const base = text_.data();
    // Mostly the file is that of the tensor before.
    std::uint16_t number = last_;
    if (number >= shards_.size() || shards_.name(base, number).view() != file) number = shards_.find(base, file);
    const bool first = number == shards_.size();

    char* out = text_.data() + written_ + name_.size();
    *out++ = record_separator;
    out = store(static_cast<std::uint32_t>(key_position_), out);
    out = store(number, out);
    if (first) {
      if (!shards_.add(base, file, static_cast<std::uint32_t>(out - base))) {
        return fail_at(position, 48, "expected fewer files");
      }
      const std::string_view stem = file.substr(0, file.size() - shard_ending.size());
      out = std::copy(stem.begin(), stem.end(), out);
      *out++ = record_separator;
    }
    written_ = static_cast<std::size_t>(out - base);
    last_ = number;
    return true;
  }

  /// Fields that nothing here depends on: strings, numbers and literals.
  bool read_metadata() {
    name_ = {};
    parsed_.metadata_begin = written_;
    if (!scanner_.take('{'))
      return mismatch(scanner_.kind_of_mismatch(), nested() ? 12 : 45, "expected metadata to be an object");
    if (scanner_.take('}')) return true;
    do {
      if (parsed_.metadata == most_metadata) return fail(15, "expected fewer fields of metadata");
      std::size_t length = 0;
      if (!key(length)) return false;
      if (is_known({text_.data() + written_, length})) return fail_at(key_position_, 14, "expected each key once");
      keep(length);
      if (!scanner_.take(':')) return fail(10, "expected ':'");
      if (const JsonFault what = scanner_.scalar(text_.subspan(written_), length); what != JsonFault::none) {
        return mismatch(what, nested() ? 12 : 45, "expected a string or a number in metadata");
      }
      keep(length);
      ++parsed_.metadata;
    } while (scanner_.take(','));
    return scanner_.take('}') || fail(10, "expected ',' or '}'");
  }

  bool is_known(std::string_view key) const {
    const char* in = text_.data() + parsed_.metadata_begin;
    for (std::uint32_t i = 0; i < parsed_.metadata; ++i) {
      if (fetch_text(in) == key) return true;
      fetch_text(in);
    }
    return false;
  }

  static constexpr std::uint32_t most_metadata = 64;

  ShardTable& shards_;
  std::uint16_t last_ = 0;  ///< shard of the tensor before
  ParsedIndex parsed_;
};

/// The one BasicShardIndexParser, which is a template so that only who uses it compiles it.
using ShardIndexParser = BasicShardIndexParser<>;

}  // namespace eigenformer::inline EIGENFORMER_ABI::detail
