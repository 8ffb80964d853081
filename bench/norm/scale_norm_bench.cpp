// SPDX-License-Identifier: MIT

#include <eigenformer/norm/scale_norm.hpp>

#include <grid.hpp>
#include <report/answer.hpp>

#include "support/tolerances.hpp"

namespace {

using namespace bench;

/// What one writes with Eigen, and the formula.
void scale_row(const auto& x, auto g, auto&& y) {
  using Scalar = decltype(g);
  y = x * (g / (std::max)(x.norm(), Scalar(1e-5)));
}
void scale_row_backward(const auto& x, const auto& dy, auto g, auto&& dx, auto& dg) {
  using Scalar = decltype(g);
  const Scalar inverse = 1 / (std::max)(x.norm(), Scalar(1e-5));
  const Scalar along = x.dot(dy) * inverse;
  dx = g * inverse * (dy - x * (along * inverse));
  dg += along;
}

class ScaleNormForward {
 public:
  explicit ScaleNormForward(const grid::Rows& size)
      : norm_({.dim = size.features}), x_(random_matrix(size.rows, size.features, 1)), y_(size.rows, size.features) {}

  void forward(ef::Context& context) { norm_.forward(x_, y_, context); }
  void forward_by_eigen() {
    for (Index n = 0; n < x_.rows(); ++n) scale_row(x_.row(n), norm_.g.value[0], y_.row(n));
  }
  Error error() const {
    const Doubles x = x_.cast<double>();
    Doubles expected(x.rows(), x.cols());
    for (Index n = 0; n < x.rows(); ++n) scale_row(x.row(n), static_cast<double>(norm_.g.value[0]), expected.row(n));
    return compare(y_, expected, support::tolerance::norm_abs<float>(1));
  }

 protected:
  ef::ScaleNorm<float> norm_;
  ef::Matrix<float> x_, y_;
};

/// Forward that keeps what backward needs, and backward.
class ScaleNormBackward : public ScaleNormForward {
 public:
  explicit ScaleNormBackward(const grid::Rows& size)
      : ScaleNormForward(size), dy_(random_matrix(size.rows, size.features, 3)), dx_(size.rows, size.features) {
    start();
  }

  void start() { norm_.g.accumulated_gradient().setZero(); }
  void run(ef::Context& context) {
    norm_.forward(x_, y_, context, &cache_);
    norm_.backward(dy_, cache_, dx_, context);
  }
  void run_by_eigen() {
    forward_by_eigen();
    float dg = 0;
    for (Index n = 0; n < x_.rows(); ++n) {
      scale_row_backward(x_.row(n), dy_.row(n), norm_.g.value[0], dx_.row(n), dg);
    }
    norm_.g.gradient[0] += dg;
  }
  /// dx to a row's share of the tolerance of backward; the gradient of g to epsilon for each row.
  Error error() const {
    const Doubles x = x_.cast<double>();
    const Doubles dy = dy_.cast<double>();
    Doubles dx(x.rows(), x.cols());
    Eigen::Matrix<double, 1, 1> dg(0.0);
    for (Index n = 0; n < x.rows(); ++n) {
      scale_row_backward(x.row(n), dy.row(n), static_cast<double>(norm_.g.value[0]), dx.row(n), dg[0]);
    }
    const double of_row = std::sqrt(support::tolerance::backward_row_nmse<float>) * dx.rowwise().norm().maxCoeff();
    const double of_sum = epsilon * static_cast<double>(x.rows()) * dy.rowwise().norm().maxCoeff();
    return worse(compare(dx_, dx, of_row), compare(norm_.g.gradient, dg, of_sum));
  }

 private:
  ef::ScaleNorm<float>::Cache cache_;
  ef::Matrix<float> dy_, dx_;
};

const bool planned = [] {
  for (const grid::Rows& size : grid::rows) {
    const double array = bytes(size.rows * size.features);
    Work work = {.name = "ScaleNorm",
                 .shape = size.shape(),
                 .cost = {0, array, array},
                 .dimensions = {size.rows, size.features}};
    Entry<ScaleNormForward>(work, size)
        .ours(&ScaleNormForward::forward, one_and_two_threads())
        .eigen(&ScaleNormForward::forward_by_eigen);
    work.name = "ScaleNorm + backward";
    work.cost = {0, 3 * array, 3 * array};
    Entry<ScaleNormBackward>(work, size)
        .ours(&ScaleNormBackward::run, one_and_two_threads())
        .eigen(&ScaleNormBackward::run_by_eigen);
  }
  return true;
}();

}  // namespace
