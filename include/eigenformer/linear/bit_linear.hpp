#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/linear/linear.hpp>
#include <eigenformer/norm/no_norm.hpp>
#include <eigenformer/norm/plain_layer_norm.hpp>
#include <eigenformer/quantize/absmax.hpp>
#include <eigenformer/quantize/weights.hpp>

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

/// Parts of the inputs whose products are summed apart: a group each, and so short that float sums of codes are exact.
template <class T>
constexpr Index exact_depth = sizeof(T) == 4 ? Index(1) << 16 : Index(1) << 40;

/// What both BitLinears know of how rows are cut: `groups` parts of `features` each.
struct BitRows {
  Index rows = 0;      ///< N
  Index features = 0;  ///< of a part
  Index groups = 1;
  Index quantized() const { return rows * groups; }
  /// The parts as rows of their own, [N groups, features], of numbers that lie together.
  template <class T>
  RowsView<T> split(T* data) const {
    return RowsView<T>(data, quantized(), features, features);
  }
  template <class T>
  RowsView<T> whole(T* data) const {
    return RowsView<T>(data, rows, features * groups, features * groups);
  }
};

/// The norm over each part of x, written to memory that lies together.
template <class T, class Norm>
void normalise_parts(const Norm& norm, ConstRowsView<T> x, const BitRows& shape, T* to, Context& context,
                     typename Norm::Cache* cache) {
  if (shape.groups == 1) return norm.forward(x, shape.whole(to), context, cache);
  shape.whole(to) = x;
  norm.forward(shape.split(to), shape.split(to), context, cache);
}

/// What scales the sums of one row's codes: gamma / levels, in double.
template <class Range, class T>
double code_step(T gamma, int bits) {
  return static_cast<double>(gamma) / Range::levels(bits);
}

}  // namespace detail

/// A linear map whose weights have 1 bit (BinaryWeights, Wang et al. 2023, "BitNet", section 2.1) or three values
/// (TernaryWeights, Ma et al. 2024, BitNet b1.58), and whose activations have `bits`:
///   y = (x~ W~^T) beta gamma / levels + b,   x~ = clip(round(norm(x) levels / gamma)),   W~ = code(W)
/// gamma is the largest |norm(x)| of a row, beta the scale of a block of the weight. The sums are exact: they are those
/// of the packed layer, and y differs from double by its rounding alone.
///
/// Training: the weight is latent, in T. Gradients go straight through sign, rounding, clipping and the scales (the
/// straight-through estimator of Bengio et al. 2013, as in section 2.2 of the paper): backward is that of a Linear with
/// the quantised weight and activations,
///   dW += dy^T x_q,   db += sum_n dy_n,   dx = norm'(dy W_q),   x_q = x~ gamma / levels,   W_q = beta W~
/// The weight is quantised anew in each call; for inference, pack().
///   forward:   x [..., in] -> y [..., out], which may not overlap
///   Norm: what stands in front, PlainLayerNorm (the paper's LN, no gain), LayerNorm, RmsNorm, NoNorm
///   Activations: Absmax of a range, a rounding and a scope
///   throws OptionError for features below 1, bits outside 2 .. 8 or groups that do not divide the weight, ShapeError
///          for a bias, norm, x, y, dy or dx that does not fit. A row that is not finite gives NaN, and no other does
/// @code
/// ef::BitLinear<float> linear({.in_features = 64, .out_features = 32}, ef::Random(42));
/// const ef::Matrix<float> x = ef::Matrix<float>::Random(5, 64);
/// const ef::Matrix<float> y = linear(x);  // [5, 32]
/// @endcode
template <class T, class Weights = BinaryWeights, class Norm = PlainLayerNorm<T>, class Activations = Absmax<>>
class BitLinear : public Block<BitLinear<T, Weights, Norm, Activations>> {
 public:
  static_assert(TokenwiseBlock<Norm, T>, "BitLinear: the third argument is a norm, such as RmsNorm<T> or NoNorm<T>");
  using Scalar = T;
  using Options = BitLinearOptions<typename Norm::Options>;
  using Range = typename Activations::Range;
  /// What a code of an activation is kept as.
  using Code = typename Activations::Rounding::template Code<T>;
  struct Cache {
    typename Norm::Cache norm;
    Buffer<Code> codes;  ///< [N, in]
    Buffer<T> gamma;     ///< [N, groups.inputs]
    Buffer<T> minimum;   ///< [N, groups.inputs], of ranges that add it
    Index rows = 0;      ///< N
  };

