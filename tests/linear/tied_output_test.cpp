// SPDX-License-Identifier: MIT

#include <eigenformer/linear/tied_output.hpp>

#include <gtest/gtest.h>

#include "reference/gemm.hpp"
#include "support/compare.hpp"
#include "support/inputs.hpp"
#include "support/tolerances.hpp"

namespace ef = eigenformer;
namespace tolerance = support::tolerance;
using ef::Index;
using Token = ef::TokensView::Token;

namespace {

template <class T>
class TiedOutputOf : public testing::Test {};
using Scalars = testing::Types<float, double>;
TYPED_TEST_SUITE(TiedOutputOf, Scalars);

template <class M>
reference::Array<long double> wide(const M& x) {
  return reference::widened<long double>(x.data(), {x.rows(), x.cols()});
}
reference::Array<long double> absolute(reference::Array<long double> a) {
  for (long double& value : a.values) value = std::abs(value);
  return a;
}

}  // namespace

TYPED_TEST(TiedOutputOf, equals_reference_and_adds_to_the_gradient_of_the_embedding) {
  using T = TypeParam;
  support::Generator random(1);
  ef::Embedding<T> embedding({.vocabulary = 17, .dim = 11}, ef::Random(1));
  ef::Matrix<T> h(7, 11);
  ef::Matrix<T> dlogits(7, 17);
  support::fill(h, support::Distribution::normal, random);
  support::fill(dlogits, support::Distribution::normal, random);
  const auto expected = reference::linear(wide(h), wide(embedding.weight.value));
  const auto gradients = reference::linear_backward(wide(h), wide(embedding.weight.value), wide(dlogits));
  const auto sizes =
      reference::linear_backward(absolute(wide(h)), absolute(wide(embedding.weight.value)), absolute(wide(dlogits)));
  ef::Context context;
  typename ef::TiedOutput<T>::Cache cache;
  ef::Matrix<T> logits(7, 17);
  ef::Matrix<T> dh(7, 11);
  const ef::TiedOutput<T> output;
  output.forward(embedding, h, logits, context, &cache);
  EXPECT_TRUE(within(support::dot_product_error(logits, expected.value, expected.magnitude), tolerance::gemm_c));

  typename ef::Embedding<T>::Cache token_cache;
  const std::vector<Token> tokens = {3, 3, 5, 0, 1, 2, 16};
  ef::Matrix<T> y(7, 11);
  embedding.forward(tokens, y, context, &token_cache);
  output.backward(embedding, dlogits, cache, dh, context);
  embedding.backward(ef::Matrix<T>(ef::Matrix<T>::Ones(7, 11)), token_cache, context);
  auto dweight = gradients.dweight;
  auto dweight_size = sizes.dweight;
  for (const Token token : tokens) {
    for (long d = 0; d < 11; ++d) {
      dweight(token, d) += 1;
      dweight_size(token, d) += 1;
    }
  }
  EXPECT_TRUE(within(support::dot_product_error(dh, gradients.dx, sizes.dx), tolerance::gemm_c));
  EXPECT_TRUE(within(support::dot_product_error(embedding.weight.gradient, dweight, dweight_size), tolerance::gemm_c));
}

TYPED_TEST(TiedOutputOf, embedding_in_half_precision_gives_the_bits_of_the_widened_one) {
  using T = TypeParam;
  support::Generator random(2);
  ef::Embedding<T, ef::Bfloat16> embedding({.vocabulary = 61, .dim = 37}, ef::Random(1));
  ef::Embedding<T> wide(embedding);
  int cases = 0;
  for (const Index rows : {1, 13, 29}) {
    ef::Matrix<T> h(rows, 37), dlogits(rows, 61), logits(rows, 61), wide_logits(rows, 61), dh(rows, 37),
        wide_dh(rows, 37);
    support::fill(h, support::Distribution::normal, random);
    support::fill(dlogits, support::Distribution::normal, random);
    ef::Context context;
    typename ef::TiedOutput<T, ef::Bfloat16>::Cache cache;
    typename ef::TiedOutput<T>::Cache wide_cache;
    const ef::TiedOutput<T, ef::Bfloat16> output;
    const ef::TiedOutput<T> wide_output;
    output.forward(embedding, h, logits, context, &cache);
    wide_output.forward(wide, h, wide_logits, context, &wide_cache);
    output.backward(embedding, dlogits, cache, dh, context);
    wide_output.backward(wide, dlogits, wide_cache, wide_dh, context);
    EXPECT_TRUE(support::bit_equal(logits, wide_logits)) << rows;
    EXPECT_TRUE(support::bit_equal(dh, wide_dh)) << rows;
    EXPECT_EQ(cache.x.size(), 0);
    ++cases;
  }
  EXPECT_EQ(cases, 3);
}

TYPED_TEST(TiedOutputOf, frozen_embedding_gets_no_gradient) {
  using T = TypeParam;
  ef::Embedding<T> embedding({.vocabulary = 5, .dim = 3}, ef::Random(1));
  embedding.weight.trainable = false;
  ef::Context context;
  typename ef::TiedOutput<T>::Cache cache;
  const ef::Matrix<T> h = ef::Matrix<T>::Ones(2, 3);
  ef::Matrix<T> logits(2, 5);
  ef::Matrix<T> dh(2, 3);
  const ef::TiedOutput<T> output;
  output.forward(embedding, h, logits, context, &cache);
  EXPECT_EQ(cache.x.size(), 0);
  output.backward(embedding, logits, cache, dh, context);
  EXPECT_EQ(embedding.weight.gradient.size(), 0);
  embedding.weight.trainable = true;
  EXPECT_THROW(output.backward(embedding, logits, cache, dh, context), ef::ValueError);
}

TYPED_TEST(TiedOutputOf, rejects_what_does_not_fit_and_writes_nothing) {
  using T = TypeParam;
  ef::Embedding<T> embedding({.vocabulary = 5, .dim = 3}, ef::Random(1));
  ef::Context context;
  typename ef::TiedOutput<T>::Cache cache;
  const ef::Matrix<T> h = ef::Matrix<T>::Ones(2, 4);
  ef::Matrix<T> logits = ef::Matrix<T>::Constant(2, 5, T(9));
  ef::Matrix<T> dh(2, 3);
  const ef::TiedOutput<T> output;
  try {
    output.forward(embedding, h, logits, context, &cache);
    ADD_FAILURE() << "expected ShapeError";
  } catch (const ef::ShapeError& error) {
    EXPECT_STREQ(error.what(), "TiedOutput: expected last dimension 3, got h of shape [2, 4]");
  }
  EXPECT_EQ(logits, ef::Matrix<T>(ef::Matrix<T>::Constant(2, 5, T(9))));
  EXPECT_THROW(output.backward(embedding, logits, cache, dh, context), ef::ShapeError) << "forward saw no rows";
  EXPECT_EQ(embedding.weight.gradient.size(), 0);
}
