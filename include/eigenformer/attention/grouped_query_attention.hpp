#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/attention/attention.hpp>
#include <eigenformer/attention/attention_backward.hpp>
#include <eigenformer/attention/attention_cache.hpp>
#include <eigenformer/attention/attention_options.hpp>
#include <eigenformer/attention/attention_views.hpp>
#include <eigenformer/attention/key_value_cache.hpp>
#include <eigenformer/attention/paged_key_value_cache.hpp>
#include <eigenformer/attention/ragged.hpp>
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
/// InnerNorm what the heads give before the last projection (Wang et al. 2022, "Foundation Transformers", Sub-LN).
/// Training (forward with a cache) drops weights of keys at the rate `dropout`. Each forward draws its seed from the Context's
/// random() and leaves it in the cache for backward: so all layers of a model drop differently without a word from them,
/// blocks stay constant, and a step is made again by setting random() as it was. Without a cache nothing is dropped.
///   x, y: [B, S, dim]    memory: [B, T, memory_dim]
///   query.weight [heads head_dim, dim]  key.weight [kv_heads head_dim, memory_dim]  value.weight [kv_heads value_dim,
///   memory_dim]  output.weight [dim, heads value_dim]  query_norm, key_norm over head_dim  inner_norm over heads
///   value_dim
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
      private detail::AttentionViews<GroupedQueryAttention<T, Projection_, Position, QueryKeyNorm, InnerNorm, Chosen>,
                                     T> {
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
        position(make_position(random)) {}
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
        position(other.position) {}

  Index input_features() const { return options.dim; }
  Index output_features() const { return options.dim; }

  /// Self-attention.   x, y: [B, S, dim]; y may be x
  template <AttentionMask Mask>
  void forward(ConstTensorView<T, 3> x, TensorView<T, 3> y, const Mask& mask, Context& context,
               Cache* cache = nullptr) const {
    forward(x, y, x, mask, context, cache);
  }

  /// Cross-attention.   x, y: [B, S, dim]    memory: [B, T, memory_dim]
  template <AttentionMask Mask>
  void forward(ConstTensorView<T, 3> x, TensorView<T, 3> y, ConstTensorView<T, 3> memory, const Mask& mask,
               Context& context, Cache* cache = nullptr) const {
    const AttentionExtent extent = check(x.shape(), memory.shape(), y.shape(), "y");
    mask.check(extent);
    const ProfileScope profile(context, block);
    ScratchScope scope(context.scratch());
    const HeadsView<T> q = queries(extent, memory_for(cache ? &cache->queries : nullptr, scope, query_size(extent)));
    const HeadsView<T> k = keys(extent, memory_for(cache ? &cache->keys : nullptr, scope, key_size(extent)));
    const HeadsView<T> v = values(extent, memory_for(cache ? &cache->values : nullptr, scope, value_size(extent)));
    const HeadsView<T> attended =
        results(extent, memory_for(cache ? &cache->attended : nullptr, scope, result_size(extent)));
    query.forward(x, rows(q), context, cache ? &cache->query : nullptr);
    key.forward(memory, rows(k), context, cache ? &cache->key : nullptr);
    value.forward(memory, rows(v), context, cache ? &cache->value : nullptr);
    query_norm.forward(head_rows(q), head_rows(q), context, cache ? &cache->query_norm : nullptr);
    key_norm.forward(head_rows(k), head_rows(k), context, cache ? &cache->key_norm : nullptr);
    position.apply(q, 0, context);
    position.apply(k, 0, context);
    if (cache) cache->remember(mask, extent);
    if (cache) cache->dropout = draw_dropout(context);
    if (cache) cache->log_sum_exp.resize(extent.batch * options.heads * extent.queries);
    const KeyValueSegment<T> segments[] = {{k, v}};
    attention<T>({q, segments, distance_biases(extent, scope)}, {attended, cache ? cache->log_sum_exp.data() : nullptr},
                 mask, scoring(cache ? cache->dropout : Dropout{}), context);
    const RowsView<T> normed = cache && normalises_inside
                                   ? scope.rows<T>(rows(attended).rows(), rows(attended).features())
                                   : rows(attended);  // backward wants attended as it is
    inner_norm.forward(rows(attended), normed, context, cache ? &cache->inner_norm : nullptr);
    output.forward(constant(normed), y, context, cache ? &cache->output : nullptr);
  }

  /// Self-attention of positions that follow those in a key/value cache, which it appends to: a whole prompt, a part of one, or
  /// a single token; y is what one forward of all positions gives for these, with keys and values rounded to what the
  /// cache stores.   x, y: [B, S, dim]
  template <AttentionMask Mask, KeyValueStore<T> Store>
  void forward(ConstTensorView<T, 3> x, TensorView<T, 3> y, const Mask& mask, Store& key_values,
               Context& context) const {
    const AttentionExtent extent = check(x.shape(), x.shape(), y.shape(), "y");
    const Index before = key_values.length();
    const auto& o = key_values.options();
    check_stored({o.batch, o.kv_heads, o.head_dim, o.value_dim}, extent.batch);
    key_values.require_room(extent.queries);
    const AttentionExtent together{extent.batch, extent.queries, key_values.kept(extent.queries)};
    mask.check(together);
    const ProfileScope profile(context, block);
    ScratchScope scope(context.scratch());
    const HeadsView<T> q = queries(extent, scope.take<T>(query_size(extent)));
    const HeadsView<T> k = keys(extent, scope.take<T>(key_size(extent)));
    const HeadsView<T> v = values(extent, scope.take<T>(value_size(extent)));
    const HeadsView<T> attended = results(extent, scope.take<T>(result_size(extent)));
    project(x, q, k, v, context);
    position.apply(q, before, context);
    position.apply(k, before, context);
    key_values.append(k, v);
    const auto segments = key_values.segments();
    attention<T>({q, segments, distance_biases(together, scope)}, {attended, nullptr}, mask, scoring(), context);
    finish(attended, y, context);
  }

  /// The same of several sequences of different length in a paged cache: row b of the batch follows sequence
  /// sequences[b], and the mask sees each as if it were alone.   x, y: [B, S, dim]    sequences: [B]
  template <AttentionMask Mask, class Storage>
  void forward(ConstTensorView<T, 3> x, TensorView<T, 3> y, const Mask& mask,
               PagedKeyValueCache<T, Storage>& key_values, std::span<const Index> sequences, Context& context) const {
    static_assert(!detail::HasDistanceBiases<Position, T>,
                  "attention: positions that add to scores need sequences of the same length");
    const AttentionExtent extent = check(x.shape(), x.shape(), y.shape(), "y");
    const PagedKeyValueCacheOptions& o = key_values.options();
    require_shape({extent.batch}, {static_cast<Index>(sequences.size())}, block, "sequences");
    check_stored({extent.batch, o.kv_heads, o.head_dim, o.value_dim}, extent.batch);
    key_values.require_room(sequences, extent.queries);
    for (const Index sequence : sequences) {
      mask.check({extent.batch, extent.queries, key_values.length(sequence) + extent.queries});
    }
    const ProfileScope profile(context, block);
    ScratchScope scope(context.scratch());
    const HeadsView<T> q = queries(extent, scope.take<T>(query_size(extent)));
    const HeadsView<T> k = keys(extent, scope.take<T>(key_size(extent)));
    const HeadsView<T> v = values(extent, scope.take<T>(value_size(extent)));
    const HeadsView<T> attended = results(extent, scope.take<T>(result_size(extent)));
    project(x, q, k, v, context);
    for (Index b = 0; b < extent.batch; ++b) {
      const Index before = key_values.length(sequences[static_cast<std::size_t>(b)]);
      position.apply(view(q.at(b, 0, 0), 1, q.length(), q.heads(), q.head_dim()), before, context);
      position.apply(view(k.at(b, 0, 0), 1, k.length(), k.heads(), k.head_dim()), before, context);
    }
    key_values.append(sequences, k, v);
    const PagedSelection<T>& there = key_values.select(sequences);
    attention<T>({q, there.segments, {}, {}, there.first_segment}, {attended, nullptr},
                 Ragged<Mask>{there.lengths, mask}, scoring(), context);
    finish(attended, y, context);
  }

  /// Backward of self-attention.   dy, dx: [B, S, dim]; dx may be dy
  void backward(ConstTensorView<T, 3> dy, const Cache& cache, TensorView<T, 3> dx, Context& context) {
    check(dy.shape(), dx.shape(), dx.shape(), "dx");
    ScratchScope scope(context.scratch());
    T* const dmemory = scope.take<T>(dx.size());
    backward(dy, cache, dx, TensorView<T, 3>(dmemory, dx.dimensions()), context);
    add(dx.data(), dmemory, dx.size());
  }

  /// Backward of cross-attention.   dy, dx: [B, S, dim]    dmemory: [B, T, memory_dim]
  void backward(ConstTensorView<T, 3> dy, const Cache& cache, TensorView<T, 3> dx, TensorView<T, 3> dmemory,
                Context& context) {
    const AttentionExtent extent = check(dy.shape(), dmemory.shape(), dx.shape(), "dx");
    check(cache, extent);
    const ProfileScope profile(context, block);
    ScratchScope scope(context.scratch());
    const HeadsView<T> dattended = results(extent, scope.take<T>(result_size(extent)));
    const HeadsView<T> dq = queries(extent, scope.take<T>(query_size(extent)));
    const HeadsView<T> dk = keys(extent, scope.take<T>(key_size(extent)));
    const HeadsView<T> dv = values(extent, scope.take<T>(value_size(extent)));
    output.backward(dy, cache.output, rows(dattended), context);
    inner_norm.backward(rows(dattended), cache.inner_norm, rows(dattended), context);
    const KeyValueSegment<T> segments[] = {{keys(extent, cache.keys.data()), values(extent, cache.values.data())}};
    const KeyValueGradient<T> gradients[] = {{dk, dv}};
    T* const dbiases = trains_biases() ? scope.take<T>(distances(extent) * options.heads) : nullptr;
    detail::with_remembered_mask(cache, [&](const auto& mask) {
      attention_backward<T>({queries(extent, cache.queries.data()), segments, distance_biases(extent, scope)},
                            {results(extent, cache.attended.data()), dattended, cache.log_sum_exp.data()},
                            {dq, gradients, dbiases}, mask, scoring(cache.dropout), context);
    });
    if constexpr (detail::LearnsDistanceBiases<Position, T>) {
      if (dbiases) position.distance_biases_backward(1 - extent.keys, distances(extent), dbiases);
    }
    position.apply_backward(dq, 0, context);
    position.apply_backward(dk, 0, context);
    query_norm.backward(head_rows(dq), cache.query_norm, head_rows(dq), context);
    key_norm.backward(head_rows(dk), cache.key_norm, head_rows(dk), context);
    query.backward(constant(rows(dq)), cache.query, dx, context);
    key.backward(constant(rows(dk)), cache.key, dmemory, context);
    T* const from_values = scope.take<T>(dmemory.size());
    value.backward(constant(rows(dv)), cache.value, TensorView<T, 3>(from_values, dmemory.dimensions()), context);
    add(dmemory.data(), from_values, dmemory.size());
  }

  /// An empty cache of the right sizes, with room for `capacity` positions, stored as T unless Storage says otherwise.
  template <StorageOf<T> Storage = T>
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

 private:
  using Views = detail::AttentionViews<GroupedQueryAttention, T>;
  friend Views;
  using Views::constant, Views::head_rows, Views::rows;
  using Views::key_size, Views::query_size, Views::result_size, Views::value_size;
  using Views::keys, Views::queries, Views::results, Views::values, Views::view;

  static constexpr bool normalises_inside = !std::is_same_v<InnerNorm, NoNorm<T>>;

  static auto checked(const decltype(options)& result) {
    require_attention_options(result, block);
    return result;
  }
  Projection_ projection(Index in, Index out, Random& random) const {
    typename Projection_::Options chosen;
    chosen.in_features = in;
    chosen.out_features = out;
    chosen.bias = options.bias;
    return Projection_(chosen, random.split());
  }
  Position make_position([[maybe_unused]] Random& random) {
    if constexpr (requires { options.position.heads; }) {
      if (options.position.heads == 0) options.position.heads = options.heads;
    }
    if constexpr (std::is_constructible_v<Position, RotaryOptions>) {
      if (options.position.head_dim == 0) options.position.head_dim = options.head_dim;
      if (options.position.rotary_dim == 0) options.position.rotary_dim = options.head_dim;
      return Position(options.position);
    } else if constexpr (std::is_constructible_v<Position, detail::position_options<Position>, Random>) {
      return Position(options.position, random.split());
    } else if constexpr (std::is_constructible_v<Position, detail::position_options<Position>>) {
      return Position(options.position);
    } else {
      return Position();
    }
  }
  /// Distances between a query and a key.
  static Index distances(const AttentionExtent& e) { return (std::max)(e.queries + e.keys - 1, Index(0)); }
  /// What the positions add to scores, in scratch memory.
  ScoreBias<T> distance_biases([[maybe_unused]] const AttentionExtent& extent,
                               [[maybe_unused]] ScratchScope& scope) const {
    if constexpr (detail::HasDistanceBiases<Position, T>) {
      T* const biases = scope.take<T>(options.heads * distances(extent));
      position.distance_biases(1 - extent.keys, distances(extent), biases);
      return ScoreBias<T>::by_distance(biases, options.heads, extent.queries, extent.keys);
    } else {
      return {};
    }
  }
  bool trains_biases() const {
    if constexpr (detail::LearnsDistanceBiases<Position, T>) {
      return position.weight.trainable;
    } else {
      return false;
    }
  }
  void project(ConstTensorView<T, 3> x, const HeadsView<T>& q, const HeadsView<T>& k, const HeadsView<T>& v,
               Context& context) const {
    query.forward(x, rows(q), context);
    key.forward(x, rows(k), context);
    value.forward(x, rows(v), context);
    query_norm.forward(head_rows(q), head_rows(q), context);
    key_norm.forward(head_rows(k), head_rows(k), context);
  }
  void finish(const HeadsView<T>& attended, TensorView<T, 3> y, Context& context) const {
    inner_norm.forward(rows(attended), rows(attended), context);
    output.forward(constant(rows(attended)), y, context);
  }
  AttentionOptions scoring(const Dropout& dropout = {}) const {
    return {options.softmax_scale, options.softcap, dropout};
  }
  /// Draws nothing where nothing is dropped.
  Dropout draw_dropout(Context& context) const {
    return options.dropout == 0 ? Dropout{} : Dropout{options.dropout, context.random().bits()};
  }

  static T* memory_for(Buffer<T>* kept, ScratchScope& scope, Index size) {
    return kept ? kept->resize(size) : scope.take<T>(size);
  }
  static void add(T* to, const T* from, Index size) {
    Eigen::Map<Eigen::Array<T, Eigen::Dynamic, 1>>(to, size) +=
        Eigen::Map<const Eigen::Array<T, Eigen::Dynamic, 1>>(from, size);
  }

  AttentionExtent check(const Shape& x, const Shape& memory, const Shape& y, std::string_view y_name) const {
    check_projections();
    require_features(options.dim, x, block);
    require_features(options.memory_dim, memory, block, "memory");
    require_shape({memory[0], x[1], x[2]}, x, block, "x of the memory's batch");
    require_shape(x, y, block, y_name);
    return {x[0], x[1], memory[1]};
  }
  /// Weights are public and may have been replaced.
  void check_projections() const {
    check_projection(query, options.dim, options.heads * options.head_dim, "query");
    check_projection(key, options.memory_dim, options.kv_heads * options.head_dim, "key");
    check_projection(value, options.memory_dim, options.kv_heads * options.value_dim, "value");
    check_projection(output, options.heads * options.value_dim, options.dim, "output");
    if constexpr (detail::HasDistanceBiases<Position, T>) {
      require(position.heads() == options.heads, block, "expected position of ", options.heads, " heads, got ",
              position.heads());
    }
    detail::require_norm_over(options.head_dim, query_norm, block, "query_norm");
    detail::require_norm_over(options.head_dim, key_norm, block, "key_norm");
    detail::require_norm_over(options.heads * options.value_dim, inner_norm, block, "inner_norm");
  }
  static void check_projection(const Projection_& part, Index in, Index out, std::string_view name) {
    require(part.input_features() == in && part.output_features() == out, block, "expected ", name, " to map ", in,
            " to ", out, " features, got ", part.input_features(), " to ", part.output_features());
  }
  /// stored: [batch, kv_heads, head_dim, value_dim] of a key/value cache
  void check_stored(const Shape& stored, Index batch) const {
    require(options.memory_dim == options.dim, block, "expected memory_dim equal to dim for self-attention, got ",
            options.memory_dim, " and ", options.dim);
    require_shape({batch, options.kv_heads, options.head_dim, options.value_dim}, stored, block,
                  "a key/value cache [batch, kv_heads, head_dim, value_dim]");
  }
  void check(const Cache& cache, const AttentionExtent& extent) const {
    const AttentionExtent& kept = cache.extent;
    require_shape({kept.batch, kept.queries, kept.keys}, {extent.batch, extent.queries, extent.keys}, block,
                  "the batch, queries and keys of forward");
    require<ValueError>(cache.queries.size() == query_size(extent) && cache.keys.size() == key_size(extent) &&
                            cache.values.size() == value_size(extent) && cache.attended.size() == result_size(extent),
                        block, "expected the cache of a forward of this block");
  }
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
