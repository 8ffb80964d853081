#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/linear/linear.hpp>
#include <eigenformer/norm/no_norm.hpp>
#include <eigenformer/norm/plain_layer_norm.hpp>
#include <eigenformer/quantize/absmax.hpp>
#include <eigenformer/quantize/weights.hpp>

#include <optional>

namespace eigenformer::inline EIGENFORMER_ABI {

template <class NormOptions = PlainLayerNormOptions>
struct BitLinearOptions {
  Index in_features = 0;
  Index out_features = 0;
  bool bias = true;
  int bits = 8;           ///< of an activation's code, 2 .. 8
  WeightGroups groups{};  ///< blocks of the weight with scales of their own
  NormOptions norm{};     ///< in front of the quantiser, over in_features / groups.inputs
};

namespace detail {

/// How rows of activations are cut: into `groups` parts of `features` each.
struct BitRows {
  Index rows = 0;      ///< N
  Index features = 0;  ///< of a part
  Index groups = 1;

  Index in() const { return features * groups; }
  /// Rows of codes, each with a gamma of its own.
  Index quantized() const { return rows * groups; }
  /// Numbers that lie together, as [N groups, features] and as [N, in].
  template <class T>
  RowsView<T> split(T* data) const {
    return RowsView<T>(data, quantized(), features, features);
  }
  template <class T>
  RowsView<T> whole(T* data) const {
    return RowsView<T>(data, rows, in(), in());
  }
};

/// Activations as codes.
template <class T, class Code>
struct BitActivations {
  QuantizedRows<T, Code> rows;
  const T* step;  ///< [N groups], x is about code * step
};

/// Norm and codes of rows, in scratch memory where `kept` gives none. `values` is memory for [N, in] numbers that is free
/// again behind the call.
template <class Activations, class T, class Norm, class Code>
BitActivations<T, Code> quantize_input(const Norm& norm, ConstRowsView<T> x, const BitRows& shape, int bits,
                                       const QuantizedRows<T, Code>& kept, T* values, ScratchScope& scope,
                                       Context& context, typename Norm::Cache* cache) {
  using Range = typename Activations::Range;
  if (shape.groups == 1) {
    norm.forward(x, shape.whole(values), context, cache);
  } else {
    shape.whole(values) = x;
    norm.forward(shape.split(values), shape.split(values), context, cache);
  }
  QuantizedRows<T, Code> rows = kept;
  if (rows.codes == nullptr) rows.codes = scope.take<Code>(shape.quantized() * shape.features);
  if (rows.gamma == nullptr) rows.gamma = scope.take<T>(shape.quantized());
  if (rows.minimum == nullptr && Range::adds_minimum) rows.minimum = scope.take<T>(shape.quantized());
  quantize_rows<Activations>(ConstRowsView<T>(shape.split(values)), bits, rows, context, shape.groups);
  T* const step = scope.take<T>(shape.quantized());
  for (Index n = 0; n < shape.quantized(); ++n) step[n] = rows.gamma[n] / static_cast<T>(Range::levels(bits));
  return {rows, step};
}

/// A weight as codes and scales.
template <class T>
struct BitWeight {
  const T* codes;   ///< [out, in]
  const T* scales;  ///< [groups]
  WeightGroups groups;
  Index out;
  Index in;

  /// Some columns.
  ConstRowsView<T> columns(Index first, Index count) const { return ConstRowsView<T>(codes + first, out, count, in); }
  T scale(Index output, Index input_part) const { return scales[groups.at(output, out, input_part)]; }
};

/// dx = norm'(dy W_q), with `values` as in quantize_input.
template <class T, class Norm>
void bit_backward_input(Norm& norm, ConstRowsView<T> dy, const BitWeight<T>& weight, const BitRows& shape,
                        const typename Norm::Cache& cache, RowsView<T> dx, T* values, Context& context) {
  ScratchScope scope(context.scratch());
  RowsView<T> scaled = scope.rows<T>(dy.rows(), weight.out);
  for (Index g = 0; g < shape.groups; ++g) {
    context.parallel_for(dy.rows(), static_cast<double>(dy.size()), [&](Index n) {
      const T* const from = dy.data() + n * dy.stride();
      T* const to = scaled.data() + n * weight.out;
      const Index block = weight.out / weight.groups.outputs;
      for (Index o = 0; o < weight.out; o += block) {
        const T scale = weight.scale(o, g);
        for (Index i = o; i < o + block; ++i) to[i] = from[i] * scale;
      }
    });
    linear_backward_input<T>(scaled, weight.columns(g * shape.features, shape.features),
                             RowsView<T>(values + g * shape.features, shape.rows, shape.features, shape.in()), context);
  }
  if (shape.groups == 1) return norm.backward(shape.whole(values), cache, dx, context);
  norm.backward(shape.split(values), cache, shape.split(values), context);
  RowsView<T> result = dx;
  result = shape.whole(values);
}

/// Throws unless a BitLinear's parts go together.
template <class Norm>
void require_bit_linear(Index out, Index in, Index bias, const Norm& norm, const WeightGroups& groups, int bits,
                        std::string_view block) {
  require<OptionError>(out > 0 && in > 0, block,
                       "expected a weight [out_features, in_features] of at least [1, 1], got [", out, ", ", in, "]");
  require(bias < 0 || bias == out, block, "expected a bias of ", out, " values for a weight of ", out,
          " out_features, got ", bias);
  require<OptionError>(bits >= 2 && bits <= 8, block, "expected 2 .. 8 bits, got ", bits);
  require_groups(groups, out, in, block);
  require_norm_over(in / groups.inputs, norm, block, "norm");
}

/// The norm over each part of the inputs; groups that do not divide them are refused later.
template <class Norm>
Norm norm_over_parts(Index in, const WeightGroups& groups, const typename Norm::Options& options) {
  return norm_over<Norm>(in / (std::max)(groups.inputs, Index(1)), options);
}

}  // namespace detail
}  // namespace eigenformer::inline EIGENFORMER_ABI
