// SPDX-License-Identifier: MIT

#include <eigenformer/core/concepts.hpp>
#include <eigenformer/linear/embedding.hpp>

#include <gtest/gtest.h>

#include "support/alignment.hpp"
#include "support/allocation.hpp"
#include "support/compare.hpp"
#include "support/inputs.hpp"

namespace ef = eigenformer;
using ef::Index;
using Token = ef::TokensView::Token;

static_assert(ef::ParameterHolder<ef::Embedding<float>>);

namespace {

template <class T>
class EmbeddingOf : public testing::Test {};
using Scalars = testing::Types<float, double>;
TYPED_TEST_SUITE(EmbeddingOf, Scalars);

ef::Tensor<Token, 2> random_tokens(Index batch, Index length, Index vocabulary, std::uint64_t salt) {
  support::Generator random(salt);
  ef::Tensor<Token, 2> tokens(batch, length);
  for (Index i = 0; i < tokens.size(); ++i) tokens.data()[i] = static_cast<Token>(random.integer(vocabulary));
  return tokens;
}

}  // namespace

TYPED_TEST(EmbeddingOf, copies_the_row_of_each_token) {
  using T = TypeParam;
  const ef::Embedding<T> embedding({.vocabulary = 11, .dim = 7}, ef::Random(1));
  const ef::Tensor<Token, 2> tokens = random_tokens(3, 5, 11, 1);
  const ef::Tensor<T, 3> y = embedding(tokens);
  EXPECT_EQ(ef::shape_of(y.dimensions()), ef::Shape({3, 5, 7}));
  for (Index b = 0; b < 3; ++b) {
    for (Index l = 0; l < 5; ++l) {
      for (Index d = 0; d < 7; ++d) ASSERT_EQ(y(b, l, d), embedding.weight.value(tokens(b, l), d));
    }
  }
}

namespace {

template <class T, class Stored>
void expect_widened_rows() {
  const ef::Embedding<T> trained({.vocabulary = 11, .dim = 37}, ef::Random(1));
  ef::Embedding<T, Stored> embedding(trained);
  EXPECT_EQ(embedding.weight.value, ef::stored_as<Stored>(trained.weight.value));
  EXPECT_EQ((ef::Embedding<T, Stored>({.vocabulary = 11, .dim = 37}, ef::Random(1)).weight.value),
            embedding.weight.value);
  const ef::Matrix<T> wide = ef::Embedding<T>(embedding).weight.value;
  const std::vector<Token> tokens = {7, 0, 10, 7};
  ef::Matrix<T> y(4, 37);
  ef::Context context;
  typename ef::Embedding<T, Stored>::Cache cache;
  embedding.forward(tokens, y, context, &cache);
  for (Index n = 0; n < 4; ++n) EXPECT_EQ(y.row(n), wide.row(tokens[static_cast<std::size_t>(n)]));
  EXPECT_EQ(cache.tokens.size(), 0) << "nothing needs them";
  embedding.backward(y, cache, context);
  EXPECT_THROW(embedding.backward(ef::Matrix<T>(ef::Matrix<T>::Ones(3, 37)), cache, context), ef::ShapeError);
  EXPECT_THROW(embedding.forward(std::vector<Token>{0, 1, 2, 11}, y, context), ef::ValueError);
  EXPECT_THROW((ef::Embedding<T, Stored>(ef::Matrix<Stored>())), ef::OptionError);
}

}  // namespace

TYPED_TEST(EmbeddingOf, in_half_precision_gives_its_values_in_full) {
  using T = TypeParam;
  expect_widened_rows<T, ef::Bfloat16>();
  expect_widened_rows<T, ef::Float16>();
}

