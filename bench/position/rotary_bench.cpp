// SPDX-License-Identifier: MIT
// Rotary positions in place. Plain code has its table of angles ready; ours makes the angles each time.

#include <eigenformer/position/rotary.hpp>

#include <grid.hpp>
#include <report/answer.hpp>

#include <complex>

namespace {

using namespace bench;

constexpr Index first_position = 1000;

template <class Pairing>
class Turn {
 public:
  static constexpr bool interleaved = std::is_same_v<Pairing, ef::Interleaved>;
  using Complex = std::complex<float>;
  using Turns = Eigen::Array<Complex, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

  explicit Turn(const grid::Heads& size)
      : size_(size),
        position_({.head_dim = size.head_dim}),
        original_(random_matrix(size.length * size.heads, size.head_dim, 1)),
        x_(original_),
        turns_(size.length, size.head_dim / 2) {
    for (Index l = 0; l < size.length; ++l) {
      for (Index i = 0; i < turns_.cols(); ++i) turns_(l, i) = Complex(std::polar(1.0, angle(l, i)));
    }
    cosine_ = turns_.real();
    sine_ = turns_.imag();
  }

  void start() { x_ = original_; }
  void apply(ef::Context& context) {
    position_.apply(ef::HeadsView<float>(x_.data(), 1, size_.length, size_.heads, size_.head_dim), first_position,
                    context);
  }
  void apply_by_eigen() {
    const Index half = size_.head_dim / 2;
    for (Index row = 0; row < x_.rows(); ++row) {
      const Index l = row / size_.heads;
      if constexpr (interleaved) {
        Eigen::Map<Eigen::Array<Complex, 1, Eigen::Dynamic>> pairs(reinterpret_cast<Complex*>(&x_(row, 0)), half);
        pairs *= turns_.row(l);
      } else {
        auto a = x_.row(row).head(half).array();
        auto b = x_.row(row).tail(half).array();
        kept_ = a;
        a = kept_ * cosine_.row(l) - b * sine_.row(l);
        b = b * cosine_.row(l) + kept_ * sine_.row(l);
      }
    }
  }

  /// Two products and a sum of numbers that rotate, whose length stays: three roundings of it, and the table's.
  Error error() const {
    const Index half = size_.head_dim / 2;
    Doubles expected(x_.rows(), x_.cols());
    for (Index row = 0; row < x_.rows(); ++row) {
      for (Index i = 0; i < half; ++i) {
        const Index a = interleaved ? 2 * i : i;
        const Index b = interleaved ? 2 * i + 1 : i + half;
        const std::complex<double> pair(double(original_(row, a)), double(original_(row, b)));
        const std::complex<double> turned = pair * std::polar(1.0, angle(row / size_.heads, i));
        expected(row, a) = turned.real();
        expected(row, b) = turned.imag();
      }
    }
    return compare(x_, expected, 4 * epsilon * expected.cwiseAbs().maxCoeff());
  }

 private:
  double angle(Index l, Index i) const {
    return double(first_position + l) * std::pow(10000.0, -2.0 * double(i) / double(size_.head_dim));
  }

  grid::Heads size_;
  ef::Rotary<Pairing> position_;
  ef::Matrix<float> original_, x_;
  Turns turns_;
  Eigen::Array<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor> cosine_, sine_;
  Eigen::Array<float, 1, Eigen::Dynamic> kept_;
};

template <class Pairing>
void plan_rotary(const std::string& name) {
  for (const grid::Heads& size : grid::rotary) {
    const double array = bytes(size.length * size.heads * size.head_dim);
    Entry<Turn<Pairing>>({.name = name, .shape = size.shape(), .cost = {0, array, array}}, size)
        .ours(&Turn<Pairing>::apply, one_and_two_threads())
        .eigen(&Turn<Pairing>::apply_by_eigen);
  }
}

const bool planned = [] {
  plan_rotary<ef::Interleaved>("rotary, interleaved");
  plan_rotary<ef::HalfSplit>("rotary, half-split");
  return true;
}();

}  // namespace
