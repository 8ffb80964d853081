// SPDX-License-Identifier: MIT

#include <eigenformer/linear/fix_norm.hpp>

#include <gtest/gtest.h>

#include "reference/scale_norm.hpp"
#include "support/allocation.hpp"
#include "support/compare.hpp"
#include "support/golden.hpp"
#include "support/tolerances.hpp"

namespace ef = eigenformer;
namespace tolerance = support::tolerance;
using ef::Index;

namespace {

std::vector<ef::TokensView::Token> tokens_of(const support::Golden& golden) {
  std::vector<ef::TokensView::Token> tokens;
  for (const std::int64_t id : golden.values<std::int64_t>("ids")) {
    tokens.push_back(static_cast<ef::TokensView::Token>(id));
  }
  return tokens;
}

template <class T>
void expect_golden() {
  const support::Golden golden("fix_norm_v40_d24");
  const auto tokens = tokens_of(golden);
  ef::FixNorm<T> fixed(ef::Embedding<T>(golden.matrix<T>("E")), golden.parameter<double>("eps"));
  const ef::FixNormOutput<T> output;
  typename ef::FixNorm<T>::Cache cache;
  typename ef::FixNormOutput<T>::Cache output_cache;
  ef::Context context;
  const ef::Tensor<T, 3> h = golden.tensor<T, 3>("h");
  ef::Tensor<T, 3> emb(2, 9, 24), logits(2, 9, 40), dh(2, 9, 24);
  fixed.forward(tokens, emb, context, &cache);
  output.forward(fixed, h, logits, context, &output_cache);
  output.backward(fixed, golden.tensor<T, 3>("d_logits"), output_cache, dh, context);
  fixed.backward(golden.tensor<T, 3>("d_emb"), cache, context);
  EXPECT_TRUE(support::within(support::max_error(emb, golden.values<double>("emb"), std::sqrt(24.0)),
                              tolerance::norm_abs<T>(0)));
  EXPECT_TRUE(support::within(support::worst_row_nmse(logits, golden.values<double>("logits"), 40),
                              tolerance::gemm_row_nmse<T>));
  const double limit = 1e-12;  // stored gradients are rounded to float
  EXPECT_TRUE(support::within(support::worst_row_nmse(dh, golden.values<double>("grad.h"), 24), limit));
  EXPECT_TRUE(support::within(
      support::worst_row_nmse(fixed.embedding.weight.gradient, golden.values<double>("grad.E"), 40 * 24), limit));
}

}  // namespace

TEST(FixNorm, matches_published_vectors_as_embedding_and_tied_output) {
  expect_golden<float>();
  expect_golden<double>();
}

TEST(FixNorm, gives_vectors_of_one_length_whatever_that_of_the_weights) {
  ef::Matrix<float> weight = ef::Matrix<float>::Random(5, 16);
  weight.row(1) *= 1e30F;
  weight.row(2) *= 1e-9F;
  weight.row(3).setZero();
  ef::FixNorm<float> fixed{ef::Embedding<float>(weight)};
  const ef::Matrix<float> y = fixed(std::vector<ef::TokensView::Token>{0, 1, 2, 4, 3});
  for (const Index n : {0, 1, 2, 3}) EXPECT_NEAR(y.row(n).norm(), 4, 1e-5);
  EXPECT_TRUE((y.row(4).array() == 0).all());
  fixed.length = 2;
  EXPECT_NEAR(fixed(std::vector<ef::TokensView::Token>{1}).norm(), 2, 1e-5);
}

TEST(FixNorm, adds_the_gradients_of_embedding_and_output_to_one_weight) {
  ef::FixNorm<double> fixed({.vocabulary = 5, .dim = 3}, ef::Random(1));
  const std::vector<ef::TokensView::Token> tokens = {4, 0, 4, 2};
  const ef::Matrix<double> h = ef::Matrix<double>::Random(4, 3), demb = ef::Matrix<double>::Random(4, 3),
                           dlogits = ef::Matrix<double>::Random(4, 5);
  ef::FixNorm<double>::Cache cache;
  ef::FixNormOutput<double>::Cache output_cache;
  const ef::FixNormOutput<double> output;
  ef::Context context;
  ef::Matrix<double> emb(4, 3), logits(4, 5), dh(4, 3);
  const auto loss = [&] {
    fixed.forward(tokens, emb, context, &cache);
    output.forward(fixed, h, logits, context, &output_cache);
    return emb.cwiseProduct(demb).sum() + logits.cwiseProduct(dlogits).sum();
  };
  loss();
  fixed.backward(demb, cache, context);
  output.backward(fixed, dlogits, output_cache, dh, context);
  for (Index i = 0; i < 15; ++i) {
    double& number = fixed.embedding.weight.value.data()[i];
    const double kept = number;
    number = kept + tolerance::difference_step;
    const double above = loss();
    number = kept - tolerance::difference_step;
    const double difference = (above - loss()) / (2 * tolerance::difference_step);
    number = kept;
    EXPECT_NEAR(fixed.embedding.weight.gradient.data()[i], difference,
                tolerance::difference_abs + tolerance::difference_rel * std::abs(difference));
  }
}

