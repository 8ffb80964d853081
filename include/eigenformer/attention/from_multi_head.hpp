#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/attention/grouped_query_attention.hpp>

#include <variant>

namespace eigenformer::inline EIGENFORMER_ABI {

/// A group's head is the mean of its heads, weight by weight.
struct MeanPooling {};
/// A group's head is the first of its heads.
struct FirstHead {};
/// A group's head starts anew, as that of a new projection does.
struct RandomHeads {
  Random random;  ///< what the heads are drawn from
};
/// How the key and value heads of a group become one.
using HeadPooling = std::variant<MeanPooling, FirstHead, RandomHeads>;

/// What from_multi_head is called with.
struct HeadPoolingOptions {
  Index kv_heads = 1;                   ///< groups to make: 1 gives multi-query attention
  HeadPooling pooling = MeanPooling{};  ///< mean pooling, which keeps most, unless for comparison
};

namespace detail {

/// The mean of `count` numbers that lie `stride` apart. As a distance from the first, so that equal numbers give
/// themselves, whatever their count.
template <class S>
S mean_of_heads(const S* first, Index count, Index stride) {
  const double start = widened<double>(*first);
  double distance = 0;
  for (Index h = 1; h < count; ++h) distance += widened<double>(first[h * stride]) - start;
  const double mean = start + distance / static_cast<double>(count);
  if constexpr (HalfPrecision<S>) {
    return rounded<S>(mean);
  } else {
    return static_cast<S>(mean);
  }
}

// What becomes of a projection's rows, a weight's or a bias's: `from` has `group` heads of `size` numbers for each of
// those that `to` has.

template <class S>
void pool_heads(std::span<const S> from, std::span<S> to, Index size, const MeanPooling&) {
  const Index group = static_cast<Index>(from.size() / to.size());
  for (Index i = 0; i < static_cast<Index>(to.size()); ++i) {
    const S* const first = from.data() + i / size * group * size + i % size;
    to[static_cast<std::size_t>(i)] = group == 1 ? *first : mean_of_heads(first, group, size);
  }
}
template <class S>
void pool_heads(std::span<const S> from, std::span<S> to, Index size, const FirstHead&) {
  const std::size_t group = from.size() / to.size();
  const auto head = static_cast<std::size_t>(size);
  for (std::size_t i = 0; i < to.size(); ++i) to[i] = from[i / head * group * head + i % head];
}

template <class T, class Storage, class Pooling>
Linear<T, Storage> pooled(const Linear<T, Storage>& from, Index heads, Index head_dim, Pooling& pooling) {
  const Index in = from.input_features();
  if constexpr (std::is_same_v<Pooling, RandomHeads>) {
    return Linear<T, Storage>({in, heads * head_dim, from.bias.has_value()}, pooling.random.split());
  } else {
    Linear<T, Storage> result(Matrix<Storage>(heads * head_dim, in));
    pool_heads<Storage>(from.weight.values(), result.weight.values(), head_dim * in, pooling);
    if (from.bias) {
      result.bias.emplace(Vector<T>(heads * head_dim));
      pool_heads<T>(from.bias->values(), result.bias->values(), head_dim, pooling);
    }
    return result;
  }
}

}  // namespace detail

/// Attention with fewer key/value heads from one with more, to be trained on for a small part of its steps (Ainslie et
/// al. 2023, "GQA", section 2.1): consecutive heads form a group, as grouped-query attention reads them, and
///   W_k'[g] = mean_{h in g} W_k[h],   W_v'[g] = mean_{h in g} W_v[h],   biases likewise
/// Everything else is taken over, and which parameters are trained; gradients are not. With as many groups as heads it
/// is the same attention bit for bit, but for RandomHeads.
///   key.weight [kv_heads head_dim, memory_dim] -> [options.kv_heads head_dim, memory_dim]    value.weight likewise
///   throws OptionError for kv_heads that do not divide those of the attention, ShapeError for a key or value
///   projection that does not fit its options
/// @code
/// ef::MultiHeadAttention<float> trained({.dim = 64, .heads = 8}, ef::Random(42));
/// ef::GroupedQueryAttention<float> grouped = ef::from_multi_head(trained, {.kv_heads = 2});
/// ef::GroupedQueryAttention<float> first = ef::from_multi_head(trained, {.kv_heads = 2, .pooling = ef::FirstHead{}});
/// @endcode
template <class T, class Storage, class Position, class QueryKeyNorm, class InnerNorm, class Chosen>
GroupedQueryAttention<T, Linear<T, Storage>, Position, QueryKeyNorm, InnerNorm> from_multi_head(
    const GroupedQueryAttention<T, Linear<T, Storage>, Position, QueryKeyNorm, InnerNorm, Chosen>& attention,
    const HeadPoolingOptions& options) {
  constexpr std::string_view block = "from_multi_head";
  const auto& given = attention.options;
  require_positive(options.kv_heads, block, "kv_heads");
  require<OptionError>(given.kv_heads % options.kv_heads == 0, block, "expected kv_heads that divide the ",
                       given.kv_heads, " of the attention, got ", options.kv_heads);
  require(attention.key.output_features() == given.kv_heads * given.head_dim &&
              attention.value.output_features() == given.kv_heads * given.value_dim,
          block, "expected key and value to give ", given.kv_heads, " heads of ", given.head_dim, " and ",
          given.value_dim, " features, got ", attention.key.output_features(), " and ",
          attention.value.output_features(), " features in all");
  GroupedQueryAttention<T, Linear<T, Storage>, Position, QueryKeyNorm, InnerNorm> result(attention);
  result.options.kv_heads = options.kv_heads;
  HeadPooling how = options.pooling;  // drawing from a stream moves it
  const auto pool = [&](Linear<T, Storage>& projection, Index head_dim) {
    Linear<T, Storage> heads =
        std::visit([&](auto& pooling) { return detail::pooled(projection, options.kv_heads, head_dim, pooling); }, how);
    if constexpr (Parameter<Storage, 2>::learnable) heads.weight.trainable = projection.weight.trainable;
    if (heads.bias) heads.bias->trainable = projection.bias->trainable;
    projection = std::move(heads);
  };
  pool(result.key, given.head_dim);
  pool(result.value, given.value_dim);
  visit_learnable(result, [](const Name&, auto& parameter) { parameter.gradient = {}; });
  return result;
}

}  // namespace eigenformer::inline EIGENFORMER_ABI
