#pragma once
// SPDX-License-Identifier: MIT

#include <grid.hpp>
#include <report/answer.hpp>

#include "support/tolerances.hpp"

namespace bench {

/// What the benchmarks of norms share. Norm is the block; Plain has what one writes with Eigen, and the formula, for
/// one row of any scalar type:
///   static void forward(const auto& x, const auto& weight, auto&& y)
///   static void backward(const auto& x, const auto& dy, const auto& weight, auto&& dx, auto& dweight)
template <class Norm, class Plain>
class NormForward {
 public:
  explicit NormForward(const grid::Rows& size)
      : norm_({.dim = size.features}), x_(random_matrix(size.rows, size.features, 1, 3)), y_(size.rows, size.features) {
    fill(norm_.weight.value, 2);
  }

  void forward(ef::Context& context) { norm_.forward(x_, y_, context); }
  void forward_by_eigen() {
    const Eigen::RowVectorXf weight = norm_.weight.value.transpose();
    for (Index n = 0; n < x_.rows(); ++n) Plain::forward(x_.row(n), weight, y_.row(n));
  }
  Error error() const {
    const Doubles x = x_.template cast<double>();
    const Eigen::RowVectorXd weight = norm_.weight.value.template cast<double>().transpose();
    Doubles expected(x.rows(), x.cols());
    for (Index n = 0; n < x.rows(); ++n) Plain::forward(x.row(n), weight, expected.row(n));
    return compare(y_, expected, support::tolerance::norm_abs<float>(weight.cwiseAbs().maxCoeff()));
  }

 protected:
  Norm norm_;
  ef::Matrix<float> x_, y_;
};

/// Forward that keeps what backward needs, and backward.
template <class Norm, class Plain>
class NormBackward : public NormForward<Norm, Plain> {
 public:
  explicit NormBackward(const grid::Rows& size)
      : NormForward<Norm, Plain>(size), dy_(random_matrix(size.rows, size.features, 3)), dx_(size.rows, size.features) {
    start();
  }

  void start() {
    this->norm_.weight.accumulated_gradient().setZero();
    if constexpr (requires { this->norm_.bias; }) this->norm_.bias->accumulated_gradient().setZero();
  }
  void run(ef::Context& context) {
    this->norm_.forward(this->x_, this->y_, context, &cache_);
    this->norm_.backward(dy_, cache_, dx_, context);
  }
  void run_by_eigen() {
    this->forward_by_eigen();
    const Eigen::RowVectorXf weight = this->norm_.weight.value.transpose();
    Eigen::RowVectorXf dweight = Eigen::RowVectorXf::Zero(weight.size());
    for (Index n = 0; n < dy_.rows(); ++n) Plain::backward(this->x_.row(n), dy_.row(n), weight, dx_.row(n), dweight);
    this->norm_.weight.gradient += dweight.transpose();
    if constexpr (requires { this->norm_.bias; }) this->norm_.bias->gradient += dy_.colwise().sum().transpose();
  }

  /// dx to a row's share of the tolerance of backward; of the sums over rows, epsilon for each row.
  Error error() const {
    const Doubles x = this->x_.template cast<double>();
    const Doubles dy = dy_.template cast<double>();
    const Eigen::RowVectorXd weight = this->norm_.weight.value.template cast<double>().transpose();
    Eigen::RowVectorXd dweight = Eigen::RowVectorXd::Zero(weight.size());
    Doubles dx(x.rows(), x.cols());
    for (Index n = 0; n < x.rows(); ++n) Plain::backward(x.row(n), dy.row(n), weight, dx.row(n), dweight);
    const double of_row = std::sqrt(support::tolerance::backward_row_nmse<float>) * dx.rowwise().norm().maxCoeff();
    const double of_sum = epsilon * static_cast<double>(x.rows()) * dweight.cwiseAbs().maxCoeff();
    return worse(compare(dx_, dx, of_row), compare(this->norm_.weight.gradient, dweight.transpose(), of_sum));
  }

 private:
  typename Norm::Cache cache_;
  ef::Matrix<float> dy_, dx_;
};

template <class Norm, class Plain>
void plan_norm(const std::string& name) {
  using Forward = NormForward<Norm, Plain>;
  using Backward = NormBackward<Norm, Plain>;
  for (const grid::Rows& size : grid::rows) {
    const double array = bytes(size.rows * size.features);
    Entry<Forward>(
        {.name = name, .shape = size.shape(), .cost = {0, array, array}, .dimensions = {size.rows, size.features}},
        size)
        .ours(&Forward::forward, one_and_two_threads())
        .eigen(&Forward::forward_by_eigen);
    Entry<Backward>({.name = name + " + backward",
                     .shape = size.shape(),
                     .cost = {0, 3 * array, 3 * array},
                     .dimensions = {size.rows, size.features}},
                    size)
        .ours(&Backward::run, one_and_two_threads())
        .eigen(&Backward::run_by_eigen);
  }
}

}  // namespace bench
