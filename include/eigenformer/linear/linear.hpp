#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/block.hpp>
#include <eigenformer/core/random.hpp>
#include <eigenformer/kernels/gemm.hpp>
#include <eigenformer/kernels/narrow_gemm.hpp>

#include <cmath>
#include <concepts>
#include <optional>
#include <type_traits>

namespace eigenformer::inline EIGENFORMER_ABI {

struct LinearOptions {
  Index in_features = 0;
  Index out_features = 0;
  bool bias = true;
};

template <class T, class Storage>
class PackedLinear;

/// y = x W^T + b, row by row. The weight may be stored in half precision and is widened where it is read.
///   x: [N, in]    weight: [out, in]    bias: [out], or empty for none    y: [N, out]
template <class T, class Storage = T>
void linear(ConstRowsView<T> x, ConstRowsView<std::type_identity_t<Storage>> weight, std::span<const T> bias,
            RowsView<T> y, Context& context) {
  const kernels::Product<T, Storage> product = {.rows = x.rows(),
                                                .columns = weight.rows(),
                                                .depth = x.features(),
                                                .a = kernels::plain(x.data(), x.stride()),
                                                .b = kernels::transposed(weight.data(), weight.stride()),
                                                .c = y.data(),
                                                .c_stride = y.stride()};
  kernels::gemm(product, context, kernels::AddBias<T>{bias.empty() ? nullptr : bias.data()});
}

/// dx = dy W, or dx += dy W.   dy: [N, out]    weight: [out, in]    dx: [N, in]
template <class T, class Storage = T>
void linear_backward_input(ConstRowsView<T> dy, ConstRowsView<std::type_identity_t<Storage>> weight, RowsView<T> dx,
                           Context& context, kernels::Destination destination = kernels::Destination::overwrite) {
  const kernels::Product<T, Storage> product = {.rows = dy.rows(),
                                                .columns = weight.features(),
                                                .depth = dy.features(),
                                                .a = kernels::plain(dy.data(), dy.stride()),
                                                .b = kernels::plain(weight.data(), weight.stride()),
                                                .c = dx.data(),
                                                .c_stride = dx.stride(),
                                                .destination = destination};
  kernels::gemm(product, context);
}

/// dW += dy^T x. A narrow x, as of adapters of low rank, is multiplied from its own side.
///   dy: [N, out]    x: [N, in]    dweight: [out, in]
template <class T>
void linear_backward_weight(ConstRowsView<T> dy, ConstRowsView<T> x, RowsView<T> dweight, Context& context) {
  constexpr Index narrow = 16;  // measured: faster up to here for 64 and more rows
  const kernels::Product<T> product = {.rows = dy.features(),
                                       .columns = x.features(),
                                       .depth = dy.rows(),
                                       .a = kernels::transposed(dy.data(), dy.stride()),
                                       .b = kernels::plain(x.data(), x.stride()),
                                       .c = dweight.data(),
                                       .c_stride = dweight.stride(),
                                       .destination = kernels::Destination::accumulate};
  if (x.features() <= narrow && x.features() < dy.features()) return kernels::narrow_gemm(product, context);
  kernels::gemm(product, context);
}

/// db += the sum of dy over its rows, in runs of 64 rows whose sums are added up, so that the order is the same for any
/// number of threads and the error grows with N / 64 + 64.   dy: [N, out]    dbias: [out]
template <class T>
void linear_backward_bias(ConstRowsView<T> dy, std::span<T> dbias, Context& context) {
  constexpr Index block_columns = 256;
  constexpr Index run_rows = 64;
  using Sums = Eigen::Array<T, 1, Eigen::Dynamic, detail::row_major, 1, block_columns>;  // on the stack
  const Index blocks = (dy.features() + block_columns - 1) / block_columns;
  context.parallel_for(blocks, static_cast<double>(dy.size()), [&](Index block) {
    const Index first = block * block_columns;
    const Index columns = (std::min)(block_columns, dy.features() - first);
    Sums total = Sums::Zero(columns);
    for (Index begin = 0; begin < dy.rows(); begin += run_rows) {
      Sums run = Sums::Zero(columns);
      const Index end = (std::min)(dy.rows(), begin + run_rows);
      for (Index n = begin; n < end; ++n) run += dy.row(n).segment(first, columns).array();
      total += run;
    }
    Eigen::Map<Eigen::Array<T, 1, Eigen::Dynamic>>(dbias.data() + first, columns) += total;
  });
}

/// Linear map with an optional bias, y = x W^T + b, with the weight [out, in] as in PyTorch's checkpoints. Weight and
/// bias start uniform in +-1/sqrt(in), PyTorch's default.
///
/// With Bfloat16 or Float16 as Storage the weight takes half the memory, and half the time where reading it is what
/// takes time. Then it is frozen for good: backward gives dx and db alone. Bias and arithmetic stay in T, so that the
/// result has the bits of a Linear<T> with the widened weight. Linear<float, Bfloat16>(trained) rounds a trained one.
///   forward:   x [..., in] -> y [..., out], which may not overlap; no rows at all is allowed
///   backward:  dx = dy W,  dW += dy^T x,  db += sum_n dy_n
///   throws OptionError for features below 1, ShapeError for a bias, x, y, dy or dx that does not fit, ValueError if
///          the weight is trained but was frozen when forward ran, because x was not kept
/// @code
/// ef::Linear<float> linear({.in_features = 3, .out_features = 2}, ef::Random(42));
/// const ef::Matrix<float> x = ef::Matrix<float>::Ones(5, 3);
/// const ef::Matrix<float> y = linear(x);  // [5, 2]
/// @endcode
template <class T, class Storage_ = T>
class Linear : public Block<Linear<T, Storage_>> {
 public:
  static_assert(StorageOf<Storage_, T>, "Linear: the weight is stored as T, Bfloat16 or Float16");
  using Scalar = T;
  using Storage = Storage_;
  using Options = LinearOptions;
  struct Cache {
    Buffer<T> x;     ///< [N, in], empty while the weight is frozen
    Index rows = 0;  ///< N
  };

