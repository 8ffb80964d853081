#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/check.hpp>
#include <eigenformer/kernels/attention_problem.hpp>

#include <concepts>

// A mask is a type that says which keys a query attends to. For each query row it names one run of live keys; what lies
// outside is never read with any weight, so that NaN there changes no bit of the result. From the runs of its rows a
// tile of scores is known to be empty (skipped: costs nothing), full (no mask applied) or mixed.
//
// The contract: check(extent) throws if the mask does not fit the call, before anything is written;
// live_keys(extent, batch, query) is the run of live keys, of which only the part in 0 .. keys counts.
// Masks whose rows are no single run will say a hull here and give the rest row by row for mixed tiles.

namespace eigenformer::inline EIGENFORMER_ABI {

/// The extents of a call of attention that a mask may ask for.
struct AttentionExtent {
  Index batch = 0;
  Index queries = 0;  ///< S
  Index keys = 0;     ///< T, of all segments together
};

template <class M>
concept AttentionMask = std::copyable<M> && requires(const M& mask, const AttentionExtent& extent, Index i) {
  mask.check(extent);
  { mask.live_keys(extent, i, i) } -> std::same_as<KeyRange>;
};

/// Every query attends to every key.
struct NoMask {
  void check(const AttentionExtent&) const {}
  KeyRange live_keys(const AttentionExtent& extent, Index, Index) const { return {0, extent.keys}; }
};

/// Where the diagonal of a causal mask runs when there are not as many queries as keys. bottom_right: the last query
/// sees all keys, as when new tokens follow a cache (flash-attention's since 2.1). top_left: the first query sees one
/// key (PyTorch's is_causal).
enum class CausalAlignment { bottom_right, top_left };

/// Query s attends to keys 0 .. s + shift, where shift is T - S (bottom_right) or 0 (top_left). With more queries than
/// keys bottom_right leaves the first S - T queries no key.
struct Causal {
  CausalAlignment alignment = CausalAlignment::bottom_right;  ///< which corner the diagonal runs into

  void check(const AttentionExtent&) const {}
  KeyRange live_keys(const AttentionExtent& extent, Index, Index query) const {
    const Index shift = alignment == CausalAlignment::bottom_right ? extent.keys - extent.queries : 0;
    return {0, query + shift + (kernels::seeded_bug == 8 ? 2 : 1)};
  }
};

/// The queries of batch b attend to its first lengths[b] keys.
///   lengths: [B], not owned
///   throws ShapeError for another number of lengths than batches, ValueError for a length outside 0 .. T
struct Padding {
  std::span<const Index> lengths;

  void check(const AttentionExtent& extent) const {
    require(static_cast<Index>(lengths.size()) == extent.batch, "Padding", "expected one length for each of ",
            extent.batch, " batches, got ", lengths.size());
    for (const Index length : lengths) {
      require<ValueError>(length >= 0 && length <= extent.keys, "Padding", "expected lengths in 0 .. ", extent.keys,
                          ", got ", length);
    }
  }
  KeyRange live_keys(const AttentionExtent&, Index batch, Index) const {
    return {0, lengths[static_cast<std::size_t>(batch)]};
  }
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
