#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/attention/key_value_cache.hpp>
#include <eigenformer/core/context.hpp>
#include <eigenformer/core/tokens.hpp>

#include <vector>

namespace eigenformer::inline EIGENFORMER_ABI {

/// The part of a Decoder that goes step by step: its caches, and the calls that go on from what they hold. Whatever
/// throws leaves all caches as they were.
template <class Model, class T>
class DecoderSteps {
 public:
  /// One cache for each layer, stored as T or in half precision.
  template <class Stored>
  using KeyValuesOf = std::vector<KeyValueCache<T, Stored>>;
  /// The same stored as T.
  using KeyValues = KeyValuesOf<T>;

  /// Empty caches with room for `capacity` positions of `batch` sequences, stored as T unless told otherwise:
  /// `key_values<Bfloat16>(1, 4096)` takes half the memory, and half the time to read.
  template <StorageOf<T> Stored = T>
  KeyValuesOf<Stored> key_values(Index batch, Index capacity) const {
    KeyValuesOf<Stored> result;
    for (const auto& layer : self().layers.layers) {
      result.push_back(layer.attention.template key_value_cache<Stored>(batch, capacity));
    }
    return result;
  }

  /// Tokens that follow those in the caches, which they are added to.
  template <class Stored>
  void forward(TokensView tokens, RowsView<T> logits, KeyValuesOf<Stored>& key_values, Context& context) const {
    self().check(tokens, logits, tokens.size());
    ScratchScope scope(context.scratch());
    self().project(run(tokens, key_values, scope, context), logits, context, nullptr);
  }
  /// The same with the logits of the last token alone.   logits: [B, vocabulary]
  template <class Stored>
  void next_logits(TokensView tokens, RowsView<T> logits, KeyValuesOf<Stored>& key_values, Context& context) const {
    const std::array<Index, 3> extents = self().extents_of(tokens);
    require(extents[1] > 0, "Decoder", "expected at least one token, got shape ", tokens.shape());
    self().check(tokens, logits, extents[0]);
    ScratchScope scope(context.scratch());
    const TensorView<T, 3> h = run(tokens, key_values, scope, context);
    const Index sequence = extents[1] * extents[2];
    self().project({h.data() + sequence - extents[2], extents[0], extents[2], sequence}, logits, context, nullptr);
  }

 private:
  const Model& self() const { return static_cast<const Model&>(*this); }

  /// What the output projection reads, in scratch memory of the caller's scope.
  template <class Stored>
  TensorView<T, 3> run(TokensView tokens, KeyValuesOf<Stored>& key_values, ScratchScope& scope,
                       Context& context) const {
    const ProfileScope profile(context, "Decoder");
    const std::array<Index, 3> extents = self().extents_of(tokens);
    require(key_values.size() == self().layers.layers.size(), "Decoder", "expected a key/value cache for each of ",
            self().layers.layers.size(), " layers, got ", key_values.size());
    const Index before = key_values.empty() ? 0 : key_values.front().length();
    for (const auto& layer : key_values) {
      require<ValueError>(layer.length() == before, "Decoder", "expected key/value caches of the same length, got ",
                          before, " and ", layer.length());
      layer.require_room(extents[1]);
    }
    self().masks.check({extents[0], extents[1], before + extents[1]});
    const TensorView<T, 3> h(scope.take<T>(tokens.size() * extents[2]), extents);
    const TensorView<T, 3> y(scope.take<T>(tokens.size() * extents[2]), extents);
    self().embed(tokens, h, before, context, nullptr);
    self().layers.forward(h, y, self().masks, key_values, context);
    self().norm.forward(y, h, context);
    return h;
  }
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
