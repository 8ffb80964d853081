// SPDX-License-Identifier: MIT
#include <eigenformer/block/recurrent_weights.hpp>

#include <gtest/gtest.h>

namespace ef = eigenformer;

TEST(RecurrentWeights, start_uniform_in_the_range_of_pytorch) {
  ef::Random random(1);
  ef::RecurrentWeights<double> weights({.in_features = 300, .out_features = 64}, 16, "Block", random);
  const auto expect_range = [](const auto& values) {
    double largest = 0;
    for (const double value : values) largest = (std::max)(largest, std::abs(value));
    EXPECT_LE(largest, 0.25);  // 1 / sqrt(16)
    EXPECT_GT(largest, 0.2);
  };
  expect_range(weights.input.weight.values());
  expect_range(weights.hidden.weight.values());
  expect_range(weights.input.bias->values());
  expect_range(weights.hidden.bias->values());
  EXPECT_NE(weights.input.bias->value[0], weights.hidden.bias->value[0]);
}

TEST(RecurrentWeights, refuse_features_below_one_by_name) {
  ef::Random random(1);
  const auto start = [&](ef::LinearOptions options, ef::Index hidden) {
    return ef::RecurrentWeights<float>(options, hidden, "Lstm", random);
  };
  try {
    start({.in_features = 3, .out_features = 0}, 0);
    FAIL();
  } catch (const ef::OptionError& error) {
    EXPECT_STREQ(error.what(), "Lstm: expected hidden of at least 1, got 0");
  }
  EXPECT_THROW(start({.in_features = 0, .out_features = 4}, 1), ef::OptionError);
}
