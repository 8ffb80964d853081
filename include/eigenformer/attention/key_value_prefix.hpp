#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/attention/key_value.hpp>
#include <eigenformer/core/parameter.hpp>

#include <algorithm>
#include <concepts>
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

/// A prefix and the parameters that backward adds its gradients to, summed over the batch, if they are trained.
template <class T>
struct TrainedPrefix {
  KeyValuePrefix<T> prefix;  ///< as forward had it
  Parameter<T, 3>& keys;     ///< [P, kv_heads, head_dim]
  Parameter<T, 3>& values;   ///< [P, kv_heads, value_dim]
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
/// Positions of the longest one, for a batch of none as well.
template <class T>
Index longest_prefix(const KeyValuePrefix<T>& prefix) {
  return prefix.keys.length();
}
template <class T>
Index longest_prefix(const KeyValuePrefixes<T>& own) {
  Index longest = 0;
  for (const KeyValueSegment<T>& prefix : own.prefixes) longest = (std::max)(longest, prefix.keys.length());
  return longest;
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

}  // namespace detail
}  // namespace eigenformer::inline EIGENFORMER_ABI
