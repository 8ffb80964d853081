// SPDX-License-Identifier: MIT
#include <eigenformer/adapter/prompt_tuning.hpp>

#include <eigenformer/attention/multi_query_attention.hpp>
#include <eigenformer/block/feed_forward.hpp>
#include <eigenformer/block/pre_norm.hpp>
#include <eigenformer/block/stack.hpp>
#include <eigenformer/norm/rms_norm.hpp>

#include "adapter/prefix_case.hpp"
#include "support/allocation.hpp"

namespace {

namespace ef = eigenformer;
namespace tolerance = support::tolerance;
using ef::Index;
using prefix_test::normal;

template <class T>
using Body = ef::Stack<
    ef::PreNorm<ef::RmsNorm<T>, ef::MultiQueryAttention<T, ef::Linear<T>, ef::Rotary<>>, ef::FeedForward<T, ef::Gelu>>>;
template <class T>
Body<T> some_body() {
  return {
      {.count = 2,
       .layer = {.norm = {.dim = 18}, .attention = {.dim = 18, .heads = 3}, .feed_forward = {.dim = 18, .hidden = 13}}},
      ef::Random(1)};
}
template <class T>
ef::PromptTuning<Body<T>> some_block(Index length = 5) {
  return {some_body<T>(), {.length = length, .dim = 18}, ef::Random(2)};
}
static_assert(ef::SequenceBlock<ef::PromptTuning<Body<float>>, float, ef::Causal>);

template <class T>
ef::Tensor<T, 3> part(const ef::Tensor<T, 3>& x, Index first, Index length) {
  return x.slice(std::array<Index, 3>{0, first, 0}, std::array<Index, 3>{x.dimension(0), length, x.dimension(2)});
}

template <class T>
class PromptTuning : public testing::Test {};
using Scalars = testing::Types<float, double>;
TYPED_TEST_SUITE(PromptTuning, Scalars);

TYPED_TEST(PromptTuning, is_the_body_of_prompt_and_tokens_without_the_first_rows) {
  using T = TypeParam;
  auto block = some_block<T>();
  const auto x = normal<T>(2, 7, 18, 3);
  ef::Tensor<T, 3> whole(2, 12, 18);
  for (Index b = 0; b < 2; ++b) {
    for (Index s = 0; s < 12; ++s) {
      for (Index d = 0; d < 18; ++d) whole(b, s, d) = s < 5 ? block.prompt.value(s, d) : x(b, s - 5, d);
    }
  }
  EXPECT_TRUE(support::bit_equal(block(x, ef::Causal{}), part<T>(block.body(whole, ef::Causal{}), 5, 7)));
}

TYPED_TEST(PromptTuning, of_length_zero_changes_no_bit) {
  using T = TypeParam;
  const auto block = some_block<T>(0);
  const auto x = normal<T>(2, 7, 18, 3);
  EXPECT_TRUE(support::bit_equal(block(x, ef::Causal{}), block.body(x, ef::Causal{})));
}

TYPED_TEST(PromptTuning, step_by_step_equals_the_whole) {
  using T = TypeParam;
  const auto block = some_block<T>();
  const auto x = normal<T>(2, 7, 18, 3);
  const ef::Tensor<T, 3> whole = block(x, ef::Causal{});
  ef::Context context;
  for (const Index step : {Index(1), Index(3)}) {
    auto caches = block.body.key_value_caches(2, 12);
    for (Index first = 0; first < 7; first += step) {
      const ef::Tensor<T, 3> tokens = part(x, first, std::min<Index>(step, 7 - first));
      ef::Tensor<T, 3> y(tokens.dimensions());
      block.forward(tokens, y, ef::Causal{}, caches, context);
      EXPECT_TRUE(support::within(support::worst_row_nmse(y, part(whole, first, tokens.dimension(1)), 18),
                                  4 * tolerance::attention_row_nmse<T>(4)));
    }
    EXPECT_EQ(caches[0].length(), 12);  // the prompt is in it
  }
}

TYPED_TEST(PromptTuning, works_in_place) {
  using T = TypeParam;
  auto block = some_block<T>();
  auto x = normal<T>(2, 7, 18, 3);
  auto dy = normal<T>(2, 7, 18, 4);
  const ef::Tensor<T, 3> expected = block(x, ef::Causal{});
  ef::Context context;
  typename ef::PromptTuning<Body<T>>::Cache cache;
  block.forward(x, x, ef::Causal{}, context, &cache);
  EXPECT_TRUE(support::bit_equal(x, expected));
  ef::Tensor<T, 3> dx(x.dimensions());
  block.backward(dy, cache, dx, context);
  block.backward(dy, cache, dy, context);
  EXPECT_TRUE(support::bit_equal(dy, dx));
}

TEST(PromptTuning, gradients_match_differences) {
  auto block = some_block<double>();
  auto x = normal<double>(2, 7, 18, 3);
  const auto dy = normal<double>(2, 7, 18, 4);
  ef::Tensor<double, 3> y(x.dimensions()), dx(x.dimensions());
  ef::Context context;
  ef::PromptTuning<Body<double>>::Cache cache;
  block.forward(x, y, ef::Causal{}, context, &cache);
  block.backward(dy, cache, dx, context);
  const auto loss = [&] {
    block.forward(x, y, ef::Causal{}, context);
    double sum = 0;
    for (Index i = 0; i < y.size(); ++i) sum += y.data()[i] * dy.data()[i];
    return sum;
  };
  const auto check = [&](double& number, double gradient, const std::string& name) {
    const double before = number;
    number = before + tolerance::difference_step;
    const double above = loss();
    number = before - tolerance::difference_step;
    const double slope = (above - loss()) / (2 * tolerance::difference_step);
    number = before;
    EXPECT_NEAR(gradient, slope, tolerance::difference_abs + tolerance::difference_rel * std::abs(slope)) << name;
  };
  for (Index i = 0; i < x.size(); i += 3) check(x.data()[i], dx.data()[i], "x");
  block.visit_parameters([&](const ef::Name& name, auto& parameter) {
    const Index step = name.str() == "prompt" ? 1 : 17;
    for (Index i = 0; i < parameter.size(); i += step) {
      check(parameter.value.data()[i], parameter.gradient.data()[i], name.str());
    }
  });
}

TEST(PromptTuning, trained_alone_leaves_the_body_without_gradients) {
  auto block = some_block<float>();
  ef::set_training(block.body, ef::Training::frozen);
  const auto x = normal<float>(2, 7, 18, 3);
  ef::Tensor<float, 3> y(x.dimensions()), dx(x.dimensions());
  ef::Context context;
  ef::PromptTuning<Body<float>>::Cache cache;
  block.forward(x, y, ef::Causal{}, context, &cache);
  block.backward(y, cache, dx, context);
  block.visit_parameters([](const ef::Name& name, const auto& parameter) {
    EXPECT_EQ(parameter.gradient.size() > 0, name.str() == "prompt") << name;
  });
}

TEST(PromptTuning, allocates_nothing_after_the_first_call) {
  if (!support::AllocationCounter::available()) GTEST_SKIP() << support::AllocationCounter::why_not();
  auto block = some_block<float>();
  const auto x = normal<float>(2, 7, 18, 3);
  ef::Tensor<float, 3> y(x.dimensions()), dx(x.dimensions());
  ef::Context context;
  ef::PromptTuning<Body<float>>::Cache cache;
  const auto step = [&] {
    block.forward(x, y, ef::Causal{}, context, &cache);
    block.backward(y, cache, dx, context);
  };
  step();
  EXPECT_EQ(support::allocations_during(step), 0U);
}

TEST(PromptTuning, refuses_what_does_not_fit_and_writes_nothing) {
  using Block = ef::PromptTuning<Body<float>>;
  EXPECT_THROW(Block(some_body<float>(), {.length = -1, .dim = 18}, ef::Random(1)), ef::OptionError);
  EXPECT_THROW(Block(some_body<float>(), {.length = 2, .dim = 0}, ef::Random(1)), ef::OptionError);
  auto block = some_block<float>();
  const auto x = normal<float>(2, 7, 18, 3), narrow = normal<float>(2, 7, 17, 3);
  ef::Tensor<float, 3> y(2, 6, 18), dx(2, 7, 18);
  y.setConstant(7);
  const ef::Tensor<float, 3> before = y;
  ef::Context context;
  Block::Cache cache;
  EXPECT_THROW(block.forward(x, y, ef::Causal{}, context, &cache), ef::ShapeError);
  EXPECT_THROW(block.forward(narrow, y, ef::Causal{}, context, &cache), ef::ShapeError);
  EXPECT_TRUE(support::bit_equal(y, before));
  ef::Tensor<float, 3> right(x.dimensions());
  block.forward(x, right, ef::Causal{}, context, &cache);
  EXPECT_THROW(block.backward(y, cache, y, context), ef::ShapeError);
  EXPECT_EQ(block.prompt.gradient.size(), 0);
  block.prompt.value = ef::Matrix<float>(5, 17);
  EXPECT_THROW(block.forward(x, right, ef::Causal{}, context), ef::ShapeError);
}

}  // namespace
