#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/attention/grouped_query_attention.hpp>

namespace eigenformer::inline EIGENFORMER_ABI {

namespace detail {

template <class T, class Projection, class Position, class QueryKeyNorm, class InnerNorm, class Chosen>
void require_memory_cache(const GroupedQueryAttention<T, Projection, Position, QueryKeyNorm, InnerNorm, Chosen>& module,
                          const KeyValueCacheOptions& o) {
  static_assert(std::is_same_v<Position, NoPosition>,
                "cross-attention with its memory projected once: positions of queries in a memory are not defined");
  require_shape({o.batch, module.options.kv_heads, module.options.head_dim, module.options.value_dim},
                {o.batch, o.kv_heads, o.head_dim, o.value_dim}, module.block,
                "a key/value cache [batch, kv_heads, head_dim, value_dim]");
}

/// Each position a row of all its heads, which lie side by side.
template <class T>
RowsView<T> position_rows(const HeadsView<T>& x) {
  return {x.data(), x.batch() * x.length(), x.length_stride(), x.length_stride()};
}
/// Each head a row.
template <class T>
RowsView<T> head_rows(const HeadsView<T>& x) {
  return {x.data(), x.batch() * x.length() * x.heads(), x.head_dim(), x.head_dim()};
}

}  // namespace detail

/// Keys and values of a memory, projected once for all queries to come: appends them to the cache, which
/// `attention.key_value_cache(B, T)` gives.   memory: [B, T, memory_dim]
///   throws ShapeError for a memory or cache that does not fit, ValueError for a cache without room
template <class T, class Projection, class Position, class QueryKeyNorm, class InnerNorm, class Chosen, class Storage>
void project_memory(const GroupedQueryAttention<T, Projection, Position, QueryKeyNorm, InnerNorm, Chosen>& module,
                    ConstTensorView<T, 3> memory, KeyValueCache<T, Storage>& key_values, Context& context) {
  const auto& o = module.options;
  const Index batch = memory.dimension(0), length = memory.dimension(1), rows = batch * length;
  detail::require_memory_cache(module, key_values.options());
  require_shape({key_values.options().batch, length, o.memory_dim}, memory.shape(), module.block, "a memory");
  key_values.require_room(length);
  const ProfileScope profile(context, module.block);
  ScratchScope scope(context.scratch());
  const HeadsView<T> k(scope.take<T>(rows * o.kv_heads * o.head_dim), batch, length, o.kv_heads, o.head_dim);
  const HeadsView<T> v(scope.take<T>(rows * o.kv_heads * o.value_dim), batch, length, o.kv_heads, o.value_dim);
  module.key.forward(memory, detail::position_rows(k), context);
  module.value.forward(memory, detail::position_rows(v), context);
  module.key_norm.forward(detail::head_rows(k), detail::head_rows(k), context);
  key_values.append(k, v);
}

/// attend_to_memory below, with a prefix that stands before each memory.
template <class T, class Projection, class Position, class QueryKeyNorm, class InnerNorm, class Chosen,
          PrefixOf<T> Prefix, class Storage, AttentionMask Mask>
void attend_to_memory(const GroupedQueryAttention<T, Projection, Position, QueryKeyNorm, InnerNorm, Chosen>& module,
                      const Prefix& prefix, ConstTensorView<T, 3> x, TensorView<T, 3> y, const Mask& mask,
                      const KeyValueCache<T, Storage>& key_values, Context& context) {
  const auto& o = module.options;
  const Index memories = key_values.options().batch, rows = x.dimension(0) * x.dimension(1);
  detail::require_memory_cache(module, key_values.options());
  require_features(o.dim, x.shape(), module.block);
  require_shape(x.shape(), y.shape(), module.block, "y");
  require(x.dimension(0) % memories == 0, module.block, "expected as many sequences for each of ", memories,
          " memories, got x of shape ", x.shape());
  detail::require_prefix_of(prefix, o, memories, module.block);
  const AttentionExtent extent{memories, rows / memories, key_values.length()};
  mask.check(extent);
  const ProfileScope profile(context, module.block);
  ScratchScope scope(context.scratch());
  const HeadsView<T> q(scope.take<T>(rows * o.heads * o.head_dim), memories, rows / memories, o.heads, o.head_dim);
  const HeadsView<T> attended(scope.take<T>(rows * o.heads * o.value_dim), memories, rows / memories, o.heads,
                              o.value_dim);
  module.query.forward(x, detail::position_rows(q), context);
  module.query_norm.forward(detail::head_rows(q), detail::head_rows(q), context);
  const KeyValueSegment<T> segments[] = {key_values.segment()};
  detail::attend_behind<T>(prefix, {segments}, mask, extent, scope,
                           [&](const detail::SegmentList<T>& list, const auto& whole_mask, const AttentionExtent&) {
                             attention<T>({q, list.segments, {}, detail::sink_values(module.sinks), list.first_segment},
                                          {attended, nullptr}, whole_mask, {o.softmax_scale, o.softcap}, context);
                           });
  module.inner_norm.forward(detail::position_rows(attended), detail::position_rows(attended), context);
  module.output.forward(detail::position_rows(attended), y, context);
}

/// Cross-attention to a memory projected before: y is what `module(x, memory, mask)` gives. Several sequences of x may
/// share a memory: the n that do lie one after the other, and the mask sees them as one sequence of n S queries.
///   x, y: [n B, S, dim]; y may be x    key_values: of B memories
///   throws ShapeError for an x, y or cache that does not fit, and what the mask throws
template <class T, class Projection, class Position, class QueryKeyNorm, class InnerNorm, class Chosen, class Storage,
          AttentionMask Mask>
void attend_to_memory(const GroupedQueryAttention<T, Projection, Position, QueryKeyNorm, InnerNorm, Chosen>& module,
                      ConstTensorView<T, 3> x, TensorView<T, 3> y, const Mask& mask,
                      const KeyValueCache<T, Storage>& key_values, Context& context) {
  attend_to_memory<T>(module, NoPrefix{}, x, y, mask, key_values, context);
}

}  // namespace eigenformer::inline EIGENFORMER_ABI
