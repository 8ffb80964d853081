#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/attention/key_value_memory.hpp>

#include <array>
#include <concepts>

namespace eigenformer::inline EIGENFORMER_ABI {

struct KeyValueCacheOptions {
  Index batch = 1;
  Index capacity = 0;  ///< positions there is room for
  Index kv_heads = 0;
  Index head_dim = 0;
  Index value_dim = head_dim;
};

/// A cache whose keys and values are the same run of positions for every sequence of a batch.
template <class C, class T>
concept KeyValueStore = requires(C& cache, const C& unchanged, const ConstHeadsView<T>& heads, Index n) {
  cache.append(heads, heads);
  unchanged.require_room(n);
  { unchanged.length() } -> std::same_as<Index>;
  { unchanged.kept(n) } -> std::same_as<Index>;
  {std::span<const KeyValueSegment<T>>(unchanged.segments())};
  unchanged.options().kv_heads;
};

/// The keys and values of the positions so far, for generating step by step. It has room for a stated number of
/// positions and allocates nothing after it is made. A value: a copy goes its own way from there. Storage is what the
/// numbers are kept as, and attention widens what it reads: T; Bfloat16 or Float16, which take half the memory of float and
/// half the time to read; or Int8, which takes a quarter. `append` then rounds to nearest, ties to even. Of Int8 every head
/// of every position has a scale, and is off by at most 1/254 of its largest magnitude; one with a number that is not
/// finite becomes NaN altogether.
///   keys: [batch, length, kv_heads, head_dim]    values: [batch, length, kv_heads, value_dim]
///   throws OptionError for an option below 1 (capacity: 0), ShapeError for keys or values that do not fit, ValueError
///   for more positions than there is room for; what throws changes nothing
/// @code
/// ef::GroupedQueryAttention<float> attention({.dim = 64, .heads = 4, .kv_heads = 2}, ef::Random(42));
/// ef::KeyValueCache<float> cache = attention.key_value_cache(1, 16);  // one sequence, room for 16 positions
/// ef::Context context;
/// ef::Tensor<float, 3> token(1, 1, 64), y(1, 1, 64);
/// token.setZero();
/// attention.forward(token, y, ef::Causal{}, cache, context);  // cache.length() is 1 now
/// @endcode
template <class T, HeadStorageOf<T> Storage = T>
class KeyValueCache {
 public:
  explicit KeyValueCache(const KeyValueCacheOptions& chosen)
      : options_(checked(chosen)), memory_(chosen.batch, chosen.capacity, chosen) {}

  const KeyValueCacheOptions& options() const { return options_; }
  Index length() const { return length_; }
  Index capacity() const { return options_.capacity; }

  /// Adds positions after those already there.
  ///   keys: [batch, n, kv_heads, head_dim]    values: [batch, n, kv_heads, value_dim]
  void append(const ConstHeadsView<T>& keys, const ConstHeadsView<T>& values) {
    detail::require_keys_and_values(keys, values, options_.batch, options_, name);
    require_room(keys.length());
    memory_.write(keys, values, length_);
    length_ += keys.length();
  }
  /// Throws ValueError unless there is room for `count` more positions.
  void require_room(Index count) const {
    require<ValueError>(count <= options_.capacity - length_, name, "expected room for ", count,
                        " more positions, got a capacity of ", options_.capacity, " with ", length_, " in use");
  }
  void clear() { length_ = 0; }
  /// Forgets all but the first `count` positions.
  void truncate(Index count) {
    require<ValueError>(count >= 0 && count <= length_, name, "expected to keep 0 .. ", length_, " positions, got ",
                        count);
    length_ = count;
  }

  /// Sequence `to` becomes a copy of sequence `from`, as when one of several continuations is dropped for another.
  void copy_sequence(Index from, Index to) {
    require<ValueError>(from >= 0 && from < options_.batch && to >= 0 && to < options_.batch, name,
                        "expected sequences in 0 .. ", options_.batch - 1, ", got ", from, " and ", to);
    if (from != to) memory_.copy({from, 0}, {to, 0}, length_);
  }

  /// Positions that can be attended to, once there are `more`: all of them.
  Index kept(Index more = 0) const { return length_ + more; }
  /// What is there, to attend to.
  std::array<KeyValueSegment<T>, 1> segments() const { return {segment()}; }
  KeyValueSegment<T> segment() const { return memory_.segment(0, length_); }

 private:
  static constexpr std::string_view name = "KeyValueCache";

  static const KeyValueCacheOptions& checked(const KeyValueCacheOptions& chosen) {
    require_positive(chosen.batch, name, "batch");
    require<OptionError>(chosen.capacity >= 0, name, "expected capacity of at least 0, got ", chosen.capacity);
    detail::require_key_value_heads(chosen, name);
    return chosen;
  }

  KeyValueCacheOptions options_;
  detail::KeyValueMemory<T, Storage> memory_;
  Index length_ = 0;
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
