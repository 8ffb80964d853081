#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/concepts.hpp>
#include <eigenformer/linear/bit_rows.hpp>

namespace eigenformer::inline EIGENFORMER_ABI {

template <class T, class Weights, class Norm, class Activations>
class PackedBitLinear;

namespace detail {
/// Parts of the inputs whose products are summed apart, so short that float sums of codes are exact: 2^16 128 < 2^24.
template <class T>
inline constexpr Index exact_depth = sizeof(T) == 4 ? Index(1) << 16 : Index(1) << 40;
}  // namespace detail

/// A linear map whose weights have 1 bit (BinaryWeights, Wang et al. 2023, "BitNet", section 2.1) or three values
/// (TernaryWeights, Ma et al. 2024, BitNet b1.58), and whose activations have `bits`:
///   y = (x~ W~^T) beta gamma / levels + b,   x~ = clip(round(norm(x) levels / gamma)),   W~ = code(W)
/// gamma is the largest |norm(x)| of a row, beta the scale of a block of the weight. The sums are exact: they are those
/// of the packed layer, and y differs from double by the rounding of gamma / levels, beta and y alone.
///
/// Training: the weight is latent, in T. Gradients go straight through sign, rounding, clipping and the scales (the
/// straight-through estimator of Bengio et al. 2013, as in section 2.2 of the paper), so they are not derivatives:
/// backward is that of a Linear with the quantised weight and activations,
///   dW += dy^T x_q,   db += sum_n dy_n,   dx = norm'(dy W_q),   x_q = x~ gamma / levels,   W_q = beta W~
/// The weight is quantised anew in each call; for inference, pack().
///   forward:   x [..., in] -> y [..., out], which may not overlap
///   Norm: what stands in front, PlainLayerNorm (the paper's LN, without gain), LayerNorm, RmsNorm, NoNorm
///   Activations: Absmax of a range, a rounding and a scope
///   throws OptionError for features below 1, bits outside 2 .. 8 or groups that do not divide the weight, ShapeError
///          for a bias, norm, x, y, dy or dx that does not fit, ValueError if the weight is trained but was frozen when
///          forward ran. A row that is not finite gives NaN, and no other does
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
  using Range = typename Activations::Range;  ///< which codes activations have
  /// What a code of an activation is kept as.
  using Code = typename Activations::Rounding::template Code<T>;
  static constexpr bool straight_through = true;  ///< gradients are not derivatives
  struct Cache {
    typename Norm::Cache norm;
    Buffer<Code> codes;  ///< [N, in], empty while the weight is frozen
    Buffer<T> gamma;     ///< [N, groups.inputs]
    Buffer<T> minimum;   ///< [N, groups.inputs], of ranges that add it
    Index rows = 0;      ///< N
  };

