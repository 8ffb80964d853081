#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/attention/mask.hpp>

namespace eigenformer::inline EIGENFORMER_ABI {

/// A query attends to its own key, `left` keys before it and `right` behind it; -1 is all of them (flash-attention's
/// window). With fewer queries than keys the last query's own key is the last key, as when new tokens follow a cache.
///   throws ValueError for left or right below -1
struct SlidingWindow {
  Index left = -1;
  Index right = -1;

  void check(const AttentionExtent&) const {
    require<ValueError>(left >= -1 && right >= -1, "SlidingWindow", "expected left and right of at least -1, got ",
                        left, " and ", right);
  }
  KeyRange live_keys(const AttentionExtent& extent, Index, Index query) const {
    const Index own = detail::own_key(extent, query);
    const bool all_before = left < 0 || left > own;
    const bool all_behind = right < 0 || right >= extent.keys - own;
    return {all_before ? 0 : own - left + (kernels::seeded_bug == 13 ? 1 : 0),
            all_behind ? extent.keys : own + right + 1};
  }
};

/// A query attends to its own key and those before it, `bandwidth` together (Child et al. 2019, "Sparse Transformers",
/// the local head; the banded layers of Brown et al. 2020, "GPT-3").
///   throws ValueError for a bandwidth below 1
struct LocalBanded {
  Index bandwidth = 1;

  void check(const AttentionExtent&) const {
    require<ValueError>(bandwidth >= 1, "LocalBanded", "expected bandwidth of at least 1, got ", bandwidth);
  }
  KeyRange live_keys(const AttentionExtent& extent, Index batch, Index query) const {
    return SlidingWindow{bandwidth - 1, 0}.live_keys(extent, batch, query);
  }
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
