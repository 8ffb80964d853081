// SPDX-License-Identifier: MIT

#include <eigenformer/model/gpt3_decoder.hpp>
#include <eigenformer/position/sinusoidal.hpp>
#include <eigenformer/train/adamw.hpp>
#include <eigenformer/train/cross_entropy.hpp>
#include <eigenformer/train/gradient_check.hpp>

#include "block/cross_case.hpp"
#include "reference/gpt3.hpp"
#include "support/allocation.hpp"
#include "support/compare.hpp"
#include "support/inputs.hpp"
#include "support/tolerances.hpp"

namespace {

namespace ef = eigenformer;
namespace tolerance = support::tolerance;
using ef::Index;
using Tokens = ef::Tensor<std::int32_t, 2>;
using Ints = std::vector<std::int32_t>;

template <class T>
class Gpt3Decoder : public testing::Test {};
using Scalars = testing::Types<float, double>;
TYPED_TEST_SUITE(Gpt3Decoder, Scalars);

constexpr ef::Gpt3Options small = {.vocabulary = 29,
                                   .dim = 14,
                                   .layers = 3,
                                   .heads = 2,
                                   .hidden = 19,
                                   .max_length = 23,
                                   .bandwidth = 5,
                                   .embedding_deviation = 0.5,
                                   .position_deviation = 0.5};

Tokens random_tokens(Index batch, Index length, std::uint64_t salt) {
  support::Generator random(salt);
  Tokens tokens(batch, length);
  for (Index i = 0; i < tokens.size(); ++i) tokens.data()[i] = static_cast<std::int32_t>(random.integer(29));
  return tokens;
}

template <class Model>
reference::Gpt3Weights<double> weights_of(const Model& model) {
  const auto& positions = model.positions.weight.value;
  reference::Gpt3Weights<double> weights;
  weights.embedding =
      reference::widened(model.embedding.weight.value.data(), {model.vocabulary(), model.embedding.output_features()});
  weights.positions = reference::widened(positions.data(), {positions.rows(), positions.cols()});
  for (const auto& layer : model.layers.layers) weights.layers.push_back(cross::encoder_layer_weights(layer));
  weights.norm = cross::weights_of(model.norm);
  return weights;
}

/// Biases and gains that are not those of the start, so that each counts.
template <class Model>
Model shaken(Model model) {
  support::Generator random(3);
  model.visit_parameters([&]<class P>(const ef::Name&, P& parameter) {
    if constexpr (P::rank == 1) {
      for (auto& value : parameter.values()) value += static_cast<typename P::Scalar>(0.3 * random.normal());
    }
  });
  return model;
}

TYPED_TEST(Gpt3Decoder, equals_the_formula) {
  using T = TypeParam;
  for (const Index bandwidth : {1, 5, 22, 23}) {
    ef::Gpt3Options options = small;
    options.bandwidth = bandwidth;
    const auto model = shaken(ef::Gpt3Decoder<T>(options, ef::Random(3)));
    const Tokens tokens = random_tokens(2, 23, 7);
    std::vector<std::vector<long>> lists;
    for (Index b = 0; b < 2; ++b) lists.emplace_back(tokens.data() + b * 23, tokens.data() + (b + 1) * 23);
    const auto expected = reference::gpt3(lists, weights_of(model), 2, bandwidth);
    double largest = 0;
    for (const double x : expected.values) largest = std::max(largest, std::abs(x));
    EXPECT_TRUE(support::within(support::max_error(model(tokens), expected, largest), 64 * tolerance::epsilon<T>))
        << bandwidth;
  }
}

TYPED_TEST(Gpt3Decoder, any_division_into_steps_gives_the_logits_of_one_forward) {
  using T = TypeParam;
  const auto model = shaken(ef::Gpt3Decoder<T>(small, ef::Random(3)));
  const Tokens tokens = random_tokens(1, 23, 8);
  const ef::Tensor<T, 3> whole = model(tokens);
  ef::Context context;
  for (const Index step : {Index(1), Index(5), Index(22), Index(23)}) {
    auto key_values = model.key_values(1, 23);
    std::vector<T> logits(23 * 29);
    for (Index begin = 0; begin < 23; begin += step) {
      const Index count = std::min(step, 23 - begin);
      const ef::TokensView part(tokens.data() + begin, {1, count});
      model.forward(part, ef::RowsView<T>(logits.data() + begin * 29, count, 29, 29), key_values, context);
    }
    EXPECT_TRUE(support::within(support::max_error(logits, whole), 128 * tolerance::epsilon<T>)) << "steps of " << step;
  }
}

TEST(Gpt3DecoderGradient, agrees_with_differences) {
  auto model = shaken(ef::Gpt3Decoder<double>(small, ef::Random(5)));
  const Tokens tokens = random_tokens(2, 11, 9), targets = random_tokens(2, 11, 10);
  ef::Context context;
  ef::Gpt3Decoder<double>::Cache cache;
  ef::Tensor<double, 3> logits = model.output_like(tokens);
  const auto loss = [&] {
    model.forward(tokens, logits, context, &cache);
    return ef::cross_entropy<double>(logits, targets, logits, context).mean;
  };
  loss();
  model.backward(logits, cache, context);
  const ef::GradientCheck check = ef::check_parameter_gradients(model, loss, {.absolute = 1e-7, .values_each = 61});
  EXPECT_TRUE(check.passed()) << check;
  for (Index position = 0; position < 23; ++position) {
    EXPECT_EQ(model.positions.weight.gradient.row(position).isZero(0), position >= 11) << position;
  }
}

/// The token that stood three places before: what a band of five sees.
TYPED_TEST(Gpt3Decoder, learns_to_repeat_what_stood_three_places_before) {
  using T = TypeParam;
  ef::Gpt3Decoder<T> model({.vocabulary = 7, .dim = 22, .layers = 2, .heads = 2, .max_length = 17, .bandwidth = 5},
                           ef::Random(7));
  ef::AdamW<T> optimizer({.learning_rate = 0.01});
  ef::Context context;
  typename ef::Gpt3Decoder<T>::Cache cache;
  Tokens tokens(11, 17), targets(11, 17);
  ef::Tensor<T, 3> logits = model.output_like(tokens);
  support::Generator random(11);
  double first = 0, last = 0;
  const auto step = [&] {
    for (Index i = 0; i < tokens.size(); ++i) {
      tokens.data()[i] = static_cast<std::int32_t>(random.integer(7));
      targets.data()[i] = i % 17 < 3 ? -100 : tokens.data()[i - 3];
    }
    model.forward(tokens, logits, context, &cache);
    last = ef::cross_entropy<T>(logits, targets, logits, context).mean;
    ef::zero_gradients(model);
    model.backward(logits, cache, context);
    optimizer.step(model, context);
  };
  step();
  first = last;
  for (int i = 0; i < 200; ++i) step();
  EXPECT_NEAR(first, std::log(7.0), 0.3);
  EXPECT_LT(last, 0.3);
  if (support::AllocationCounter::available()) {
    EXPECT_EQ(support::allocations_during(step), 0U);
  }
}

TYPED_TEST(Gpt3Decoder, a_step_of_decoding_allocates_nothing) {
  using T = TypeParam;
  if (!support::AllocationCounter::available()) GTEST_SKIP() << support::AllocationCounter::why_not();
  const ef::Gpt3Decoder<T> model(small, ef::Random(3));
  ef::Context context;
  auto key_values = model.key_values(1, 23);
  ef::Matrix<T> logits(1, 29);
  const Ints token = {5};
  const auto decode = [&] {
    for (auto& layer : key_values) layer.clear();
    while (key_values.front().length() < 23) model.next_logits(token, logits, key_values, context);
  };
  decode();
  EXPECT_EQ(support::allocations_during(decode), 0U);
}

TEST(Gpt3DecoderNames, are_dotted) {
  const ef::Gpt3Decoder<float> model({.vocabulary = 5, .dim = 4, .hidden = 3, .max_length = 7}, ef::Random(1));
  std::vector<std::string> names;
  model.visit_parameters([&](const ef::Name& name, const auto&) { names.push_back(name.str()); });
  ASSERT_EQ(names.size(), 2U + 16 + 2);
  EXPECT_EQ(names[0], "embedding.weight");
  EXPECT_EQ(names[1], "positions.weight");
  EXPECT_EQ(names[5], "layers.0.attention.query.bias");
  EXPECT_EQ(names.back(), "norm.bias");
}

/// Options of one's own, with positions of another kind and one mask for all layers.
struct SinusoidalOptions : ef::DecoderOptions {
  ef::SinusoidalPositionsOptions positions() const { return {.dim = dim}; }
};
TEST(Gpt3DecoderShapes, other_decoders_may_add_other_positions) {
  using Model = ef::Decoder<double, ef::Gpt3Layer<double>, ef::TiedOutput<double>, double,
                            ef::SinusoidalPositions<double>, ef::LocalBanded, SinusoidalOptions>;
  SinusoidalOptions options;
  options.vocabulary = 29;
  options.dim = 14;
  options.layers = 2;
  options.heads = options.kv_heads = 2;
  options.head_dim = 7;
  options.hidden = 19;
  Model model(options, ef::Random(1));
  model.masks = {3};
  const Tokens tokens = random_tokens(1, 11, 12);
  const ef::Tensor<double, 3> whole = model(tokens);
  ef::Context context;
  auto key_values = model.key_values(1, 11);
  ef::Matrix<double> logits(1, 29);
  for (Index i = 0; i < 11; ++i) {
    model.next_logits(ef::TokensView(tokens.data() + i, {1, 1}), logits, key_values, context);
    EXPECT_TRUE(support::within(support::max_error(logits, std::span(whole.data() + i * 29, 29)),
                                128 * tolerance::epsilon<double>));
  }
  options.kv_heads = 1;
  EXPECT_THROW(Model(options, ef::Random(1)), ef::OptionError) << "every head of the layer has keys of its own";
}

TYPED_TEST(Gpt3Decoder, rejects_what_does_not_fit_and_leaves_the_caches) {
  using T = TypeParam;
  ef::Context context;
  ef::Gpt3Decoder<T> model(small, ef::Random(3));
  ef::Matrix<T> logits(1, 29);
  logits.setConstant(7);
  auto key_values = model.key_values(1, 100);
  const Tokens tokens = random_tokens(1, 24, 13);
  const auto part = [&](Index count) { return ef::TokensView(tokens.data(), {1, count}); };
  const auto expect_untouched = [&](Index length) {
    for (const auto& layer : key_values) EXPECT_EQ(layer.length(), length);
  };
  EXPECT_THROW(model.next_logits(part(24), logits, key_values, context), ef::ValueError) << "more than max_length";
  expect_untouched(0);
  EXPECT_TRUE((logits.array() == T(7)).all());
  model.next_logits(part(22), logits, key_values, context);
  EXPECT_THROW(model.next_logits(part(2), logits, key_values, context), ef::ValueError);
  expect_untouched(22);
  model.masks.odd.bandwidth = 0;
  EXPECT_THROW(model.next_logits(part(1), logits, key_values, context), ef::ValueError) << "of the second layer's mask";
  expect_untouched(22);
  model.masks.odd.bandwidth = 5;
  key_values[1].truncate(21);
  EXPECT_THROW(model.next_logits(part(1), logits, key_values, context), ef::ValueError) << "caches of two lengths";
  EXPECT_EQ(key_values[0].length(), 22);
  EXPECT_THROW(ef::Gpt3Decoder<T>({.vocabulary = 5, .dim = 4, .max_length = 0}, ef::Random(1)), ef::OptionError);
  EXPECT_THROW(ef::Gpt3Decoder<T>({.vocabulary = 5, .dim = 4, .bandwidth = 0}, ef::Random(1)), ef::OptionError);
  EXPECT_THROW(ef::Gpt3Decoder<T>({.vocabulary = 5, .dim = 5, .heads = 2}, ef::Random(1)), ef::OptionError);
}

}  // namespace
