// SPDX-License-Identifier: MIT
#include <eigenformer/position/relative_bias.hpp>

#include "support/golden.hpp"

#include <gtest/gtest.h>

namespace {

namespace ef = eigenformer;
using ef::Index;

TEST(RelativeBias, buckets_are_the_published_ones) {
  const support::Golden golden("attn_t5_bias_bidir");
  const auto buckets = golden.tensor<std::int64_t, 2>("buckets");
  const ef::RelativeBiasOptions options{.heads = 4, .num_buckets = 8, .max_distance = 20};
  for (Index s = 0; s < 18; ++s) {
    for (Index t = 0; t < 18; ++t) ASSERT_EQ(ef::relative_bucket(t - s, options), buckets(s, t)) << s << " " << t;
  }
}

TEST(RelativeBias, causal_buckets_have_none_for_keys_behind) {
  const ef::RelativeBiasOptions options{.heads = 1, .direction = ef::RelativeDirection::causal};
  EXPECT_EQ(ef::relative_bucket(5, options), 0);
  EXPECT_EQ(ef::relative_bucket(0, options), 0);
  EXPECT_EQ(ef::relative_bucket(-15, options), 15);
  EXPECT_EQ(ef::relative_bucket(-16, options), 16);
  EXPECT_EQ(ef::relative_bucket(-127, options), 31);
  EXPECT_EQ(ef::relative_bucket(-1'000'000, options), 31);
}

TEST(RelativeBias, the_gradient_of_a_bucket_is_the_sum_over_its_distances) {
  ef::RelativeBias<double> bias({.heads = 3, .num_buckets = 8, .max_distance = 20}, ef::Random(1));
  std::vector<double> dbiases(3 * 61, 1.0);
  bias.distance_biases_backward(-30, 61, dbiases.data());
  bias.distance_biases_backward(-30, 61, dbiases.data());  // adds
  EXPECT_EQ(bias.weight.gradient.sum(), 2 * 3 * 61);
  EXPECT_EQ(bias.weight.gradient(0, 1), 2);  // the query itself
  bias.weight.trainable = false;
  bias.distance_biases_backward(-30, 61, dbiases.data());
  EXPECT_EQ(bias.weight.gradient.sum(), 2 * 3 * 61);
}

TEST(RelativeBias, refuses_options_that_do_not_go_together) {
  const auto make = [](ef::RelativeBiasOptions options) { ef::RelativeBias<float>(options, ef::Random(1)); };
  EXPECT_THROW(make({.heads = 0}), ef::OptionError);
  EXPECT_THROW(make({.heads = 1, .num_buckets = 2}), ef::OptionError);
  EXPECT_THROW(make({.heads = 1, .num_buckets = 7}), ef::OptionError);
  EXPECT_THROW(make({.heads = 1, .num_buckets = 32, .max_distance = 8}), ef::OptionError);
  EXPECT_NO_THROW(make({.heads = 1, .num_buckets = 2, .max_distance = 8, .direction = ef::RelativeDirection::causal}));
}

}  // namespace
