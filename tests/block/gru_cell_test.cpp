// SPDX-License-Identifier: MIT
#include "block/recurrent_case.hpp"

namespace ef = eigenformer;

TEST(GruCell, names_its_parameters_as_pytorch_does) {
  std::string names;
  const auto note = [&](const ef::Name& name, const auto& parameter) {
    names += name.str() + parameter.shape().to_string() + " ";
  };
  ef::Gru<float>({.in_features = 3, .hidden = 5}, ef::Random(1)).visit_parameters(note);
  EXPECT_EQ(names, "weight_ih[15, 3] weight_hh[15, 5] bias_ih[15] bias_hh[15] ");
  names.clear();
  ef::LayerNormGru<float>({.in_features = 3, .hidden = 5, .norm = {.bias = false}}, ef::Random(1))
      .visit_parameters(note);
  EXPECT_EQ(names,
            "weight_ih[15, 3] weight_hh[15, 5] input_norm.weight[10] hidden_norm.weight[10] "
            "input_candidate_norm.weight[5] hidden_candidate_norm.weight[5] ");
}

/// The formula of torch.nn.GRU with weight_ih (0.5, -0.25, 1), weight_hh (1, 0.5, -1), bias_ih (0.1,
/// 0.2, 0.3), bias_hh (-0.1, 0.4, 0.5), x = (1, -2), h0 = 0.75, number by number:
/// r multiplies W_hn h + b_hn, bias included, and z keeps the old state.
TEST(GruCell, resets_the_candidate_behind_its_product_and_keeps_the_share_z) {
  ef::Gru<double> block({.in_features = 1, .hidden = 1}, ef::Random(1));
  block.cell.input.weight.value << 0.5, -0.25, 1;
  block.cell.hidden.weight.value << 1, 0.5, -1;
  block.cell.input.bias->value << 0.1, 0.2, 0.3;
  block.cell.hidden.bias->value << -0.1, 0.4, 0.5;
  ef::Tensor<double, 3> x(1, 2, 1);
  x.setValues({{{1}, {-2}}});
  const ef::RecurrentState<double> initial = {ef::Matrix<double>::Constant(1, 1, 0.75), {}};
  const ef::Tensor<double, 3> y = block(x, ef::Unrolling<double>{.initial = &initial});
  double h = 0.75;
  for (int t = 0; t < 2; ++t) {
    const double input = t == 0 ? 1 : -2;
    const double r = 1 / (1 + std::exp(-(0.5 * input + 0.1 + h - 0.1)));
    const double z = 1 / (1 + std::exp(-(-0.25 * input + 0.2 + 0.5 * h + 0.4)));
    const double n = std::tanh(input + 0.3 + r * (-h + 0.5));
    h = (1 - z) * n + z * h;
    EXPECT_NEAR(y(0, t, 0), h, 1e-15);
  }
}
