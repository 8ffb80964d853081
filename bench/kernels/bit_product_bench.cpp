// SPDX-License-Identifier: MIT
// Linear layers of packed binary and ternary weights; making codes of the activations is part of it. Eigen multiplies the
// same numbers as floats.

#include <eigenformer/core/buffer.hpp>
#include <eigenformer/kernels/bit_product.hpp>
#include <eigenformer/kernels/quantize_row.hpp>

#include <grid.hpp>
#include <report/answer.hpp>

namespace {

using namespace bench;
namespace kernels = ef::kernels;

template <class Weights>
class BitLayer {
 public:
  explicit BitLayer(const grid::Linear& size)
      : x_(random_matrix(size.rows, size.depth, 1)),
        weight_(random_matrix(size.columns, size.depth, 2)),
        y_(size.rows, size.columns) {
    weight_ = weight_.unaryExpr([](float w) { return code_of(w); });
    const ef::Matrix<std::int8_t> codes = weight_.cast<std::int8_t>();
    const Index bytes = kernels::bit_matrix_size<Weights>(size.columns, size.depth);
    packed_.resize(bytes);
    kernels::pack_bits<Weights>(codes.data(), codes.cols(), codes.rows(), codes.cols(), packed_.values());
  }

  void forward(ef::Context& context) {
    const Index depth = x_.cols();
    std::int8_t* const codes = codes_.resize(x_.size());
    float* const scales = scales_.resize(x_.rows());
    const ef::InstructionSet set = context.instruction_set();
    context.parallel_for(x_.rows(), 4.0 * double(x_.size()), [&, codes, scales](Index m) {
      const float* const row = x_.data() + m * depth;
      const float largest = kernels::largest_magnitude<float>(row, depth, set);
      scales[m] = largest / 127;
      kernels::quantize_row<float>(row, depth, {127 / largest, -127, 127}, codes + m * depth, set);
    });
    kernels::bit_product(
        kernels::BitProduct<Weights>{{packed_.data(), y_.cols(), depth}, codes, x_.rows(), depth},
        kernels::ScaledSums<float>{
            .y = y_.data(), .stride = y_.cols(), .activation_scale = scales, .weight_scale = &weight_scale},
        context);
  }
  void forward_by_eigen() {
    if (x_.rows() == 1) {
      y_.row(0).transpose().noalias() = weight_ * x_.row(0).transpose();
    } else {
      y_.noalias() = x_ * weight_.transpose();
    }
    y_ *= weight_scale;
  }

  /// Codes are off by half a step each, which adds up as a random walk; far less than the answer of a wrong bit.
  Error error() const {
    const Exact& exact = exact_([this]() -> Exact {
      const Doubles x = x_.cast<double>();
      const Doubles step = x.cwiseAbs().rowwise().maxCoeff() / 127;
      const Doubles tolerance = step * Doubles::Constant(1, y_.cols(), weight_scale * 2 * std::sqrt(double(x.cols())));
      return {weight_scale * (x * weight_.cast<double>().transpose()), tolerance};
    });
    return compare(y_, exact.numbers, exact.tolerance);
  }

 private:
  static constexpr float weight_scale = 0.5F;
  static float code_of(float w) {
    if constexpr (Weights::planes == 1) return w > 0 ? 1.0F : -1.0F;
    return w > 0.5F ? 1.0F : (w < -0.5F ? -1.0F : 0.0F);
  }

  ef::Matrix<float> x_, weight_, y_;
  ef::Buffer<std::uint8_t> packed_;
  ef::Buffer<std::int8_t> codes_;
  ef::Buffer<float> scales_;
  Once<Exact> exact_;
};

template <class Weights>
void plan_layer(const grid::Linear& size, const std::vector<Way>& ways, std::string type) {
  const auto [rows, depth, columns] = size.dimensions();
  const auto packed = static_cast<double>(kernels::bit_matrix_size<Weights>(columns, depth));
  Entry<BitLayer<Weights>>({.name = "bit product",
                            .shape = size.shape(),
                            .cost = {.operations = 2.0 * double(rows * depth) * double(columns),
                                     .bytes_read = packed + bytes(rows * depth),
                                     .bytes_written = bytes(rows * columns),
                                     .of_bytes = true},
                            .type = std::move(type)},
                           size)
      .ours(&BitLayer<Weights>::forward, ways)
      .eigen(&BitLayer<Weights>::forward_by_eigen);
}
void plan_both(const grid::Linear& size, const std::vector<Way>& ways) {
  plan_layer<kernels::Binary>(size, ways, "1-bit");
  plan_layer<kernels::Ternary>(size, ways, "ternary");
}

const bool planned = [] {
  for (const grid::Linear& size : grid::bit_products_of_one_row) plan_both(size, every_set(one_and_two_threads()));
  for (const grid::Linear& size : grid::bit_products_of_rows) plan_both(size, every_set(one_and_two_threads()));
  return true;
}();

}  // namespace