  /// Weight and bias start as those of Linear.
  BitLinear(const Options& options, Random random)
      : BitLinear(Linear<T>({options.in_features, options.out_features, options.bias}, std::move(random)), options) {}
  /// From a given weight and bias; the options' features may be left out.
  explicit BitLinear(const Linear<T>& latent, const Options& options = {})
      : weight(latent.weight),
        bias(latent.bias),
        norm(detail::norm_over<Norm>(latent.input_features() / (std::max)(options.groups.inputs, Index(1)),
                                     options.norm)),
        groups(options.groups),
        bits(options.bits) {
    check_parameters();
  }

  Index input_features() const { return weight.value.cols(); }
  Index output_features() const { return weight.value.rows(); }

  void forward(ConstRowsView<T> x, RowsView<T> y, Context& context, Cache* cache = nullptr) const {
    check_parameters();
    require_rows(x, input_features(), y, output_features(), "BitLinear");
    const ProfileScope profile(context, "BitLinear");
    ScratchScope scope(context.scratch());
    const detail::BitRows shape = shape_of_rows(x.rows());
    T* const values = scope.take<T>(x.size());
    detail::normalise_parts(norm, x, shape, values, context, cache ? &cache->norm : nullptr);
    QuantizedRows<T, Code> rows = {cache ? cache->codes.resize(x.size()) : scope.take<Code>(x.size()),
                                   cache ? cache->gamma.resize(shape.quantized()) : scope.take<T>(shape.quantized()),
                                   nullptr};
    if constexpr (Range::adds_minimum) {
      rows.minimum = cache ? cache->minimum.resize(shape.quantized()) : scope.take<T>(shape.quantized());
    }
    quantize_rows<Activations>(ConstRowsView<T>(shape.split(values)), bits, rows, context, groups.inputs);
    if (cache) cache->rows = x.rows();
    const Quantized quantized = quantized_weight(scope, context);
    Eigen::Map<Vector<T>>(values, x.size()) = Eigen::Map<const Vector<Code>>(rows.codes, x.size()).template cast<T>();
    multiply(shape, values, rows, quantized, y, scope, context);
  }

  void backward(ConstRowsView<T> dy, const Cache& cache, RowsView<T> dx, Context& context) {
    check_parameters();
    require_rows(dy, output_features(), dx, input_features(), "BitLinear", "dy", "dx");
    require(dy.rows() == cache.rows && cache.codes.size() == dx.size(), "BitLinear", "expected dy with the ",
            cache.rows, " rows of forward, got shape ", dy.shape());
    const ProfileScope profile(context, "BitLinear backward");
    ScratchScope scope(context.scratch());
    const detail::BitRows shape = shape_of_rows(dy.rows());
    T* const values = scope.take<T>(dx.size());
    if (weight.trainable) {
      dequantize(shape, cache, values, context);
      linear_backward_weight<T>(dy, shape.whole(values), weight.accumulated_gradient(), context);
    }
    if (bias && bias->trainable) {
      bias->accumulated_gradient();
      linear_backward_bias<T>(dy, bias->gradients(), context);
    }
    const Quantized quantized = quantized_weight(scope, context);
    RowsView<T> scaled = scope.rows<T>(dy.rows(), output_features());
    for (Index g = 0; g < groups.inputs; ++g) {
      for (Index o = 0; o < groups.outputs; ++o) {
        const Index block = output_features() / groups.outputs;
        scaled.middleCols(o * block, block) = dy.middleCols(o * block, block) * quantized.scales[o * groups.inputs + g];
      }
      linear_backward_input<T, Bfloat16>(scaled, quantized.part(g * shape.features, shape.features),
                                         part_of(shape, values, g * shape.features, shape.features), context);
    }
    if (groups.inputs == 1) return norm.backward(shape.whole(values), cache.norm, dx, context);
    norm.backward(shape.split(values), cache.norm, shape.split(values), context);
    dx = shape.whole(values);
  }

  static void members(auto& self, auto&& visit) {
    visit("weight", self.weight);
    visit("bias", self.bias);
    visit("norm", self.norm);
  }

  /// What forward checks.
  void check_parameters() const {
    require<OptionError>(weight.value.size() > 0, "BitLinear",
                         "expected a weight [out_features, in_features] of at least [1, 1], got ", weight.shape());
    require(!bias || bias->size() == output_features(), "BitLinear", "expected a bias of ", output_features(),
            " values for the weight of shape ", weight.shape(), ", got ", bias ? bias->size() : 0);
    require<OptionError>(bits >= 2 && bits <= 8, "BitLinear", "expected 2 .. 8 bits, got ", bits);
    require_groups(groups, output_features(), input_features(), "BitLinear");
    detail::require_norm_over(input_features() / groups.inputs, norm, "BitLinear", "norm");
  }