TYPED_TEST(EmbeddingOf, takes_tokens_of_any_rank_and_lists) {
  using T = TypeParam;
  const ef::Embedding<T> embedding({.vocabulary = 5, .dim = 2}, ef::Random(1));
  const std::vector<Token> list = {4, 0, 4};
  const ef::Matrix<T> y = embedding(list);
  EXPECT_EQ(y.row(0), embedding.weight.value.row(4));
  EXPECT_EQ(y.row(1), embedding.weight.value.row(0));
  ef::Tensor<Token, 1> one(1);
  one(0) = 3;
  const ef::Tensor<T, 2> row = embedding(one);
  EXPECT_EQ(row(0, 1), embedding.weight.value(3, 1));
  EXPECT_EQ(embedding(ef::Tensor<Token, 2>(2, 0)).size(), 0);
  EXPECT_EQ(embedding(std::span<const Token>()).rows(), 0);
}

TYPED_TEST(EmbeddingOf, gradient_of_a_token_is_the_sum_over_where_it_stands) {
  using T = TypeParam;
  constexpr Index dim = 131;
  ef::Embedding<T> embedding({.vocabulary = 7, .dim = dim}, ef::Random(1));
  const ef::Tensor<Token, 2> tokens = random_tokens(5, 13, 6, 2);  // 6 never comes
  ef::Tensor<T, 3> dy(5, 13, dim);
  for (Index i = 0; i < dy.size(); ++i) dy.data()[i] = static_cast<T>(i % 97 - 40);  // sums of integers are exact
  ef::Matrix<T> expected = ef::Matrix<T>::Constant(7, dim, T(3));
  for (Index n = 0; n < 65; ++n) {
    for (Index d = 0; d < dim; ++d) expected(tokens.data()[n], d) += dy.data()[n * dim + d];
  }
  embedding.weight.gradient = ef::Matrix<T>::Constant(7, dim, T(3));
  ef::Context context;
  typename ef::Embedding<T>::Cache cache;
  ef::Tensor<T, 3> y(5, 13, dim);
  embedding.forward(tokens, y, context, &cache);
  embedding.backward(dy, cache, context);
  EXPECT_TRUE(support::bit_equal(embedding.weight.gradient, expected));
}

TYPED_TEST(EmbeddingOf, gradient_is_the_same_for_any_thread_count) {
  using T = TypeParam;
  const ef::Embedding<T> start({.vocabulary = 3, .dim = 211}, ef::Random(1));
  const ef::Tensor<Token, 2> tokens = random_tokens(53, 101, 3, 3);
  support::Generator random(4);
  ef::Tensor<T, 3> dy(53, 101, 211);
  support::fill(dy, support::Distribution::normal, random);
  ef::Tensor<T, 3> y(53, 101, 211);
  ef::Matrix<T> expected;
  ef::Tensor<T, 3> expected_y;
  for (const int threads : {1, 2, 3}) {
    ef::Embedding<T> embedding = start;
    ef::Context context({.threads = threads});
    typename ef::Embedding<T>::Cache cache;
    embedding.forward(tokens, y, context, &cache);
    embedding.backward(dy, cache, context);
    if (threads == 1) {
      expected = embedding.weight.gradient;
      expected_y = y;
    }
    EXPECT_TRUE(support::bit_equal(embedding.weight.gradient, expected)) << threads << " threads";
    EXPECT_TRUE(support::bit_equal(y, expected_y)) << threads << " threads";
  }
}

TYPED_TEST(EmbeddingOf, allocates_nothing_after_the_first_call) {
  using T = TypeParam;
  if (!support::AllocationCounter::available()) GTEST_SKIP() << support::AllocationCounter::why_not();
  ef::Embedding<T> embedding({.vocabulary = 31, .dim = 131}, ef::Random(1));
  const ef::Tensor<Token, 2> tokens = random_tokens(7, 101, 31, 5);
  for (const int threads : {1, 2}) {
    ef::Context context({.threads = threads});
    typename ef::Embedding<T>::Cache cache;
    ef::Tensor<T, 3> y(7, 101, 131);
    const auto step = [&] {
      embedding.forward(tokens, y, context, &cache);
      embedding.backward(y, cache, context);
    };
    step();
    EXPECT_EQ(support::allocations_during(step), 0U);
  }
}

