// SPDX-License-Identifier: MIT
#include <eigenformer/attention/key_value_prefix.hpp>

#include <eigenformer/attention/multi_query_attention.hpp>

#include "support/compare.hpp"

#include <array>

namespace {

namespace ef = eigenformer;
using ef::Index;

TEST(KeyValuePrefix, is_as_long_as_its_keys) {
  ef::Tensor<float, 4> longer(1, 5, 1, 7), shorter(1, 2, 1, 7);
  const std::array<ef::KeyValueSegment<float>, 2> unequal = {{{longer, longer}, {shorter, shorter}}};
  const std::array<ef::KeyValueSegment<float>, 2> equal = {{{longer, longer}, {longer, longer}}};
  const ef::KeyValuePrefix<float> shared{longer, longer};
  EXPECT_EQ(ef::detail::prefix_length(shared, 1), 5);
  EXPECT_EQ(ef::detail::prefix_length(ef::KeyValuePrefixes<float>{unequal}, 1), 2);
  EXPECT_EQ(ef::detail::prefix_length(ef::NoPrefix{}, 1), 0);
  EXPECT_TRUE(ef::detail::as_long_for_all(shared, 2));
  EXPECT_TRUE(ef::detail::as_long_for_all(ef::KeyValuePrefixes<float>{equal}, 2));
  EXPECT_FALSE(ef::detail::as_long_for_all(ef::KeyValuePrefixes<float>{unequal}, 2));
}

/// Without any block that holds it.
TEST(KeyValuePrefix, is_trained_where_attention_is_told_of_its_parameters) {
  ef::MultiQueryAttention<double> attention({.dim = 14, .heads = 2}, ef::Random(1));
  ef::Parameter<double, 3> keys(ef::Tensor<double, 3>(3, 1, 7)), values(ef::Tensor<double, 3>(3, 1, 7));
  keys.value.setConstant(0.3);
  values.value.setConstant(-0.2);
  keys.trainable = false;
  const ef::KeyValuePrefix<double> prefix{{keys.value.data(), 1, 3, 1, 7}, {values.value.data(), 1, 3, 1, 7}};
  ef::Tensor<double, 3> x(2, 5, 14), y(2, 5, 14), dx(2, 5, 14);
  for (Index i = 0; i < x.size(); ++i) x.data()[i] = static_cast<double>(i % 11) - 5;
  ef::Context context;
  ef::MultiQueryAttention<double>::Cache cache;
  attention.forward(x, y, x, ef::Causal{}, prefix, context, &cache);
  EXPECT_THROW(attention.backward(y, cache, dx, context), ef::ValueError);  // it would take the prefix for none
  EXPECT_EQ(attention.key.weight.gradient.size(), 0);
  attention.backward(y, cache, dx, ef::TrainedPrefix<double>{prefix, keys, values}, context);
  EXPECT_EQ(keys.gradient.size(), 0);
  EXPECT_EQ(values.gradient.size(), 21);
}

TEST(KeyValuePrefix, of_single_sequences_is_not_trained) {
  const ef::MultiQueryAttention<float> attention({.dim = 14, .heads = 2}, ef::Random(1));
  ef::Tensor<float, 4> some(1, 5, 1, 7);
  some.setZero();
  const std::array<ef::KeyValueSegment<float>, 1> prefixes = {{{some, some}}};
  ef::Tensor<float, 3> x(1, 5, 14), y(1, 5, 14);
  x.setZero();
  ef::Context context;
  ef::MultiQueryAttention<float>::Cache cache;
  const ef::KeyValuePrefixes<float> own{prefixes};
  EXPECT_THROW(attention.forward(x, y, x, ef::Causal{}, own, context, &cache), ef::ValueError);
  attention.forward(x, y, x, ef::Causal{}, own, context);
}

}  // namespace
