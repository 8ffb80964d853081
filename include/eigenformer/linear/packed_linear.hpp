#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/buffer.hpp>
#include <eigenformer/linear/linear.hpp>

namespace eigenformer::inline EIGENFORMER_ABI {

/// A Linear as it was when it was packed, for inference: y = x W^T + b with the bits of that Linear, without the time
/// that each of its calls takes to put the weight in the order in which products read it. What happens to the Linear
/// later does not show here: pack again after training or loading.
///
/// The weight is held twice, as it lies for few rows and packed for many: bytes() says how much that is. Panels belong
/// to an instruction set, the widest of this machine if none is given; under a Context with another one the result
/// is that of a Linear under that Context, in the time of a Linear.
///
/// It has no parameters to visit: nothing of it can be trained, saved or loaded. backward gives dx alone. To put packed
/// projections into a block, assign them: `packed.query = trained.query.prepack();`.
///   forward:   x [..., in] -> y [..., out], which may not overlap; no rows at all is allowed
///   backward:  dx = dy W
///   throws OptionError for features below 1 or an instruction set that this machine cannot run, ShapeError for an x, y,
///          dy or dx that does not fit
/// @code
/// const ef::Linear<float> linear({.in_features = 3, .out_features = 2}, ef::Random(42));
/// const ef::PackedLinear<float> packed = linear.prepack();
/// const ef::Matrix<float> x = ef::Matrix<float>::Ones(50, 3);
/// const ef::Matrix<float> y = packed(x);  // linear(x), to the bit
/// @endcode
template <class T, class Storage_ = T>
class PackedLinear : public Block<PackedLinear<T, Storage_>> {
 public:
  using Scalar = T;
  using Storage = Storage_;
  using Options = LinearOptions;
  struct Cache {
    Index rows = 0;  ///< N
  };

  /// A snapshot of the layer, packed for one instruction set.
  explicit PackedLinear(const Linear<T, Storage>& linear, InstructionSet instruction_set = best_instruction_set())
      : weight_(linear.weight.value), instruction_set_(instruction_set) {
    if (linear.bias) bias_.emplace(linear.bias->value);
    linear.check_parameters();
    require<OptionError>(available(instruction_set), "PackedLinear", "this machine cannot run instruction set ",
                         name(instruction_set));
    const Index size = kernels::panels_size<T>(input_features(), output_features(), instruction_set);
    kernels::pack_panels<T, Storage>(kernels::transposed(weight_.data(), input_features()), input_features(),
                                     output_features(), panels_.resize(size), instruction_set);
  }
  /// Random start values, as a block makes its projections before they are assigned.
  PackedLinear(const LinearOptions& options, Random random)
      : PackedLinear(Linear<T, Storage>(options, random.split())) {}

  Index input_features() const { return weight_.cols(); }
  Index output_features() const { return weight_.rows(); }
  InstructionSet instruction_set() const { return instruction_set_; }
  /// Memory of weight, panels and bias. Panels have out, rounded up to whole vectors, times in numbers of type T.
  std::size_t bytes() const {
    return static_cast<std::size_t>(weight_.size()) * sizeof(Storage) +
           static_cast<std::size_t>(panels_.size() + (bias_ ? bias_->size() : 0)) * sizeof(T);
  }

  void forward(ConstRowsView<T> x, RowsView<T> y, Context& context, Cache* cache = nullptr) const {
    require_rows(x, input_features(), y, output_features(), "PackedLinear");
    const ProfileScope profile(context, "PackedLinear");
    const kernels::Product<T, Storage> product = {.rows = x.rows(),
                                                  .columns = output_features(),
                                                  .depth = input_features(),
                                                  .a = kernels::plain(x.data(), x.stride()),
                                                  .b = kernels::transposed(weight_.data(), input_features()),
                                                  .c = y.data(),
                                                  .c_stride = y.stride()};
    const kernels::Panels<T> panels = {panels_.data(), instruction_set_};
    kernels::gemm(product, panels, context, kernels::AddBias<T>{bias_ ? bias_->data() : nullptr});
    if (cache) cache->rows = x.rows();
  }

  void backward(ConstRowsView<T> dy, const Cache& cache, RowsView<T> dx, Context& context) const {
    require_rows(dy, output_features(), dx, input_features(), "PackedLinear", "dy", "dx");
    require(dy.rows() == cache.rows, "PackedLinear", "expected dy with the ", cache.rows,
            " rows of forward, got shape ", dy.shape());
    const ProfileScope profile(context, "PackedLinear backward");
    linear_backward_input<T, Storage>(dy, weight_, dx, context);
  }

  static void members(auto&, auto&&) {}

 private:
  Matrix<Storage> weight_;         // [out, in]
  std::optional<Vector<T>> bias_;  // [out]
  Buffer<T> panels_;               // of weight^T
  InstructionSet instruction_set_;
};

template <class T, class Storage>
PackedLinear<T, Storage> Linear<T, Storage>::prepack(InstructionSet instruction_set) const {
  return PackedLinear<T, Storage>(*this, instruction_set);
}

}  // namespace eigenformer::inline EIGENFORMER_ABI
