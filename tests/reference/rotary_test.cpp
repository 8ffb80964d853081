// SPDX-License-Identifier: MIT

#include "reference/rotary.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "reference/gradient.hpp"
#include "support/compare.hpp"

namespace {

using reference::Array;
using reference::RotaryPairs;
using support::within;

TEST(ReferenceRotary, turns_the_named_pairs) {
  // Position 1, base 16, dim 4: the first pair turns by 1, the second by 1/4; the fifth feature passes through.
  const double c1 = std::cos(1.0);
  const double s1 = std::sin(1.0);
  const double c2 = std::cos(0.25);
  const double s2 = std::sin(0.25);
  const Array<double> x({1, 1, 1, 5}, std::vector<double>{1, 2, 3, 4, 5});
  const Array<double> interleaved =
      reference::rotary(x, {.dim = 4, .pairs = RotaryPairs::interleaved, .offset = 1, .base = 16});
  const Array<double> halves =
      reference::rotary(x, {.dim = 4, .pairs = RotaryPairs::half_split, .offset = 1, .base = 16});
  EXPECT_TRUE(within(support::max_error(interleaved, std::vector<double>{c1 - 2 * s1, s1 + 2 * c1, 3 * c2 - 4 * s2,
                                                                         3 * s2 + 4 * c2, 5}),
                     1e-15));
  EXPECT_TRUE(within(
      support::max_error(halves, std::vector<double>{c1 - 3 * s1, 2 * c2 - 4 * s2, s1 + 3 * c1, 2 * s2 + 4 * c2, 5}),
      1e-15));
}

TEST(ReferenceRotary, offset_is_the_position_of_the_first_row) {
  Array<double> x({1, 7, 1, 4});
  for (long s = 0; s < 7; ++s) {
    for (long d = 0; d < 4; ++d) x(0, s, 0, d) = static_cast<double>(d + 1);
  }
  const Array<double> start = reference::rotary(x, {.dim = 4});
  const Array<double> later = reference::rotary(x, {.dim = 4, .offset = 2});
  for (long s = 0; s < 5; ++s) {
    for (long d = 0; d < 4; ++d) EXPECT_DOUBLE_EQ(later(0, s, 0, d), start(0, s + 2, 0, d));
  }
  for (long d = 0; d < 4; ++d) EXPECT_EQ(start(0, 0, 0, d), x(0, 0, 0, d)) << "position 0 is not turned";
}

TEST(ReferenceRotary, scores_depend_on_the_distance_only) {
  int cases = 0;
  for (const RotaryPairs pairs : {RotaryPairs::interleaved, RotaryPairs::half_split}) {
    const Array<double> q = reference::waves({1, 1, 1, 10}, 0.1);
    const Array<double> k = reference::waves({1, 1, 1, 10}, 0.9);
    const auto score = [&](long query, long key) {
      return reference::inner_product(reference::rotary(q, {.dim = 8, .pairs = pairs, .offset = query}),
                                      reference::rotary(k, {.dim = 8, .pairs = pairs, .offset = key}));
    };
    EXPECT_NEAR(score(5, 2), score(1003, 1000), 1e-12);
    EXPECT_GT(std::abs(score(5, 2) - score(5, 3)), 1e-3);
    ++cases;
  }
  EXPECT_EQ(cases, 2);
}

TEST(ReferenceRotary, backward_is_the_gradient_and_turns_back) {
  Array<double> x = reference::waves({2, 3, 2, 7}, 0.1);
  const Array<double> dy = reference::waves({2, 3, 2, 7}, 0.4);
  const reference::RotaryOptions options{.dim = 6, .pairs = RotaryPairs::half_split, .offset = 11, .base = 500};
  const auto forward = [&] { return reference::rotary(x, options); };
  const Array<double> gradient = reference::rotary_backward(dy, options);
  EXPECT_TRUE(within(support::max_error(gradient, reference::gradient_by_differences(x, dy, forward)), 1e-9));
  EXPECT_TRUE(within(support::max_error(reference::rotary_backward(forward(), options), x), 1e-14));
}

TEST(ReferenceSinusoidal, follows_the_paper) {
  const Array<double> table = reference::sinusoidal_positions(3, 5, 7);
  EXPECT_DOUBLE_EQ(table(0, 0), std::sin(7.0));
  EXPECT_DOUBLE_EQ(table(0, 1), std::cos(7.0));
  EXPECT_DOUBLE_EQ(table(2, 2), std::sin(9.0 / std::pow(10000.0, 2.0 / 5)));
  EXPECT_DOUBLE_EQ(table(2, 3), std::cos(9.0 / std::pow(10000.0, 2.0 / 5)));
  EXPECT_DOUBLE_EQ(table(2, 4), std::sin(9.0 / std::pow(10000.0, 4.0 / 5)));
}

}  // namespace
