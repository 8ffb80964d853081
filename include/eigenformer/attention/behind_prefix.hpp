#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/attention/key_value_prefix.hpp>
#include <eigenformer/attention/mask.hpp>
#include <eigenformer/core/scratch.hpp>

#include <algorithm>
#include <array>

// How attention reads what stands behind a prefix: the segments, the mask, and what backward needs of both.

namespace eigenformer::inline EIGENFORMER_ABI::detail {

/// One sequence of a batch.
template <class Element, class T>
ConstHeadsView<Element> one_sequence(const Element* data, const StoredHeadsView<T>& x) {
  return {data, 1, x.length(), x.heads(), x.head_dim(), 0, x.length_stride(), x.head_stride()};
}
template <class T>
StoredHeadsView<T> one_sequence(const StoredHeadsView<T>& x, Index b) {
  switch (x.storage()) {
    case StoredAs::bfloat16: return one_sequence(x.template at<Bfloat16>(b, 0, 0), x);
    case StoredAs::float16: return one_sequence(x.template at<Float16>(b, 0, 0), x);
    case StoredAs::int8: {
      const ConstHeadsView<T>& s = x.scales();
      return QuantizedHeadsView<T>{
          one_sequence(x.template at<Int8>(b, 0, 0), x),
          {s.at(b, 0, 0), 1, s.length(), s.heads(), s.head_dim(), 0, s.length_stride(), s.head_stride()}};
    }
    case StoredAs::scalar: break;
  }
  return one_sequence(x.template at<T>(b, 0, 0), x);
}

/// The same heads for every sequence of a batch.
template <class T>
ConstHeadsView<T> for_all_sequences(const ConstHeadsView<T>& x, Index batch) {
  return {x.data(), batch, x.length(), x.heads(), x.head_dim(), 0, x.length_stride(), x.head_stride()};
}

template <class T>
KeyValueSegment<T> prefix_segment(const KeyValuePrefix<T>& prefix, Index) {
  return {prefix.keys, prefix.values};
}
template <class T>
KeyValueSegment<T> prefix_segment(const KeyValuePrefixes<T>& own, Index b) {
  return own.prefixes[static_cast<std::size_t>(b)];
}

/// Keys and values as attention takes them: those of a sequence are the segments from first_segment[b] on, or all are shared.
template <class T>
struct SegmentList {
  std::span<const KeyValueSegment<T>> segments;
  std::span<const Index> first_segment{};
};

/// The prefix and what it stands before; what is listed lies in scratch memory, keys and values stay where they are.
template <class T, class Prefix>
SegmentList<T> behind_prefix(const Prefix& prefix, const SegmentList<T>& own, Index batch, ScratchScope& scope) {
  const std::size_t count = own.segments.size();
  if constexpr (std::same_as<Prefix, KeyValuePrefix<T>>) {
    if (own.first_segment.empty()) {
      auto* const list = scope.take<KeyValueSegment<T>>(static_cast<Index>(count) + 1);
      list[0] = {for_all_sequences(prefix.keys, batch), for_all_sequences(prefix.values, batch)};
      std::copy(own.segments.begin(), own.segments.end(), list + 1);
      return {{list, count + 1}};
    }
  }
  const Index segments = static_cast<Index>(count) * (own.first_segment.empty() ? batch : 1) + batch;
  auto* const list = scope.take<KeyValueSegment<T>>(segments);
  Index* const first = scope.take<Index>(batch + 1);
  Index next = 0;
  for (Index b = 0; b < batch; ++b) {
    first[b] = next;
    list[next++] = prefix_segment(prefix, b);
    if (own.first_segment.empty()) {
      for (const auto& s : own.segments) list[next++] = {one_sequence(s.keys, b), one_sequence(s.values, b)};
    } else {
      for (const auto& s : segments_of(own.segments, own.first_segment, b)) list[next++] = s;
    }
  }
  first[batch] = next;
  return {{list, static_cast<std::size_t>(next)}, {first, static_cast<std::size_t>(batch) + 1}};
}

/// Keys of the longest sequence.
inline Index most_keys(std::span<const Index> lengths) {
  Index most = 0;
  for (const Index length : lengths) most = (std::max)(most, length);
  return most;
}

/// A mask behind a prefix, if the keys of every query are one run.
template <AttentionMask Mask, class Prefix>
struct BehindPrefix {
  const Mask* mask;
  const Prefix* prefix;
  AttentionExtent own;  ///< without the prefix

