// SPDX-License-Identifier: MIT
#include <eigenformer/norm/rms_norm.hpp>

#include <gtest/gtest.h>

#include "block/placement_case.hpp"

namespace ef = eigenformer;

namespace {
using Layer = placement::Case<ef::Sandwich, ef::RmsNorm<double>>;
}

TEST(Sandwich, names_a_norm_before_and_after_each_branch) {
  const Layer::Block block = Layer::make();
  std::string names;
  block.visit_parameters([&](const ef::Name& name, const auto& parameter) {
    if (parameter.rank == 1) names += name.str() + " ";
  });
  EXPECT_EQ(names,
            "attention_norm.weight feed_forward_norm.weight attention_output_norm.weight "
            "feed_forward_output_norm.weight ");
}

/// What keeps the residual path from growing: a branch adds rows of the size of its last gain, whatever its weights.
TEST(Sandwich, branches_of_any_size_add_rows_of_the_size_of_their_gain) {
  Layer::Block block = Layer::make();
  block.feed_forward_output_norm.weight.value.setZero();
  block.attention.output.weight.value *= 1e6;
  placement::Sequence x(1, 3, Layer::dim);
  x.setRandom();
  const placement::Sequence branch = block(x, ef::Causal{}) - x;
  for (ef::Index l = 0; l < 3; ++l) {
    double squares = 0;
    for (ef::Index d = 0; d < Layer::dim; ++d) squares += branch(0, l, d) * branch(0, l, d);
    EXPECT_NEAR(squares, Layer::dim, 1e-6);
  }
}

TEST(Sandwich, refuses_an_output_norm_of_another_width_by_name) {
  Layer::Block block = Layer::make();
  block.attention_output_norm = ef::RmsNorm<double>({.dim = 5});
  const placement::Sequence x = placement::Sequence(1, 3, Layer::dim).setConstant(1);
  try {
    block(x, ef::Causal{});
    FAIL() << "nothing thrown";
  } catch (const ef::ShapeError& error) {
    EXPECT_STREQ(error.what(), "Sandwich: expected last dimension 5 for attention_output_norm, got 13");
  }
}
