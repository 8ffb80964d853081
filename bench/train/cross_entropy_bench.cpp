// SPDX-License-Identifier: MIT
// The loss of rows of logits and its gradient.

#include <eigenformer/train/cross_entropy.hpp>

#include <grid.hpp>
#include <report/answer.hpp>

#include "support/tolerances.hpp"

namespace {

using namespace bench;

class LossAndGradient {
 public:
  explicit LossAndGradient(const grid::Rows& size)
      : logits_(random_matrix(size.rows, size.features, 1, 3)), gradient_(size.rows, size.features) {
    for (Index n = 0; n < size.rows; ++n) targets_.push_back(static_cast<std::int32_t>(n * 31 % size.features));
  }

  void run(ef::Context& context) { loss_ = ef::cross_entropy<float>(logits_, targets_, gradient_, context).mean; }
  void run_by_eigen() { loss_ = run_in(logits_, gradient_); }

  Error error() const {
    const Doubles logits = logits_.cast<double>();
    Doubles gradient(logits.rows(), logits.cols());
    const double loss = run_in(logits, gradient);
    const double of_gradient = support::tolerance::softmax_abs<float> / static_cast<double>(logits.rows());
    Eigen::Matrix<double, 1, 1> actual(loss_);
    return worse(compare(gradient_, gradient, of_gradient),
                 compare(actual, Eigen::Matrix<double, 1, 1>(loss), 8 * epsilon * loss));
  }

 private:
  /// Mean negative log-likelihood, and softmax minus one at the target, over the number of rows.
  template <class Matrix>
  double run_in(const Matrix& logits, Matrix& gradient) const {
    using Scalar = typename Matrix::Scalar;
    const Scalar share = 1 / static_cast<Scalar>(logits.rows());
    double loss = 0;
    for (Index n = 0; n < logits.rows(); ++n) {
      const Index target = targets_[static_cast<std::size_t>(n)];
      const Scalar maximum = logits.row(n).maxCoeff();
      gradient.row(n) = (logits.row(n).array() - maximum).exp();
      const Scalar sum = gradient.row(n).sum();
      gradient.row(n) *= share / sum;
      gradient(n, target) -= share;
      loss += static_cast<double>(std::log(sum) - (logits(n, target) - maximum));
    }
    return loss / static_cast<double>(logits.rows());
  }

  ef::Matrix<float> logits_, gradient_;
  std::vector<std::int32_t> targets_;
  double loss_ = 0;
};

const bool planned = [] {
  for (const grid::Rows& size : grid::logits) {
    const double array = bytes(size.rows * size.features);
    Entry<LossAndGradient>({.name = "cross entropy + gradient",
                            .shape = size.shape(),
                            .cost = {0, array, array},
                            .dimensions = {size.rows, size.features}},
                           size)
        .ours(&LossAndGradient::run, one_and_two_threads())
        .eigen(&LossAndGradient::run_by_eigen);
  }
  return true;
}();

}  // namespace
