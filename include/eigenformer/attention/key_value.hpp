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

/// The segments of sequence b where each has its own: those from first_segment[b] to first_segment[b + 1].
template <class T>
std::span<const KeyValueSegment<T>> segments_of(std::span<const KeyValueSegment<T>> segments,
                                                std::span<const Index> first_segment, Index b) {
  const auto at = static_cast<std::size_t>(b);
  const auto first = static_cast<std::size_t>(first_segment[at]);
  return segments.subspan(first, static_cast<std::size_t>(first_segment[at + 1]) - first);
}

/// Throws unless these are offsets into that many segments for each of the sequences of a batch.
inline void require_first_segments(std::span<const Index> first_segment, Index batch, std::size_t segments) {
  require(static_cast<Index>(first_segment.size()) == batch + 1, "attention",
          "expected first_segment of one more than the batch of ", batch, ", got ", first_segment.size());
  require<ValueError>(first_segment.front() == 0 && first_segment.back() == static_cast<Index>(segments), "attention",
                      "expected first_segment from 0 to the number of segments, ", segments, ", got ",
                      first_segment.front(), " to ", first_segment.back());
  for (std::size_t i = 1; i < first_segment.size(); ++i) {
    require<ValueError>(first_segment[i - 1] <= first_segment[i], "attention",
                        "expected first_segment that does not decrease, got ", first_segment[i - 1], " before ",
                        first_segment[i]);
  }
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
