#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/io/header_text.hpp>
#include <eigenformer/io/safetensors_parser.hpp>

#include <algorithm>
#include <limits>
#include <optional>
#include <string_view>

namespace eigenformer::inline EIGENFORMER_ABI {

/// The validated header of a safetensors file: every tensor's name, dtype, shape and place, sorted by name, and the
/// metadata, sorted by key. It owns one block of memory as large as the header's text, made before anything is known
/// about the text and never grown: the records and both indices replace the text in it.
template <class = void>
class BasicSafetensorsHeader {
 public:
  /// Length of the header's text from the first eight bytes of a file of that size (rules 1 to 6).
  static Result<std::uint64_t> text_bytes(std::uint64_t file_bytes, const unsigned char (&prefix)[8],
                                          const SafetensorsLimits& limits) noexcept {
    std::uint64_t length = 0;
    for (unsigned i = 0; i < 8; ++i) length |= std::uint64_t{prefix[i]} << (8 * i);
    if (length > (std::min)(limits.header_bytes, most_text)) {
      return bad_length(4, length, (std::min)(limits.header_bytes, most_text));
    }
    if (length > file_bytes - 8) return bad_length(5, length, file_bytes - 8);
    if (length < 2)
      return FileFault{.rule = 6, .position = 0, .tensor = {}, .reason = {"expected a header of at least 2 bytes"}};
    return length;
  }

  /// Checks rules 7 to 33 of a header in front of `data_bytes` bytes of data.
  static Result<BasicSafetensorsHeader> parse(HeaderText text, std::uint64_t data_bytes,
                                              const SafetensorsLimits& limits) noexcept {
    const Result<detail::ParsedHeader> parsed =
        detail::SafetensorsParser(text.characters(), data_bytes, limits).parse();
    if (!parsed) return parsed.fault();
    BasicSafetensorsHeader header(std::move(text), *parsed);
    if (const Result<void> unique = header.sort_metadata(); !unique) return unique.fault();
    if (const Result<void> tiled = header.check_tiling(data_bytes); !tiled) return tiled.fault();
    if (const Result<void> unique = header.sort_names(); !unique) return unique.fault();
    return header;
  }

  BasicSafetensorsHeader() = default;

  std::size_t size() const { return tensors_.size(); }
  /// The i-th tensor in the order of names.
  SafetensorsEntry operator[](std::size_t i) const { return entry_at(tensors_[i]); }
  std::optional<SafetensorsEntry> find(std::string_view name) const {
    const auto at =
        std::lower_bound(tensors_.begin(), tensors_.end(), name,
                         [this](std::uint32_t record, std::string_view sought) { return text_at(record) < sought; });
    if (at == tensors_.end() || text_at(*at) != name) return std::nullopt;
    return entry_at(*at);
  }

  /// A key of the metadata with its value.
  struct Pair {
    std::string_view key;    ///< unescaped
    std::string_view value;  ///< unescaped
  };
  /// Number of metadata pairs.
  std::size_t metadata_size() const { return metadata_.size(); }
  /// The i-th pair in the order of keys.
  Pair metadata(std::size_t i) const { return pair_at(metadata_[i]); }
  /// The value of that key in the metadata, or nothing.
  std::optional<std::string_view> find_metadata(std::string_view key) const {
    const auto at =
        std::lower_bound(metadata_.begin(), metadata_.end(), key,
                         [this](std::uint32_t record, std::string_view sought) { return text_at(record) < sought; });
    if (at == metadata_.end() || text_at(*at) != key) return std::nullopt;
    return pair_at(*at).value;
  }

 private:
  // Records are found by 32-bit positions.
  static constexpr std::uint64_t most_text = (std::numeric_limits<std::uint32_t>::max)() - 16U;

  static FileFault bad_length(int rule, std::uint64_t got, std::uint64_t most) {
    FileFault fault{.rule = rule, .position = 0, .tensor = {}, .reason = {"expected a header of at most "}};
    fault.reason.append(most).append(" bytes, got ").append(got);
    return fault;
  }

