// SPDX-License-Identifier: MIT
// A step of training of layers whose weights are bits: forward and backward, with weight and activations quantised anew. A
// float layer's step is "linear" and "linear backward" of the same shape.

#include <eigenformer/linear/bit_linear.hpp>

#include <grid.hpp>
#include <report/answer.hpp>

#include "support/tolerances.hpp"

namespace {

using namespace bench;

template <class Weights, class Activations>
class Step {
 public:
  explicit Step(const grid::Linear& size)
      : layer_({.in_features = size.depth, .out_features = size.columns}, ef::Random(1)),
        x_(random_matrix(size.rows, size.depth, 2)),
        dy_(random_matrix(size.rows, size.columns, 3)),
        y_(size.rows, size.columns),
        dx_(size.rows, size.depth) {
    start();
  }

  void start() {
    layer_.weight.accumulated_gradient().setZero();
    layer_.bias->accumulated_gradient().setZero();
  }
  void step(ef::Context& context) {
    layer_.forward(x_, y_, context, &cache_);
    layer_.backward(dy_, cache_, dx_, context);
  }

  /// The products of what was quantised.
  Error error() const {
    using Range = typename Activations::Range;
    ef::Matrix<float> codes(layer_.output_features(), layer_.input_features());
    float scale = 0;
    ef::Context context;
    ef::quantize_weight<Weights, float>(layer_.weight.value, {}, codes.data(), &scale, context);
    const Doubles weight = codes.cast<double>() * double(scale);
    Doubles x(x_.rows(), x_.cols());
    for (Index n = 0; n < x.rows(); ++n) {
      const double step = double(cache_.gamma.data()[n]) / Range::levels(layer_.bits);
      for (Index k = 0; k < x.cols(); ++k) x(n, k) = cache_.codes.data()[n * x.cols() + k] * step;
    }
    const Doubles dy = dy_.template cast<double>();
    const Eigen::RowVectorXd bias = layer_.bias->value.template cast<double>().transpose();
    const double c = support::tolerance::gemm_c * epsilon;
    const Doubles bound = (x.rowwise().norm() * weight.rowwise().norm().transpose()).rowwise() + bias.cwiseAbs();
    const Error of_y = compare(y_, (x * weight.transpose()).rowwise() + bias, c * bound);
    const Error of_dx = compare(dx_, dy * weight, c * (dy.rowwise().norm() * weight.colwise().norm()));
    return worse(of_y, of_dx);
  }

 private:
  using Layer = ef::BitLinear<float, Weights, ef::NoNorm<float>, Activations>;
  Layer layer_;
  typename Layer::Cache cache_;
  ef::Matrix<float> x_, dy_, y_, dx_;
};

template <class Weights, class Activations>
void plan(const std::string& name, const grid::Linear& size) {
  const auto [rows, depth, columns] = size.dimensions();
  using Work = Step<Weights, Activations>;
  Entry<Work>({.name = name,
               .shape = size.shape(),
               .cost = {6.0 * double(rows * depth) * double(columns),
                        bytes(2 * depth * columns + rows * (depth + columns)), bytes(depth * columns + rows * depth)}},
              size)
      .ours(&Work::step, one_and_two_threads());
}

const bool planned = [] {
  const grid::Linear& size = grid::linear_of_many_rows[1];
  plan<ef::BinaryWeights, ef::Absmax<>>("1-bit linear, training step", size);
  plan<ef::TernaryWeights, ef::Absmax158>("ternary linear, training step", size);
  return true;
}();

}  // namespace
