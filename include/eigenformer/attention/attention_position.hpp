#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/attention/mask.hpp>
#include <eigenformer/attention/score_bias.hpp>
#include <eigenformer/core/context.hpp>
#include <eigenformer/core/random.hpp>
#include <eigenformer/core/scratch.hpp>
#include <eigenformer/position/rotary.hpp>

#include <algorithm>
#include <type_traits>

namespace eigenformer::inline EIGENFORMER_ABI::detail {

// What attention asks of its position, which may turn queries and keys, add to the scores, or do nothing.

/// The position that attention's options describe; the heads, head_dim and rotary_dim of these are filled in where 0.
template <class Position, class Options>
Position make_position(Options& options, [[maybe_unused]] Random& random) {
  using Chosen = std::remove_reference_t<decltype(options.position)>;
  if constexpr (requires { options.position.heads; }) {
    if (options.position.heads == 0) options.position.heads = options.heads;
  }
  if constexpr (std::is_constructible_v<Position, RotaryOptions>) {
    if (options.position.head_dim == 0) options.position.head_dim = options.head_dim;
    if (options.position.rotary_dim == 0) options.position.rotary_dim = options.head_dim;
    return Position(options.position);
  } else if constexpr (std::is_constructible_v<Position, Chosen, Random>) {
    return Position(options.position, random.split());
  } else if constexpr (std::is_constructible_v<Position, Chosen>) {
    return Position(options.position);
  } else {
    return Position();
  }
}

/// Gives queries or keys their positions, which begin at start(b) in sequence b.
template <class T, class Position, class Start>
void apply_positions(const Position& position, const HeadsView<T>& x, const Start& start, Context& context) {
  bool same = true;
  for (Index b = 1; b < x.batch(); ++b) same = same && start(b) == start(0);
  if (same) {
    if (x.batch() > 0) position.apply(x, start(0), context);
    return;
  }
  for (Index b = 0; b < x.batch(); ++b) {
    position.apply(HeadsView<T>(x.at(b, 0, 0), 1, x.length(), x.heads(), x.head_dim()), start(b), context);
  }
}

/// Distances between a query and a key.
inline Index distance_count(const AttentionExtent& e) { return (std::max)(e.queries + e.keys - 1, Index(0)); }

/// What the position adds to scores, in scratch memory; nothing for one that does not.
template <class T, class Position>
ScoreBias<T> distance_biases([[maybe_unused]] const Position& position, [[maybe_unused]] Index heads,
                             [[maybe_unused]] const AttentionExtent& extent, [[maybe_unused]] ScratchScope& scope) {
  if constexpr (HasDistanceBiases<Position, T>) {
    T* const biases = scope.take<T>(heads * distance_count(extent));
    position.distance_biases(1 - extent.keys, distance_count(extent), biases);
    return ScoreBias<T>::by_distance(biases, heads, extent.queries, extent.keys);
  } else {
    return {};
  }
}

/// Room for the gradient of what the position adds to scores, or null if that is not trained.
template <class T, class Position>
T* distance_gradients([[maybe_unused]] const Position& position, [[maybe_unused]] Index heads,
                      [[maybe_unused]] const AttentionExtent& extent, [[maybe_unused]] ScratchScope& scope) {
  if constexpr (LearnsDistanceBiases<Position, T>) {
    if (position.weight.trainable) return scope.take<T>(distance_count(extent) * heads);
  }
  return nullptr;
}
/// Adds it to the position's own; nothing if null.
template <class T, class Position>
void distance_biases_backward([[maybe_unused]] Position& position, [[maybe_unused]] const AttentionExtent& extent,
                              [[maybe_unused]] const T* dbiases) {
  if constexpr (LearnsDistanceBiases<Position, T>) {
    if (dbiases) position.distance_biases_backward(1 - extent.keys, distance_count(extent), dbiases);
  }
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::detail