  Linear(const LinearOptions& options, Random random) : Linear(start_weight(options, random)) {
    if (options.bias) bias.emplace(uniform<Vector<T>>(options.out_features, 1, options.in_features, random));
  }
  template <std::convertible_to<Matrix<Storage>> Weight>  // not a list in braces: g++ takes options alone for one
  explicit Linear(Weight given_weight, const std::optional<Vector<T>>& given_bias = std::nullopt)
      : weight(Matrix<Storage>(std::move(given_weight))) {
    if (given_bias) bias.emplace(*given_bias);  // moved out of an optional, g++ 12 takes it for uninitialized
    check_parameters();
  }
  /// The same map stored otherwise: rounded to the nearest, ties to even, or widened, which is exact.
  template <class Other>
  requires(!std::same_as<Other, Storage>) explicit Linear(const Linear<T, Other>& other)
      : weight(stored_as<Storage>(other.weight.value)), bias(other.bias) {}

  Index input_features() const { return weight.value.cols(); }
  Index output_features() const { return weight.value.rows(); }

  void forward(ConstRowsView<T> x, RowsView<T> y, Context& context, Cache* cache = nullptr) const {
    check_parameters();
    require_rows(x, input_features(), y, output_features(), "Linear");
    const ProfileScope profile(context, "Linear");
    linear<T, Storage>(x, weight.value, bias ? bias->values() : std::span<const T>(), y, context);
    if (!cache) return;
    cache->rows = x.rows();
    cache->x.resize(weight.trainable ? x.rows() : 0, input_features()) = x.topRows(weight.trainable ? x.rows() : 0);
  }

  void backward(ConstRowsView<T> dy, const Cache& cache, RowsView<T> dx, Context& context) {
    require_rows(dy, output_features(), dx, input_features(), "Linear", "dy", "dx");
    require(dy.rows() == cache.rows, "Linear", "expected dy with the ", cache.rows, " rows of forward, got shape ",
            dy.shape());
    require<ValueError>(!weight.trainable || cache.x.size() == cache.rows * input_features(), "Linear",
                        "expected the input of forward in the cache, but the weight was frozen then");
    const ProfileScope profile(context, "Linear backward");
    if constexpr (decltype(weight)::learnable) {
      if (weight.trainable) {
        linear_backward_weight<T>(dy, cache.x.rows(input_features()), weight.accumulated_gradient(), context);
      }
    }
    if (bias && bias->trainable) {
      bias->accumulated_gradient();
      linear_backward_bias<T>(dy, bias->gradients(), context);
    }
    linear_backward_input<T, Storage>(dy, weight.value, dx, context);
  }

  /// This map as it is now, with the weight in the order in which products of many rows read it, for inference: that
  /// takes the memory of the weight once more, PackedLinear::bytes(). Needs eigenformer/linear/packed_linear.hpp.
  ///   throws OptionError for an instruction set that this machine cannot run
  PackedLinear<T, Storage> prepack(InstructionSet instruction_set = best_instruction_set()) const;

  static void members(auto& self, auto&& visit) {
    visit("weight", self.weight);
    visit("bias", self.bias);
  }

  /// What forward checks: a weight of at least [1, 1] and a bias that fits.
  void check_parameters() const {
    require<OptionError>(weight.value.size() > 0, "Linear",
                         "expected a weight [out_features, in_features] of at least [1, 1], got ", weight.shape());
    require(!bias || bias->size() == output_features(), "Linear", "expected a bias of ", output_features(),
            " values for the weight of shape ", weight.shape(), ", got ", bias ? bias->size() : 0);
  }

  Parameter<Storage, 2> weight;      ///< [out, in]
  std::optional<Parameter<T>> bias;  ///< [out]

 private:
  template <class Values>
  static Values uniform(Index rows, Index columns, Index in_features, Random& random) {
    const double bound = 1 / std::sqrt(static_cast<double>(in_features));
    Values values(rows, columns);
    for (auto& value : std::span(values.data(), static_cast<std::size_t>(values.size()))) {
      value = rounded<typename Values::Scalar>(static_cast<T>(random.uniform(-bound, bound)));
    }
    return values;
  }
  static Matrix<Storage> start_weight(const LinearOptions& options, Random& random) {
    require_positive(options.in_features, "Linear", "in_features");
    require_positive(options.out_features, "Linear", "out_features");
    return uniform<Matrix<Storage>>(options.out_features, options.in_features, options.in_features, random);
  }
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
