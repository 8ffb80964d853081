// SPDX-License-Identifier: MIT

#include "reference/optimizers.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "support/compare.hpp"

namespace {

using support::within;

TEST(ReferenceSgd, takes_two_steps_worked_by_hand) {
  std::vector<double> p = {1};
  reference::Sgd plain{.options = {.learning_rate = 0.5, .momentum = 0.5, .weight_decay = 1}};
  plain.step(p, {3});  // g = 4, m = 4
  EXPECT_DOUBLE_EQ(p[0], -1);
  plain.step(p, {3});  // g = 2, m = 4
  EXPECT_DOUBLE_EQ(p[0], -3);

  p = {1};
  reference::Sgd nesterov{.options = {.learning_rate = 0.5, .momentum = 0.5, .weight_decay = 1, .nesterov = true}};
  nesterov.step(p, {3});  // g = 4, m = 4, update 4 + 2
  EXPECT_DOUBLE_EQ(p[0], -2);
}

TEST(ReferenceAdamW, moves_by_the_learning_rate_first_and_decays_apart) {
  std::vector<double> p = {2, 2, 2};
  reference::AdamW adam{.options = {.learning_rate = 0.25, .epsilon = 0, .weight_decay = 0.4}};
  // Whatever the gradient's size the first step is its sign; the decay takes 2 * 0.25 * 0.4.
  adam.step(p, {1e-3, -7, 1e5});
  EXPECT_TRUE(within(support::max_error(p, std::vector<double>{1.55, 2.05, 1.55}), 1e-14));
}

TEST(ReferenceAdamW, takes_a_second_step_worked_by_hand) {
  // b1 = b2 = 1/2. Gradients 1 then -1: m = 1/2 then -1/4, corrected by 3/4 to -1/3; v = 1/2 then 3/4, corrected to 1.
  std::vector<double> p = {0};
  reference::AdamW adam{.options = {.learning_rate = 3, .beta1 = 0.5, .beta2 = 0.5, .epsilon = 1, .weight_decay = 0}};
  adam.step(p, {1});
  EXPECT_DOUBLE_EQ(p[0], -1.5);
  adam.step(p, {-1});
  EXPECT_DOUBLE_EQ(p[0], -1);
}

TEST(ReferenceSchedule, rises_in_a_line_and_falls_along_half_a_cosine) {
  const reference::WarmupCosineOptions options{.peak = 10, .minimum = 2, .warmup_steps = 5, .total_steps = 13};
  EXPECT_DOUBLE_EQ(reference::warmup_cosine(0, options), 2);
  EXPECT_DOUBLE_EQ(reference::warmup_cosine(4, options), 10);
  EXPECT_DOUBLE_EQ(reference::warmup_cosine(5, options), 10);
  EXPECT_DOUBLE_EQ(reference::warmup_cosine(9, options), 6);
  EXPECT_DOUBLE_EQ(reference::warmup_cosine(11, options), 6 - 4 * std::sqrt(0.5));
  EXPECT_DOUBLE_EQ(reference::warmup_cosine(13, options), 2);
  EXPECT_DOUBLE_EQ(reference::warmup_cosine(1000, options), 2);
  EXPECT_DOUBLE_EQ(reference::warmup_cosine(0, {.peak = 10, .total_steps = 3}), 10) << "no warm-up";
}

TEST(ReferenceClipping, shortens_to_the_limit_and_never_lengthens) {
  std::vector<std::vector<double>> gradients = {{3}, {0, -4}};
  EXPECT_DOUBLE_EQ(reference::clip_global_norm(gradients, 10), 5);
  EXPECT_EQ(gradients[1][1], -4);
  EXPECT_DOUBLE_EQ(reference::clip_global_norm(gradients, 1), 5);
  EXPECT_DOUBLE_EQ(gradients[0][0], 0.6);
  EXPECT_DOUBLE_EQ(gradients[1][1], -0.8);
  std::vector<std::vector<double>> zeros = {{0, 0}};
  EXPECT_EQ(reference::clip_global_norm(zeros, 1), 0);
  EXPECT_EQ(zeros[0][0], 0);
}

}  // namespace
