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
/// counted from the beginning of the sequence, as rotary positions want them. Storage is as KeyValueCache has it.
///   keys: [batch, n, kv_heads, head_dim]    values: [batch, n, kv_heads, value_dim], n up to chunk
///   throws OptionError for an option below 1, ShapeError for keys or values that do not fit, ValueError for more positions
///   than chunk; what throws changes nothing
template <class T, HeadStorageOf<T> Storage = T>
class RollingKeyValueCache {
 public:
  explicit RollingKeyValueCache(const RollingKeyValueCacheOptions& chosen)
      : options_(checked(chosen)), memory_(chosen.batch, capacity(), chosen) {}

  const RollingKeyValueCacheOptions& options() const { return options_; }
  /// Positions so far.
  Index length() const { return length_; }
  /// Positions that can be attended to, once there are `more`: the last ones.
  Index kept(Index more = 0) const { return (std::min)(length_ + more, capacity()); }
  Index capacity() const { return options_.window + options_.chunk - 1; }

  /// Adds positions after those already there, in the place of the oldest if need be.
  void append(const ConstHeadsView<T>& keys, const ConstHeadsView<T>& values) {
    detail::require_keys_and_values(keys, values, options_.batch, options_, name);
    require_room(keys.length());
    for (Index done = 0; done < keys.length();) {
      const Index at = length_ % capacity();
      const Index count = (std::min)(keys.length() - done, capacity() - at);
      memory_.write(keys.positions(done, count), values.positions(done, count), at);
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
    return {memory_.segment(begin, kept() - begin), memory_.segment(0, begin)};
  }

 private:
  static constexpr std::string_view name = "RollingKeyValueCache";

  static const RollingKeyValueCacheOptions& checked(const RollingKeyValueCacheOptions& chosen) {
    require_positive(chosen.batch, name, "batch");
    require_positive(chosen.window, name, "window");
    require_positive(chosen.chunk, name, "chunk");
    detail::require_key_value_heads(chosen, name);
    return chosen;
  }

  RollingKeyValueCacheOptions options_;
  detail::KeyValueMemory<T, Storage> memory_;
  Index length_ = 0;
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