  /// Weight and bias start as those of Linear.
  BitLinear(const Options& options, Random random)
      : BitLinear(Linear<T>({options.in_features, options.out_features, options.bias}, Random(random)), options) {}
  /// From a given weight and bias; the options' features may be left out.
  explicit BitLinear(const Linear<T>& latent, const Options& options = {})
      : weight(latent.weight),
        bias(latent.bias),
        norm(detail::norm_over_parts<Norm>(latent.input_features(), options.groups, options.norm)),
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
    const detail::BitRows shape = shape_of(x.rows());
    QuantizedRows<T, Code> kept;
    if (cache) {
      cache->rows = x.rows();
      const Index rows = weight.trainable ? shape.quantized() : 0;
      kept.codes = cache->codes.resize(rows * shape.features);
      kept.gamma = cache->gamma.resize(rows);
      kept.minimum = cache->minimum.resize(Range::adds_minimum ? rows : 0);
      if (!weight.trainable) kept = {};
    }
    T* const values = scope.take<T>(x.size());
    const detail::BitActivations<T, Code> activations = detail::quantize_input<Activations>(
        norm, x, shape, bits, kept, values, scope, context, cache ? &cache->norm : nullptr);
    context.parallel_for(shape.quantized(), static_cast<double>(x.size()), [&](Index n) {
      const Code* const from = activations.rows.codes + n * shape.features;
      for (Index i = 0; i < shape.features; ++i) values[n * shape.features + i] = static_cast<T>(from[i]);
    });
    multiply(shape, values, activations, quantized_weight(scope, context), y, scope, context);
  }

  void backward(ConstRowsView<T> dy, const Cache& cache, RowsView<T> dx, Context& context) {
    check_parameters();
    require_rows(dy, output_features(), dx, input_features(), "BitLinear", "dy", "dx");
    require(dy.rows() == cache.rows, "BitLinear", "expected dy with the ", cache.rows, " rows of forward, got shape ",
            dy.shape());
    require<ValueError>(!weight.trainable || cache.codes.size() == cache.rows * input_features(), "BitLinear",
                        "expected the codes of forward in the cache, but the weight was frozen then");
    const ProfileScope profile(context, "BitLinear backward");
    ScratchScope scope(context.scratch());
    const detail::BitRows shape = shape_of(dy.rows());
    T* const values = scope.take<T>(dx.size());
    if (weight.trainable) {
      dequantize(shape, cache, values, context);
      linear_backward_weight<T>(dy, shape.whole(values), weight.accumulated_gradient(), context);
    }
    if (bias && bias->trainable) {
      bias->accumulated_gradient();
      linear_backward_bias<T>(dy, bias->gradients(), context);
    }
    detail::bit_backward_input(norm, dy, quantized_weight(scope, context), shape, cache.norm, dx, values, context);
  }

  /// This map as it is now, with one or two bits for each weight, for inference. Needs
  /// eigenformer/linear/packed_bit_linear.hpp, and an Activations that rounds.
  PackedBitLinear<T, Weights, Norm, Activations> pack() const;

  static void members(auto& self, auto&& visit) {
    visit("weight", self.weight);
    visit("bias", self.bias);
    visit("norm", self.norm);
  }

  /// What forward checks.
  void check_parameters() const {
    detail::require_bit_linear(output_features(), input_features(), bias ? bias->size() : -1, norm, groups, bits,
                               "BitLinear");
  }

  Parameter<T, 2> weight;            ///< [out, in], latent
  std::optional<Parameter<T>> bias;  ///< [out]
  Norm norm;
  WeightGroups groups;  ///< blocks of the weight with scales of their own
  int bits;             ///< of an activation's code

 private:
  detail::BitRows shape_of(Index rows) const { return {rows, input_features() / groups.inputs, groups.inputs}; }
  detail::BitWeight<T> quantized_weight(ScratchScope& scope, Context& context) const {
    T* const codes = scope.take<T>(weight.size());
    T* const scales = scope.take<T>(groups.count());
    quantize_weight<Weights, T>(weight.value, groups, codes, scales, context);
    return {codes, scales, groups, output_features(), input_features()};
  }

  /// y from codes as numbers.
  void multiply(const detail::BitRows& shape, const T* codes, const detail::BitActivations<T, Code>& activations,
                const detail::BitWeight<T>& quantized, RowsView<T> y, ScratchScope& scope, Context& context) const {
    if (shape.groups > 1 || shape.features > detail::exact_depth<T> || Range::adds_minimum) {
      return multiply_parts(shape, codes, activations, quantized, y, scope, context);
    }
    linear<T>(ConstRowsView<T>(codes, shape.rows, shape.in(), shape.in()), quantized.columns(0, quantized.in), {}, y,
              context);
    const Index block = quantized.out / groups.outputs;
    context.parallel_for(shape.rows, 4 * static_cast<double>(y.size()), [&](Index n) {
      using Numbers = Eigen::Array<T, Eigen::Dynamic, 1>;
      for (Index from = 0; from < quantized.out; from += block) {
        const double scale = static_cast<double>(activations.step[n]) * static_cast<double>(quantized.scale(from, 0));
        Eigen::Map<Numbers> to(y.data() + n * y.stride() + from, block);
        if (bias) {
          const Eigen::Map<const Numbers> added(bias->value.data() + from, block);
          to = (to.template cast<double>() * scale + added.template cast<double>()).template cast<T>();
        } else {
          to = (to.template cast<double>() * scale).template cast<T>();
        }
      }
    });
  }
  /// The same in parts of the inputs whose sums are exact; these are put together in double.
  void multiply_parts(const detail::BitRows& shape, const T* codes, const detail::BitActivations<T, Code>& activations,
                      const detail::BitWeight<T>& quantized, RowsView<T> y, ScratchScope& scope,
                      Context& context) const {
    const RowsView<T> part = scope.rows<T>(shape.rows, quantized.out);
    auto* const sums = scope.take<double>(part.size());
    std::fill_n(sums, part.size(), 0.0);
    const double operations = 4 * static_cast<double>(part.size());
    for (Index first = 0; first < quantized.in;) {
      const Index g = first / shape.features;
      const Index count = (std::min)((g + 1) * shape.features - first, detail::exact_depth<T>);
      linear<T>(ConstRowsView<T>(codes + first, shape.rows, count, shape.in()), quantized.columns(first, count), {},
                part, context);
      T* offsets = nullptr;  // of each output, for the minimum
      if constexpr (Range::adds_minimum) {
        offsets = scope.take<T>(quantized.out);
        for (Index o = 0; o < quantized.out; ++o)
          offsets[o] = code_sum(quantized, o, first, count) * quantized.scale(o, g);
      }
      context.parallel_for(shape.rows, operations, [&](Index n) {
        const Index row = n * shape.groups + g;
        const Index block = quantized.out / groups.outputs;
        for (Index from = 0; from < quantized.out; from += block) {
          const double scale =
              static_cast<double>(activations.step[row]) * static_cast<double>(quantized.scale(from, g));
          for (Index o = from; o < from + block; ++o)
            sums[n * quantized.out + o] += static_cast<double>(part(n, o)) * scale;
        }
        if (offsets == nullptr) return;
        const auto minimum = static_cast<double>(activations.rows.minimum[row]);
        for (Index o = 0; o < quantized.out; ++o)
          sums[n * quantized.out + o] += minimum * static_cast<double>(offsets[o]);
      });
      first += count;
    }
    context.parallel_for(shape.rows, operations, [&](Index n) {
      T* const to = y.data() + n * y.stride();
      for (Index o = 0; o < quantized.out; ++o) {
        const double sum = sums[n * quantized.out + o];
        to[o] = static_cast<T>(bias ? sum + static_cast<double>(bias->value[o]) : sum);
      }
    });
  }
  static T code_sum(const detail::BitWeight<T>& quantized, Index output, Index first, Index count) {
    Index sum = 0;
    const T* const codes = quantized.codes + output * quantized.in + first;
    for (Index i = 0; i < count; ++i) sum += static_cast<Index>(codes[i]);
    return static_cast<T>(sum);
  }
  void dequantize(const detail::BitRows& shape, const Cache& cache, T* values, Context& context) const {
    context.parallel_for(shape.quantized(), 2 * static_cast<double>(shape.quantized() * shape.features), [&](Index n) {
      // What the minimum cancels must be exact.
      using Exact = std::conditional_t<Range::adds_minimum, double, T>;
      const auto step = static_cast<Exact>(cache.gamma.data()[n]) / static_cast<Exact>(Range::levels(bits));
      const auto origin = static_cast<Exact>(Range::adds_minimum ? cache.minimum.data()[n] : T(0));
      const Code* const from = cache.codes.data() + n * shape.features;
      T* const to = values + n * shape.features;
      for (Index i = 0; i < shape.features; ++i) to[i] = static_cast<T>(static_cast<Exact>(from[i]) * step + origin);
    });
  }
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
