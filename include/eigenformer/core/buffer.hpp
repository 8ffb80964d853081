#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/rows.hpp>

#include <new>
#include <span>
#include <vector>

namespace eigenformer::inline EIGENFORMER_ABI {

namespace detail {

/// Memory at the start of a cache line, which is also the widest vector.
inline constexpr std::size_t cache_line = 64;

template <class T>
struct CacheLineAllocator {
  using value_type = T;
  CacheLineAllocator() = default;
  template <class U>
  CacheLineAllocator(const CacheLineAllocator<U>&) {}
  T* allocate(std::size_t count) {
    return static_cast<T*>(::operator new(count * sizeof(T), std::align_val_t(cache_line)));
  }
  void deallocate(T* memory, std::size_t) { ::operator delete(memory, std::align_val_t(cache_line)); }
  friend bool operator==(const CacheLineAllocator&, const CacheLineAllocator&) { return true; }
};

}  // namespace detail

/// Memory of a cache: grows when a larger shape comes and never shrinks, so that calls with shapes seen before allocate
/// nothing. A value: copies are deep. After `resize` the elements are whatever was there.
template <class T>
class Buffer {
 public:
  /// Makes room for `count` elements and returns the first.
  T* resize(Index count) {
    if (count > static_cast<Index>(storage_.size())) {
      storage_.clear();  // what was there need not move
      storage_.resize(static_cast<std::size_t>(count));
    }
    size_ = count;
    return data();
  }
  /// The same as a view of rows [rows, features].
  RowsView<T> resize(Index rows, Index features) {
    return RowsView<T>(resize(rows * features), rows, features, features);
  }

  T* data() { return storage_.data(); }
  const T* data() const { return storage_.data(); }
  Index size() const { return size_; }
  std::span<T> values() { return {data(), static_cast<std::size_t>(size_)}; }
  std::span<const T> values() const { return {data(), static_cast<std::size_t>(size_)}; }
  RowsView<T> rows(Index features) { return RowsView<T>(data(), size_ / features, features, features); }
  ConstRowsView<T> rows(Index features) const { return ConstRowsView<T>(data(), size_ / features, features, features); }

 private:
  std::vector<T, detail::CacheLineAllocator<T>> storage_;
  Index size_ = 0;
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
