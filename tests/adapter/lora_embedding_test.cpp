// SPDX-License-Identifier: MIT

#include <eigenformer/adapter/lora_embedding.hpp>

#include <gtest/gtest.h>

#include "adapter/lora_case.hpp"
#include "support/compare.hpp"
#include "support/golden.hpp"
#include "support/tolerances.hpp"

namespace ef = eigenformer;
namespace tolerance = support::tolerance;
using ef::Index;

namespace {

template <class T>
class LoraEmbeddingOf : public testing::Test {};
using Scalars = testing::Types<float, double>;
TYPED_TEST_SUITE(LoraEmbeddingOf, Scalars);

}  // namespace

TYPED_TEST(LoraEmbeddingOf, gives_what_peft_gives) {
  using T = TypeParam;
  const support::Golden golden("lora_embedding_r4");
  ef::Lora<ef::Embedding<T>> layer(ef::Embedding<T>(golden.matrix<T>("W")));
  ef::LoraAdapter<T> adapter = {.name = "golden", .options = {.rank = 4, .alpha = 8}};
  adapter.a.value = golden.matrix<T>("A");
  adapter.b.value = golden.matrix<T>("B");
  layer.add(std::move(adapter));
  ef::Tensor<std::int32_t, 2> tokens(2, 9);
  const auto ids = golden.values<std::int64_t>("ids");
  for (std::size_t i = 0; i < ids.size(); ++i) tokens.data()[i] = static_cast<std::int32_t>(ids[i]);
  ef::Tensor<T, 3> y = layer.output_like(tokens);
  ef::Context context;
  typename ef::Lora<ef::Embedding<T>>::Cache cache;
  layer.forward(tokens, y, context, &cache);
  layer.backward(golden.tensor<T, 3>("d_y"), cache, context);
  const auto close = [&](const auto& actual, const char* name) {
    const auto expected = golden.values<double>(name);
    double largest = 0;
    for (const double value : expected) largest = (std::max)(largest, std::abs(value));
    return within(support::max_error(actual, expected, largest), tolerance::pytorch_rel<T>);
  };
  EXPECT_TRUE(close(y, "y"));
  EXPECT_TRUE(close(layer.adapter("golden").a.gradient, "grad.A"));
  EXPECT_TRUE(close(layer.adapter("golden").b.gradient, "grad.B"));
  const ef::Matrix<T> before = layer.base.weight.value;
  layer.merge();
  EXPECT_TRUE(close(layer.base.weight.value, "merged_weight"));
  EXPECT_TRUE(close(layer(tokens), "y"));
  layer.unmerge();
  EXPECT_TRUE(support::bit_equal(layer.base.weight.value, before));
}

TYPED_TEST(LoraEmbeddingOf, starts_with_a_at_zero_and_is_the_base) {
  using T = TypeParam;
  ef::Lora<ef::Embedding<T>> layer({.vocabulary = 11, .dim = 5}, ef::Random(3));
  const std::vector<std::int32_t> tokens = {3, 10, 0, 3};
  const ef::Matrix<T> before = layer(tokens);
  layer.add("start", {.rank = 2}, ef::Random(4));
  EXPECT_TRUE(support::bit_equal(layer(tokens), before));
  EXPECT_TRUE(layer.adapter("start").a.value.isZero(0));
  EXPECT_FALSE(layer.adapter("start").b.value.isZero(0));
}

TYPED_TEST(LoraEmbeddingOf, refuses_what_it_has_not) {
  using T = TypeParam;
  ef::Lora<ef::Embedding<T>> layer({.vocabulary = 11, .dim = 5}, ef::Random(3));
  EXPECT_THROW(layer.add("a", {.rank = 2, .dropout = 0.1}, ef::Random(4)), ef::OptionError);
  EXPECT_THROW(layer.add("a", {.rank = 2, .magnitude = ef::LearnedMagnitude{}}, ef::Random(4)), ef::OptionError);
  EXPECT_THROW(layer.add("a", {.rank = 12}, ef::Random(4)), ef::OptionError);
  layer.add("a", {.rank = 2}, ef::Random(4));
  EXPECT_THROW(layer(std::vector<std::int32_t>{11}), ef::ValueError);
  ef::Matrix<T> y(2, 5);
  ef::Context context;
  typename ef::Lora<ef::Embedding<T>>::Cache cache;
  layer.forward(std::vector<std::int32_t>{1, 2}, y, context, &cache);
  layer.activate({});
  EXPECT_THROW(layer.backward(y, cache, context), ef::ValueError);
}
