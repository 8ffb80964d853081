#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/attention/attention_parts.hpp>
#include <eigenformer/attention/behind_prefix.hpp>
#include <eigenformer/attention/key_value_cache.hpp>
#include <eigenformer/attention/paged_sequences.hpp>
#include <eigenformer/attention/ragged.hpp>
#include <eigenformer/core/context.hpp>

#include <utility>

namespace eigenformer::inline EIGENFORMER_ABI {

/// The part of an attention that goes step by step: the calls that go on from what a key/value cache holds, and append to
/// it. A prefix is read where it lies and takes no room there. What throws leaves the cache as it was.
template <class Derived, class T>
class AttentionSteps {
 public:
  /// Self-attention of positions that follow those in a key/value cache, which it appends to: a whole prompt, a part of one, or
  /// a single token; y is what one forward of all positions gives for these, with keys and values rounded to what the
  /// cache stores.   x, y: [B, S, dim]
  template <AttentionMask Mask, KeyValueStore<T> Store>
  void forward(ConstTensorView<T, 3> x, TensorView<T, 3> y, const Mask& mask, Store& key_values,
               Context& context) const {
    forward(x, y, mask, key_values, NoPrefix{}, context);
  }
  template <AttentionMask Mask, KeyValueStore<T> Store, PrefixOf<T> Prefix>
  void forward(ConstTensorView<T, 3> x, TensorView<T, 3> y, const Mask& mask, Store& key_values, const Prefix& prefix,
               Context& context) const {
    const AttentionExtent extent = self().check(x.shape(), x.shape(), y.shape(), "y");
    const Index before = key_values.length();
    const auto& o = key_values.options();
    detail::require_stored_like(self(), {o.batch, o.kv_heads, o.head_dim, o.value_dim}, extent.batch);
    key_values.require_room(extent.queries);
    self().check_prefix(prefix, extent.batch);
    const AttentionExtent together{extent.batch, extent.queries, key_values.kept(extent.queries)};
    mask.check(together);
    const ProfileScope profile(context, Derived::block);
    ScratchScope scope(context.scratch());
    const auto h = self().heads(extent, scope);
    self().project(x, x, h, context);
    self().turn(h, prefix, before, context);
    key_values.append(h.keys, h.values);
    const auto segments = key_values.segments();
    self().attend(prefix, h, {segments}, mask, together, scope, context);
    self().finish(h.results, y, scope, context);
  }

  /// The same of several sequences of different length in a paged cache: row b of the batch follows sequence
  /// sequences[b], and the mask sees each as if it were alone.   x, y: [B, S, dim]    sequences: [B]
  template <AttentionMask Mask, class Storage>
  void forward(ConstTensorView<T, 3> x, TensorView<T, 3> y, const Mask& mask,
               PagedKeyValueCache<T, Storage>& key_values, std::span<const Index> sequences, Context& context) const {
    forward(x, y, mask, PagedSequences<T, Storage>{key_values, sequences}, NoPrefix{}, context);
  }
  template <AttentionMask Mask, class Storage>
  void forward(ConstTensorView<T, 3> x, TensorView<T, 3> y, const Mask& mask,
               const PagedSequences<T, Storage>& key_values, Context& context) const {
    forward(x, y, mask, key_values, NoPrefix{}, context);
  }
  template <AttentionMask Mask, class Storage, PrefixOf<T> Prefix>
  void forward(ConstTensorView<T, 3> x, TensorView<T, 3> y, const Mask& mask, const PagedSequences<T, Storage>& paged,
               const Prefix& prefix, Context& context) const {
    static_assert(!detail::HasDistanceBiases<decltype(std::declval<const Derived&>().position), T>,
                  "attention: positions that add to scores need sequences of the same length");
    const AttentionExtent extent = self().check(x.shape(), x.shape(), y.shape(), "y");
    const auto& [key_values, sequences] = paged;
    const PagedKeyValueCacheOptions& o = key_values.options();
    require_shape({extent.batch}, {static_cast<Index>(sequences.size())}, Derived::block, "sequences");
    detail::require_stored_like(self(), {extent.batch, o.kv_heads, o.head_dim, o.value_dim}, extent.batch);
    key_values.require_room(sequences, extent.queries);
    self().check_prefix(prefix, extent.batch);
    for (const Index sequence : sequences) {
      mask.check({extent.batch, extent.queries, key_values.length(sequence) + extent.queries});
    }
    const ProfileScope profile(context, Derived::block);
    ScratchScope scope(context.scratch());
    const auto h = self().heads(extent, scope);
    self().project(x, x, h, context);
    const auto start = [&](Index b) { return paged.cache.length(paged.sequences[static_cast<std::size_t>(b)]); };
    self().turn(h, prefix, start, context);
    key_values.append(sequences, h.keys, h.values);
    const PagedSelection<T>& there = key_values.select(sequences);
    const AttentionExtent together{extent.batch, extent.queries, detail::most_keys(there.lengths)};
    self().attend(prefix, h, {there.segments, there.first_segment}, Ragged<Mask>{there.lengths, mask}, together, scope,
                  context);
    self().finish(h.results, y, scope, context);
  }

 private:
  const Derived& self() const { return static_cast<const Derived&>(*this); }
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
