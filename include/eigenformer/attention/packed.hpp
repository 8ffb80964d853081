#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/attention/both.hpp>
#include <eigenformer/attention/mask.hpp>

#include <algorithm>

namespace eigenformer::inline EIGENFORMER_ABI {

/// Several sequences in one row, so that a ragged batch needs no padding: a query attends to the keys of its own sequence,
/// and there to those that `Inner` lets it see. Sequence i has the queries query_offsets[i] .. query_offsets[i + 1] - 1
/// and the keys between its key_offsets (cu_seqlens of flash-attention). A batch of 1.
///   query_offsets, key_offsets: [sequences + 1], not owned, from 0 to S and T
///   throws ShapeError for a batch other than 1 or other numbers of offsets, ValueError for offsets that do not begin with
///   0, decrease, or end elsewhere
template <AttentionMask Inner = NoMask>
struct Packed {
  std::span<const Index> query_offsets;
  std::span<const Index> key_offsets = query_offsets;
  Inner inner{};

  void check(const AttentionExtent& extent) const {
    require(extent.batch == 1, "Packed", "expected a batch of 1, got ", extent.batch);
    require(!query_offsets.empty() && query_offsets.size() == key_offsets.size(), "Packed",
            "expected as many query offsets as key offsets, one more than sequences, got ", query_offsets.size(),
            " and ", key_offsets.size());
    check_offsets(query_offsets, extent.queries, "query");
    check_offsets(key_offsets, extent.keys, "key");
    for (std::size_t i = 0; i + 1 < query_offsets.size(); ++i) inner.check(extent_of(i));
  }
  KeyRange live_keys(const AttentionExtent&, Index, Index query) const {
    const std::size_t sequence = sequence_of(query);
    const AttentionExtent inside = extent_of(sequence);
    const KeyRange run = inner.live_keys(inside, 0, query - query_offsets[sequence]);
    const Index begin = key_offsets[sequence];
    const Index end = begin + (kernels::seeded_bug == 16 ? 1 : 0);
    return {begin + (std::max)(run.first, Index(0)), end + (std::min)(run.last, inside.keys)};
  }
  std::uint64_t live_bits(const AttentionExtent&, Index, Index query, Index first) const requires PatternMask<Inner> {
    const std::size_t sequence = sequence_of(query);
    const Index before = key_offsets[sequence] - first;  // keys of other sequences
    if (before >= 64) return 0;
    const Index from = (std::max)(-before, Index(0));
    const std::uint64_t bits =
        detail::pattern_bits(inner, extent_of(sequence), 0, query - query_offsets[sequence], from);
    return before > 0 ? bits << before : bits;
  }

 private:
  static void check_offsets(std::span<const Index> offsets, Index length, std::string_view of) {
    require<ValueError>(offsets.front() == 0 && offsets.back() == length, "Packed", "expected ", of,
                        " offsets from 0 to ", length, ", got ", offsets.front(), " to ", offsets.back());
    for (std::size_t i = 1; i < offsets.size(); ++i) {
      require<ValueError>(offsets[i - 1] <= offsets[i], "Packed", "expected ", of,
                          " offsets that do not decrease, got ", offsets[i - 1], " before ", offsets[i]);
    }
  }
  std::size_t sequence_of(Index query) const {
    const auto behind = std::upper_bound(query_offsets.begin(), query_offsets.end(), query);
    return static_cast<std::size_t>(behind - query_offsets.begin()) - 1;
  }
  AttentionExtent extent_of(std::size_t i) const {
    return {1, query_offsets[i + 1] - query_offsets[i], key_offsets[i + 1] - key_offsets[i]};
  }
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
