#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/attention/mask.hpp>

#include <algorithm>

namespace eigenformer::inline EIGENFORMER_ABI {

/// A query attends to its own key and every stride-th before it, and to the last `local` keys up to its own (Child et
/// al. 2019, "Sparse Transformers", section 4.3; local = 0 is the strided head alone, local = stride both heads merged).
///   throws ValueError for a stride below 1 or a negative local
struct Strided {
  Index stride = 1;
  Index local = 0;

  void check(const AttentionExtent&) const {
    require<ValueError>(stride >= 1 && local >= 0, "Strided",
                        "expected a stride of at least 1 and local of at least 0, got ", stride, " and ", local);
  }
  KeyRange live_keys(const AttentionExtent& extent, Index, Index query) const {
    return {0, detail::own_key(extent, query) + 1};
  }
  std::uint64_t live_bits(const AttentionExtent& extent, Index, Index query, Index first) const {
    const Index own = detail::own_key(extent, query);
    if (own < first) return 0;
    std::uint64_t bits = local > own ? ~std::uint64_t(0) : ~detail::low_bits(own + 1 - local - first);
    const Index step = (std::min)(stride, Index(64));
    for (Index key = (own - first) % stride; key < 64; key += step) bits |= std::uint64_t(1) << key;
    return bits & detail::low_bits(own + 1 - first);
  }
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
