#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/block/recurrent.hpp>

#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "reference/norm.hpp"
#include "reference/recurrent.hpp"
#include "support/compare.hpp"
#include "support/golden.hpp"
#include "support/inputs.hpp"
#include "support/tolerances.hpp"

// What the tests of recurrent layers share.
namespace recurrent {

namespace ef = eigenformer;
using ef::Index;

/// Numbers to every parameter, so that gains are not one and biases not zero.
template <class Block>
void spread(Block& block, std::uint64_t salt = 3) {
  support::Generator random(salt);
  block.visit_parameters([&](const ef::Name&, auto& parameter) {
    for (auto& value : parameter.values()) value += static_cast<typename Block::Scalar>(0.3 * random.normal());
  });
}

template <class T>
ef::Tensor<T, 3> normal(Index batch, Index length, Index features, std::uint64_t salt) {
  support::Generator random(salt);
  ef::Tensor<T, 3> x(batch, length, features);
  support::fill(x, support::Distribution::normal, random);
  return x;
}
template <class T>
ef::RecurrentState<T> state(Index batch, Index hidden, std::uint64_t salt, bool cells = true) {
  support::Generator random(salt);
  ef::RecurrentState<T> result{ef::Matrix<T>(batch, hidden), ef::Matrix<T>(cells ? batch : 0, cells ? hidden : 0)};
  support::fill(result.h, support::Distribution::normal, random);
  support::fill(result.c, support::Distribution::normal, random);
  return result;
}

template <class Matrix>
reference::Array<double> wide(const Matrix& matrix) {
  return reference::widened(matrix.data(), {static_cast<long>(matrix.rows()), static_cast<long>(matrix.cols())});
}
template <class T>
reference::Array<double> wide_bias(const std::optional<ef::Parameter<T>>& bias) {
  return bias ? reference::widened(bias->value.data(), {static_cast<long>(bias->size())}) : reference::Array<double>();
}
template <class T>
reference::RecurrentWeights<double> wide_weights(const ef::RecurrentWeights<T>& weights) {
  return {wide(weights.input.weight.value), wide(weights.hidden.weight.value), wide_bias(weights.input.bias),
          wide_bias(weights.hidden.bias)};
}
template <class T>
reference::RowNorm<double> wide_norm(const ef::LayerNorm<T>& norm) {
  return [&norm](const reference::Array<double>& x) {
    return reference::layer_norm(x, reference::widened(norm.weight.value.data(), {x.row_length()}),
                                 reference::widened(norm.bias->value.data(), {x.row_length()}), norm.epsilon)
        .y;
  };
}
template <class T>
reference::RowNorm<double> wide_norm(const ef::NoNorm<T>&) {
  return {};
}

template <class T, class Norm, class Place>
reference::RecurrentResult<double> expected_of(const ef::Lstm<T, Norm, Place>& block, const reference::Array<double>& x,
                                               const reference::Array<double>& h, const reference::Array<double>& c) {
  const auto& cell = block.cell;
  return reference::lstm<double>(x, wide_weights<T>(cell),
                                 {wide_norm(cell.input_norm), wide_norm(cell.hidden_norm), wide_norm(cell.cell_norm),
                                  std::is_same_v<Place, ef::NormedState>},
                                 h, c);
}
template <class T, class Norm>
reference::RecurrentResult<double> expected_of(const ef::Gru<T, Norm>& block, const reference::Array<double>& x,
                                               const reference::Array<double>& h, const reference::Array<double>&) {
  const auto& cell = block.cell;
  return reference::gru<double>(x, wide_weights<T>(cell),
                                {wide_norm(cell.input_norm), wide_norm(cell.hidden_norm),
                                 wide_norm(cell.input_candidate_norm), wide_norm(cell.hidden_candidate_norm)},
                                h);
}

/// Errors of one step are damped by the next, as gates are at most one: the limit of a product of two for its inputs,
/// times the steps that add to it.
template <class T>
constexpr double row_nmse(Index steps) {
  return 4 * support::tolerance::gemm_row_nmse<T> * static_cast<double>(steps);
}

/// [length, batch, features] of the published cases to [batch, length, features].
template <class T>
ef::Tensor<T, 3> batch_first(const ef::Tensor<T, 3>& x) {
  return x.shuffle(std::array<int, 3>{1, 0, 2});
}
/// Published gradients of more than 256 elements are rounded to float32.
template <class T, class Gradient>
void expect_gradient(const Gradient& gradient, const support::Golden& golden, const std::string& name) {
  const std::vector<double> expected = golden.values<double>("grad." + name);
  ASSERT_EQ(gradient.size(), static_cast<Index>(expected.size())) << name;
  const double limit = expected.size() > 256 ? (std::max)(support::tolerance::backward_row_nmse<T>, 1e-13)
                                             : (std::max)(support::tolerance::backward_row_nmse<T>, 1e-27);
  EXPECT_TRUE(within(support::worst_row_nmse(gradient, expected, gradient.size()), limit)) << name;
}

/// A published case: its numbers forward, and its gradients of what comes in and of the weights.
template <class Block>
void expect_golden(Block& block, const support::Golden& golden, const std::string& suffix = "") {
  using T = typename Block::Scalar;
  block.cell.input.weight.value = golden.matrix<T>("weight_ih" + suffix);
  block.cell.hidden.weight.value = golden.matrix<T>("weight_hh" + suffix);
  const ef::Tensor<T, 3> x = batch_first(golden.tensor<T, 3>("x"));
  const ef::Tensor<T, 3> dy = batch_first(golden.tensor<T, 3>("d_h"));
  const Index batch = x.dimension(0), hidden = dy.dimension(2);
  const auto matrix = [&](const std::string& name) {
    const std::vector<T> values = golden.values<T>(name);
    return ef::Matrix<T>(Eigen::Map<const ef::Matrix<T>>(values.data(), batch, hidden));
  };
  const ef::RecurrentState<T> initial = {matrix("h0"), matrix("c0")};
  ef::RecurrentState<T> last, dinitial;
  ef::Tensor<T, 3> y(dy.dimensions()), dx(x.dimensions());
  ef::Context context;
  typename Block::Cache cache;
  block.forward(x, y, {.initial = &initial, .last = &last}, context, &cache);
  block.backward(dy, cache, dx, {.initial = &dinitial}, context);
  const ef::Tensor<T, 3> h = batch_first(y), length_first_dx = batch_first(dx);
  EXPECT_TRUE(within(support::worst_row_nmse(h, golden.values<double>("h"), hidden), row_nmse<T>(x.dimension(1))));
  if (golden.contains("c")) {
    const std::vector<double> c = golden.values<double>("c");
    EXPECT_TRUE(within(support::worst_row_nmse(last.c, std::vector<double>(c.end() - batch * hidden, c.end()), hidden),
                       row_nmse<T>(x.dimension(1))));
  }
  expect_gradient<T>(length_first_dx, golden, "x");
  expect_gradient<T>(dinitial.h, golden, "h0");
  expect_gradient<T>(dinitial.c, golden, "c0");
  expect_gradient<T>(block.cell.input.weight.gradient, golden, "weight_ih" + suffix);
  expect_gradient<T>(block.cell.hidden.weight.gradient, golden, "weight_hh" + suffix);
}

}  // namespace recurrent
