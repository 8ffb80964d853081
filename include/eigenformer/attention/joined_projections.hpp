#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/attention/grouped_query_attention.hpp>

namespace eigenformer::inline EIGENFORMER_ABI {

/// The projections of queries, keys and values as one, their rows in that order: PyTorch's in_proj_weight and in_proj_bias,
/// and what others call qkv.   weight: [heads head_dim + kv_heads (head_dim + value_dim), dim]
///   throws ShapeError for a memory of other features than x has, ValueError if only some of the three have a bias
template <class T, class Position, class QueryKeyNorm, class InnerNorm, class Chosen>
Linear<T> joined_projections(
    const GroupedQueryAttention<T, Linear<T>, Position, QueryKeyNorm, InnerNorm, Chosen>& attention) {
  const Linear<T>* const parts[] = {&attention.query, &attention.key, &attention.value};
  Index rows = 0, biases = 0;
  for (const Linear<T>* part : parts) {
    require(part->input_features() == attention.options.dim, "joined_projections", "expected projections of ",
            attention.options.dim, " features, got one of ", part->input_features());
    rows += part->output_features();
    if (part->bias) ++biases;
  }
  require<ValueError>(biases == 0 || biases == 3, "joined_projections", "expected a bias in all or none, got ", biases,
                      " of 3");
  Matrix<T> weight(rows, attention.options.dim);
  Vector<T> bias(rows);
  Index first = 0;
  for (const Linear<T>* part : parts) {
    weight.middleRows(first, part->output_features()) = part->weight.value;
    if (part->bias) bias.segment(first, part->output_features()) = part->bias->value;
    first += part->output_features();
  }
  return biases == 0 ? Linear<T>(std::move(weight)) : Linear<T>(std::move(weight), bias);
}

/// Gives attention the projections that joined_projections would join to `joined`, all three with a bias if that has one.
///   throws ShapeError, and changes nothing, for a weight of another shape or a memory of other features than x has
template <class T, class Position, class QueryKeyNorm, class InnerNorm, class Chosen>
void split_projections(const Linear<T>& joined,
                       GroupedQueryAttention<T, Linear<T>, Position, QueryKeyNorm, InnerNorm, Chosen>& attention) {
  const auto& o = attention.options;
  joined.check_parameters();
  const Index rows[] = {o.heads * o.head_dim, o.kv_heads * o.head_dim, o.kv_heads * o.value_dim};
  require(o.memory_dim == o.dim, "split_projections", "expected attention whose keys are made from ", o.dim,
          " features as its queries are, got ", o.memory_dim);
  require_shape({rows[0] + rows[1] + rows[2], o.dim}, joined.weight.shape(), "split_projections", "weight");
  Index first = 0;
  Linear<T>* const parts[] = {&attention.query, &attention.key, &attention.value};
  for (std::size_t i = 0; i < 3; ++i) {
    Matrix<T> weight = joined.weight.value.middleRows(first, rows[i]);
    if (joined.bias) {
      *parts[i] = Linear<T>(std::move(weight), Vector<T>(joined.bias->value.segment(first, rows[i])));
    } else {
      *parts[i] = Linear<T>(std::move(weight));
    }
    first += rows[i];
  }
}

}  // namespace eigenformer::inline EIGENFORMER_ABI
