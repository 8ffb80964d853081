#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/check.hpp>
#include <eigenformer/kernels/attention_problem.hpp>

namespace eigenformer::inline EIGENFORMER_ABI {

/// Where the gradients of one KeyValueSegment go: views of the same shapes.
template <class T>
struct KeyValueGradient {
  HeadsView<T> keys;
  HeadsView<T> values;
};

/// Number of keys of all segments together; masks count keys through them in order.
template <class T>
Index key_count(std::span<const KeyValueSegment<T>> segments) {
  Index count = 0;
  for (const KeyValueSegment<T>& segment : segments) count += segment.keys.length();
  return count;
}

/// Throws ShapeError unless each segment's keys and values fit each other and the first segment.
template <class T>
void require_segments(std::span<const KeyValueSegment<T>> segments, Index batch, Index key_dim) {
  require(!segments.empty(), "attention", "expected at least one key/value segment, got none");
  const Index kv_heads = segments.front().keys.heads();
  const Index value_dim = segments.front().values.head_dim();
  for (const KeyValueSegment<T>& segment : segments) {
    require_shape({batch, segment.keys.length(), kv_heads, key_dim}, segment.keys.shape(), "attention", "keys");
    require_shape({batch, segment.keys.length(), kv_heads, value_dim}, segment.values.shape(), "attention", "values");
  }
}

}  // namespace eigenformer::inline EIGENFORMER_ABI
