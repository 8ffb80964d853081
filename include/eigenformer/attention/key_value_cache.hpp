#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/attention/key_value.hpp>
#include <eigenformer/core/buffer.hpp>

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

namespace detail {

/// Copies heads into what they are stored as, rounding to nearest, ties to even.
template <class T, class Storage>
void store(const ConstHeadsView<T>& from, const HeadsView<Storage>& to) {
  for (Index b = 0; b < from.batch(); ++b) {
    for (Index l = 0; l < from.length(); ++l) {
      for (Index h = 0; h < from.heads(); ++h) {
        std::transform(from.at(b, l, h), from.at(b, l, h) + from.head_dim(), to.at(b, l, h),
                       [](T x) { return rounded<Storage>(x); });
      }
    }
  }
}

}  // namespace detail

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
/// numbers are kept as: T, or Bfloat16 or Float16, which take half the memory and half the time to read; `append` then
/// rounds to nearest, ties to even, and attention widens what it reads.
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
template <class T, StorageOf<T> Storage = T>
class KeyValueCache {
 public:
  explicit KeyValueCache(const KeyValueCacheOptions& chosen) : options_(checked(chosen)) {
    keys_.resize(options_.batch * options_.capacity * options_.kv_heads * options_.head_dim);
    values_.resize(options_.batch * options_.capacity * options_.kv_heads * options_.value_dim);
  }

  const KeyValueCacheOptions& options() const { return options_; }
  Index length() const { return length_; }
  Index capacity() const { return options_.capacity; }

  /// Adds positions after those already there.
  ///   keys: [batch, n, kv_heads, head_dim]    values: [batch, n, kv_heads, value_dim]
  void append(const ConstHeadsView<T>& keys, const ConstHeadsView<T>& values) {
    const KeyValueCacheOptions& o = options_;
    require_shape({o.batch, keys.length(), o.kv_heads, o.head_dim}, keys.shape(), "KeyValueCache", "keys");
    require_shape({o.batch, keys.length(), o.kv_heads, o.value_dim}, values.shape(), "KeyValueCache", "values");
    require_room(keys.length());
    detail::store(keys, storage(keys_.data(), o.head_dim).positions(length_, keys.length()));
    detail::store(values, storage(values_.data(), o.value_dim).positions(length_, keys.length()));
    length_ += keys.length();
  }
  /// Throws ValueError unless there is room for `count` more positions.
  void require_room(Index count) const {
    require<ValueError>(count <= options_.capacity - length_, "KeyValueCache", "expected room for ", count,
                        " more positions, got a capacity of ", options_.capacity, " with ", length_, " in use");
  }
  void clear() { length_ = 0; }
  /// Forgets all but the first `count` positions.
  void truncate(Index count) {
    require<ValueError>(count >= 0 && count <= length_, "KeyValueCache", "expected to keep 0 .. ", length_,
                        " positions, got ", count);
    length_ = count;
  }

  /// Sequence `to` becomes a copy of sequence `from`, as when one of several continuations is dropped for another.
  void copy_sequence(Index from, Index to) {
    require<ValueError>(from >= 0 && from < options_.batch && to >= 0 && to < options_.batch, "KeyValueCache",
                        "expected sequences in 0 .. ", options_.batch - 1, ", got ", from, " and ", to);
    const auto copy_of = [&](Storage* data, Index row) {
      if (from != to)
        std::copy_n(data + from * options_.capacity * row, length_ * row, data + to * options_.capacity * row);
    };
    copy_of(keys_.data(), options_.kv_heads * options_.head_dim);
    copy_of(values_.data(), options_.kv_heads * options_.value_dim);
  }

  /// Positions that can be attended to, once there are `more`: all of them.
  Index kept(Index more = 0) const { return length_ + more; }
  /// What is there, to attend to.
  std::array<KeyValueSegment<T>, 1> segments() const { return {segment()}; }
  KeyValueSegment<T> segment() const {
    const ConstHeadsView<Storage> keys = storage(keys_.data(), options_.head_dim);
    const ConstHeadsView<Storage> values = storage(values_.data(), options_.value_dim);
    return {keys.positions(0, length_), values.positions(0, length_)};
  }

 private:
  HeadsView<Storage> storage(Storage* data, Index dim) const {
    return {data, options_.batch, options_.capacity, options_.kv_heads, dim};
  }
  ConstHeadsView<Storage> storage(const Storage* data, Index dim) const {
    return {data, options_.batch, options_.capacity, options_.kv_heads, dim};
  }
  static const KeyValueCacheOptions& checked(const KeyValueCacheOptions& chosen) {
    require_positive(chosen.batch, "KeyValueCache", "batch");
    require<OptionError>(chosen.capacity >= 0, "KeyValueCache", "expected capacity of at least 0, got ",
                         chosen.capacity);
    require_positive(chosen.kv_heads, "KeyValueCache", "kv_heads");
    require_positive(chosen.head_dim, "KeyValueCache", "head_dim");
    require_positive(chosen.value_dim, "KeyValueCache", "value_dim");
    return chosen;
  }

  KeyValueCacheOptions options_;
  Buffer<Storage> keys_;
  Buffer<Storage> values_;
  Index length_ = 0;
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
