#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/kernels/bit_product.hpp>
#include <eigenformer/linear/bit_linear.hpp>

namespace eigenformer::inline EIGENFORMER_ABI {

/// A BitLinear as it was when it was packed, for inference: it holds one bit for each binary weight and two for each
/// ternary one (why not 1.6: kernels/bit_weights.hpp), the scales, bias and norm. Activations are quantised on the fly and
/// the sums are whole numbers, so that y has the bits of BitLinear's in float. Any shape will do. The packed bytes are the
/// same for every machine; saved with save_safetensors, they load into a layer of the same shape.
///   forward:   x [..., in] -> y [..., out], which may not overlap
///   backward:  dx = norm'(dy W_q), and the gradients of the norm; the weight has none
///   bits [bytes]    scale [groups]    bias [out]
///   throws OptionError for features below 1, more than 16,777,215 inputs of a group, bits outside 2 .. 8 or groups that do
///          not divide the weight, ShapeError for what does not fit, ValueError for a code that Weights does not have
/// @code
/// const ef::BitLinear<float> trained({.in_features = 64, .out_features = 32}, ef::Random(42));
/// const ef::PackedBitLinear<float> packed = trained.pack();
/// const ef::Matrix<float> x = ef::Matrix<float>::Random(5, 64);
/// const ef::Matrix<float> y = packed(x);  // trained(x)
/// @endcode
template <class T, class Weights = BinaryWeights, class Norm = PlainLayerNorm<T>, class Activations = Absmax<>>
class PackedBitLinear : public Block<PackedBitLinear<T, Weights, Norm, Activations>> {
 public:
  static_assert(std::is_same_v<typename Activations::Rounding, NearestEven>,
                "PackedBitLinear: packed products take whole numbers, so activations are rounded");
  using Scalar = T;
  using Options = BitLinearOptions<typename Norm::Options>;
  using Range = typename Activations::Range;      ///< which codes activations have
  using Packed = typename Weights::Packed;        ///< how codes are packed
  static constexpr bool straight_through = true;  ///< gradients are not derivatives
  struct Cache {
    typename Norm::Cache norm;
    Index rows = 0;  ///< N
  };

  /// Random start values, as a block makes its projections before they are assigned.
  PackedBitLinear(const Options& options, Random random)
      : PackedBitLinear(BitLinear<T, Weights, Norm, Activations>(options, Random(random))) {}
  /// A snapshot of the layer.
  explicit PackedBitLinear(const BitLinear<T, Weights, Norm, Activations>& layer)
      : PackedBitLinear(codes_of(layer), layer.bias ? std::optional(layer.bias->value) : std::nullopt, layer.norm,
                        layer.groups, layer.bits) {}
  /// From codes and their scales, as other libraries store them.   codes: [out, in]    scales: [groups]
  PackedBitLinear(const Matrix<std::int8_t>& codes, const Vector<T>& scales, const std::optional<Vector<T>>& given_bias,
                  const Options& options = {})
      : PackedBitLinear({codes, scales}, given_bias,
                        detail::norm_over_parts<Norm>(codes.cols(), options.groups, options.norm), options.groups,
                        options.bits) {}

  Index input_features() const { return in_; }
  Index output_features() const { return out_; }
  /// Memory of weight, scales and bias.
  std::size_t bytes() const {
    return static_cast<std::size_t>(packed.size()) +
           static_cast<std::size_t>(scale.size() + (bias ? bias->size() : 0)) * sizeof(T);
  }
  /// The codes that were packed.   [out, in]
  Matrix<std::int8_t> codes() const {
    Matrix<std::int8_t> result(out_, in_);
    for (Index g = 0; g < groups.inputs; ++g) kernels::unpack_bits(matrix(g), result.data() + g * part(), in_);
    return result;
  }

