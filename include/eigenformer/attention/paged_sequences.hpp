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

namespace detail {
template <class S>
struct IsPagedSequences : std::false_type {};
template <class T, class Storage>
struct IsPagedSequences<PagedSequences<T, Storage>> : std::true_type {};
}  // namespace detail

/// PagedSequences of any type.
template <class S>
concept PagedStore = detail::IsPagedSequences<std::remove_const_t<S>>::value;

}  // namespace eigenformer::inline EIGENFORMER_ABI
