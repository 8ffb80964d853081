#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/attention/mask.hpp>

#include <algorithm>

namespace eigenformer::inline EIGENFORMER_ABI {

/// A query attends to the keys that are true (as in PyTorch's scaled_dot_product_attention; nn.MultiheadAttention has the
/// opposite).   live: [B, S, T], or [1, S, T] for every batch, not owned
///   throws ShapeError for another size
struct Explicit {
  std::span<const bool> live;

  void check(const AttentionExtent& extent) const {
    const auto one = static_cast<std::size_t>(extent.queries * extent.keys);
    require(live.size() == one || live.size() == one * static_cast<std::size_t>(extent.batch), "Explicit",
            "expected [batch, queries, keys] of ", extent.batch, " x ", extent.queries, " x ", extent.keys,
            " or of one batch, got ", live.size(), " values");
  }
  KeyRange live_keys(const AttentionExtent& extent, Index batch, Index query) const {
    const std::span<const bool> row = row_of(extent, batch, query);
    Index first = 0, last = extent.keys;
    while (first < last && !row[static_cast<std::size_t>(first)]) ++first;
    while (first < last && !row[static_cast<std::size_t>(last - 1)]) --last;
    return {first, last};
  }
  std::uint64_t live_bits(const AttentionExtent& extent, Index batch, Index query, Index first) const {
    const std::span<const bool> row = row_of(extent, batch, query);
    std::uint64_t bits = 0;
    for (Index i = 0; i < (std::min)(Index(64), extent.keys - first); ++i) {
      bits |= std::uint64_t(row[static_cast<std::size_t>(first + i)]) << i;
    }
    return bits;
  }

 private:
  std::span<const bool> row_of(const AttentionExtent& extent, Index batch, Index query) const {
    const auto keys = static_cast<std::size_t>(extent.keys);
    const auto one = static_cast<std::size_t>(extent.queries) * keys;
    const std::size_t of_batch = live.size() == one ? 0 : static_cast<std::size_t>(batch) * one;
    return live.subspan(of_batch + static_cast<std::size_t>(query) * keys, keys);
  }
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
