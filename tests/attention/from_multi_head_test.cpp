// SPDX-License-Identifier: MIT
#include <eigenformer/attention/from_multi_head.hpp>
#include <eigenformer/attention/multi_head_attention.hpp>
#include <eigenformer/norm/layer_norm.hpp>
#include <eigenformer/norm/rms_norm.hpp>

#include "reference/head_pooling.hpp"
#include "support/compare.hpp"
#include "support/golden.hpp"
#include "support/inputs.hpp"
#include "support/tolerances.hpp"

namespace {

namespace ef = eigenformer;
namespace tolerance = support::tolerance;
using ef::Index;

template <class T>
using Normed = ef::MultiHeadAttention<T, ef::Linear<T>, ef::Rotary<ef::HalfSplit>, ef::RmsNorm<T>, ef::LayerNorm<T>>;

template <class T>
class FromMultiHead : public testing::Test {};
using Scalars = testing::Types<float, double>;
TYPED_TEST_SUITE(FromMultiHead, Scalars);

template <class T>
ef::Tensor<T, 3> normal(Index batch, Index length, Index dim, std::uint64_t salt) {
  support::Generator random(salt);
  ef::Tensor<T, 3> x(batch, length, dim);
  support::fill(x, support::Distribution::normal, random);
  return x;
}

/// Twelve heads with everything that attention may have, no weight of them as it starts.
template <class T>
Normed<T> twelve_heads() {
  Normed<T> attention({.dim = 13, .heads = 12, .head_dim = 6, .value_dim = 5, .memory_dim = 13, .softcap = 3},
                      ef::Random(3));
  support::Generator random(29);
  attention.visit_parameters([&](const ef::Name&, auto& parameter) {
    for (T& value : parameter.values()) value += static_cast<T>(0.3 * random.normal());
  });
  return attention;
}

template <class T>
reference::Array<double> rows_of(const ef::Linear<T>& linear) {
  return reference::widened(linear.weight.value.data(), {linear.output_features(), linear.input_features()});
}
template <class T>
reference::Array<double> bias_of(const ef::Linear<T>& linear) {
  return reference::widened(linear.bias->value.data(), {linear.output_features(), 1});
}

/// One rounding to T of a mean in double, whose own sums of at most 12 numbers below 2 are off by at most 12 eps on either
/// side.
template <class T>
void expect_pooled(const ef::Linear<T>& pooled, const ef::Linear<T>& from, Index groups) {
  const double absolute = 24 * tolerance::epsilon<double>;
  const double relative = tolerance::epsilon<T> / 2;
  const auto weight = reference::mean_pooled_heads(rows_of(from), 12, groups);
  const auto bias = reference::mean_pooled_heads(bias_of(from), 12, groups);
  EXPECT_TRUE(support::within(support::mixed_error(pooled.weight.value, weight, absolute, relative), 1)) << groups;
  EXPECT_TRUE(support::within(support::mixed_error(pooled.bias->value, bias, absolute, relative), 1)) << groups;
}

TYPED_TEST(FromMultiHead, takes_the_mean_of_each_group_of_consecutive_heads) {
  using T = TypeParam;
  const Normed<T> attention = twelve_heads<T>();
  for (const Index groups : {6, 4, 3, 2, 1}) {
    const auto grouped = ef::from_multi_head(attention, {.kv_heads = groups});
    EXPECT_EQ(grouped.options.kv_heads, groups);
    expect_pooled(grouped.key, attention.key, groups);
    expect_pooled(grouped.value, attention.value, groups);
  }
}

TYPED_TEST(FromMultiHead, takes_over_everything_else) {
  using T = TypeParam;
  const Normed<T> attention = twelve_heads<T>();
  const auto grouped = ef::from_multi_head(attention, {.kv_heads = 3});
  EXPECT_TRUE(support::bit_equal(grouped.query.weight.value, attention.query.weight.value));
  EXPECT_TRUE(support::bit_equal(grouped.query.bias->value, attention.query.bias->value));
  EXPECT_TRUE(support::bit_equal(grouped.output.weight.value, attention.output.weight.value));
  EXPECT_TRUE(support::bit_equal(grouped.output.bias->value, attention.output.bias->value));
  EXPECT_TRUE(support::bit_equal(grouped.query_norm.weight.value, attention.query_norm.weight.value));
  EXPECT_TRUE(support::bit_equal(grouped.key_norm.weight.value, attention.key_norm.weight.value));
  EXPECT_TRUE(support::bit_equal(grouped.inner_norm.weight.value, attention.inner_norm.weight.value));
  EXPECT_TRUE(support::bit_equal(grouped.inner_norm.bias->value, attention.inner_norm.bias->value));
  EXPECT_EQ(grouped.options.heads, 12);
  EXPECT_EQ(grouped.options.head_dim, 6);
  EXPECT_EQ(grouped.options.value_dim, 5);
  EXPECT_EQ(grouped.options.softcap, 3);
  EXPECT_TRUE(grouped.options.bias);
}

/// Every pooling that keeps weights, and one more step from there.
TYPED_TEST(FromMultiHead, with_as_many_groups_as_heads_is_the_same_bit_for_bit) {
  using T = TypeParam;
  const Normed<T> attention = twelve_heads<T>();
  const auto x = normal<T>(2, 11, 13, 5);
  for (const ef::HeadPooling& pooling : {ef::HeadPooling(ef::MeanPooling{}), ef::HeadPooling(ef::FirstHead{})}) {
    const auto grouped = ef::from_multi_head(attention, {.kv_heads = 12, .pooling = pooling});
    EXPECT_TRUE(support::bit_equal(grouped.key.weight.value, attention.key.weight.value));
    EXPECT_TRUE(support::bit_equal(grouped.value.bias->value, attention.value.bias->value));
    EXPECT_TRUE(support::bit_equal(grouped(x, ef::Causal{}), attention(x, ef::Causal{})));
  }
}

/// All heads of a group as its first: then nothing is lost, whatever the size of the group.
template <class T>
void repeat_heads(ef::Linear<T>& linear, Index head_dim, Index group) {
  for (Index row = 0; row < linear.output_features(); ++row) {
    const Index first = row / head_dim / group * group * head_dim + row % head_dim;
    linear.weight.value.row(row) = linear.weight.value.row(first).eval();
    linear.bias->value[row] = linear.bias->value[first];
  }
}

TYPED_TEST(FromMultiHead, equal_heads_pool_to_themselves_exactly) {
  using T = TypeParam;
  const auto x = normal<T>(2, 11, 13, 5);
  for (const Index group : {2, 3, 4, 6, 12}) {
    Normed<T> attention = twelve_heads<T>();
    repeat_heads(attention.key, 6, group);
    repeat_heads(attention.value, 5, group);
    const auto mean = ef::from_multi_head(attention, {.kv_heads = 12 / group});
    const auto first = ef::from_multi_head(attention, {.kv_heads = 12 / group, .pooling = ef::FirstHead{}});
    EXPECT_TRUE(support::bit_equal(mean.key.weight.value, first.key.weight.value)) << group;
    EXPECT_TRUE(support::bit_equal(mean.value.weight.value, first.value.weight.value)) << group;
    EXPECT_TRUE(support::bit_equal(mean.value.bias->value, first.value.bias->value)) << group;
    EXPECT_TRUE(support::within(support::worst_row_nmse(mean(x, ef::Causal{}), attention(x, ef::Causal{}), 13),
                                4 * tolerance::attention_row_nmse<T>(3)))
        << group;
  }
}

TYPED_TEST(FromMultiHead, takes_the_first_head_of_each_group) {
  using T = TypeParam;
  const Normed<T> attention = twelve_heads<T>();
  const auto grouped = ef::from_multi_head(attention, {.kv_heads = 3, .pooling = ef::FirstHead{}});
  for (Index g = 0; g < 3; ++g) {
    EXPECT_TRUE(support::bit_equal(ef::Matrix<T>(grouped.key.weight.value.middleRows(6 * g, 6)),
                                   ef::Matrix<T>(attention.key.weight.value.middleRows(24 * g, 6))));
    EXPECT_TRUE(support::bit_equal(ef::Matrix<T>(grouped.value.weight.value.middleRows(5 * g, 5)),
                                   ef::Matrix<T>(attention.value.weight.value.middleRows(20 * g, 5))));
    EXPECT_TRUE(support::bit_equal(ef::Vector<T>(grouped.value.bias->value.segment(5 * g, 5)),
                                   ef::Vector<T>(attention.value.bias->value.segment(20 * g, 5))));
  }
}

TYPED_TEST(FromMultiHead, draws_random_heads_as_a_new_projection_does_and_the_same_from_the_same_seed) {
  using T = TypeParam;
  const Normed<T> attention = twelve_heads<T>();
  const auto drawn = [&](std::uint64_t seed) {
    return ef::from_multi_head(attention, {.kv_heads = 2, .pooling = ef::RandomHeads{ef::Random(seed)}});
  };
  ef::Random random(7);
  const ef::Linear<T> key({.in_features = 13, .out_features = 12}, random.split());
  const ef::Linear<T> value({.in_features = 13, .out_features = 10}, random.split());
  const auto grouped = drawn(7);
  EXPECT_TRUE(support::bit_equal(grouped.key.weight.value, key.weight.value));
  EXPECT_TRUE(support::bit_equal(grouped.key.bias->value, key.bias->value));
  EXPECT_TRUE(support::bit_equal(grouped.value.weight.value, value.weight.value));
  EXPECT_FALSE(support::bit_equal(drawn(8).key.weight.value, key.weight.value));
  EXPECT_TRUE(support::bit_equal(grouped.query.weight.value, attention.query.weight.value));
}

/// From 12 to 6 to 2 is from 12 to 2, up to rounding: a mean of means.
TYPED_TEST(FromMultiHead, goes_on_from_grouped_queries) {
  using T = TypeParam;
  const Normed<T> attention = twelve_heads<T>();
  const auto step = ef::from_multi_head(ef::from_multi_head(attention, {.kv_heads = 6}), {.kv_heads = 2});
  const auto once = ef::from_multi_head(attention, {.kv_heads = 2});
  EXPECT_TRUE(
      support::within(support::max_error(step.key.weight.value, once.key.weight.value), 2 * tolerance::epsilon<T>));
  EXPECT_EQ(step.options.kv_heads, 2);
}

TYPED_TEST(FromMultiHead, keeps_what_is_frozen_frozen_and_leaves_gradients_behind) {
  using T = TypeParam;
  Normed<T> attention = twelve_heads<T>();
  attention.key.weight.trainable = false;
  attention.value.bias->trainable = false;
  attention.query.weight.accumulated_gradient().setOnes();
  attention.value.weight.accumulated_gradient().setOnes();
  const auto grouped = ef::from_multi_head(attention, {.kv_heads = 2});
  EXPECT_FALSE(grouped.key.weight.trainable);
  EXPECT_TRUE(grouped.key.bias->trainable);
  EXPECT_FALSE(grouped.value.bias->trainable);
  EXPECT_TRUE(grouped.value.weight.trainable);
  EXPECT_EQ(grouped.query.weight.gradient.size(), 0);
  EXPECT_EQ(grouped.value.weight.gradient.size(), 0);
}

/// Weights in half precision are widened, averaged, and rounded once.
TEST(FromMultiHead, pools_weights_in_half_precision) {
  using Half = ef::GroupedQueryAttention<float, ef::Linear<float, ef::Bfloat16>>;
  const Half attention({.dim = 24, .heads = 6}, ef::Random(1));
  const Half grouped = ef::from_multi_head(attention, {.kv_heads = 2});
  for (Index row = 0; row < 8; ++row) {
    for (Index i = 0; i < 24; ++i) {
      double sum = 0;
      for (Index h = 0; h < 3; ++h) {
        sum += ef::widened<double>(attention.key.weight.value(row / 4 * 12 + 4 * h + row % 4, i));
      }
      EXPECT_EQ(grouped.key.weight.value(row, i), ef::rounded<ef::Bfloat16>(sum / 3)) << row << ' ' << i;
    }
  }
}

TEST(FromMultiHead, refuses_groups_that_heads_do_not_divide_into) {
  const auto message_of = [](const auto& attention, Index kv_heads) -> std::string {
    try {
      ef::from_multi_head(attention, {.kv_heads = kv_heads});
    } catch (const ef::Error& error) {
      return error.what();
    }
    return "nothing thrown";
  };
  ef::MultiHeadAttention<float> attention({.dim = 12, .heads = 6}, ef::Random(1));
  EXPECT_EQ(message_of(attention, 4), "from_multi_head: expected kv_heads that divide the 6 of the attention, got 4");
  EXPECT_EQ(message_of(attention, 12), "from_multi_head: expected kv_heads that divide the 6 of the attention, got 12");
  EXPECT_EQ(message_of(attention, 0), "from_multi_head: expected kv_heads of at least 1, got 0");
  const auto grouped = ef::from_multi_head(attention, {.kv_heads = 3});
  EXPECT_EQ(message_of(grouped, 2), "from_multi_head: expected kv_heads that divide the 3 of the attention, got 2");
  attention.value = ef::Linear<float>({.in_features = 12, .out_features = 10}, ef::Random(1));
  EXPECT_EQ(
      message_of(attention, 3),
      "from_multi_head: expected key and value to give 6 heads of 2 and 2 features, got 12 and 10 features in all");
}

TYPED_TEST(FromMultiHead, equals_the_conversion_of_the_paper) {
  using T = TypeParam;
  const support::Golden golden("mha_to_gqa_h8_g2");
  ef::MultiHeadAttention<T> attention({.dim = 48, .heads = 8, .bias = false}, ef::Random(1));
  attention.query.weight.value = golden.matrix<T>("wq");
  attention.key.weight.value = golden.matrix<T>("wk");
  attention.value.weight.value = golden.matrix<T>("wv");
  attention.output.weight.value = golden.matrix<T>("wo");
  const auto grouped = ef::from_multi_head(attention, {.kv_heads = 2});
  const auto expect = [&](const ef::Matrix<T>& actual, const char* name) {
    const double limit = tolerance::epsilon<T>;
    EXPECT_TRUE(support::within(support::max_error(actual, golden.matrix<double>(name)), limit)) << name;
  };
  expect(grouped.key.weight.value, "wk_pooled");
  expect(grouped.value.weight.value, "wv_pooled");
  const ef::Tensor<T, 3> y = grouped(golden.tensor<T, 3>("x"), ef::Causal{});
  EXPECT_TRUE(support::within(support::max_error(y, golden.tensor<double, 3>("y")), tolerance::pytorch_abs<T>));
}

}  // namespace
