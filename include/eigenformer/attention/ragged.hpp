#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/attention/mask.hpp>

#include <algorithm>

namespace eigenformer::inline EIGENFORMER_ABI {

/// Sequences of different length: batch b has the first lengths[b] keys, and there a query attends to what `Inner` lets it
/// see of a sequence of that length. Ragged<Causal> is for decoding a batch whose sequences are of different length: the
/// last query stands at the last key of its sequence (cache_seqlens of flash-attention).
///   lengths: [B], not owned
///   throws ShapeError for another number of lengths than batches, ValueError for a length outside 0 .. T
template <AttentionMask Inner = NoMask>
struct Ragged {
  std::span<const Index> lengths;
  Inner inner{};

  void check(const AttentionExtent& extent) const {
    Padding{lengths}.check(extent);
    for (Index b = 0; b < extent.batch; ++b) inner.check(extent_of(extent, b));
  }
  KeyRange live_keys(const AttentionExtent& extent, Index batch, Index query) const {
    const AttentionExtent own = extent_of(extent, batch);
    const KeyRange run = inner.live_keys(own, batch, query);
    return {run.first, (std::min)(run.last, own.keys)};
  }
  std::uint64_t live_bits(const AttentionExtent& extent, Index batch, Index query,
                          Index first) const requires PatternMask<Inner> {
    return detail::pattern_bits(inner, extent_of(extent, batch), batch, query, first);
  }

 private:
  AttentionExtent extent_of(const AttentionExtent& extent, Index batch) const {
    return {extent.batch, extent.queries, lengths[static_cast<std::size_t>(batch)]};
  }
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