TEST(FixNorm, frozen_keeps_no_rows_and_its_output_still_gives_dh) {
  ef::FixNorm<float> fixed({.vocabulary = 5, .dim = 3}, ef::Random(1));
  ef::FixNormOutput<float>::Cache trained, frozen;
  const ef::FixNormOutput<float> output;
  ef::Context context;
  const ef::Matrix<float> h = ef::Matrix<float>::Random(4, 3), dlogits = ef::Matrix<float>::Random(4, 5);
  ef::Matrix<float> logits(4, 5), dh(4, 3), expected(4, 3);
  output.forward(fixed, h, logits, context, &trained);
  output.backward(fixed, dlogits, trained, expected, context);
  ef::set_training(fixed, ef::Training::frozen);
  output.forward(fixed, h, logits, context, &frozen);
  output.backward(fixed, dlogits, frozen, dh, context);
  EXPECT_TRUE(support::bit_equal(dh, expected));
  EXPECT_EQ(frozen.h.size(), 0);
  EXPECT_EQ(fixed.embedding.weight.gradient.size(), 0);
  ef::FixNorm<float>::Cache cache;
  ef::Matrix<float> y(2, 3);
  fixed.forward(std::vector<ef::TokensView::Token>{1, 2}, y, context, &cache);
  EXPECT_EQ(cache.norm.normalised.size(), 0);
  set_training(fixed, ef::Training::trained);
  EXPECT_THROW(output.backward(fixed, dlogits, frozen, dh, context), ef::ValueError);
  EXPECT_THROW(fixed.backward(y, cache, context), ef::ValueError);
}

TEST(FixNorm, of_the_output_allocates_nothing_after_the_first_call) {
  if (!support::AllocationCounter::available()) GTEST_SKIP() << support::AllocationCounter::why_not();
  ef::FixNorm<float> fixed({.vocabulary = 131, .dim = 37}, ef::Random(1));
  ef::FixNormOutput<float>::Cache cache;
  const ef::FixNormOutput<float> output;
  ef::Context context;
  const ef::Matrix<float> h = ef::Matrix<float>::Random(67, 37), dlogits = ef::Matrix<float>::Random(67, 131);
  ef::Matrix<float> logits(67, 131), dh(67, 37);
  const auto step = [&] {
    output.forward(fixed, h, logits, context);
    output.forward(fixed, h, logits, context, &cache);
    output.backward(fixed, dlogits, cache, dh, context);
  };
  step();
  EXPECT_EQ(support::allocations_during(step), 0);
}

TEST(FixNorm, rejects_bad_shapes_and_options_and_writes_nothing) {
  EXPECT_THROW(ef::FixNorm<float>({.vocabulary = 0, .dim = 3}, ef::Random(1)), ef::OptionError);
  EXPECT_THROW(ef::FixNorm<float>({.vocabulary = 3, .dim = 3, .epsilon = -1}, ef::Random(1)), ef::OptionError);
  ef::FixNorm<float> fixed({.vocabulary = 5, .dim = 3}, ef::Random(1));
  const ef::FixNormOutput<float> output;
  ef::FixNormOutput<float>::Cache cache;
  ef::Context context;
  const ef::Matrix<float> h = ef::Matrix<float>::Ones(4, 3);
  ef::Matrix<float> logits = ef::Matrix<float>::Constant(4, 6, 7), dh(4, 3);
  EXPECT_THROW(output.forward(fixed, h, logits, context), ef::ShapeError);
  EXPECT_THROW(output.backward(fixed, ef::Matrix<float>(ef::Matrix<float>::Ones(4, 5)), cache, dh, context),
               ef::ShapeError);
  EXPECT_TRUE((logits.array() == 7).all());
  EXPECT_EQ(fixed.embedding.weight.gradient.size(), 0);
}
