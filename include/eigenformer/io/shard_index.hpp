#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/io/header_text.hpp>
#include <eigenformer/io/shard_index_parser.hpp>

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

namespace eigenformer::inline EIGENFORMER_ABI {

/// The validated index of a checkpoint that is spread over several files (`model.safetensors.index.json`): which file
/// holds which tensor, sorted by the tensors' names (rules 7 to 16, 45 and 46). Its memory is the text's.
template <class = void>
class BasicShardIndex {
 public:
  static Result<BasicShardIndex> parse(HeaderText text, const SafetensorsLimits& limits) noexcept {
    detail::ShardTable table;
    Result<detail::ParsedIndex> parsed = detail::ShardIndexParser(text.characters(), limits, table).parse();
    if (!parsed) return parsed.fault();
    BasicShardIndex index(std::move(text), std::move(table), *parsed);
    if (const Result<void> unique = index.sort_names(); !unique) return unique.fault();
    return index;
  }

  BasicShardIndex() = default;

  /// Number of tensors.
  std::size_t size() const { return tensors_.size(); }
  /// Where a tensor lies.
  struct Place {
    std::string_view name;       ///< of the tensor
    std::uint32_t shard = 0;     ///< which file, counted from 0 in the order in which the index first names them
    std::uint32_t position = 0;  ///< byte of the index that says so
  };
  /// The i-th tensor in the order of names.
  Place operator[](std::size_t i) const {
    const char* in = text_.characters().data() + tensors_[i];
    return detail::decode_place<Place>(in);
  }
  std::optional<Place> find(std::string_view name) const {
    const auto at =
        std::lower_bound(tensors_.begin(), tensors_.end(), name,
                         [this](std::uint32_t record, std::string_view sought) { return name_at(record) < sought; });
    if (at == tensors_.end() || name_at(*at) != name) return std::nullopt;
    return (*this)[static_cast<std::size_t>(at - tensors_.begin())];
  }

  /// Number of files.
  std::size_t shards() const { return shards_.size(); }
  /// The name of a file, counted as Place::shard counts.
  FixedText<255> shard_name(std::size_t shard) const {
    return shards_.name(text_.characters().data(), static_cast<std::uint16_t>(shard));
  }

  /// A field of the index's own metadata: a string's content, or a number or literal as it is written.
  std::optional<std::string_view> find_metadata(std::string_view key) const {
    const char* in = text_.characters().data() + metadata_begin_;
    for (std::uint32_t i = 0; i < metadata_; ++i) {
      const std::string_view found = detail::fetch_text(in);
      const std::string_view value = detail::fetch_text(in);
      if (found == key) return value;
    }
    return std::nullopt;
  }

 private:
  BasicShardIndex(HeaderText text, detail::ShardTable table, const detail::ParsedIndex& parsed)
      : text_(std::move(text)),
        shards_(std::move(table)),
        metadata_begin_(parsed.metadata_begin),
        metadata_(parsed.metadata),
        tensors_(text_.positions_behind(parsed.end, parsed.tensors)) {
    const char* const base = text_.characters().data();
    const char* in = base + parsed.map_begin;
    std::uint32_t shards_seen = 0;
    for (std::uint32_t& record : tensors_) {
      record = static_cast<std::uint32_t>(in - base);
      // The first tensor of each file carries the file's name.
      if (detail::decode_place<Place>(in).shard == shards_seen) {
        detail::fetch_text(in);
        ++shards_seen;
      }
    }
  }

  std::string_view name_at(std::uint32_t record) const {
    const char* in = text_.characters().data() + record;
    return detail::fetch_text(in);
  }

  Result<void> sort_names() {
    const auto by_name = [this](std::uint32_t a, std::uint32_t b) {
      const int order = name_at(a).compare(name_at(b));
      return order < 0 || (order == 0 && a < b);
    };
    if (!std::is_sorted(tensors_.begin(), tensors_.end(), by_name)) {
      std::sort(tensors_.begin(), tensors_.end(), by_name);
    }
    const auto twin = std::adjacent_find(tensors_.begin(), tensors_.end(),
                                         [this](std::uint32_t a, std::uint32_t b) { return name_at(a) == name_at(b); });
    if (twin == tensors_.end()) return {};
    const Place second = (*this)[static_cast<std::size_t>(twin - tensors_.begin()) + 1];
    FileFault fault{.rule = 14, .position = second.position, .tensor = {}, .reason = {"expected each tensor once"}};
    fault.tensor.append_escaped(second.name);
    return fault;
  }

  HeaderText text_;
  detail::ShardTable shards_;
  std::size_t metadata_begin_ = 0;
  std::uint32_t metadata_ = 0;
  std::span<std::uint32_t> tensors_;
};

/// The one BasicShardIndex, which is a template so that only who uses it compiles it.
using ShardIndex = BasicShardIndex<>;

}  // namespace eigenformer::inline EIGENFORMER_ABI