  void forward(ConstRowsView<T> x, RowsView<T> y, Context& context, Cache* cache = nullptr) const {
    check();
    require_rows(x, in_, y, out_, "PackedBitLinear");
    const ProfileScope profile(context, "PackedBitLinear");
    ScratchScope scope(context.scratch());
    if (cache) cache->rows = x.rows();
    const detail::BitRows shape = {x.rows(), part(), groups.inputs};
    T* const values = scope.take<T>(x.size());
    const auto activations = detail::quantize_input<Activations, T, Norm, std::int8_t>(
        norm, x, shape, bits, {}, values, scope, context, cache ? &cache->norm : nullptr);
    if (groups.inputs == 1 && !Range::adds_minimum) {
      kernels::bit_product(product(activations.rows.codes, shape, 0),
                           kernels::ScaledSums<T>{.y = y.data(),
                                                  .stride = y.stride(),
                                                  .activation_scale = activations.step,
                                                  .weight_scale = scale.values().data(),
                                                  .bias = bias ? bias->values().data() : nullptr,
                                                  .outputs_per_scale = out_ / groups.outputs},
                           context);
    } else {
      add_groups(shape, activations, y, scope, context);
    }
  }

  void backward(ConstRowsView<T> dy, const Cache& cache, RowsView<T> dx, Context& context) {
    check();
    require_rows(dy, out_, dx, in_, "PackedBitLinear", "dy", "dx");
    require(dy.rows() == cache.rows, "PackedBitLinear", "expected dy with the ", cache.rows,
            " rows of forward, got shape ", dy.shape());
    const ProfileScope profile(context, "PackedBitLinear backward");
    ScratchScope scope(context.scratch());
    auto* const unpacked = scope.take<std::int8_t>(out_ * in_);
    T* const weight = scope.take<T>(out_ * in_);
    for (Index g = 0; g < groups.inputs; ++g) kernels::unpack_bits(matrix(g), unpacked + g * part(), in_);
    for (Index i = 0; i < out_ * in_; ++i) weight[i] = static_cast<T>(unpacked[i]);
    detail::bit_backward_input(norm, dy, detail::BitWeight<T>{weight, scale.values().data(), groups, out_, in_},
                               {dy.rows(), part(), groups.inputs}, cache.norm, dx, scope.take<T>(dx.size()), context);
  }

  static void members(auto& self, auto&& visit) {
    visit("bits", self.packed);
    visit("scale", self.scale);
    visit("bias", self.bias);
    visit("norm", self.norm);
  }

  Statistic<std::uint8_t>
      packed;          ///< the weight's bits, as kernels/bit_weights.hpp lays them, one group of inputs after the other
  Statistic<T> scale;  ///< [groups]
  std::optional<Statistic<T>> bias;  ///< [out]
  Norm norm;
  WeightGroups groups;  ///< blocks of the weight with scales of their own
  int bits;             ///< of an activation's code

 private:
  struct CodesAndScales {
    Matrix<std::int8_t> codes;
    Vector<T> scales;
  };
  static CodesAndScales codes_of(const BitLinear<T, Weights, Norm, Activations>& layer) {
    layer.check_parameters();
    CodesAndScales result = {{layer.output_features(), layer.input_features()}, Vector<T>(layer.groups.count())};
    Context context;
    quantize_weight<Weights, T>(layer.weight.value, layer.groups, result.codes.data(), result.scales.data(), context);
    return result;
  }
  PackedBitLinear(const CodesAndScales& weight, const std::optional<Vector<T>>& given_bias, Norm given_norm,
                  const WeightGroups& given_groups, int given_bits)
      : scale(weight.scales),
        norm(std::move(given_norm)),
        groups(given_groups),
        bits(given_bits),
        out_(weight.codes.rows()),
        in_(weight.codes.cols()) {
    if (given_bias) bias.emplace(*given_bias);
    detail::require_bit_linear(out_, in_, bias ? bias->size() : -1, norm, groups, bits, "PackedBitLinear");
    packed.value.resize(packed_part() * groups.inputs);
    for (Index g = 0; g < groups.inputs; ++g) {
      kernels::pack_bits<Packed>(weight.codes.data() + g * part(), in_, out_, part(),
                                 packed.values().subspan(static_cast<std::size_t>(g * packed_part()),
                                                         static_cast<std::size_t>(packed_part())));
    }
    check();
  }

