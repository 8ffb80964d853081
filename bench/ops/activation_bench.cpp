// SPDX-License-Identifier: MIT
// Activations. What one writes with Eigen is also the formula in double, except where the plain way loses digits: a
// loss that plain code is allowed, and that the reference does not have.

#include <eigenformer/ops/gated.hpp>

#include <unsupported/Eigen/SpecialFunctions>

#include <grid.hpp>
#include <report/answer.hpp>

#include "reference/activations.hpp"
#include "support/tolerances.hpp"

namespace {

using namespace bench;

struct PlainRelu {
  static auto value(const auto& x) { return x.max(0); }
  static constexpr auto reference = reference::relu<double>;
};
struct PlainGelu {
  static auto value(const auto& x) { return 0.5F * x * (1 + (x * 0.70710678F).erf()); }
  static constexpr auto reference = reference::gelu<double>;
  static auto derivative(const auto& x) {
    return 0.5F * (1 + (x * 0.70710678F).erf()) + x * 0.39894228F * (-0.5F * x.square()).exp();
  }
  static constexpr auto reference_derivative = reference::gelu_derivative<double>;
};
struct PlainGeluTanh {
  static auto value(const auto& x) { return 0.5F * x * (1 + (0.7978845608F * (x + 0.044715F * x.cube())).tanh()); }
  static constexpr auto reference = reference::gelu_tanh<double>;
};
struct PlainSilu {
  static auto value(const auto& x) { return x / (1 + (-x).exp()); }
  static constexpr auto reference = reference::silu<double>;
  static auto derivative(const auto& x) {
    const auto sigmoid = (1 / (1 + (-x).exp())).eval();
    return (sigmoid * (1 + x * (1 - sigmoid))).eval();
  }
  static constexpr auto reference_derivative = reference::silu_derivative<double>;
};

/// Four units in the last place of each number; a product of two has one rounding more.
Doubles ulps(const Doubles& expected) {
  return epsilon * (support::tolerance::elementwise_ulp + 1) * expected.cwiseAbs().array() + 1e-38;
}

template <class A, class Plain>
class Forward {
 public:
  explicit Forward(const grid::Rows& size)
      : x_(random_matrix(size.rows, size.features, 1, 3)), y_(x_.rows(), x_.cols()) {}

  void forward(ef::Context& context) { ef::activate<A, float>(x_, y_, context); }
  void forward_by_eigen() { y_ = Plain::value(x_.array()); }
  Error error() const {
    const Doubles expected = x_.template cast<double>().unaryExpr(Plain::reference);
    return compare(y_, expected, ulps(expected));
  }

 private:
  ef::Matrix<float> x_, y_;
};

template <class A, class Plain>
class Backward {
 public:
  explicit Backward(const grid::Rows& size)
      : x_(random_matrix(size.rows, size.features, 1, 3)),
        dy_(random_matrix(size.rows, size.features, 2)),
        dx_(x_.rows(), x_.cols()) {}

  void backward(ef::Context& context) { ef::activate_backward<A, float>(x_, dy_, dx_, context); }
  void backward_by_eigen() {
    for (Index n = 0; n < x_.rows(); ++n) {  // by rows, so that what is in between stays in the cache
      dx_.row(n) = dy_.row(n).array() * Plain::derivative(x_.row(n).array());
    }
  }
  /// Near its zero a derivative is a difference, so that epsilon counts of 1 and not of the difference.
  Error error() const {
    const Doubles expected =
        dy_.template cast<double>().array() * x_.template cast<double>().unaryExpr(Plain::reference_derivative).array();
    return compare(dx_, expected, ulps(expected) + 4 * epsilon * dy_.template cast<double>().cwiseAbs());
  }

 private:
  ef::Matrix<float> x_, dy_, dx_;
};

class GatedSilu {
 public:
  explicit GatedSilu(const grid::Rows& size)
      : gate_(random_matrix(size.rows, size.features, 1, 3)),
        up_(random_matrix(size.rows, size.features, 2)),
        y_(gate_.rows(), gate_.cols()) {}

  void forward(ef::Context& context) { ef::gated<ef::Silu, float>(gate_, up_, y_, context); }
  void forward_by_eigen() { y_ = PlainSilu::value(gate_.array()) * up_.array(); }
  Error error() const {
    const Doubles expected = gate_.cast<double>().unaryExpr(PlainSilu::reference).array() * up_.cast<double>().array();
    return compare(y_, expected, ulps(expected));
  }

 private:
  ef::Matrix<float> gate_, up_, y_;
};

template <class A, class Plain>
void plan_forward(const std::string& name, const std::vector<Way>& ways) {
  using Case = Forward<A, Plain>;
  for (const grid::Rows& size : grid::rows) {
    const double array = bytes(size.rows * size.features);
    Entry<Case>(
        {.name = name, .shape = size.shape(), .cost = {0, array, array}, .dimensions = {size.rows, size.features}},
        size)
        .ours(&Case::forward, ways)
        .eigen(&Case::forward_by_eigen);
  }
}

template <class A, class Plain>
void plan_backward(const std::string& name) {
  using Case = Backward<A, Plain>;
  const grid::Rows& size = grid::rows.front();
  const double array = bytes(size.rows * size.features);
  Entry<Case>({.name = name, .shape = size.shape(), .cost = {0, 2 * array, array}}, size)
      .ours(&Case::backward)
      .eigen(&Case::backward_by_eigen);
}

const bool planned = [] {
  plan_forward<ef::Relu, PlainRelu>("ReLU", {Way{}});
  plan_forward<ef::Gelu, PlainGelu>("GELU", one_and_two_threads());
  plan_forward<ef::GeluTanh, PlainGeluTanh>("GELU (tanh)", {Way{}});
  plan_forward<ef::Silu, PlainSilu>("SiLU", every_set(one_and_two_threads()));
  plan_backward<ef::Gelu, PlainGelu>("GELU backward");
  plan_backward<ef::Silu, PlainSilu>("SiLU backward");
  const grid::Rows& size = grid::rows.front();
  const double array = bytes(size.rows * size.features);
  Entry<GatedSilu>({.name = "SwiGLU's gate", .shape = size.shape(), .cost = {0, 2 * array, array}}, size)
      .ours(&GatedSilu::forward)
      .eigen(&GatedSilu::forward_by_eigen);
  return true;
}();

}  // namespace