  Parameter<T, 2> weight;            ///< [out, in], latent
  std::optional<Parameter<T>> bias;  ///< [out]
  Norm norm;
  WeightGroups groups;
  int bits;

 private:
  /// The weight's codes, which bfloat16 holds exactly, and scales, in scratch memory.
  struct Quantized {
    const Bfloat16* codes;  // [out, in]
    const T* scales;        // [groups]
    Index out;
    Index in;

    ConstRowsView<Bfloat16> part(Index first, Index count) const {
      return ConstRowsView<Bfloat16>(codes + first, out, count, in);
    }
  };
  Quantized quantized_weight(ScratchScope& scope, Context& context) const {
    auto* const codes = scope.take<Bfloat16>(weight.size());
    T* const scales = scope.take<T>(groups.count());
    quantize_weight<Weights, T>(weight.value, groups, codes, scales, context);
    return {codes, scales, output_features(), input_features()};
  }
  detail::BitRows shape_of_rows(Index rows) const { return {rows, input_features() / groups.inputs, groups.inputs}; }
  static RowsView<T> part_of(const detail::BitRows& shape, T* values, Index first, Index count) {
    return RowsView<T>(values + first, shape.rows, count, shape.features * shape.groups);
  }

  /// y from codes as numbers. Every product of a part is exact; their sums and scales are in double.
  void multiply(const detail::BitRows& shape, T* codes, const QuantizedRows<T, Code>& rows, const Quantized& quantized,
                RowsView<T> y, ScratchScope& scope, Context& context) const {
    const Index out = output_features(), in = input_features();
    const RowsView<T> part = scope.rows<T>(shape.rows, out);
    auto* const sums = scope.take<double>(shape.rows * out);
    for (Index n = 0; n < shape.rows; ++n) {
      for (Index o = 0; o < out; ++o) sums[n * out + o] = bias ? static_cast<double>(bias->value[o]) : 0;
    }
    for (Index first = 0; first < in;) {
      const Index g = first / shape.features;
      const Index count = (std::min)((g + 1) * shape.features - first, detail::exact_depth<T>);
      linear<T, Bfloat16>(part_of(shape, codes, first, count), quantized.part(first, count), {}, part, context);
      const double operations = 4 * static_cast<double>(shape.rows * out);
      context.parallel_for(shape.rows, operations, [&](Index n) {
        const double step = detail::code_step<Range>(rows.gamma[n * shape.groups + g], bits);
        for (Index o = 0; o < out; ++o) {
          const auto scale = static_cast<double>(quantized.scales[groups.at(o, out, g)]);
          sums[n * out + o] += static_cast<double>(part(n, o)) * step * scale;
        }
      });
      if constexpr (Range::adds_minimum) add_minimum(shape, g, first, count, rows.minimum, quantized, sums);
      first += count;
    }
    for (Index n = 0; n < shape.rows; ++n) {
      for (Index o = 0; o < out; ++o) y(n, o) = static_cast<T>(sums[n * out + o]);
    }
  }
  /// sums += minimum times the sum of the weight's codes.
  void add_minimum(const detail::BitRows& shape, Index g, Index first, Index count, const T* minimum,
                   const Quantized& quantized, double* sums) const {
    const Index out = output_features();
    for (Index o = 0; o < out; ++o) {
      double sum = 0;
      for (Index i = 0; i < count; ++i) sum += widened<double>(quantized.codes[o * quantized.in + first + i]);
      sum *= static_cast<double>(quantized.scales[groups.at(o, out, g)]);
      for (Index n = 0; n < shape.rows; ++n) {
        sums[n * out + o] += static_cast<double>(minimum[n * shape.groups + g]) * sum;
      }
    }
  }
  void dequantize(const detail::BitRows& shape, const Cache& cache, T* values, Context& context) const {
    context.parallel_for(shape.quantized(), 2 * static_cast<double>(shape.quantized() * shape.features), [&](Index n) {
      // What the minimum cancels must be exact.
      using Exact = std::conditional_t<Range::adds_minimum, double, T>;
      const auto step = static_cast<Exact>(detail::code_step<Range>(cache.gamma.data()[n], bits));
      const auto origin = static_cast<Exact>(Range::adds_minimum ? cache.minimum.data()[n] : T(0));
      const Code* const from = cache.codes.data() + n * shape.features;
      T* const to = values + n * shape.features;
      for (Index i = 0; i < shape.features; ++i) to[i] = static_cast<T>(static_cast<Exact>(from[i]) * step + origin);
    });
  }
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
