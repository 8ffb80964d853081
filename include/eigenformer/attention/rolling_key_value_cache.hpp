#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/attention/key_value_cache.hpp>

namespace eigenformer::inline EIGENFORMER_ABI {

struct RollingKeyValueCacheOptions {
  Index batch = 1;
  Index window = 0;  ///< positions that a query attends to, its own among them
  Index chunk = 1;   ///< most positions that are added at once
  Index kv_heads = 0;
  Index head_dim = 0;
  Index value_dim = head_dim;
};

/// A key/value cache for attention with a window (Beltagy et al. 2020, "Longformer"; Jiang et al. 2023, "Mistral 7B",
/// section 2): it keeps the last window + chunk - 1 positions and writes over older ones, so that memory and time per
/// token stay the same however long the sequence grows. To be used with SlidingWindow{window - 1, 0}. Positions are
/// counted from the beginning of the sequence, as rotary positions want them.
///   keys: [batch, n, kv_heads, head_dim]    values: [batch, n, kv_heads, value_dim], n up to chunk
///   throws OptionError for an option below 1, ShapeError for keys or values that do not fit, ValueError for more positions
///   than chunk; what throws changes nothing
template <class T, StorageOf<T> Storage = T>
class RollingKeyValueCache {
 public:
  explicit RollingKeyValueCache(const RollingKeyValueCacheOptions& chosen) : options_(checked(chosen)) {
    keys_.resize(options_.batch * capacity() * options_.kv_heads * options_.head_dim);
    values_.resize(options_.batch * capacity() * options_.kv_heads * options_.value_dim);
  }

  const RollingKeyValueCacheOptions& options() const { return options_; }
  /// Positions so far.
  Index length() const { return length_; }
  /// Positions that can be attended to, once there are `more`: the last ones.
  Index kept(Index more = 0) const { return (std::min)(length_ + more, capacity()); }
  Index capacity() const { return options_.window + options_.chunk - 1; }

  /// Adds positions after those already there, in the place of the oldest if need be.
  void append(const ConstHeadsView<T>& keys, const ConstHeadsView<T>& values) {
    const RollingKeyValueCacheOptions& o = options_;
    require_shape({o.batch, keys.length(), o.kv_heads, o.head_dim}, keys.shape(), name, "keys");
    require_shape({o.batch, keys.length(), o.kv_heads, o.value_dim}, values.shape(), name, "values");
    require_room(keys.length());
    for (Index done = 0; done < keys.length();) {
      const Index at = length_ % capacity();
      const Index count = (std::min)(keys.length() - done, capacity() - at);
      detail::store(keys.positions(done, count), storage(keys_.data(), o.head_dim).positions(at, count));
      detail::store(values.positions(done, count), storage(values_.data(), o.value_dim).positions(at, count));
      done += count;
      length_ += count;
    }
  }
  /// Throws ValueError for more positions than the cache takes at once.
  void require_room(Index count) const {
    require<ValueError>(count <= options_.chunk, name, "expected at most ", options_.chunk, " positions at once, got ",
                        count);
  }
  void clear() { length_ = 0; }

  /// What is there, to attend to: the older positions and those that came after the memory's end was reached.
  std::array<KeyValueSegment<T>, 2> segments() const {
    const Index begin = length_ <= capacity() ? 0 : length_ % capacity();
    return {segment(begin, kept() - begin), segment(0, begin)};
  }

 private:
  static constexpr std::string_view name = "RollingKeyValueCache";

  KeyValueSegment<T> segment(Index first, Index count) const {
    return {storage(keys_.data(), options_.head_dim).positions(first, count),
            storage(values_.data(), options_.value_dim).positions(first, count)};
  }
  HeadsView<Storage> storage(Storage* data, Index dim) const {
    return {data, options_.batch, capacity(), options_.kv_heads, dim};
  }
  ConstHeadsView<Storage> storage(const Storage* data, Index dim) const {
    return {data, options_.batch, capacity(), options_.kv_heads, dim};
  }
  static const RollingKeyValueCacheOptions& checked(const RollingKeyValueCacheOptions& chosen) {
    require_positive(chosen.batch, name, "batch");
    require_positive(chosen.window, name, "window");
    require_positive(chosen.chunk, name, "chunk");
    require_positive(chosen.kv_heads, name, "kv_heads");
    require_positive(chosen.head_dim, name, "head_dim");
    require_positive(chosen.value_dim, name, "value_dim");
    return chosen;
  }

  RollingKeyValueCacheOptions options_;
  Buffer<Storage> keys_;
  Buffer<Storage> values_;
  Index length_ = 0;
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