  /// Lays both indices behind the records. There is room: a record is shorter than its text by at least four bytes
  /// (safetensors_entry.hpp), and so is a pair of metadata, whose text has four quotes, a colon and a comma or brace
  /// around what the record keeps.
  BasicSafetensorsHeader(HeaderText text, const detail::ParsedHeader& parsed) : text_(std::move(text)) {
    const std::span<std::uint32_t> positions =
        text_.positions_behind(parsed.end, std::size_t{parsed.tensors} + parsed.metadata);
    tensors_ = positions.first(parsed.tensors);
    metadata_ = positions.last(parsed.metadata);
    const char* const base = text_.characters().data();
    const char* in = base;
    for (std::uint32_t& record : metadata_) {
      if (&record == metadata_.data()) in = base + parsed.metadata_begin;
      record = static_cast<std::uint32_t>(in - base);
      detail::fetch_text(in);
      detail::fetch_text(in);
    }
    in = base;
    for (std::uint32_t& record : tensors_) {
      if (in == base + parsed.metadata_begin) in = base + parsed.metadata_end;
      record = static_cast<std::uint32_t>(in - base);
      detail::decode(in);
    }
  }

  std::string_view text_at(std::uint32_t record) const {
    const char* in = text_.characters().data() + record;
    return detail::fetch_text(in);
  }
  SafetensorsEntry entry_at(std::uint32_t record) const {
    const char* in = text_.characters().data() + record;
    return detail::decode(in);
  }
  Pair pair_at(std::uint32_t record) const {
    const char* in = text_.characters().data() + record;
    const std::string_view key = detail::fetch_text(in);
    return {key, detail::fetch_text(in)};
  }

  /// Sorts by text, and by place among equals; returns the second of two equals, or the end.
  std::span<std::uint32_t>::iterator sort_by_text(std::span<std::uint32_t> records) {
    std::sort(records.begin(), records.end(), [this](std::uint32_t a, std::uint32_t b) {
      const int order = text_at(a).compare(text_at(b));
      return order < 0 || (order == 0 && a < b);
    });
    const auto first = std::adjacent_find(
        records.begin(), records.end(), [this](std::uint32_t a, std::uint32_t b) { return text_at(a) == text_at(b); });
    return first == records.end() ? first : first + 1;
  }

  Result<void> sort_metadata() {
    const auto twin = sort_by_text(metadata_);
    if (twin == metadata_.end()) return {};
    FileFault fault{
        .rule = 14, .position = 8, .tensor = {}, .reason = {"expected each metadata key once, got twice: "}};
    fault.reason.append_escaped(text_at(*twin));
    return fault;
  }

  Result<void> sort_names() {
    const auto twin = sort_by_text(tensors_);
    if (twin == tensors_.end()) return {};
    return tensor_fault(entry_at(*twin), 14, "expected each tensor once");
  }

  /// Rules 29 to 31: in the order of their places the tensors follow each other without overlap or hole, to the end.
  Result<void> check_tiling(std::uint64_t data_bytes) {
    std::sort(tensors_.begin(), tensors_.end(), [this](std::uint32_t a, std::uint32_t b) {
      const SafetensorsEntry x = entry_at(a);
      const SafetensorsEntry y = entry_at(b);
      return x.begin != y.begin ? x.begin < y.begin : x.end != y.end ? x.end < y.end : a < b;
    });
    std::uint64_t expected = 0;
    for (const std::uint32_t record : tensors_) {
      const SafetensorsEntry entry = entry_at(record);
      if (entry.begin != expected) {
        FileFault fault = tensor_fault(entry, 29, "expected data to begin at ");
        fault.reason.append(expected).append(", where the tensor before it ends, got ").append(entry.begin);
        return fault;
      }
      expected = entry.end;
    }
    if (expected == data_bytes) return {};
    FileFault fault{.rule = 30, .position = 8, .tensor = {}, .reason = {"expected "}};
    fault.reason.append(expected).append(" bytes of data, got ").append(data_bytes);
    return fault;
  }

  static FileFault tensor_fault(const SafetensorsEntry& entry, int rule, std::string_view reason) {
    FileFault fault{.rule = rule, .position = entry.position, .tensor = {}, .reason = reason};
    fault.tensor.append_escaped(entry.name);
    return fault;
  }

  HeaderText text_;
  std::span<std::uint32_t> tensors_;
  std::span<std::uint32_t> metadata_;
};

/// The one BasicSafetensorsHeader, which is a template so that only who uses it compiles it.
using SafetensorsHeader = BasicSafetensorsHeader<>;

}  // namespace eigenformer::inline EIGENFORMER_ABI
