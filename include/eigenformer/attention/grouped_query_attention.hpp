#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/attention/attention.hpp>
#include <eigenformer/attention/attention_backward.hpp>
#include <eigenformer/attention/attention_cache.hpp>
#include <eigenformer/attention/attention_options.hpp>
#include <eigenformer/attention/attention_parts.hpp>
#include <eigenformer/attention/attention_position.hpp>
#include <eigenformer/attention/attention_sinks.hpp>
#include <eigenformer/attention/attention_steps.hpp>
#include <eigenformer/attention/attention_views.hpp>
#include <eigenformer/attention/behind_prefix.hpp>
#include <eigenformer/attention/key_value_cache.hpp>
#include <eigenformer/core/block.hpp>
#include <eigenformer/core/concepts.hpp>
#include <eigenformer/core/random.hpp>
#include <eigenformer/linear/linear.hpp>
#include <eigenformer/norm/no_norm.hpp>
#include <eigenformer/position/no_position.hpp>

namespace eigenformer::inline EIGENFORMER_ABI {

/// Attention with projections: queries from x, keys and values from x too, or in cross-attention from a memory,
///   y = concat_h(attention(q_h, k_g(h), v_g(h))) W_o,   q = x W_q,  k = m W_k,  v = m W_v,
///   g(h) = h / (heads / kv_heads)
/// MultiHeadAttention and MultiQueryAttention are the same class with other options. Projection is Linear or what
/// stands in for it; Position turns queries and keys after their projection. QueryKeyNorm normalises each head of
/// queries and keys before that (RmsNorm in Qwen 3 and Gemma 3, LayerNorm in Dehghani et al. 2023, "ViT-22B"), and
/// InnerNorm what the heads give before the last projection (Wang et al. 2022, "Foundation Transformers", Sub-LN). Every
/// head has a sink with .sinks = LearnedSinks{}.
/// Training (forward with a cache) drops weights of keys at the rate `dropout`. Each forward draws its seed from the Context's
/// random() and leaves it in the cache for backward: so all layers of a model drop differently without a word from them,
/// blocks stay constant, and a step is made again by setting random() as it was. Without a cache nothing is dropped.
/// A KeyValuePrefix behind the mask, or behind the key/value cache, stands before the keys and values of x or the memory.
///   x, y: [B, S, dim]    memory: [B, T, memory_dim]
///   query.weight [heads head_dim, dim]  key.weight [kv_heads head_dim, memory_dim]  value.weight [kv_heads value_dim,
///   memory_dim]  output.weight [dim, heads value_dim]  query_norm, key_norm over head_dim  inner_norm over heads
///   value_dim  sinks [heads]
///   throws OptionError for options that do not go together, ShapeError for tensors that do not fit, ValueError for a
///          key/value cache without room; before anything is written
/// @code
/// ef::GroupedQueryAttention<float> attention({.dim = 64, .heads = 4, .kv_heads = 2}, ef::Random(42));
/// ef::Tensor<float, 3> x(2, 11, 64);  // [batch, length, features]
/// x.setZero();
/// ef::Tensor<float, 3> y = attention(x, ef::Causal{});
/// @endcode
template <class T, class Projection_ = Linear<T>, class Position = NoPosition, class QueryKeyNorm = NoNorm<T>,
          class InnerNorm = NoNorm<T>,
          class Chosen =
              GroupedQueryAttentionOptions<Position, typename QueryKeyNorm::Options, typename InnerNorm::Options>>
class GroupedQueryAttention
    : public Block<GroupedQueryAttention<T, Projection_, Position, QueryKeyNorm, InnerNorm, Chosen>>,
      public AttentionSteps<GroupedQueryAttention<T, Projection_, Position, QueryKeyNorm, InnerNorm, Chosen>, T>,
      private detail::AttentionViews<GroupedQueryAttention<T, Projection_, Position, QueryKeyNorm, InnerNorm, Chosen>,
                                     T> {
  using Steps = AttentionSteps<GroupedQueryAttention, T>;

 public:
  static_assert(Projection<Projection_, T>, "attention: the projection maps rows of features, as Linear<T> does");
  static_assert(TokenwiseBlock<QueryKeyNorm, T> && TokenwiseBlock<InnerNorm, T>,
                "attention: the norms map rows of features, as RmsNorm<T> does");
  using Scalar = T;
  using Options = Chosen;
  using Cache = AttentionCache<T, Projection_, QueryKeyNorm, InnerNorm>;
  static constexpr std::string_view block = Chosen::block;

  GroupedQueryAttention(const Options& chosen, Random random)
      : options(checked(chosen)),
        query(projection(options.dim, options.heads * options.head_dim, random)),
        key(projection(options.memory_dim, options.kv_heads * options.head_dim, random)),
        value(projection(options.memory_dim, options.kv_heads * options.value_dim, random)),
        output(projection(options.heads * options.value_dim, options.dim, random)),
        query_norm(detail::norm_over<QueryKeyNorm>(options.head_dim, options.query_key_norm)),
        key_norm(query_norm),
        inner_norm(detail::norm_over<InnerNorm>(options.heads * options.value_dim, options.inner_norm)),
        position(detail::make_position<Position>(options, random)),
        sinks(detail::make_sinks<T>(options.sinks, options.heads)) {}
  /// The same attention under other default options: that of MultiHeadAttention as grouped-query attention.
  template <class Other>
  requires(!std::same_as<Other, Chosen>) explicit GroupedQueryAttention(
      const GroupedQueryAttention<T, Projection_, Position, QueryKeyNorm, InnerNorm, Other>& other)
      : options(other.options),
        query(other.query),
        key(other.key),
        value(other.value),
        output(other.output),
        query_norm(other.query_norm),
        key_norm(other.key_norm),
        inner_norm(other.inner_norm),
        position(other.position),
        sinks(other.sinks) {}

  Index input_features() const { return options.dim; }
  Index output_features() const { return options.dim; }

  /// Self-attention.   x, y: [B, S, dim]; y may be x
  template <AttentionMask Mask>
  void forward(ConstTensorView<T, 3> x, TensorView<T, 3> y, const Mask& mask, Context& context,
               Cache* cache = nullptr) const {
    forward(x, y, x, mask, NoPrefix{}, context, cache);
  }

  /// Cross-attention.   x, y: [B, S, dim]    memory: [B, T, memory_dim]
  template <AttentionMask Mask>
  void forward(ConstTensorView<T, 3> x, TensorView<T, 3> y, ConstTensorView<T, 3> memory, const Mask& mask,
               Context& context, Cache* cache = nullptr) const {
    forward(x, y, memory, mask, NoPrefix{}, context, cache);
  }
  template <AttentionMask Mask, PrefixOf<T> Prefix>
  void forward(ConstTensorView<T, 3> x, TensorView<T, 3> y, ConstTensorView<T, 3> memory, const Mask& mask,
               const Prefix& prefix, Context& context, Cache* cache = nullptr) const {
    require<ValueError>(cache == nullptr || !std::same_as<Prefix, KeyValuePrefixes<T>>, block,
                        "expected no cache with prefixes of single sequences, which have no gradient");
    const AttentionExtent extent = check(x.shape(), memory.shape(), y.shape(), "y");
    check_prefix(prefix, extent.batch);
    mask.check(extent);
    const ProfileScope profile(context, block);
    ScratchScope scope(context.scratch());
    const Heads h = heads(extent, scope, cache);
    project(x, memory, h, context, cache);
    turn(h, prefix, 0, context);
    if (cache) cache->dropout = draw_dropout(context);
    if (cache) cache->log_sum_exp.resize(extent.batch * options.heads * extent.queries);
    const KeyValueSegment<T> segments[] = {{h.keys, h.values}};
    attend(prefix, h, {segments}, mask, extent, scope, context, cache);
    finish(h.results, y, scope, context, cache);
  }

  using Steps::forward;

  /// Backward of self-attention.   dy, dx: [B, S, dim]; dx may be dy
  void backward(ConstTensorView<T, 3> dy, const Cache& cache, TensorView<T, 3> dx, Context& context) {
    backward(dy, cache, dx, NoPrefix{}, context);
  }
  template <GradientPrefixOf<T> Prefix>
  void backward(ConstTensorView<T, 3> dy, const Cache& cache, TensorView<T, 3> dx, const Prefix& prefix,
                Context& context) {
    check(dy.shape(), dx.shape(), dx.shape(), "dx");
    ScratchScope scope(context.scratch());
    T* const dmemory = scope.take<T>(dx.size());
    backward(dy, cache, dx, TensorView<T, 3>(dmemory, dx.dimensions()), prefix, context);
    add(dx.data(), dmemory, dx.size());
  }

  /// Backward of cross-attention.   dy, dx: [B, S, dim]    dmemory: [B, T, memory_dim]
  void backward(ConstTensorView<T, 3> dy, const Cache& cache, TensorView<T, 3> dx, TensorView<T, 3> dmemory,
                Context& context) {
    backward(dy, cache, dx, dmemory, NoPrefix{}, context);
  }
  /// The same behind a prefix, TrainedPrefix of the one that forward had.
  template <GradientPrefixOf<T> Prefix>
  void backward(ConstTensorView<T, 3> dy, const Cache& cache, TensorView<T, 3> dx, TensorView<T, 3> dmemory,
                const Prefix& prefix, Context& context) {
    const AttentionExtent extent = check(dy.shape(), dmemory.shape(), dx.shape(), "dx");
    check_kept(cache, extent);
    detail::require_prefix_of(prefix, options, extent.batch, block);
    const Index before = detail::prefix_length(prefix, 0);
    require<ValueError>(cache.prefix == before, block, "expected the cache of a forward behind a prefix of ", before,
                        " positions, got one of ", cache.prefix);
    const ProfileScope profile(context, block);
    ScratchScope scope(context.scratch());
    const Heads d = heads(extent, scope);
    output.backward(dy, cache.output, rows(d.results), context);
    inner_norm.backward(rows(d.results), cache.inner_norm, rows(d.results), context);
    const detail::PrefixBackward<T, Prefix> side_by_side(
        prefix, {keys(extent, cache.keys.data()), values(extent, cache.values.data())}, {d.keys, d.values}, scope);
    const AttentionExtent whole{extent.batch, extent.queries, before + extent.keys};
    T* const dbiases = detail::distance_gradients<T>(position, options.heads, whole, scope);
    T* const dsinks = detail::sink_gradients(sinks, scope);
    detail::with_remembered_mask(cache, [&](const auto& mask) {
      attention_backward<T>(inputs(queries(extent, cache.queries.data()), side_by_side.list(), whole, scope),
                            {results(extent, cache.attended.data()), d.results, cache.log_sum_exp.data()},
                            {d.queries, side_by_side.gradients(), dbiases, dsinks}, mask, scoring(cache.dropout),
                            context);
    });
    side_by_side.add_prefix_gradients();
    detail::distance_biases_backward<T>(position, whole, dbiases);
    detail::sinks_backward(sinks, dsinks);
    position.apply_backward(d.queries, before, context);
    position.apply_backward(d.keys, before, context);
    query_norm.backward(head_rows(d.queries), cache.query_norm, head_rows(d.queries), context);
    key_norm.backward(head_rows(d.keys), cache.key_norm, head_rows(d.keys), context);
    query.backward(constant(rows(d.queries)), cache.query, dx, context);
    key.backward(constant(rows(d.keys)), cache.key, dmemory, context);
    T* const from_values = scope.take<T>(dmemory.size());
    value.backward(constant(rows(d.values)), cache.value, TensorView<T, 3>(from_values, dmemory.dimensions()), context);
    add(dmemory.data(), from_values, dmemory.size());
  }

  /// An empty cache of the right sizes, with room for `capacity` positions, stored as T unless Storage says otherwise.
  template <HeadStorageOf<T> Storage = T>
  KeyValueCache<T, Storage> key_value_cache(Index batch, Index capacity) const {
    return KeyValueCache<T, Storage>({batch, capacity, options.kv_heads, options.head_dim, options.value_dim});
  }

  static void members(auto& self, auto&& visit) {
    visit("query", self.query);
    visit("key", self.key);
    visit("value", self.value);
    visit("output", self.output);
    visit("query_norm", self.query_norm);
    visit("key_norm", self.key_norm);
    visit("inner_norm", self.inner_norm);
    if constexpr (detail::LearnsDistanceBiases<Position, T>) visit("position", self.position);
    visit("sinks", self.sinks);
  }

  GroupedQueryAttentionOptions<Position, typename QueryKeyNorm::Options, typename InnerNorm::Options> options;
  Projection_ query;
  Projection_ key;
  Projection_ value;
  Projection_ output;
  QueryKeyNorm query_norm;  ///< of each head of the queries
  QueryKeyNorm key_norm;    ///< of each head of the keys
  InnerNorm inner_norm;     ///< of what the heads give together
  Position position;
  std::optional<Parameter<T>> sinks;  ///< [heads], or none

 private:
  using Views = detail::AttentionViews<GroupedQueryAttention, T>;
  friend Views;
  friend Steps;
  using Heads = typename Views::Heads;
  using Views::add, Views::check_kept, Views::constant, Views::head_rows, Views::heads, Views::rows;
  using Views::keys, Views::queries, Views::results, Views::values;

  static constexpr bool normalises_inside = !std::is_same_v<InnerNorm, NoNorm<T>>;

  static auto checked(const decltype(options)& result) {
    require_attention_options(result, block);
    return result;
  }
  Projection_ projection(Index in, Index out, Random& random) const {
    return detail::make_projection<Projection_>(options, in, out, random);
  }
  AttentionInputs<T> inputs(const ConstHeadsView<T>& q, const detail::SegmentList<T>& list,
                            const AttentionExtent& extent, ScratchScope& scope) const {
    return {q, list.segments, detail::distance_biases<T>(position, options.heads, extent, scope),
            detail::sink_values(sinks), list.first_segment};
  }
  template <class Prefix>
  void check_prefix(const Prefix& prefix, Index batch) const {
    detail::require_prefix_of(prefix, options, batch, block);
    require<ValueError>(!detail::HasDistanceBiases<Position, T> || detail::as_long_for_all(prefix, batch), block,
                        "expected prefixes of one length for a position that adds to scores");
  }
  /// Gives queries and keys their positions, which begin at start, or start(b) in sequence b, and behind its prefix.
  template <class Prefix, class Start>
  void turn(const Heads& h, const Prefix& prefix, const Start& start, Context& context) const {
    const auto behind = [&](Index b) {
      if constexpr (std::integral<Start>) {
        return start + detail::prefix_length(prefix, b);
      } else {
        return start(b) + detail::prefix_length(prefix, b);
      }
    };
    detail::apply_positions(position, h.queries, behind, context);
    detail::apply_positions(position, h.keys, behind, context);
  }
  /// What the queries give for a prefix and what is listed, of these extents without it; given a cache, for backward.
  template <class Prefix, class Mask>
  void attend(const Prefix& prefix, const Heads& h, const detail::SegmentList<T>& own, const Mask& mask,
              const AttentionExtent& extent, ScratchScope& scope, Context& context, Cache* cache = nullptr) const {
    detail::attend_behind<T>(
        prefix, own, mask, extent, scope,
        [&](const detail::SegmentList<T>& list, const auto& whole_mask, const AttentionExtent& whole) {
          if (cache) cache->remember(whole_mask, whole, whole.keys - extent.keys);
          attention<T>(inputs(h.queries, list, whole, scope), {h.results, cache ? cache->log_sum_exp.data() : nullptr},
                       whole_mask, scoring(cache ? cache->dropout : Dropout{}), context);
        });
  }
  /// What the parts on either side of attention itself do; given a cache, they keep what backward needs.
  void project(ConstTensorView<T, 3> x, ConstTensorView<T, 3> memory, const Heads& h, Context& context,
               Cache* cache = nullptr) const {
    query.forward(x, rows(h.queries), context, cache ? &cache->query : nullptr);
    key.forward(memory, rows(h.keys), context, cache ? &cache->key : nullptr);
    value.forward(memory, rows(h.values), context, cache ? &cache->value : nullptr);
    query_norm.forward(head_rows(h.queries), head_rows(h.queries), context, cache ? &cache->query_norm : nullptr);
    key_norm.forward(head_rows(h.keys), head_rows(h.keys), context, cache ? &cache->key_norm : nullptr);
  }
  void finish(const HeadsView<T>& attended, TensorView<T, 3> y, ScratchScope& scope, Context& context,
              Cache* cache = nullptr) const {
    const RowsView<T> normed = cache && normalises_inside
                                   ? scope.rows<T>(rows(attended).rows(), rows(attended).features())
                                   : rows(attended);  // backward wants attended as it is
    inner_norm.forward(rows(attended), normed, context, cache ? &cache->inner_norm : nullptr);
    output.forward(constant(normed), y, context, cache ? &cache->output : nullptr);
  }
  AttentionOptions scoring(const Dropout& dropout = {}) const {
    return {options.softmax_scale, options.softcap, dropout};
  }
  /// Draws nothing where nothing is dropped.
  Dropout draw_dropout(Context& context) const {
    return options.dropout == 0 ? Dropout{} : Dropout{options.dropout, context.random().bits()};
  }

  AttentionExtent check(const Shape& x, const Shape& memory, const Shape& y, std::string_view y_name) const {
    detail::require_attention_parts(*this);
    require_features(options.dim, x, block);
    require_features(options.memory_dim, memory, block, "memory");
    require_shape({memory[0], x[1], x[2]}, x, block, "x of the memory's batch");
    require_shape(x, y, block, y_name);
    return {x[0], x[1], memory[1]};
  }
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
