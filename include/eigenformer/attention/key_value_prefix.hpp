#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/attention/key_value.hpp>
#include <eigenformer/attention/mask.hpp>
#include <eigenformer/core/scratch.hpp>

#include <algorithm>
#include <array>
#include <string_view>

namespace eigenformer::inline EIGENFORMER_ABI {

/// Keys and values that stand before those of a sequence and are not made from it (Li & Liang 2021, "Prefix-Tuning", section
/// 4), the same for all sequences of a batch. They are read in place, as the first segment. No position turns them; the
/// sequence's own positions begin behind them, at P, as they do where a prefix is handed over as past keys and values.
/// Every query sees the whole prefix, whatever the mask, which knows only the sequence itself: its lengths, windows and
/// offsets are what they are without one. A position that adds to scores (Alibi, RelativeBias) takes the prefix for P
/// positions before the first.
///   throws ShapeError for another batch, heads or dims than attention's
template <class T>
struct KeyValuePrefix {
  ConstHeadsView<T> keys;    ///< [1, P, kv_heads, head_dim]
  ConstHeadsView<T> values;  ///< [1, P, kv_heads, value_dim]
};

/// The same of a batch in which every sequence has a prefix of its own, of any length, 0 as well, and stored as anything.
/// For inference: there is no gradient.
///   throws ShapeError for another number of prefixes than sequences, too; ValueError for prefixes that are not all as
///          long together with a position that adds to scores
template <class T>
struct KeyValuePrefixes {
  std::span<const KeyValueSegment<T>> prefixes;  ///< [B], each of a batch of 1
};

/// A prefix and where backward adds its gradients, summed over the batch.
template <class T>
struct TrainedPrefix {
  KeyValuePrefix<T> prefix;
  T* dkeys = nullptr;    ///< as the keys lie; null if it is not wanted
  T* dvalues = nullptr;  ///< as the values lie; null if it is not wanted
};

/// Nothing stands before the keys and values of a sequence.
struct NoPrefix {};

/// What may stand before the keys and values of a sequence.
template <class P, class T>
concept PrefixOf =
    std::same_as<P, NoPrefix> || std::same_as<P, KeyValuePrefix<T>> || std::same_as<P, KeyValuePrefixes<T>>;
/// What backward may be told of what stands there.
template <class P, class T>
concept GradientPrefixOf = std::same_as<P, NoPrefix> || std::same_as<P, TrainedPrefix<T>>;

namespace detail {

template <class Prefix>
inline constexpr bool has_prefix = !std::same_as<Prefix, NoPrefix>;

/// Positions before those of sequence b.
inline Index prefix_length(const NoPrefix&, Index) { return 0; }
template <class T>
Index prefix_length(const KeyValuePrefix<T>& prefix, Index) {
  return prefix.keys.length();
}
template <class T>
Index prefix_length(const KeyValuePrefixes<T>& own, Index b) {
  return own.prefixes[static_cast<std::size_t>(b)].keys.length();
}
template <class T>
Index prefix_length(const TrainedPrefix<T>& trained, Index) {
  return trained.prefix.keys.length();
}
/// Whether it is as long for every sequence.
template <class Prefix>
bool as_long_for_all(const Prefix& prefix, Index batch) {
  for (Index b = 1; b < batch; ++b) {
    if (prefix_length(prefix, b) != prefix_length(prefix, 0)) return false;
  }
  return true;
}

template <class Keys, class Values, class Options>
void require_prefix(const Keys& keys, const Values& values, const Options& o, std::string_view block) {
  require_shape({1, keys.length(), o.kv_heads, o.head_dim}, keys.shape(), block, "keys of a prefix");
  require_shape({1, keys.length(), o.kv_heads, o.value_dim}, values.shape(), block, "values of a prefix");
}
/// Throws unless it fits attention with these options.
template <class Options>
void require_prefix_of(const NoPrefix&, const Options&, Index, std::string_view) {}
template <class T, class Options>
void require_prefix_of(const KeyValuePrefix<T>& prefix, const Options& o, Index, std::string_view block) {
  require_prefix(prefix.keys, prefix.values, o, block);
}
template <class T, class Options>
void require_prefix_of(const KeyValuePrefixes<T>& own, const Options& o, Index batch, std::string_view block) {
  require(static_cast<Index>(own.prefixes.size()) == batch, block, "expected a prefix for each of ", batch,
          " sequences, got ", own.prefixes.size());
  for (const KeyValueSegment<T>& prefix : own.prefixes) require_prefix(prefix.keys, prefix.values, o, block);
}

template <class T, class Options>
void require_prefix_of(const TrainedPrefix<T>& trained, const Options& o, Index, std::string_view block) {
  require_prefix(trained.prefix.keys, trained.prefix.values, o, block);
}

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
    const std::uint64_t behind =
        detail::live_bits(*this->mask, this->own, batch, query, (std::max)(-before, Index(0)));
    return before > 0 ? low_bits(before) | behind << before : behind;
  }
};

/// Calls attend(segments, mask, extent) for a sequence and what stands before it.   extent: of the sequence alone
template <class T, AttentionMask Mask, class Prefix, class Attend>
void attend_behind(const Prefix& prefix, const SegmentList<T>& own, const Mask& mask, const AttentionExtent& extent,
                   ScratchScope& scope, const Attend& attend) {
  if constexpr (has_prefix<Prefix>) {
    AttentionExtent whole = extent;
    for (Index b = 0; b < extent.batch; ++b) {
      whole.keys = (std::max)(whole.keys, extent.keys + prefix_length(prefix, b));
    }
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
      add(gradients_.front().keys, prefix_.dkeys);
      add(gradients_.front().values, prefix_.dvalues);
    }
  }

 private:
  static constexpr std::size_t count = has_prefix<Prefix> ? 2 : 1;

  static HeadsView<T> of_sequences(const ConstHeadsView<T>& x, Index batch, ScratchScope& scope) {
    const Index size = batch * x.length() * x.heads() * x.head_dim();
    return {scope.take<T>(size), batch, x.length(), x.heads(), x.head_dim()};
  }
  static void add(const HeadsView<T>& of_sequences, T* sum) {
    if (sum == nullptr) return;
    const Index size = of_sequences.length() * of_sequences.length_stride();
    for (Index b = 0; b < of_sequences.batch(); ++b) {
      for (Index i = 0; i < size; ++i) sum[i] += of_sequences.data()[b * size + i];
    }
  }

  const Prefix& prefix_;
  std::array<KeyValueSegment<T>, count> segments_;
  std::array<KeyValueGradient<T>, count> gradients_;
};

}  // namespace detail
}  // namespace eigenformer::inline EIGENFORMER_ABI
