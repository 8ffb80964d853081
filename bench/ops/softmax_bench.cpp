// SPDX-License-Identifier: MIT

#include <eigenformer/ops/log_softmax.hpp>
#include <eigenformer/ops/softmax.hpp>

#include <grid.hpp>
#include <report/answer.hpp>

#include "support/tolerances.hpp"

namespace {

using namespace bench;

class Softmax {
 public:
  explicit Softmax(const grid::Rows& size)
      : x_(random_matrix(size.rows, size.features, 1, 3)), y_(x_.rows(), x_.cols()) {}

  void forward(ef::Context& context) { ef::softmax<float>(x_, y_, context); }
  void forward_by_eigen() {
    for (Index n = 0; n < x_.rows(); ++n) {
      y_.row(n) = (x_.row(n).array() - x_.row(n).maxCoeff()).exp();
      y_.row(n) /= y_.row(n).sum();
    }
  }
  Error error() const {
    Doubles expected = (x_.cast<double>().array().colwise() - x_.cast<double>().rowwise().maxCoeff().array()).exp();
    expected.array().colwise() /= expected.rowwise().sum().eval().array();
    return compare(y_, expected, support::tolerance::softmax_abs<float>);
  }

 private:
  ef::Matrix<float> x_, y_;
};

class LogSoftmax {
 public:
  explicit LogSoftmax(const grid::Rows& size)
      : x_(random_matrix(size.rows, size.features, 1, 3)), y_(x_.rows(), x_.cols()) {}

  void forward(ef::Context& context) { ef::log_softmax<float>(x_, y_, context); }
  void forward_by_eigen() {
    for (Index n = 0; n < x_.rows(); ++n) {
      const float maximum = x_.row(n).maxCoeff();
      y_.row(n) = x_.row(n).array() - (maximum + std::log((x_.row(n).array() - maximum).exp().sum()));
    }
  }
  /// The result's own rounding, and that of a logarithm of a sum that softmax has to eight epsilon.
  Error error() const {
    const Doubles x = x_.cast<double>();
    const Eigen::ArrayXd sums = x.array().exp().rowwise().sum();
    const Doubles expected = x.array().colwise() - sums.log();
    return compare(y_, expected, epsilon * (8 + expected.cwiseAbs().array()).matrix());
  }

 private:
  ef::Matrix<float> x_, y_;
};

/// dx = y (dy - sum dy y).
class SoftmaxBackward {
 public:
  explicit SoftmaxBackward(const grid::Rows& size)
      : y_(random_matrix(size.rows, size.features, 1, 3)),
        dy_(random_matrix(size.rows, size.features, 2)),
        dx_(y_.rows(), y_.cols()) {
    ef::Context context;
    ef::softmax<float>(ef::Matrix<float>(y_), y_, context);
  }

  void backward(ef::Context& context) { ef::softmax_backward<float>(y_, dy_, dx_, context); }
  void backward_by_eigen() {
    for (Index n = 0; n < y_.rows(); ++n) {
      dx_.row(n) = y_.row(n).array() * (dy_.row(n).array() - dy_.row(n).dot(y_.row(n)));
    }
  }
  Error error() const {
    const Doubles y = y_.cast<double>();
    const Doubles dy = dy_.cast<double>();
    const Eigen::ArrayXd sums = (y.array() * dy.array()).rowwise().sum();
    return compare(dx_, y.array() * (dy.array().colwise() - sums), support::tolerance::softmax_abs<float>);
  }

 private:
  ef::Matrix<float> y_, dy_, dx_;
};

const bool planned = [] {
  for (const grid::Rows& size : grid::rows) {
    const double array = bytes(size.rows * size.features);
    Work work = {
        .name = "softmax", .shape = size.shape(), .cost = {0, array, array}, .dimensions = {size.rows, size.features}};
    Entry<Softmax>(work, size).ours(&Softmax::forward, one_and_two_threads()).eigen(&Softmax::forward_by_eigen);
    work.name = "log-softmax";
    Entry<LogSoftmax>(work, size).ours(&LogSoftmax::forward).eigen(&LogSoftmax::forward_by_eigen);
    work.name = "softmax backward";
    work.cost.bytes_read = 2 * array;
    Entry<SoftmaxBackward>(work, size).ours(&SoftmaxBackward::backward).eigen(&SoftmaxBackward::backward_by_eigen);
  }
  return true;
}();

}  // namespace