  void check(const AttentionExtent&) const {}
  KeyRange live_keys(const AttentionExtent&, Index batch, Index query) const {
    const Index before = prefix_length(*prefix, batch);
    const KeyRange run = own_keys(batch, query);
    if (run.first >= run.last) return {0, before};
    return {before == 0 ? run.first : 0, before + run.last};
  }
  /// Whether there is a gap between the prefix and the keys of some query.
  bool leaves_gaps() const {
    for (Index b = 0; b < own.batch; ++b) {
      if (prefix_length(*prefix, b) == 0) continue;
      for (Index s = 0; s < own.queries; ++s) {
        const KeyRange run = own_keys(b, s);
        if (run.first > 0 && run.first < run.last) return true;
      }
    }
    return false;
  }

 private:
  KeyRange own_keys(Index batch, Index query) const {
    const KeyRange run = mask->live_keys(own, batch, query);
    return {(std::max)(run.first, Index(0)), (std::min)(run.last, own.keys)};
  }
};
/// A mask behind a prefix, whatever it says.
template <AttentionMask Mask, class Prefix>
struct PatternBehindPrefix : BehindPrefix<Mask, Prefix> {
  std::uint64_t live_bits(const AttentionExtent&, Index batch, Index query, Index first) const {
    const Index before = prefix_length(*this->prefix, batch) - first;
    if (before >= 64) return ~std::uint64_t(0);
    const std::uint64_t behind = detail::live_bits(*this->mask, this->own, batch, query, (std::max)(-before, Index(0)));
    return before > 0 ? low_bits(before) | behind << before : behind;
  }
};

/// Calls attend(segments, mask, extent) for a sequence and what stands before it.   extent: of the sequence alone
template <class T, AttentionMask Mask, class Prefix, class Attend>
void attend_behind(const Prefix& prefix, const SegmentList<T>& own, const Mask& mask, const AttentionExtent& extent,
                   ScratchScope& scope, const Attend& attend) {
  if constexpr (has_prefix<Prefix>) {
    const AttentionExtent whole{extent.batch, extent.queries, extent.keys + longest_prefix(prefix)};
    const SegmentList<T> list = behind_prefix<T>(prefix, own, extent.batch, scope);
    const PatternBehindPrefix<Mask, Prefix> behind{{&mask, &prefix, extent}};
    if (PatternMask<Mask> || behind.leaves_gaps()) return attend(list, behind, whole);
    attend(list, static_cast<const BehindPrefix<Mask, Prefix>&>(behind), whole);
  } else {
    attend(own, mask, extent);
  }
}

/// What backward reads and writes: keys and values behind a prefix.
template <class T, class Prefix>
class PrefixBackward {
 public:
  PrefixBackward(const Prefix& prefix, const KeyValueSegment<T>& own, const KeyValueGradient<T>& gradient,
                 ScratchScope& scope)
      : prefix_(prefix) {
    segments_.back() = own;
    gradients_.back() = gradient;
    if constexpr (count == 2) {
      const Index batch = own.keys.batch();
      const auto& [keys, values] = prefix.prefix;
      segments_.front() = {for_all_sequences(keys, batch), for_all_sequences(values, batch)};
      // Of each sequence, so that the sum has one order whatever the threads.
      gradients_.front() = {of_sequences(keys, batch, scope), of_sequences(values, batch, scope)};
    }
  }

  SegmentList<T> list() const { return {segments_}; }
  std::span<const KeyValueGradient<T>> gradients() const { return gradients_; }
  void add_prefix_gradients() const {
    if constexpr (count == 2) {
      add(gradients_.front().keys, prefix_.keys);
      add(gradients_.front().values, prefix_.values);
    }
  }

 private:
  static constexpr std::size_t count = has_prefix<Prefix> ? 2 : 1;

  static HeadsView<T> of_sequences(const ConstHeadsView<T>& x, Index batch, ScratchScope& scope) {
    const Index size = batch * x.length() * x.heads() * x.head_dim();
    return {scope.take<T>(size), batch, x.length(), x.heads(), x.head_dim()};
  }
  static void add(const HeadsView<T>& of_sequences, Parameter<T, 3>& parameter) {
    if (!parameter.trainable) return;
    T* const sum = parameter.accumulated_gradient().data();
    const Index size = of_sequences.length() * of_sequences.length_stride();
    for (Index b = 0; b < of_sequences.batch(); ++b) {
      for (Index i = 0; i < size; ++i) sum[i] += of_sequences.data()[b * size + i];
    }
  }

  const Prefix& prefix_;
  std::array<KeyValueSegment<T>, count> segments_;
  std::array<KeyValueGradient<T>, count> gradients_;
};

}  // namespace eigenformer::inline EIGENFORMER_ABI::detail
