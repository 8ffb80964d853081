#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/attention/mask.hpp>

#include <algorithm>

namespace eigenformer::inline EIGENFORMER_ABI {

/// Scores are cut into blocks of block_queries x block_keys, of which the layout says those that live. Time follows their
/// share where blocks are multiples of 64 keys and of 48 queries (of all heads that share keys together).
///   live: [ceil(S / block_queries), ceil(T / block_keys)], row by row, not owned; true lets attend
///   throws ValueError for a block below 1, ShapeError for a layout of another size
struct BlockSparse {
  Index block_queries = 64;
  Index block_keys = 64;
  std::span<const bool> live;

  void check(const AttentionExtent& extent) const {
    require<ValueError>(block_queries >= 1 && block_keys >= 1, "BlockSparse", "expected blocks of at least 1, got ",
                        block_queries, " queries by ", block_keys, " keys");
    const Index rows = blocks(extent.queries, block_queries);
    const Index columns = blocks(extent.keys, block_keys);
    require(static_cast<Index>(live.size()) == rows * columns, "BlockSparse", "expected a layout of ", rows, " x ",
            columns, " blocks, got ", live.size());
  }
  KeyRange live_keys(const AttentionExtent& extent, Index, Index query) const {
    const std::span<const bool> row = row_of(extent, query);
    Index first = 0, last = static_cast<Index>(row.size());
    while (first < last && !row[static_cast<std::size_t>(first)]) ++first;
    while (first < last && !row[static_cast<std::size_t>(last - 1)]) --last;
    return {first * block_keys, (std::min)(last * block_keys, extent.keys)};
  }
  std::uint64_t live_bits(const AttentionExtent& extent, Index, Index query, Index first) const {
    const std::span<const bool> row = row_of(extent, query);
    std::uint64_t bits = 0;
    const Index end = (std::min)(first + 64, extent.keys);
    for (Index key = first; key < end;) {
      const Index block = key / block_keys;
      const Index behind = (std::min)((block + 1) * block_keys, end);
      if (row[static_cast<std::size_t>(block)])
        bits |= detail::low_bits(behind - first) & ~detail::low_bits(key - first);
      key = behind;
    }
    return bits;
  }

 private:
  static Index blocks(Index length, Index block) { return (length + block - 1) / block; }
  std::span<const bool> row_of(const AttentionExtent& extent, Index query) const {
    const auto columns = static_cast<std::size_t>(blocks(extent.keys, block_keys));
    return live.subspan(static_cast<std::size_t>(query / block_queries) * columns, columns);
  }
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
