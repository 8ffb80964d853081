#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/attention/key_value.hpp>
#include <eigenformer/attention/mask.hpp>
#include <eigenformer/attention/score_bias.hpp>
#include <eigenformer/core/dropout.hpp>
#include <eigenformer/core/scratch.hpp>

#include <cmath>
#include <optional>

namespace eigenformer::inline EIGENFORMER_ABI {

struct AttentionOptions {
  std::optional<double> softmax_scale{};  ///< 1 / sqrt(d_k) if not given
  double softcap = 0;  ///< scores become softcap tanh(score / softcap) (Gemma 2, section 2); 0 is none
  Dropout dropout{};   ///< of the weights, in training; backward needs the same
};

/// What attention reads. Query head h uses key/value head h / (heads / kv_heads).
///   query: [B, S, H, d_k]    segments: together [B, T, Hkv, d_k] and [B, T, Hkv, d_v], read side by side
/// With first_segment, [B + 1], sequence b has the segments first_segment[b] .. first_segment[b + 1] - 1 for its own, each
/// of a batch of 1: T is the most keys that one has, and a mask such as Ragged says how many each has.
///   sinks: [H], numbers that take part in the softmax of their head as if they were the score of a key more, whose value
///   is 0; none if empty
template <class T>
struct AttentionInputs {
  ConstHeadsView<T> query;
  std::span<const KeyValueSegment<T>> segments;
  ScoreBias<T> bias{};  ///< added to the scores
  std::span<const T> sinks{};
  std::span<const Index> first_segment{};
};

namespace detail {

/// Keys of one sequence.
template <class T>
Index key_count(const AttentionInputs<T>& inputs, Index batch) {
  if (inputs.first_segment.empty()) return eigenformer::key_count(inputs.segments);
  return eigenformer::key_count(segments_of(inputs.segments, inputs.first_segment, batch));
}
template <class T>
AttentionExtent extent_of(const AttentionInputs<T>& inputs) {
  Index keys = 0;
  if (inputs.first_segment.empty()) keys = eigenformer::key_count(inputs.segments);
  for (Index b = 0; b + 1 < static_cast<Index>(inputs.first_segment.size()); ++b) {
    keys = (std::max)(keys, key_count(inputs, b));
  }
  return {inputs.query.batch(), inputs.query.length(), keys};
}

template <class T, AttentionMask Mask>
void check_attention(const AttentionInputs<T>& inputs, const Shape& y, const Mask& mask,
                     const AttentionOptions& options) {
  const ConstHeadsView<T>& query = inputs.query;
  require_positive(query.heads(), "attention", "heads of query");
  require_positive(query.head_dim(), "attention", "head_dim of query");
  const bool own_segments = !inputs.first_segment.empty();
  if (own_segments) require_first_segments(inputs.first_segment, query.batch(), inputs.segments.size());
  require_segments(inputs.segments, own_segments ? 1 : query.batch(), query.head_dim());
  const StoredHeadsView<T>& values = inputs.segments.front().values;
  require_positive(values.head_dim(), "attention", "head_dim of values");
  require(values.heads() >= 1 && query.heads() % values.heads() == 0, "attention",
          "expected heads divisible by kv_heads, got ", query.heads(), " heads and ", values.heads(), " kv_heads");
  require_shape({query.batch(), query.length(), query.heads(), values.head_dim()}, y, "attention", "y");
  require<OptionError>(options.softcap >= 0, "attention", "expected softcap of at least 0, got ", options.softcap);
  require_dropout(options.dropout.rate, "attention");
  if (!inputs.bias.empty()) {
    require_shape({query.heads(), query.length(), extent_of(inputs).keys}, inputs.bias.shape(), "attention",
                  "a bias for [heads, queries, keys]");
  }
  require(inputs.sinks.empty() || static_cast<Index>(inputs.sinks.size()) == query.heads(), "attention",
          "expected a sink for each of ", query.heads(), " heads, got ", inputs.sinks.size());
  mask.check(extent_of(inputs));
}

/// Which keys each query sees, in scratch memory, if the mask's rows are no single runs: an eighth of a byte for each
/// query and key, whatever the heads.
template <AttentionMask Mask>
kernels::LiveBits live_bits_of(const Mask& mask, const AttentionExtent& extent, ScratchScope& scope) {
  if constexpr (PatternMask<Mask>) {
    const Index words = (extent.keys + 63) / 64;
    std::uint64_t* const bits = scope.take<std::uint64_t>(extent.batch * extent.queries * words);
    write_live_bits(mask, extent, bits);
    return {bits, words};
  } else {
    return {};
  }
}

/// The problem as the kernels see it, with the live keys of every query in scratch memory.
template <class T, AttentionMask Mask>
kernels::AttentionProblem<T> attention_problem(const AttentionInputs<T>& inputs, const Mask& mask,
                                               const AttentionOptions& options, ScratchScope& scope) {
  const ConstHeadsView<T>& query = inputs.query;
  const AttentionExtent extent = extent_of(inputs);
  KeyRange* const live = scope.take<KeyRange>(extent.batch * extent.queries);
  for (Index b = 0; b < extent.batch; ++b) {
    const Index keys = key_count(inputs, b);
    for (Index s = 0; s < extent.queries; ++s) {
      const KeyRange range = mask.live_keys(extent, b, s);
      const bool lost = kernels::seeded_bug == 2 || (kernels::seeded_bug == 1 && s + 1 == extent.queries);
      live[b * extent.queries + s] = {(std::max)(range.first, Index(0)), (std::min)(range.last, keys - (lost ? 1 : 0))};
    }
  }
  const double root = std::sqrt(static_cast<double>(query.head_dim() + (kernels::seeded_bug == 4 ? 1 : 0)));
  kernels::AttentionProblem<T> problem;
  problem.query = query;
  problem.segments = inputs.segments;
  problem.first_segment = inputs.first_segment.empty() ? nullptr : inputs.first_segment.data();
  problem.live = live;
  problem.kv_heads = inputs.segments.front().keys.heads();
  problem.keys = extent.keys;
  problem.value_dim = inputs.segments.front().values.head_dim();
  problem.scale = static_cast<T>(options.softmax_scale.value_or(1 / root));
  problem.softcap = static_cast<T>(options.softcap);
  problem.live_bits = live_bits_of(mask, extent, scope);
  problem.dropout = kernels::DropoutRule<T>(options.dropout);
  return problem;
}

/// The bias of a call whose tasks have so many query heads, laid out in scratch memory.
template <class T>
kernels::ScoreBiasRows<T> bias_rows(const ScoreBiasLayout<T>& layout, ScratchScope& scope) {
  T* const data = scope.take<T>(layout.size());
  layout.spread(data);
  return layout.rows(data);
}

/// Scores that the mask leaves alive, times the arithmetic of one: what a call costs.
template <class T>
double attention_operations(const kernels::AttentionProblem<T>& problem) {
  double live = 0;
  for (Index i = 0; i < problem.query.batch() * problem.query.length(); ++i) {
    live += static_cast<double>((std::max)(problem.live[i].last - problem.live[i].first, Index(0)));
  }
  return 2 * live * static_cast<double>(problem.query.heads() * (problem.query.head_dim() + problem.value_dim + 8));
}

/// How a call is cut into tasks. It depends on the shapes alone, never on the number of threads, so that the results do
/// not either.
struct AttentionPlan {
  Index heads = 1;         ///< query heads of a task: those that share a key/value head
  Index tiles = 0;         ///< tasks along the queries
  Index tile_columns = 1;  ///< columns of a task
  Index splits = 1;        ///< tasks along the keys
  Index split_keys = 0;
  Index columns = 0;

