#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/attention/key_value.hpp>
#include <eigenformer/core/buffer.hpp>

#include <algorithm>
#include <string_view>
#include <type_traits>

namespace eigenformer::inline EIGENFORMER_ABI::detail {

/// Throws OptionError, in the name of the cache, unless there are heads to keep.
template <class Options>
void require_key_value_heads(const Options& o, std::string_view cache) {
  require_positive(o.kv_heads, cache, "kv_heads");
  require_positive(o.head_dim, cache, "head_dim");
  require_positive(o.value_dim, cache, "value_dim");
}

/// Throws ShapeError, in the name of the cache, unless these are keys and values of as many positions for it.
template <class T, class Options>
void require_keys_and_values(const ConstHeadsView<T>& keys, const ConstHeadsView<T>& values, Index batch,
                             const Options& o, std::string_view cache) {
  require_shape({batch, keys.length(), o.kv_heads, o.head_dim}, keys.shape(), cache, "keys");
  require_shape({batch, keys.length(), o.kv_heads, o.value_dim}, values.shape(), cache, "values");
}

/// A position of one of several sequences.
struct KeyValuePlace {
  Index sequence = 0;
  Index position = 0;
};

/// Keys, or values, in memory that is taken once, as what they are stored as: [batch, positions, heads, dim]. Half
/// precision is rounded to nearest, ties to even; Int8 has a scale for each head of each position, because keys differ in
/// magnitude from head to head more than within one, and because a position that is added then never changes another.
template <class T, HeadStorageOf<T> Storage>
class HeadMemory {
 public:
  HeadMemory(Index batch, Index positions, Index heads, Index dim)
      : batch_(batch), positions_(positions), heads_(heads), dim_(dim) {
    numbers_.resize(batch * positions * heads * dim);
    if (quantized) scales_.resize(batch * positions * heads);
  }

  /// Writes positions from one on.   x: [batch, n, heads, dim]
  void write(const ConstHeadsView<T>& x, Index first) {
    for (Index b = 0; b < x.batch(); ++b) {
      for (Index l = 0; l < x.length(); ++l) {
        for (Index h = 0; h < heads_; ++h) write_head(x.at(b, l, h), head({b, first + l}) + h);
      }
    }
  }
  /// Copies positions, which lie apart.
  void copy(KeyValuePlace from, KeyValuePlace to, Index count) {
    const auto copy_in = [&](auto* data, Index size) {
      std::copy_n(data + head(from) * size, count * heads_ * size, data + head(to) * size);
    };
    copy_in(numbers_.data(), dim_);
    if (quantized) copy_in(scales_.data(), 1);
  }
  /// Some positions, to read.
  StoredHeadsView<T> view(Index first, Index count) const {
    const ConstHeadsView<Storage> numbers(numbers_.data(), batch_, positions_, heads_, dim_);
    if constexpr (quantized) {
      const ConstHeadsView<T> scales(scales_.data(), batch_, positions_, heads_, 1);
      return QuantizedHeadsView<T>{numbers.positions(first, count), scales.positions(first, count)};
    } else {
      return numbers.positions(first, count);
    }
  }

 private:
  static constexpr bool quantized = std::is_same_v<Storage, Int8>;

  /// Which of all heads is the first of a position.
  Index head(KeyValuePlace at) const { return (at.sequence * positions_ + at.position) * heads_; }
  void write_head(const T* x, Index head) {
    Storage* const to = numbers_.data() + head * dim_;
    if constexpr (quantized) {
      scales_.data()[head] = quantize(x, dim_, to);
    } else {
      std::transform(x, x + dim_, to, [](T number) { return rounded<Storage>(number); });
    }
  }

  Index batch_;
  Index positions_;
  Index heads_;
  Index dim_;
  Buffer<Storage> numbers_;
  Buffer<T> scales_;  ///< of Int8: [batch, positions, heads]
};

/// The memory of a key/value cache.
template <class T, HeadStorageOf<T> Storage>
struct KeyValueMemory {
  template <class Options>
  KeyValueMemory(Index batch, Index positions, const Options& o)
      : keys(batch, positions, o.kv_heads, o.head_dim), values(batch, positions, o.kv_heads, o.value_dim) {}

  void write(const ConstHeadsView<T>& new_keys, const ConstHeadsView<T>& new_values, Index first) {
    keys.write(new_keys, first);
    values.write(new_values, first);
  }
  void copy(KeyValuePlace from, KeyValuePlace to, Index count) {
    keys.copy(from, to, count);
    values.copy(from, to, count);
  }
  KeyValueSegment<T> segment(Index first, Index count) const {
    return {keys.view(first, count), values.view(first, count)};
  }

  HeadMemory<T, Storage> keys;
  HeadMemory<T, Storage> values;
};

}  // namespace eigenformer::inline EIGENFORMER_ABI::detail
