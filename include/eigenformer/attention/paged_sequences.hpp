#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/attention/paged_key_value_cache.hpp>

namespace eigenformer::inline EIGENFORMER_ABI {

/// Some sequences of a paged cache, to go on with in the place of a cache: row b of a batch follows sequence sequences[b].
template <class T, HeadStorageOf<T> Storage = T>
struct PagedSequences {
  PagedKeyValueCache<T, Storage>& cache;  ///< not owned
  std::span<const Index> sequences;       ///< [B], not owned
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