  Index part() const { return in_ / groups.inputs; }
  Index packed_part() const { return kernels::bit_matrix_size<Packed>(out_, part()); }
  kernels::BitMatrix<Packed> matrix(Index group) const {
    return {packed.values().data() + group * packed_part(), out_, part()};
  }
  kernels::BitProduct<Packed> product(const std::int8_t* activations, const detail::BitRows& shape, Index group) const {
    return {.weights = matrix(group),
            .codes = activations + group * shape.features,
            .rows = shape.rows,
            .stride = shape.in()};
  }
  void check() const {
    detail::require_bit_linear(out_, in_, bias ? bias->size() : -1, norm, groups, bits, "PackedBitLinear");
    require(scale.size() == groups.count(), "PackedBitLinear", "expected ", groups.count(), " scales, got ",
            scale.size());
    require(packed.size() == packed_part() * groups.inputs, "PackedBitLinear", "expected ",
            packed_part() * groups.inputs, " bytes of weights, got ", packed.size());
  }

  /// Groups of inputs one after the other, with their sums and what the minimum brings put together in double.
  void add_groups(const detail::BitRows& shape, const detail::BitActivations<T, std::int8_t>& activations,
                  RowsView<T> y, ScratchScope& scope, Context& context) const {
    auto* const part_sums = scope.take<std::int32_t>(shape.rows * out_);
    auto* const sums = scope.take<double>(shape.rows * out_);
    std::fill_n(sums, shape.rows * out_, 0.0);
    std::int32_t* code_sums = nullptr;
    if (Range::adds_minimum) code_sums = scope.take<std::int32_t>(out_);
    for (Index g = 0; g < groups.inputs; ++g) {
      kernels::bit_product(product(activations.rows.codes, shape, g), kernels::BitSums<T>{part_sums, out_}, context);
      if (Range::adds_minimum) sum_codes(g, kernels::BitSums<T>{code_sums, out_}, scope, context);
      context.parallel_for(shape.rows, 4 * static_cast<double>(shape.rows * out_), [&](Index n) {
        const Index row = n * shape.groups + g;
        for (Index o = 0; o < out_; ++o) {
          const T weight_scale = scale.value[groups.at(o, out_, g)];
          double& sum = sums[n * out_ + o];
          sum += static_cast<double>(part_sums[n * out_ + o]) *
                 (static_cast<double>(activations.step[row]) * static_cast<double>(weight_scale));
          if constexpr (Range::adds_minimum) {
            sum += static_cast<double>(activations.rows.minimum[row]) *
                   static_cast<double>(static_cast<T>(code_sums[o]) * weight_scale);
          }
        }
      });
    }
    for (Index n = 0; n < shape.rows; ++n) {
      for (Index o = 0; o < out_; ++o) {
        const double sum = sums[n * out_ + o];
        y.data()[n * y.stride() + o] = static_cast<T>(bias ? sum + static_cast<double>(bias->value[o]) : sum);
      }
    }
  }
  /// The sums of the weight's codes, [out]: its product with a row of ones.
  void sum_codes(Index group, const kernels::BitSums<T>& sums, ScratchScope& scope, Context& context) const {
    auto* const ones = scope.take<std::int8_t>(part());
    std::fill_n(ones, part(), std::int8_t{1});
    kernels::bit_product(
        kernels::BitProduct<Packed>{.weights = matrix(group), .codes = ones, .rows = 1, .stride = part()}, sums,
        context);
  }

  Index out_;
  Index in_;
};

template <class T, class Weights, class Norm, class Activations>
PackedBitLinear<T, Weights, Norm, Activations> BitLinear<T, Weights, Norm, Activations>::pack() const {
  return PackedBitLinear<T, Weights, Norm, Activations>(*this);
}

}  // namespace eigenformer::inline EIGENFORMER_ABI
