#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/model/decoder.hpp>

#include <report/answer.hpp>

#include <complex>

namespace bench {

/// A Llama decoder as one would write it with Eigen alone, over the weights of ours: in float what we are compared
/// with, in double (T) what both are held against.
template <class T>
class PlainDecoder {
 public:
  using Model = ef::LlamaDecoder<float>;
  using Matrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  using Row = Eigen::Matrix<T, 1, Eigen::Dynamic>;

  PlainDecoder(const Model& model, const ef::DecoderOptions& options, Index capacity)
      : model_(&model), options_(options), turns_(capacity, options.head_dim / 2) {
    for (Index p = 0; p < capacity; ++p) {
      for (Index i = 0; i < turns_.cols(); ++i) {
        const double angle = double(p) * std::pow(options.rope_base, -2.0 * double(i) / double(options.head_dim));
        turns_(p, i) = std::complex<T>(std::polar(1.0, angle));
      }
    }
    for (Index layer = 0; layer < options.layers; ++layer) {
      keys_.emplace_back(Matrix::Zero(capacity, options.kv_heads * options.head_dim));
      values_.emplace_back(keys_.back());
    }
  }

  /// Keys and values of the layers, [capacity, kv_heads * head_dim], of which a caller may fill the first rows.
  std::vector<Matrix>& keys() { return keys_; }
  std::vector<Matrix>& values() { return values_; }

  /// Logits of tokens that follow `before` others.
  void forward(std::span<const std::int32_t> tokens, Index before, Matrix& logits) {
    const auto count = static_cast<Index>(tokens.size());
    x_.resize(count, options_.dim);
    for (Index s = 0; s < count; ++s) {
      x_.row(s) = model_->embedding.weight.value.row(tokens[std::size_t(s)]).template cast<T>();
    }
    for (std::size_t layer = 0; layer < model_->layers.layers.size(); ++layer) {
      const auto& parts = model_->layers.layers[layer];
      attend(parts.attention, normed(x_, parts.attention_norm), keys_[layer], values_[layer], before);
      x_ += branch_;
      const Matrix& h = normed(x_, parts.feed_forward_norm);
      times(h, parts.feed_forward.gate.weight.value, gate_);
      times(h, parts.feed_forward.up.weight.value, up_);
      gate_.array() = gate_.array() / (1 + (-gate_.array()).exp()) * up_.array();
      times(gate_, parts.feed_forward.down.weight.value, branch_);
      x_ += branch_;
    }
    times(normed(x_, model_->norm), model_->embedding.weight.value, logits);
  }

 private:
  using Complex = std::complex<T>;

  /// y = x W^T.
  static void times(const Matrix& x, const ef::Matrix<float>& weight, Matrix& y) {
    y.resize(x.rows(), weight.rows());
    if constexpr (std::is_same_v<T, float>) {
      y.noalias() = x * weight.transpose();
    } else {
      constexpr Index some = 1024;  // weights at a time are widened
      for (Index first = 0; first < weight.rows(); first += some) {
        const Index rows = (std::min)(some, weight.rows() - first);
        y.middleCols(first, rows).noalias() = x * weight.middleRows(first, rows).template cast<T>().transpose();
      }
    }
  }

  const Matrix& normed(const Matrix& x, const ef::RmsNorm<float>& norm) {
    normed_.resize(x.rows(), x.cols());
    for (Index s = 0; s < x.rows(); ++s) {
      const T inverse = 1 / std::sqrt(x.row(s).squaredNorm() / static_cast<T>(x.cols()) + static_cast<T>(norm.epsilon));
      normed_.row(s) = x.row(s).array() * inverse * norm.weight.value.transpose().template cast<T>().array();
    }
    return normed_;
  }

  /// Interleaved pairs of every head, as complex numbers.
  template <class Rows>
  void turn(Rows&& x, Index before) const {
    const Index half = options_.head_dim / 2;
    for (Index s = 0; s < x.rows(); ++s) {
      for (Index first = 0; first < x.cols(); first += options_.head_dim) {
        Eigen::Map<Eigen::Array<Complex, 1, Eigen::Dynamic>> pairs(reinterpret_cast<Complex*>(&x(s, first)), half);
        pairs *= turns_.row(before + s);
      }
    }
  }

  template <class Attention>
  void attend(const Attention& attention, const Matrix& h, Matrix& keys, Matrix& values, Index before) {
    const Index dim = options_.head_dim;
    times(h, attention.query.weight.value, query_);
    times(h, attention.key.weight.value, key_);
    times(h, attention.value.weight.value, value_);
    turn(query_, before);
    turn(key_, before);
    keys.middleRows(before, h.rows()) = key_;
    values.middleRows(before, h.rows()) = value_;
    attended_.resize(h.rows(), query_.cols());
    const T scale = 1 / std::sqrt(static_cast<T>(dim));
    for (Index head = 0; head < options_.heads; ++head) {
      const Index group = head / (options_.heads / options_.kv_heads);
      for (Index s = 0; s < h.rows(); ++s) {
        const Index live = before + s + 1;
        scores_.noalias() =
            scale * query_.row(s).segment(head * dim, dim) * keys.block(0, group * dim, live, dim).transpose();
        scores_ = (scores_.array() - scores_.maxCoeff()).exp();
        scores_ /= scores_.sum();
        attended_.row(s).segment(head * dim, dim).noalias() = scores_ * values.block(0, group * dim, live, dim);
      }
    }
    times(attended_, attention.output.weight.value, branch_);
  }

  const Model* model_;
  ef::DecoderOptions options_;
  Eigen::Array<Complex, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor> turns_;
  std::vector<Matrix> keys_, values_;
  Matrix x_, normed_, query_, key_, value_, attended_, branch_, gate_, up_;
  Row scores_;
};

}  // namespace bench