TYPED_TEST(EmbeddingOf, writes_rows_apart_and_nothing_between) {
  using T = TypeParam;
  const ef::Embedding<T> embedding({.vocabulary = 5, .dim = 3}, ef::Random(1));
  support::GuardedRows<T> rows(4, 3, 5, 1);
  ef::Context context;
  embedding.forward(std::vector<Token>{0, 4, 2, 2}, ef::RowsView<T>(rows.data(), 4, 3, 5), context);
  EXPECT_EQ(rows(1, 2), embedding.weight.value(4, 2));
  EXPECT_TRUE(rows.untouched_outside());
}

TYPED_TEST(EmbeddingOf, starts_normal_with_the_deviation_asked_for) {
  using T = TypeParam;
  const ef::Embedding<T> embedding({.vocabulary = 211, .dim = 101, .deviation = 0.02}, ef::Random(9));
  const double mean = static_cast<double>(embedding.weight.value.mean());
  const double square = static_cast<double>(embedding.weight.value.array().square().mean());
  const double root_count = std::sqrt(211.0 * 101);
  EXPECT_NEAR(mean, 0, 5 * 0.02 / root_count);
  EXPECT_NEAR(square, 0.0004, 5 * 0.0004 * std::sqrt(2.0) / root_count);
}

TYPED_TEST(EmbeddingOf, frozen_weight_keeps_no_tokens_and_gets_no_gradient) {
  using T = TypeParam;
  ef::Embedding<T> embedding({.vocabulary = 5, .dim = 3}, ef::Random(1));
  embedding.weight.trainable = false;
  ef::Context context;
  typename ef::Embedding<T>::Cache cache;
  ef::Matrix<T> y(2, 3);
  embedding.forward(std::vector<Token>{1, 2}, y, context, &cache);
  EXPECT_EQ(cache.tokens.size(), 0);
  embedding.backward(y, cache, context);
  EXPECT_EQ(embedding.weight.gradient.size(), 0);
  embedding.weight.trainable = true;
  EXPECT_THROW(embedding.backward(y, cache, context), ef::ValueError);
}

TYPED_TEST(EmbeddingOf, rejects_tokens_outside_the_vocabulary_and_writes_nothing) {
  using T = TypeParam;
  ef::Embedding<T> embedding({.vocabulary = 5, .dim = 3}, ef::Random(1));
  ef::Context context;
  typename ef::Embedding<T>::Cache cache;
  ef::Matrix<T> y = ef::Matrix<T>::Constant(3, 3, T(9));
  try {
    embedding.forward(std::vector<Token>{1, 4, 5}, y, context, &cache);
    ADD_FAILURE() << "expected ValueError";
  } catch (const ef::ValueError& error) {
    EXPECT_STREQ(error.what(), "Embedding: expected tokens in 0 .. 4, got 5 at position 2 of tokens of shape [3]");
  }
  EXPECT_THROW(embedding.forward(std::vector<Token>{1, -1, 0}, y, context, &cache), ef::ValueError);
  EXPECT_THROW(embedding.forward(std::vector<Token>{0, (std::numeric_limits<Token>::min)(), 0}, y, context),
               ef::ValueError);
  EXPECT_THROW(embedding.forward(std::vector<Token>{1, 2}, y, context, &cache), ef::ShapeError);
  ef::Matrix<T> wide(3, 4);
  EXPECT_THROW(embedding.forward(std::vector<Token>{1, 2, 3}, wide, context, &cache), ef::ShapeError);
  EXPECT_EQ(y, ef::Matrix<T>(ef::Matrix<T>::Constant(3, 3, T(9))));
  EXPECT_EQ(cache.rows, 0);
  EXPECT_THROW(embedding.backward(y, cache, context), ef::ShapeError);
  EXPECT_EQ(embedding.weight.gradient.size(), 0);

  EXPECT_THROW(ef::Embedding<T>({.vocabulary = 0, .dim = 3}, ef::Random(1)), ef::OptionError);
  EXPECT_THROW(ef::Embedding<T>({.vocabulary = 5, .dim = -3}, ef::Random(1)), ef::OptionError);
  EXPECT_THROW(ef::Embedding<T>(ef::Matrix<T>()), ef::OptionError);
}
