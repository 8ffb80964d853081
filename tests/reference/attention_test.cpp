// SPDX-License-Identifier: MIT

#include "reference/attention.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "reference/gradient.hpp"
#include "support/compare.hpp"
#include "support/inputs.hpp"

namespace {

using reference::Array;
using reference::AttentionOptions;
using support::within;

TEST(ReferenceAttention, with_one_key_returns_its_value) {
  const Array<double> q = reference::waves({2, 3, 4, 5}, 0.1);
  const Array<double> k = reference::waves({2, 1, 2, 5}, 0.2);
  const Array<double> v = reference::waves({2, 1, 2, 7}, 0.3);
  const auto result = reference::attention(q, k, v);
  for (long b = 0; b < 2; ++b) {
    for (long s = 0; s < 3; ++s) {
      for (long h = 0; h < 4; ++h) {
        for (long e = 0; e < 7; ++e) EXPECT_EQ(result.out(b, s, h, e), v(b, 0, h / 2, e));
      }
    }
  }
}

TEST(ReferenceAttention, equals_two_keys_worked_by_hand) {
  // Scores 2 ln 3 and 0 with scale 2: probabilities 9/10 and 1/10.
  const Array<double> q({1, 1, 1, 1}, std::vector<double>{1});
  const Array<double> k({1, 2, 1, 1}, std::vector<double>{std::log(3.0), 0});
  const Array<double> v({1, 2, 1, 2}, std::vector<double>{10, 20, 100, -100});
  const auto result = reference::attention(q, k, v, {.scale = 2});
  EXPECT_TRUE(within(support::max_error(result.out, std::vector<double>{19, 8}), 1e-13));
  EXPECT_NEAR(result.log_sum_exp(0, 0, 0), std::log(10.0), 1e-15);
  EXPECT_DOUBLE_EQ(result.largest_logit, 2 * std::log(3.0));
  EXPECT_EQ(result.largest_value, 100);
}

TEST(ReferenceAttention, scale_defaults_to_one_over_root_of_the_key_dimension) {
  const Array<double> q = reference::waves({1, 3, 1, 5}, 0.1);
  const Array<double> k = reference::waves({1, 7, 1, 5}, 0.2);
  const Array<double> v = reference::waves({1, 7, 1, 3}, 0.3);
  const auto by_default = reference::attention(q, k, v).out;
  EXPECT_TRUE(
      within(support::max_error(by_default, reference::attention(q, k, v, {.scale = 1 / std::sqrt(5.0)}).out), 1e-15));
}

TEST(ReferenceAttention, softcap_bounds_the_scores) {
  const Array<double> q({1, 1, 1, 1}, std::vector<double>{1e6});
  const Array<double> k({1, 2, 1, 1}, std::vector<double>{1, -1});
  const Array<double> v({1, 2, 1, 1}, std::vector<double>{1, 0});
  const auto result = reference::attention(q, k, v, {.softcap = 3});
  EXPECT_DOUBLE_EQ(result.out(0, 0, 0, 0), 1 / (1 + std::exp(-6.0)));
}

TEST(ReferenceAttention, masks_say_what_they_are_named_for) {
  const auto bottom_right = reference::causal_mask(7 - 3);
  EXPECT_TRUE(bottom_right(0, 0, 4));
  EXPECT_FALSE(bottom_right(0, 0, 5));
  EXPECT_TRUE(bottom_right(0, 2, 6));
  const auto padded = reference::both(reference::padding_mask({2, 0}), reference::causal_mask(0));
  EXPECT_TRUE(padded(0, 1, 1));
  EXPECT_FALSE(padded(0, 0, 1));
  EXPECT_FALSE(padded(0, 2, 2));
  EXPECT_FALSE(padded(1, 0, 0));
}

TEST(ReferenceAttention, never_reads_what_is_masked) {
  const Array<double> q = reference::waves({2, 3, 2, 5}, 0.1);
  const Array<double> dout = reference::waves({2, 3, 2, 3}, 0.4);
  const AttentionOptions options{.mask = reference::padding_mask({4, 0})};
  int cases = 0;
  for (const double poison : support::poisons<double>()) {
    Array<double> k = reference::waves({2, 7, 1, 5}, 0.2);
    Array<double> v = reference::waves({2, 7, 1, 3}, 0.3);
    const auto clean = reference::attention(q, k, v, options);
    const auto clean_gradients = reference::attention_backward(q, k, v, dout, options);
    for (long b = 0; b < 2; ++b) {
      for (long t = b == 0 ? 4 : 0; t < 7; ++t) {
        for (long d = 0; d < 5; ++d) k(b, t, 0, d) = poison;
        for (long e = 0; e < 3; ++e) v(b, t, 0, e) = poison;
      }
    }
    const auto gradients = reference::attention_backward(q, k, v, dout, options);
    EXPECT_TRUE(support::bit_equal(reference::attention(q, k, v, options).out, clean.out));
    EXPECT_TRUE(support::bit_equal(gradients.dq, clean_gradients.dq));
    EXPECT_TRUE(support::bit_equal(gradients.dk, clean_gradients.dk));
    EXPECT_TRUE(support::bit_equal(gradients.dv, clean_gradients.dv));
    ++cases;
  }
  EXPECT_EQ(cases, 4);
}

TEST(ReferenceAttention, row_that_sees_nothing_is_zero_and_has_no_gradient) {
  const Array<double> q = reference::waves({1, 2, 1, 3}, 0.1);
  const Array<double> k = reference::waves({1, 3, 1, 3}, 0.2);
  const Array<double> v = reference::waves({1, 3, 1, 2}, 0.3);
  const AttentionOptions options{.mask = [](long, long query, long) { return query == 1; }};
  const auto result = reference::attention(q, k, v, options);
  const auto gradients = reference::attention_backward(q, k, v, reference::waves({1, 2, 1, 2}, 0.4), options);
  for (long e = 0; e < 2; ++e) EXPECT_EQ(result.out(0, 0, 0, e), 0);
  for (long d = 0; d < 3; ++d) EXPECT_EQ(gradients.dq(0, 0, 0, d), 0);
  EXPECT_TRUE(support::is_infinite(result.log_sum_exp(0, 0, 0)) && std::signbit(result.log_sum_exp(0, 0, 0)));
  EXPECT_TRUE(support::is_finite(result.log_sum_exp(0, 0, 1)));
  EXPECT_TRUE(support::all_finite(gradients.dk));
}

TEST(ReferenceAttention, backward_is_the_gradient) {
  int cases = 0;
  for (const double softcap : {0.0, 1.5}) {
    for (const bool causal : {false, true}) {
      Array<double> q = reference::waves({2, 3, 4, 5}, 0.1);
      Array<double> k = reference::waves({2, 7, 2, 5}, 0.2);
      Array<double> v = reference::waves({2, 7, 2, 3}, 0.3);
      const Array<double> dout = reference::waves({2, 3, 4, 3}, 0.4);
      AttentionOptions options{.scale = 0.7, .softcap = softcap};
      if (causal) options.mask = reference::both(reference::causal_mask(2), reference::padding_mask({7, 2}));
      const auto forward = [&] { return reference::attention(q, k, v, options).out; };
      const auto gradients = reference::attention_backward(q, k, v, dout, options);
      EXPECT_TRUE(within(support::max_error(gradients.dq, reference::gradient_by_differences(q, dout, forward)), 1e-8));
      EXPECT_TRUE(within(support::max_error(gradients.dk, reference::gradient_by_differences(k, dout, forward)), 1e-8));
      EXPECT_TRUE(within(support::max_error(gradients.dv, reference::gradient_by_differences(v, dout, forward)), 1e-8));
      ++cases;
    }
  }
  EXPECT_EQ(cases, 4);
}

TEST(ReferenceAttention, of_float_is_plain_float_code) {
  support::Generator random(1);
  const auto numbers = [&random](std::vector<long> shape) {
    Array<float> result(std::move(shape));
    support::fill(result, support::Distribution::normal, random);
    return result;
  };
  const Array<float> q = numbers({1, 11, 2, 17});
  const Array<float> k = numbers({1, 101, 1, 17});
  const Array<float> v = numbers({1, 101, 1, 13});
  const auto wide = [](const Array<float>& a) { return reference::widened<double>(a.data(), a.shape); };
  const auto exact = reference::attention(wide(q), wide(k), wide(v));
  const auto error = support::max_error(reference::attention(q, k, v).out, exact.out, exact.largest_value);
  EXPECT_GT(error.worst, 0) << "computed in double after all?";
  EXPECT_TRUE(within(error, 8 * 0x1p-23));
}

TEST(ReferenceAttention, refuses_shapes_that_do_not_fit) {
  const Array<double> q({1, 2, 3, 5});
  EXPECT_THROW(reference::attention(q, Array<double>({1, 2, 2, 5}), Array<double>({1, 2, 2, 5})),
               std::invalid_argument);
  EXPECT_THROW(reference::attention(q, Array<double>({1, 2, 1, 4}), Array<double>({1, 2, 1, 5})),
               std::invalid_argument);
}

}  // namespace
