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
// A mask whose rows are no single runs says there the shortest run that has all live keys in it, or a longer one, and in
// live_bits(extent, batch, query, first) which of 64 keys are live: bit i is key first + i, and counts inside the run.

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

/// A mask that lets a query attend to more than one run of keys.
template <class M>
concept PatternMask = AttentionMask<M> && requires(const M& mask, const AttentionExtent& extent, Index i) {
  { mask.live_bits(extent, i, i, i) } -> std::same_as<std::uint64_t>;
};

namespace detail {

/// The first n of 64 bits; none for a negative n.
constexpr std::uint64_t low_bits(Index n) {
  if (n <= 0) return 0;
  return n >= 64 ? ~std::uint64_t(0) : (std::uint64_t(1) << n) - 1;
}

/// What any mask says of the keys first .. first + 63, as far as they are inside its run.
template <AttentionMask Mask>
std::uint64_t pattern_bits(const Mask& mask, const AttentionExtent& extent, Index batch, Index query, Index first) {
  if constexpr (PatternMask<Mask>) {
    return mask.live_bits(extent, batch, query, first);
  } else {
    return ~std::uint64_t(0);
  }
}

/// What any mask lets a query with that run see of the keys first .. first + 63.
template <AttentionMask Mask>
std::uint64_t live_bits(const Mask& mask, const KeyRange& run, const AttentionExtent& extent, Index batch, Index query,
                        Index first) {
  const std::uint64_t inside = low_bits(run.last - first) & ~low_bits(run.first - first);
  return inside == 0 ? 0 : inside & pattern_bits(mask, extent, batch, query, first);
}
template <AttentionMask Mask>
std::uint64_t live_bits(const Mask& mask, const AttentionExtent& extent, Index batch, Index query, Index first) {
  return live_bits(mask, mask.live_keys(extent, batch, query), extent, batch, query, first);
}

/// What a mask lets every query see, in words of 64 keys.   bits: [B, S, ceil(T / 64)]
template <AttentionMask Mask>
void write_live_bits(const Mask& mask, const AttentionExtent& extent, std::uint64_t* bits) {
  for (Index b = 0; b < extent.batch; ++b) {
    for (Index s = 0; s < extent.queries; ++s) {
      const KeyRange run = mask.live_keys(extent, b, s);  // once, as a table is searched for it
      for (Index key = 0; key < extent.keys; key += 64) *bits++ = live_bits(mask, run, extent, b, s, key);
    }
  }
}

/// The key that is the query's own: as many before the last key as the query is before the last query.
constexpr Index own_key(const AttentionExtent& extent, Index query) { return query + extent.keys - extent.queries; }

}  // namespace detail

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
