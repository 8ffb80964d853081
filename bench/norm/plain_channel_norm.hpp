#pragma once
// SPDX-License-Identifier: MIT

#include <grid.hpp>
#include <report/answer.hpp>

#include "support/tolerances.hpp"

namespace bench {

/// What one writes with Eigen, and the formula, to normalise columns over rows, for any scalar type. `groups` is as many
/// as columns for BatchNorm; GroupNorm takes the rows of one item.
template <class M, class Row>
struct PlainChannelNorm {
  using Scalar = typename Row::Scalar;
  Row mean, inverse;

  PlainChannelNorm(const M& x, Index groups) : mean(x.colwise().mean()), inverse(x.cols()) {
    const Index width = x.cols() / groups;
    for (Index c = 0; c < x.cols(); c += width) mean.segment(c, width).setConstant(mean.segment(c, width).mean());
    inverse = (x.rowwise() - mean).colwise().squaredNorm() / static_cast<Scalar>(x.rows());
    for (Index c = 0; c < x.cols(); c += width) {
      const Scalar variance = inverse.segment(c, width).mean();
      inverse.segment(c, width).setConstant(1 / std::sqrt(variance + Scalar(1e-5)));
    }
  }

  void forward(const auto& x, const Row& weight, const Row& bias, auto&& y) const {
    y = ((x.rowwise() - mean) * inverse.cwiseProduct(weight).asDiagonal()).rowwise() + bias;
  }
  void backward(const auto& x, const auto& dy, Index groups, const Row& weight, auto&& dx, Row& dweight,
                Row& dbias) const {
    const M z = (x.rowwise() - mean) * inverse.asDiagonal();
    const Row sums = dy.colwise().sum();
    const Row products = dy.cwiseProduct(z).colwise().sum();
    dweight += products;
    dbias += sums;
    const Index width = x.cols() / groups;
    const Scalar count = static_cast<Scalar>(x.rows() * width);
    Row mean_g = sums.cwiseProduct(weight), mean_gz = products.cwiseProduct(weight);
    for (Index c = 0; c < x.cols(); c += width) {
      mean_g.segment(c, width).setConstant(mean_g.segment(c, width).sum() / count);
      mean_gz.segment(c, width).setConstant(mean_gz.segment(c, width).sum() / count);
    }
    dx = ((dy * weight.asDiagonal() - z * mean_gz.asDiagonal()).rowwise() - mean_g) * inverse.asDiagonal();
  }
};

/// The same for the items of a batch one after the other, [items rows, channels].
template <class M, class Row>
void plain_channel_forward(const M& x, Index items, Index groups, const Row& weight, const Row& bias, M& y) {
  const Index rows = x.rows() / items;
  for (Index b = 0; b < items; ++b) {
    const M item = x.middleRows(b * rows, rows);
    PlainChannelNorm<M, Row>(item, groups).forward(item, weight, bias, y.middleRows(b * rows, rows));
  }
}
template <class M, class Row>
void plain_channel_backward(const M& x, const M& dy, Index items, Index groups, const Row& weight, M& dx, Row& dweight,
                            Row& dbias) {
  const Index rows = x.rows() / items;
  for (Index b = 0; b < items; ++b) {
    const M item = x.middleRows(b * rows, rows);
    PlainChannelNorm<M, Row>(item, groups)
        .backward(item, dy.middleRows(b * rows, rows), groups, weight, dx.middleRows(b * rows, rows), dweight, dbias);
  }
}

/// A norm of channels over rows with its numbers, and what plain Eigen and double make of them.
template <class Norm>
class ChannelNormCase {
 public:
  ChannelNormCase(Norm norm, Index items, Index groups, Index rows, Index channels)
      : norm_(std::move(norm)),
        items_(items),
        groups_(groups),
        x_(random_matrix(rows, channels, 1, 3)),
        y_(rows, channels),
        dy_(random_matrix(rows, channels, 3)),
        dx_(rows, channels) {
    fill(norm_.weight->value, 2);
    start();
  }

  void start() {
    norm_.weight->accumulated_gradient().setZero();
    norm_.bias->accumulated_gradient().setZero();
  }
  void forward_by_eigen() {
    const Eigen::RowVectorXf weight = norm_.weight->value.transpose(), bias = norm_.bias->value.transpose();
    plain_channel_forward<ef::Matrix<float>>(x_, items_, groups_, weight, bias, y_);
  }
  void run_by_eigen() {
    forward_by_eigen();
    Eigen::RowVectorXf dweight = Eigen::RowVectorXf::Zero(x_.cols()), dbias = dweight;
    const Eigen::RowVectorXf weight = norm_.weight->value.transpose();
    plain_channel_backward<ef::Matrix<float>>(x_, dy_, items_, groups_, weight, dx_, dweight, dbias);
    norm_.weight->gradient += dweight.transpose();
    norm_.bias->gradient += dbias.transpose();
  }

 protected:
  Eigen::RowVectorXd weight_in_double() const { return norm_.weight->value.template cast<double>().transpose(); }
  Error error_of_y() const {
    const Eigen::RowVectorXd weight = weight_in_double(), bias = norm_.bias->value.template cast<double>().transpose();
    Doubles expected(x_.rows(), x_.cols());
    plain_channel_forward<Doubles>(x_.template cast<double>(), items_, groups_, weight, bias, expected);
    return compare(y_, expected, support::tolerance::norm_abs<float>(weight.cwiseAbs().maxCoeff()));
  }
  /// dx to a row's share of the tolerance of backward; the sums over rows to epsilon for each row.
  Error error_of_gradients() const {
    Doubles dx(x_.rows(), x_.cols());
    Eigen::RowVectorXd dweight = Eigen::RowVectorXd::Zero(x_.cols()), dbias = dweight;
    plain_channel_backward<Doubles>(x_.template cast<double>(), dy_.template cast<double>(), items_, groups_,
                                    weight_in_double(), dx, dweight, dbias);
    const double of_row = std::sqrt(support::tolerance::backward_row_nmse<float>) * dx.rowwise().norm().maxCoeff();
    const double of_sum = epsilon * static_cast<double>(x_.rows()) * dweight.cwiseAbs().maxCoeff();
    return worse(compare(dx_, dx, of_row), compare(norm_.weight->gradient, dweight.transpose(), of_sum));
  }

  Norm norm_;
  Index items_, groups_;
  ef::Matrix<float> x_, y_, dy_, dx_;
  typename Norm::Cache cache_;
};

}  // namespace bench
