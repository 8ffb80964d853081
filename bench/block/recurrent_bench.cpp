// SPDX-License-Identifier: MIT
// Recurrent layers over whole sequences: one product for all inputs, then one for each step.

#include <eigenformer/block/recurrent.hpp>

#include <grid.hpp>
#include <report/answer.hpp>

#include "support/tolerances.hpp"

namespace {

using namespace bench;

/// An LSTM as one would write it with Eigen: the inputs' share of all steps in one product, array expressions for gates.
template <class T>
class PlainLstm {
 public:
  using Rows = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

  PlainLstm(const grid::Recurrent& size, const ef::LstmCell<float>& cell)
      : size_(size),
        weight_ih_(cell.input.weight.value.template cast<T>()),
        weight_hh_(cell.hidden.weight.value.template cast<T>()),
        bias_((cell.input.bias->value + cell.hidden.bias->value).template cast<T>().transpose()),
        gates_(size.batch * size.length, 4 * size.hidden),
        h_(size.batch, size.hidden),
        c_(size.batch, size.hidden) {}

  void forward(const Rows& x, Rows& y) {
    const Index n = size_.hidden;
    gates_.noalias() = x * weight_ih_.transpose();
    gates_.rowwise() += bias_;
    h_.setZero();
    c_.setZero();
    for (Index t = 0; t < size_.length; ++t) {
      const Eigen::OuterStride<> gate_stride(size_.length * 4 * n), y_stride(size_.length * n);
      Eigen::Map<Rows, 0, Eigen::OuterStride<>> gates(gates_.data() + t * 4 * n, size_.batch, 4 * n, gate_stride);
      gates.noalias() += h_ * weight_hh_.transpose();
      const auto i = gates.leftCols(n).array().logistic(), f = gates.middleCols(n, n).array().logistic();
      c_ = f * c_.array() + i * gates.middleCols(2 * n, n).array().tanh();
      h_ = gates.rightCols(n).array().logistic() * c_.array().tanh();
      Eigen::Map<Rows, 0, Eigen::OuterStride<>>(y.data() + t * n, size_.batch, n, y_stride) = h_;
    }
  }

 private:
  grid::Recurrent size_;
  Rows weight_ih_, weight_hh_;
  Eigen::Matrix<T, 1, Eigen::Dynamic> bias_;
  Rows gates_, h_, c_;
};

template <class Block>
class Layer {
 public:
  explicit Layer(const grid::Recurrent& size)
      : size_(size),
        block_({.in_features = size.features, .hidden = size.hidden}, ef::Random(1)),
        x_(random_matrix(size.batch * size.length, size.features, 2)),
        y_(size.batch * size.length, size.hidden),
        dy_(random_matrix(size.batch * size.length, size.hidden, 3)),
        dx_(size.batch * size.length, size.features) {}

  void forward(ef::Context& context) { block_.forward(view(x_), view(y_), context); }
  void train(ef::Context& context) {
    block_.forward(view(x_), view(y_), context, &cache_);
    block_.backward(view(dy_), cache_, view(dx_), context);
  }
  void forward_by_eigen() {
    if (!plain_) plain_.emplace(size_, block_.cell);
    const PlainLstm<float>::Rows x = x_;
    PlainLstm<float>::Rows y(y_.rows(), y_.cols());
    plain_->forward(x, y);
    y_ = y;
  }

  /// Of LSTMs without a norm, to what a product of two may be off at each step; others are left to the tests, and looked
  /// at for numbers that are none.
  Error error() const {
    if constexpr (std::is_same_v<Block, ef::Lstm<float>>) {
      const Doubles& exact = exact_([this] {
        Doubles y(y_.rows(), y_.cols());
        PlainLstm<double>(size_, block_.cell).forward(x_.cast<double>(), y);
        return y;
      });
      return compare(y_, exact, support::tolerance::gemm_c * epsilon * static_cast<double>(size_.length));
    } else {
      return compare(y_, y_.template cast<double>(), 0.0);
    }
  }

 private:
  static ef::TensorView<float, 3> of(ef::Matrix<float>& rows, const grid::Recurrent& size) {
    return {rows.data(), size.batch, size.length, rows.cols()};
  }
  ef::TensorView<float, 3> view(ef::Matrix<float>& rows) const { return of(rows, size_); }

  grid::Recurrent size_;
  Block block_;
  typename Block::Cache cache_;
  ef::Matrix<float> x_, y_, dy_, dx_;
  std::optional<PlainLstm<float>> plain_;
  Once<Doubles> exact_;
};

Work work_of(const grid::Recurrent& size, std::string name, double products) {
  const auto [batch, length, features, hidden] = size.dimensions();
  const double multiplied = 8.0 * double(batch * length) * double(features + hidden) * double(hidden);
  return {.name = std::move(name),
          .shape = size.shape(),
          .cost = {products * multiplied, bytes(4 * hidden * (features + hidden) + batch * length * features),
                   bytes(batch * length * hidden)}};
}

const bool planned = [] {
  for (const grid::Recurrent& size : grid::recurrent) {
    Entry<Layer<ef::Lstm<float>>>(work_of(size, "LSTM", 1), size)
        .ours(&Layer<ef::Lstm<float>>::forward, one_and_two_threads())
        .eigen(&Layer<ef::Lstm<float>>::forward_by_eigen);
    Entry<Layer<ef::Lstm<float>>>(work_of(size, "LSTM + backward", 3), size)
        .ours(&Layer<ef::Lstm<float>>::train, one_and_two_threads());
    Entry<Layer<ef::LayerNormLstm<float>>>(work_of(size, "LSTM with LayerNorm", 1), size)
        .ours(&Layer<ef::LayerNormLstm<float>>::forward, one_and_two_threads());
  }
  return true;
}();

}  // namespace
