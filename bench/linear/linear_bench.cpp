// SPDX-License-Identifier: MIT
// Linear layers of models' shapes: one row reads the weights and does little else, many rows multiply.

#include <eigenformer/linear/packed_linear.hpp>

#include <grid.hpp>
#include <report/answer.hpp>

#include "support/tolerances.hpp"

namespace {

using namespace bench;

template <class Stored = float>
class Layer {
 public:
  explicit Layer(const grid::Linear& size)
      : linear_({.in_features = size.depth, .out_features = size.columns}, ef::Random(1)),
        x_(random_matrix(size.rows, size.depth, 2)),
        y_(size.rows, size.columns) {}

  void forward(ef::Context& context) { linear_.forward(x_, y_, context); }

  void forward_by_eigen() requires std::is_same_v<Stored, float> {
    const auto& weight = linear_.weight.value;
    const auto& bias = linear_.bias->value;
    if (x_.rows() == 1) {
      y_.row(0).transpose().noalias() = weight * x_.row(0).transpose();
    } else {
      y_.noalias() = x_ * weight.transpose();
    }
    y_.rowwise() += bias.transpose();
  }

  Error error() const {
    const Exact& exact = exact_([this] { return answer(); });
    return compare(y_, exact.numbers, exact.tolerance);
  }

 private:
  Exact answer() const {
    const Doubles x = x_.template cast<double>();
    const Doubles weight = linear_.weight.value.template cast<double>();
    const Eigen::RowVectorXd bias = linear_.bias->value.template cast<double>().transpose();
    const Doubles bound = (x.rowwise().norm() * weight.rowwise().norm().transpose()).rowwise() + bias.cwiseAbs();
    return {(x * weight.transpose()).rowwise() + bias, support::tolerance::gemm_c * epsilon * bound};
  }

  Once<Exact> exact_;

 protected:
  ef::Linear<float, Stored> linear_;
  ef::Matrix<float> x_, y_;
};

/// A layer whose weights were packed before.
class Prepacked : public Layer<float> {
 public:
  explicit Prepacked(const grid::Linear& size) : Layer<float>(size), packed_(linear_.prepack()) {}
  void forward_packed(ef::Context& context) { packed_.forward(x_, y_, context); }

 private:
  ef::PackedLinear<float> packed_;
};

/// Gradients of input, weight and bias.
class Backward {
 public:
  explicit Backward(const grid::Linear& size)
      : linear_({.in_features = size.depth, .out_features = size.columns}, ef::Random(1)),
        x_(random_matrix(size.rows, size.depth, 2)),
        dy_(random_matrix(size.rows, size.columns, 3)),
        dx_(size.rows, size.depth) {
    ef::Matrix<float> y(size.rows, size.columns);
    ef::Context context;
    linear_.forward(x_, y, context, &cache_);
    start();
  }

  void start() {
    linear_.weight.accumulated_gradient().setZero();
    linear_.bias->accumulated_gradient().setZero();
  }
  void backward(ef::Context& context) { linear_.backward(dy_, cache_, dx_, context); }
  void backward_by_eigen() {
    dx_.noalias() = dy_ * linear_.weight.value;
    linear_.weight.gradient.noalias() += dy_.transpose() * x_;
    linear_.bias->gradient += dy_.colwise().sum().transpose();
  }

  Error error() const {
    const Doubles x = x_.cast<double>();
    const Doubles dy = dy_.cast<double>();
    const Doubles weight = linear_.weight.value.cast<double>();
    const double c = support::tolerance::gemm_c * epsilon;
    const Error of_dx = compare(dx_, dy * weight, c * (dy.rowwise().norm() * weight.colwise().norm()));
    const Error of_weight = compare(linear_.weight.gradient, dy.transpose() * x,
                                    c * (dy.colwise().norm().transpose() * x.colwise().norm()));
    const Error of_bias = compare(linear_.bias->gradient, dy.colwise().sum().transpose(),
                                  c * dy.colwise().norm().transpose() * std::sqrt(double(dy.rows())));
    return worse(of_dx, worse(of_weight, of_bias));
  }

 private:
  ef::Linear<float> linear_;
  ef::Linear<float>::Cache cache_;
  ef::Matrix<float> x_, dy_, dx_;
};

template <class Stored>
Work forward_of(const grid::Linear& size, std::string type) {
  const auto [rows, depth, columns] = size.dimensions();
  return {.name = "linear",
          .shape = size.shape(),
          .cost = {2.0 * double(rows * depth) * double(columns),
                   bytes<Stored>(depth * columns) + bytes(rows * depth + columns), bytes(rows * columns)},
          .type = std::move(type),
          .dimensions = {rows, depth, columns}};
}

void plan_forward(const grid::Linear& size, const std::vector<Way>& ways) {
  Entry<Layer<float>>(forward_of<float>(size, "float"), size)
      .ours(&Layer<float>::forward, ways)
      .eigen(&Layer<float>::forward_by_eigen);
}
void plan_prepacked(const grid::Linear& size) {
  Work work = forward_of<float>(size, "float");
  work.name = "linear, prepacked";
  work.dimensions.clear();  // a peer packs as it likes
  Entry<Prepacked>(work, size).ours(&Prepacked::forward_packed, one_and_two_threads());
}
void plan_halves(const grid::Linear& size, const std::vector<Way>& ways) {
  using Bfloat16 = Layer<ef::Bfloat16>;
  using Float16 = Layer<ef::Float16>;
  Entry<Bfloat16>(forward_of<ef::Bfloat16>(size, "bfloat16"), size).ours(&Bfloat16::forward, ways);
  Entry<Float16>(forward_of<ef::Float16>(size, "float16"), size).ours(&Float16::forward, ways);
}

const bool planned = [] {
  for (const grid::Linear& size : grid::linear_of_one_row) plan_forward(size, one_and_two_threads());
  plan_halves(grid::linear_of_one_row.front(), every_set(one_and_two_threads()));
  for (const grid::Linear& size : grid::linear_of_few_rows) plan_forward(size, one_and_two_threads());
  for (const grid::Linear& size : grid::linear_of_many_rows) plan_forward(size, every_set(one_and_two_threads()));
  for (const grid::Linear& size : grid::linear_of_many_rows) plan_prepacked(size);
  plan_halves(grid::linear_of_many_rows.front(), {Way{}});
  for (const grid::Linear& size : {grid::linear_of_few_rows[0], grid::linear_of_many_rows[1]}) {
    const auto [rows, depth, columns] = size.dimensions();
    Entry<Backward>(
        {.name = "linear backward",
         .shape = size.shape(),
         .cost = {4.0 * double(rows * depth) * double(columns), bytes(2 * depth * columns + rows * (depth + columns)),
                  bytes(depth * columns + rows * depth)},
         .dimensions = {rows, depth, columns}},
        size)
        .ours(&Backward::backward, one_and_two_threads())
        .eigen(&Backward::backward_by_eigen);
  }
  return true;
}();

}  // namespace
