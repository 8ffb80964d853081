// SPDX-License-Identifier: MIT
#include "block/recurrent_case.hpp"

namespace ef = eigenformer;
using recurrent::expect_golden;
using recurrent::expect_gradient;
using support::Golden;

namespace {

template <class T>
class LstmOf : public testing::Test {};
using Scalars = testing::Types<float, double>;
TYPED_TEST_SUITE(LstmOf, Scalars);

template <class Block>
void expect_normed_golden(const Golden& golden) {
  using T = typename Block::Scalar;
  Block block({.in_features = golden.shape("x")[2], .hidden = golden.shape("h0")[1]}, ef::Random(1));
  auto& cell = block.cell;
  cell.input_norm = ef::LayerNorm<T>(golden.vector<T>("ln_i.weight"), golden.vector<T>("ln_i.bias"));
  cell.hidden_norm = ef::LayerNorm<T>(golden.vector<T>("ln_h.weight"), golden.vector<T>("ln_h.bias"));
  cell.cell_norm = ef::LayerNorm<T>(golden.vector<T>("ln_c.weight"), golden.vector<T>("ln_c.bias"));
  expect_golden(block, golden);
  const std::pair<const char*, ef::LayerNorm<T>*> norms[] = {
      {"ln_i", &cell.input_norm}, {"ln_h", &cell.hidden_norm}, {"ln_c", &cell.cell_norm}};
  for (const auto& [name, norm] : norms) {
    expect_gradient<T>(norm->weight.gradient, golden, std::string(name) + ".weight");
    expect_gradient<T>(norm->bias->gradient, golden, std::string(name) + ".bias");
  }
}

std::string names_of(const auto& block) {
  std::string names;
  block.visit_parameters(
      [&](const ef::Name& name, const auto& parameter) { names += name.str() + parameter.shape().to_string() + " "; });
  return names;
}

}  // namespace

TYPED_TEST(LstmOf, matches_pytorchs_lstm_forward_and_backward) {
  using T = TypeParam;
  const Golden golden("lstm_plain");
  ef::Lstm<T> block({.in_features = 10, .hidden = 12}, ef::Random(1));
  block.cell.input.bias->value = golden.vector<T>("bias_ih_l0");
  block.cell.hidden.bias->value = golden.vector<T>("bias_hh_l0");
  expect_golden(block, golden, "_l0");
  expect_gradient<T>(block.cell.input.bias->gradient, golden, "bias_ih_l0");
  expect_gradient<T>(block.cell.hidden.bias->gradient, golden, "bias_hh_l0");
}

TYPED_TEST(LstmOf, matches_layer_norm_of_ba_et_al_forward_and_backward) {
  expect_normed_golden<ef::LayerNormLstm<TypeParam>>(Golden("ln_lstm_ba2016"));
}

TYPED_TEST(LstmOf, matches_layer_norm_of_pytorchs_benchmark_forward_and_backward) {
  expect_normed_golden<ef::LayerNormStateLstm<TypeParam>>(Golden("ln_lstm_pytorch"));
}

TEST(LstmCell, names_its_parameters_as_pytorch_does) {
  EXPECT_EQ(names_of(ef::Lstm<float>({.in_features = 3, .hidden = 5}, ef::Random(1))),
            "weight_ih[20, 3] weight_hh[20, 5] bias_ih[20] bias_hh[20] ");
  EXPECT_EQ(names_of(ef::LayerNormLstm<float>({.in_features = 3, .hidden = 5}, ef::Random(1))),
            "weight_ih[20, 3] weight_hh[20, 5] input_norm.weight[20] input_norm.bias[20] hidden_norm.weight[20] "
            "hidden_norm.bias[20] cell_norm.weight[5] cell_norm.bias[5] ");
}

TEST(LstmCell, hands_options_to_its_norms) {
  const ef::LayerNormLstm<float> block(
      {.in_features = 3, .hidden = 5, .bias = true, .norm = {.epsilon = 0.5, .bias = false}}, ef::Random(1));
  EXPECT_EQ(block.cell.input_norm.epsilon, 0.5);
  EXPECT_EQ(block.cell.hidden_norm.epsilon, 0.5);
  EXPECT_EQ(block.cell.cell_norm.epsilon, 0.5);
  EXPECT_FALSE(block.cell.cell_norm.bias);
  EXPECT_TRUE(block.cell.input.bias && block.cell.hidden.bias);
}
