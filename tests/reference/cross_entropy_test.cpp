// SPDX-License-Identifier: MIT

#include "reference/cross_entropy.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "reference/gradient.hpp"
#include "support/compare.hpp"

namespace {

using reference::Array;
using support::within;

TEST(ReferenceCrossEntropy, of_equal_logits_is_the_logarithm_of_the_classes) {
  const Array<double> logits({2, 7}, 3.0);
  EXPECT_DOUBLE_EQ(reference::cross_entropy(logits, {0, 6}).loss, std::log(7.0));
  EXPECT_DOUBLE_EQ(reference::cross_entropy(logits, {0, 6}, {.label_smoothing = 0.3}).loss, std::log(7.0));
}

TEST(ReferenceCrossEntropy, equals_a_row_worked_by_hand) {
  // Probabilities 1/2, 1/4, 1/4; smoothing 0.3 gives each class 0.1 and the target 0.7 more.
  const Array<double> logits({1, 3}, std::vector<double>{std::log(2.0), 0, 0});
  const auto result = reference::cross_entropy(logits, {1}, {.label_smoothing = 0.3});
  EXPECT_DOUBLE_EQ(result.loss, 0.7 * std::log(4.0) + 0.1 * (std::log(2.0) + 2 * std::log(4.0)));
  EXPECT_TRUE(within(support::max_error(result.dlogits, std::vector<double>{0.4, -0.55, 0.15}), 1e-15));
}

TEST(ReferenceCrossEntropy, averages_over_the_counted_rows_only) {
  const Array<double> logits = reference::waves({3, 5}, 0.1);
  const auto result = reference::cross_entropy(logits, {4, -7, 2}, {.ignore_index = -7});
  const Array<double> log_p = reference::log_softmax(logits);
  EXPECT_EQ(result.counted, 2);
  EXPECT_NEAR(result.loss, -(log_p(0, 4) + log_p(2, 2)) / 2, 1e-15);
  EXPECT_EQ(result.per_row(1), 0);
  for (long c = 0; c < 5; ++c) EXPECT_EQ(result.dlogits(1, c), 0);
}

TEST(ReferenceCrossEntropy, of_ignored_rows_alone_is_zero) {
  const auto result = reference::cross_entropy(reference::waves({2, 3}, 0.1), {-100, -100});
  EXPECT_EQ(result.loss, 0);
  EXPECT_EQ(result.counted, 0);
  EXPECT_TRUE(support::all_finite(result.dlogits));
}

TEST(ReferenceCrossEntropy, gradient_is_the_gradient) {
  Array<double> logits = reference::waves({5, 7}, 0.1);
  const auto loss = [&] { return reference::cross_entropy(logits, {3, -100, 6, 0, 0}, {.label_smoothing = 0.1}); };
  Array<double> differences(logits.shape);
  reference::central_differences(
      logits, 1e-5, [&] { return loss().loss; }, differences);
  EXPECT_TRUE(within(support::max_error(loss().dlogits, differences), 1e-9));
}

}  // namespace