  template <class T>
  explicit AttentionPlan(const kernels::AttentionProblem<T>& problem) {
    constexpr Index enough_tasks = 12;
    constexpr Index split_length = 256;
    heads = problem.group();
    columns = problem.query.length() * heads;
    // Large tiles copy keys and values less often, small ones fit the second cache and keep more threads busy.
    const Index groups = (std::max)(problem.query.batch() * problem.kv_heads, Index(1));
    const Index wanted = parts(columns, kernels::attention_columns(kernels::attention_query_tile,
                                                                   problem.query.head_dim(), problem.value_dim));
    tiles = (std::max)(wanted, (std::min)(parts(enough_tasks, groups), parts(columns, kernels::attention_least_tile)));
    tile_columns =
        parts(parts(columns, (std::max)(tiles, Index(1))), kernels::attention_tile_step) * kernels::attention_tile_step;
    tiles = parts(columns, (std::max)(tile_columns, Index(1)));
    const Index tasks = groups * tiles;
    split_keys = (std::max)(problem.keys, Index(1));
    if (tasks >= enough_tasks || problem.keys <= 2 * split_length) return;
    split_keys = split_length;
    splits = (problem.keys + split_length - 1) / split_length;
  }

  /// Task `tile` of the queries of one batch and key/value head, over the keys of one split.
  kernels::AttentionTask task(Index batch, Index kv_head, Index tile, Index split, Index keys) const {
    kernels::AttentionTask result;
    result.batch = batch;
    result.first_head = kv_head * heads;
    result.heads = heads;
    result.kv_head = kv_head;
    result.first_column = tile * tile_columns;
    result.columns = (std::min)(tile_columns, columns - result.first_column);
    result.keys = {split * split_keys, (std::min)(keys, (split + 1) * split_keys)};
    return result;
  }

 private:
  static Index parts(Index whole, Index part) { return (whole + part - 1) / part; }
};

}  // namespace detail

}  // namespace eigenformer::inline EIGENFORMER_ABI
