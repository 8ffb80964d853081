#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/attention/mask.hpp>
#include <eigenformer/core/buffer.hpp>
#include <eigenformer/core/dropout.hpp>

namespace eigenformer::inline EIGENFORMER_ABI {

/// Projected and positioned queries, keys and values, and the result before the last projection.
template <class T>
struct AttentionBuffers {
  Buffer<T> queries;   ///< [B, S, H, d_k]
  Buffer<T> keys;      ///< [B, T, Hkv, d_k]
  Buffer<T> values;    ///< [B, T, Hkv, d_v]
  Buffer<T> attended;  ///< [B, S, H, d_v]
};

/// What attention keeps for backward: these, what the parts keep, and the live keys of every query, which is all that
/// backward needs of the mask.
template <class T, class Projection, class QueryKeyNorm, class InnerNorm>
struct AttentionCache : AttentionBuffers<T> {
  typename Projection::Cache query;
  typename Projection::Cache key;
  typename Projection::Cache value;
  typename Projection::Cache output;
  typename QueryKeyNorm::Cache query_norm;
  typename QueryKeyNorm::Cache key_norm;
  typename InnerNorm::Cache inner_norm;
  Buffer<T> log_sum_exp;       ///< [B, H, S]
  Buffer<KeyRange> live;       ///< [B, S]
  Buffer<std::uint64_t> bits;  ///< [B, S, ceil(T / 64)] of a mask that lets queries see more than one run, else empty
  AttentionExtent extent;      ///< without a prefix
  Index prefix = 0;            ///< positions of a prefix
  Dropout dropout;             ///< of the weights of forward, with the seed that it drew

  /// The live keys of every query, for backward.   of: the extents with a prefix of so many positions
  template <AttentionMask Mask>
  void remember(const Mask& mask, const AttentionExtent& of, Index prefix_length = 0) {
    prefix = prefix_length;
    extent = {of.batch, of.queries, of.keys - prefix};
    KeyRange* const ranges = live.resize(of.batch * of.queries);
    for (Index b = 0; b < of.batch; ++b) {
      for (Index s = 0; s < of.queries; ++s) ranges[b * of.queries + s] = mask.live_keys(of, b, s);
    }
    if constexpr (PatternMask<Mask>) {
      detail::write_live_bits(mask, of, bits.resize(of.batch * of.queries * ((of.keys + 63) / 64)));
    } else {
      bits.resize(0);
    }
  }
};

namespace detail {

/// The mask of forward, row by row.
struct RememberedMask {
  const KeyRange* live;
  void check(const AttentionExtent&) const {}
  KeyRange live_keys(const AttentionExtent& extent, Index batch, Index row) const {
    return live[batch * extent.queries + row];
  }
};
/// The same of a mask that lets queries see more than one run.
struct RememberedPattern : RememberedMask {
  const std::uint64_t* bits;
  std::uint64_t live_bits(const AttentionExtent& extent, Index batch, Index row, Index first) const {
    return kernels::LiveBits{bits, (extent.keys + 63) / 64}.from(batch * extent.queries + row, first);
  }
};

/// Calls with the mask of the forward that a cache remembers.
template <class Cache, class Function>
void with_remembered_mask(const Cache& cache, Function function) {
  const RememberedMask runs{cache.live.data()};
  if (cache.bits.size() == 0) return function(runs);
  function(RememberedPattern{runs, cache.bits.data()});
}

}  // namespace detail
}  // namespace eigenformer::inline EIGENFORMER_ABI
