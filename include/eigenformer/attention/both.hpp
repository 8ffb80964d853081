#pragma once
// SPDX-License-Identifier: MIT

#include <algorithm>
#include <eigenformer/attention/mask.hpp>

namespace eigenformer::inline EIGENFORMER_ABI {

/// A query attends to the keys that both masks let it see.
template <AttentionMask First, AttentionMask Second>
struct Both {
  First first{};
  Second second{};

  void check(const AttentionExtent& extent) const {
    first.check(extent);
    second.check(extent);
  }
  KeyRange live_keys(const AttentionExtent& extent, Index batch, Index query) const {
    const KeyRange a = first.live_keys(extent, batch, query);
    const KeyRange b = second.live_keys(extent, batch, query);
    return {(std::max)(a.first, b.first), (std::min)(a.last, b.last)};
  }
  std::uint64_t live_bits(const AttentionExtent& extent, Index batch, Index query, Index key) const
      requires(PatternMask<First> || PatternMask<Second>) {
    return detail::pattern_bits(first, extent, batch, query, key) &
           detail::pattern_bits(second, extent, batch, query, key);
  }
};
template <class First, class Second>
Both(First, Second) -> Both<First, Second>;

}  // namespace eigenformer::inline EIGENFORMER_ABI
