// SPDX-License-Identifier: MIT

#include <eigenformer/model/encoder_decoder.hpp>
#include <eigenformer/train/adamw.hpp>
#include <eigenformer/train/cross_entropy.hpp>
#include <eigenformer/train/gradient_check.hpp>

#include "block/cross_case.hpp"
#include "reference/cross_entropy.hpp"
#include "support/allocation.hpp"
#include "support/compare.hpp"
#include "support/inputs.hpp"
#include "support/tolerances.hpp"

namespace {

namespace ef = eigenformer;
namespace tolerance = support::tolerance;
using ef::Index;
using Tokens = ef::Tensor<std::int32_t, 2>;

template <class T>
class EncoderDecoder : public testing::Test {};
using Scalars = testing::Types<float, double>;
TYPED_TEST_SUITE(EncoderDecoder, Scalars);

constexpr Index vocabulary = 29;
/// Another number of layers in the decoder than in the encoder.
ef::EncoderDecoderOptions small() {
  return {.vocabulary = vocabulary,
          .dim = 14,
          .encoder_layers = 2,
          .decoder_layers = 3,
          .heads = 2,
          .hidden = 19,
          .embedding_deviation = 0.5};
}

Tokens random_tokens(Index batch, Index length, std::uint64_t salt) {
  support::Generator random(salt);
  Tokens tokens(batch, length);
  for (Index i = 0; i < tokens.size(); ++i) tokens.data()[i] = static_cast<std::int32_t>(random.integer(vocabulary));
  return tokens;
}

/// PyTorch's name for a parameter of ours.
cross::TheirName their_name(const std::string& ours) {
  if (ours == "embedding.weight") return {"embedding"};
  const bool crosses = ours.starts_with("decoder");
  const std::string stack = crosses ? "decoder" : "encoder";
  if (ours.starts_with(stack + "_norm.")) return {stack + ".norm." + ours.substr(stack.size() + 6)};
  cross::TheirName theirs = cross::their_name(ours.substr(stack.size()), 16, crosses);
  theirs.tensor = stack + ".layers" + theirs.tensor;
  return theirs;
}

template <class T>
using Published = ef::Transformer<T, ef::LayerNorm<T>>;

template <class T>
Published<T> published(const support::Golden& golden) {
  Published<T> model({.vocabulary = 29, .dim = 16, .encoder_layers = 2, .decoder_layers = 2, .heads = 2, .hidden = 24},
                     ef::Random(1));
  model.visit_parameters([&](const ef::Name& name, auto& parameter) {
    const cross::TheirName theirs = their_name(name.str());
    const std::vector<T> all = golden.values<T>(theirs.tensor);
    const Index first = theirs.first_row * parameter.size() / parameter.shape()[0];
    ASSERT_LE(first + parameter.size(), static_cast<Index>(all.size())) << name;
    std::copy_n(all.data() + first, parameter.size(), parameter.values().data());
  });
  return model;
}

/// Within the error of stored float32, or of T's arithmetic over sums of a few hundred terms.
template <class T, class Actual>
testing::AssertionResult close(const Actual& actual, const std::vector<double>& expected) {
  double largest = 0;
  for (const double x : expected) largest = std::max(largest, std::abs(x));
  return support::within(support::max_error(actual, expected, largest), tolerance::choose<T>(1e-5, 2e-7));
}

/// Logits, memory, the label-smoothed loss and every gradient.
TYPED_TEST(EncoderDecoder, trains_as_the_transformer_of_pytorch_does) {
  using T = TypeParam;
  const support::Golden golden("seq2seq_post");
  Published<T> model = published<T>(golden);
  const Tokens source = golden.tensor<std::int32_t, 2>("src"), target = golden.tensor<std::int32_t, 2>("tgt");
  ef::Context context;
  ef::Tensor<T, 3> memory(2, 8, 16), logits = model.output_like(target);
  model.encode(source, memory, context);
  EXPECT_TRUE(close<T>(memory, golden.values<double>("memory")));
  typename Published<T>::Cache cache;
  model.forward(target, logits, source, context, &cache);
  EXPECT_TRUE(close<T>(logits, golden.values<double>("logits")));
  Tokens next(2, 7);  // each token's target is the one behind it
  for (Index b = 0; b < 2; ++b) {
    for (Index i = 0; i < 7; ++i) next(b, i) = i + 1 < 7 ? target(b, i + 1) : -100;
  }
  const auto loss = ef::cross_entropy<T>(logits, next, logits, context, {.label_smoothing = 0.1});
  EXPECT_NEAR(loss.mean, golden.scalar<double>("loss"), tolerance::pytorch_abs<T>);
  model.backward(logits, cache, context);
  int compared = 0;
  model.visit_parameters([&](const ef::Name& name, const auto& parameter) {
    const cross::TheirName theirs = their_name(name.str());
    const std::vector<double> all = golden.values<double>("grad." + theirs.tensor);
    const auto first = all.begin() + theirs.first_row * parameter.size() / parameter.shape()[0];
    if (name.str().ends_with("key.bias")) {
      // It moves all logits of a row alike: its gradient is nothing but rounding.
      EXPECT_TRUE(support::within(
          support::max_error(parameter.gradients(), std::vector<double>(parameter.gradients().size(), 0.0)),
          16 * tolerance::epsilon<T>))
          << name;
    } else {
      EXPECT_TRUE(close<T>(parameter.gradients(), std::vector<double>(first, first + parameter.size()))) << name;
    }
    ++compared;
  });
  EXPECT_EQ(compared, 1 + 2 * 16 + 2 * 26 + 4);
}

template <class Model>
reference::EncoderDecoderWeights<double> weights_of(const Model& model) {
  reference::EncoderDecoderWeights<double> weights;
  weights.embedding =
      reference::widened(model.embedding.weight.value.data(), {model.vocabulary(), model.embedding.output_features()});
  for (const auto& layer : model.encoder.layers) weights.encoder.push_back(cross::encoder_layer_weights(layer));
  for (const auto& layer : model.decoder.layers) weights.decoder.push_back(cross::cross_layer_weights(layer));
  weights.encoder_norm = cross::weights_of(model.encoder_norm);
  weights.decoder_norm = cross::weights_of(model.decoder_norm);
  return weights;
}
std::vector<std::vector<long>> lists_of(const Tokens& tokens) {
  std::vector<std::vector<long>> lists;
  for (Index b = 0; b < tokens.dimension(0); ++b) {
    lists.emplace_back(tokens.data() + b * tokens.dimension(1), tokens.data() + (b + 1) * tokens.dimension(1));
  }
  return lists;
}

template <class T, class FinalNorm>
void expect_reference() {
  const ef::Transformer<T, FinalNorm> model(small(), ef::Random(3));
  const Tokens source = random_tokens(3, 11, 1), target = random_tokens(3, 7, 2);
  const std::array<Index, 3> lengths = {11, 4, 1};
  const ef::Tensor<T, 3> padded = model(target, ef::Source(source, lengths)), whole = model(target, source);
  // Two and three layers of attention at logits of about one.
  const double limit = 12 * tolerance::attention_row_nmse<T>(1);
  EXPECT_TRUE(support::within(
      support::worst_row_nmse(
          padded, reference::encoder_decoder(lists_of(source), lists_of(target), {11, 4, 1}, weights_of(model), 2),
          vocabulary),
      limit));
  EXPECT_TRUE(support::within(
      support::worst_row_nmse(
          whole, reference::encoder_decoder(lists_of(source), lists_of(target), {11, 11, 11}, weights_of(model), 2),
          vocabulary),
      limit));
}

TYPED_TEST(EncoderDecoder, equals_the_formula_with_and_without_padding_and_final_norms) {
  expect_reference<TypeParam, ef::NoNorm<TypeParam>>();
  expect_reference<TypeParam, ef::LayerNorm<TypeParam>>();
}

TYPED_TEST(EncoderDecoder, padding_is_any_token_and_gets_no_gradient_of_its_own) {
  using T = TypeParam;
  const std::array<Index, 2> lengths = {4, 9};
  Tokens source = random_tokens(2, 9, 1);
  for (Index i = 4; i < 9; ++i) source(0, i) = 28;
  for (Index i = 0; i < 18; ++i) {
    if (i < 4 || i >= 9) source.data()[i] %= 27;
  }
  Tokens target = random_tokens(2, 5, 2);
  for (Index i = 0; i < 10; ++i) target.data()[i] %= 27;
  const auto run = [&](ef::Matrix<T>& gradient) {
    ef::Transformer<T> model(small(), ef::Random(3));
    ef::Context context;
    typename ef::Transformer<T>::Cache cache;
    ef::Tensor<T, 3> logits = model.output_like(target), dlogits = logits;
    model.forward(target, logits, ef::Source(source, lengths), context, &cache);
    dlogits.setConstant(T(0.1));
    for (Index i = 0; i < 10; ++i) {  // what the output's own use of the embedding adds stays out of it
      for (Index c = 27; c < 29; ++c) dlogits.data()[i * 29 + c] = 0;
    }
    model.backward(dlogits, cache, context);
    gradient = model.embedding.weight.gradient;
    return logits;
  };
  ef::Matrix<T> first, second;
  const ef::Tensor<T, 3> logits = run(first);
  EXPECT_TRUE((first.row(28).array() == T(0)).all());
  for (Index i = 4; i < 9; ++i) source(0, i) = 27;
  EXPECT_TRUE(support::bit_equal(run(second), logits));
  EXPECT_TRUE((second.row(27).array() == T(0)).all());
  EXPECT_TRUE(support::bit_equal(second, first));
}

TEST(EncoderDecoder, gradients_match_differences) {
  ef::Transformer<double, ef::LayerNorm<double>> model(small(), ef::Random(5));
  const Tokens source = random_tokens(2, 7, 1), target = random_tokens(2, 5, 2), next = random_tokens(2, 5, 3);
  const std::array<Index, 2> lengths = {7, 3};
  ef::Context context;
  decltype(model)::Cache cache;
  ef::Tensor<double, 3> logits = model.output_like(target);
  const auto loss = [&] {
    model.forward(target, logits, ef::Source(source, lengths), context, &cache);
    return ef::cross_entropy<double>(logits, next, logits, context, {.label_smoothing = 0.1}).mean;
  };
  loss();
  model.backward(logits, cache, context);
  const ef::GradientCheck check = ef::check_parameter_gradients(model, loss, {.absolute = 1e-7, .values_each = 23});
  EXPECT_TRUE(check.passed()) << check;
}

/// Two sources of different length, three targets each: steps of any size give the logits of one forward.
TYPED_TEST(EncoderDecoder, steps_equal_one_forward) {
  using T = TypeParam;
  const ef::Transformer<T> model(small(), ef::Random(3));
  const Tokens source = random_tokens(2, 9, 1), target = random_tokens(6, 7, 2);
  Tokens repeated(6, 9);
  for (Index b = 0; b < 6; ++b) repeated.chip(b, 0) = source.chip(b / 3, 0);
  const std::array<Index, 2> lengths = {4, 9};
  const std::array<Index, 6> all = {4, 4, 4, 9, 9, 9};
  const ef::Tensor<T, 3> whole = model(target, ef::Source(repeated, all));
  ef::Context context;
  for (const Index step : {Index(1), Index(3), Index(7)}) {
    auto key_values = model.key_values(ef::Source(source, lengths), {.capacity = 7, .sequences = 3}, context);
    for (Index first = 0; first < 7; first += step) {
      const Index count = std::min(step, 7 - first);
      const Tokens part = target.slice(std::array<Index, 2>{0, first}, std::array<Index, 2>{6, count});
      ef::Matrix<T> logits(6, vocabulary);
      model.next_logits(part, logits, key_values, context);
      const ef::Tensor<T, 3> expected =
          whole.slice(std::array<Index, 3>{0, first + count - 1, 0}, std::array<Index, 3>{6, 1, vocabulary});
      EXPECT_TRUE(support::within(support::worst_row_nmse(logits, expected, vocabulary),
                                  12 * tolerance::attention_row_nmse<T>(1)))
          << step << " from " << first;
    }
    EXPECT_EQ(key_values.position, 7);
  }
}

TYPED_TEST(EncoderDecoder, a_list_of_tokens_is_one_sequence) {
  using T = TypeParam;
  const ef::Transformer<T> model(small(), ef::Random(3));
  const std::vector<std::int32_t> source = {3, 11, 2, 17}, target = {5, 1, 23};
  ef::Context context;
  ef::Matrix<T> logits(3, vocabulary), next(1, vocabulary);
  model.forward(target, logits, source, context);
  const ef::TokensView as_batch(target.data(), {1, 3});
  ef::Tensor<T, 3> of_batch(1, 3, vocabulary);
  model.forward(as_batch, of_batch, ef::TokensView(source.data(), {1, 4}), context);
  EXPECT_TRUE(support::bit_equal(logits, of_batch));
  auto key_values = model.key_values(source, {.capacity = 3}, context);
  model.next_logits(target, next, key_values, context);
  EXPECT_EQ(key_values.position, 3);
  EXPECT_TRUE(support::within(support::worst_row_nmse(next, ef::Matrix<T>(logits.row(2)), vocabulary),
                              12 * tolerance::attention_row_nmse<T>(1)));
}

TYPED_TEST(EncoderDecoder, a_copied_sequence_goes_on_as_the_other_would) {
  using T = TypeParam;
  const ef::Transformer<T> model(small(), ef::Random(3));
  const Tokens source = random_tokens(1, 5, 1);
  ef::Context context;
  auto key_values = model.key_values(source, {.capacity = 4, .sequences = 2}, context);
  ef::Matrix<T> logits(2, vocabulary);
  Tokens tokens(2, 1);
  for (const std::int32_t token : {3, 5}) {
    tokens.setValues({{token}, {token + 1}});
    model.next_logits(tokens, logits, key_values, context);
  }
  EXPECT_NE(logits.row(0), logits.row(1));
  key_values.copy_sequence(0, 1);
  tokens.setConstant(7);
  model.next_logits(tokens, logits, key_values, context);
  EXPECT_TRUE(support::bit_equal(ef::Matrix<T>(logits.row(0)), ef::Matrix<T>(logits.row(1))));
}

/// Some steps of learning to copy; the loss of each, and the model.
template <class T>
std::pair<std::vector<double>, ef::Transformer<T>> trained(int threads) {
  ef::Context context({.threads = threads});
  ef::Transformer<T> model(small(), ef::Random(7));
  ef::AdamW<T> optimizer({.learning_rate = 0.01});
  const Tokens source = random_tokens(11, 23, 1), target = source;
  const std::vector<Index> lengths = {23, 22, 21, 20, 19, 18, 17, 3, 2, 1, 23};
  ef::Tensor<T, 3> logits = model.output_like(target);
  typename ef::Transformer<T>::Cache cache;
  std::vector<double> losses;
  losses.reserve(5);
  const auto step = [&] {
    model.forward(target, logits, ef::Source(source, lengths), context, &cache);
    losses.push_back(ef::cross_entropy<T>(logits, source, logits, context, {.label_smoothing = 0.1}).mean);
    ef::zero_gradients(model);
    model.backward(logits, cache, context);
    optimizer.step(model, context);
  };
  for (int i = 0; i < 4; ++i) step();
  if (support::AllocationCounter::available()) {
    EXPECT_EQ(support::allocations_during(step), 0U) << threads << " threads";
  } else {
    step();
  }
  return {losses, model};
}

TYPED_TEST(EncoderDecoder, training_has_the_same_bits_for_any_thread_count_and_allocates_nothing) {
  using T = TypeParam;
  const auto [losses, model] = trained<T>(1);
  EXPECT_LT(losses.back(), losses.front());
  for (int threads = 2; threads <= 3; ++threads) {
    const auto [other_losses, other] = trained<T>(threads);
    EXPECT_TRUE(support::bit_equal(other_losses, losses)) << threads;
    EXPECT_TRUE(support::bit_equal(other.embedding.weight.value, model.embedding.weight.value)) << threads;
    EXPECT_TRUE(support::bit_equal(other.encoder.layers[0].attention.key.weight.value,
                                   model.encoder.layers[0].attention.key.weight.value))
        << threads;
  }
}

TYPED_TEST(EncoderDecoder, a_step_of_decoding_allocates_nothing) {
  using T = TypeParam;
  if (!support::AllocationCounter::available()) GTEST_SKIP() << support::AllocationCounter::why_not();
  const ef::Transformer<T> model(small(), ef::Random(3));
  for (const int threads : {1, 2}) {
    ef::Context context({.threads = threads});
    auto key_values = model.key_values(random_tokens(2, 9, 1), {.capacity = 31, .sequences = 2}, context);
    const auto kept = key_values;
    ef::Matrix<T> logits(4, vocabulary);
    const Tokens tokens = random_tokens(4, 1, 2);
    // Scratch memory may grow with the number of keys, so the longest step goes first.
    while (key_values.position < 31) model.next_logits(tokens, logits, key_values, context);
    key_values = kept;
    const auto decode = [&] {
      while (key_values.position < 31) model.next_logits(tokens, logits, key_values, context);
    };
    EXPECT_EQ(support::allocations_during(decode), 0U) << threads << " threads";
  }
}

TEST(EncoderDecoder, is_the_base_model_unless_told_otherwise) {
  const ef::Transformer<float> model({.vocabulary = 7}, ef::Random(1));
  // Table 3 says 65 million with 37,000 tokens. A layer of the encoder has 4 d d + 2 d d_ff weights, one of the decoder
  // 8 d d + 2 d d_ff, and biases and norms.
  const Index d = 512, f = 2048;
  const Index attention = 4 * (d * d + d), feed_forward = 2 * d * f + f + d, norm = 2 * d;
  EXPECT_EQ(ef::parameter_count(model),
            7 * d + 6 * (attention + feed_forward + 2 * norm) + 6 * (2 * attention + feed_forward + 3 * norm));
}

template <class Failure, class Call>
std::string message_of(const Call& call) {
  try {
    call();
  } catch (const Failure& failure) {
    return failure.what();
  }
  return {};
}

TEST(EncoderDecoder, rejects_what_does_not_fit) {
  ef::Context context;
  ef::Transformer<float> model(small(), ef::Random(3));
  const Tokens source = random_tokens(2, 9, 1), target = random_tokens(2, 7, 2), three = random_tokens(3, 7, 2);
  ef::Matrix<float> logits(14, vocabulary), short_logits(13, vocabulary), narrow(14, 28), next(2, vocabulary);
  logits.setConstant(17);
  EXPECT_EQ(message_of<ef::ShapeError>([&] { model.forward(three, logits, source, context); }),
            "EncoderDecoder: expected a source for each of 3 targets, got shape [2, 9]");
  EXPECT_EQ(message_of<ef::ShapeError>([&] { model.forward(target, short_logits, source, context); }),
            "EncoderDecoder: expected logits of 14 rows for tokens of shape [2, 7], got shape [13, 29]");
  EXPECT_THROW(model.forward(target, narrow, source, context), ef::ShapeError);
  const ef::Tensor<std::int32_t, 3> cube(1, 2, 3);
  EXPECT_EQ(message_of<ef::ShapeError>([&] { model.forward(target, logits, cube, context); }),
            "EncoderDecoder: expected source tokens [batch, length] or [length], got shape [1, 2, 3]");
  EXPECT_THROW(model.forward(cube, logits, source, context), ef::ShapeError);
  const std::array<Index, 1> few = {3};
  const std::array<Index, 2> beyond = {3, 10};
  EXPECT_THROW(model.forward(target, logits, ef::Source(source, few), context), ef::ShapeError);
  EXPECT_THROW(model.forward(target, logits, ef::Source(source, beyond), context), ef::ValueError);
  Tokens outside = source;
  outside(1, 8) = vocabulary;
  EXPECT_THROW(model.forward(target, logits, outside, context), ef::ValueError);
  EXPECT_TRUE((logits.array() == 17).all());
  auto key_values = model.key_values(source, {.capacity = 2}, context);
  EXPECT_THROW(model.next_logits(random_tokens(2, 3, 1), next, key_values, context), ef::ValueError);
  EXPECT_THROW(model.next_logits(random_tokens(3, 1, 1), logits, key_values, context), ef::ShapeError);
  EXPECT_THROW(model.next_logits(Tokens(2, 0), next, key_values, context), ef::ShapeError);
  EXPECT_EQ(key_values.position, 0);
  decltype(model)::Cache cache;
  model.forward(target, logits, source, context, &cache);
  EXPECT_THROW(model.backward(short_logits, cache, context), ef::ShapeError);
  EXPECT_THROW(model.backward(narrow, cache, context), ef::ShapeError);
  ef::EncoderDecoderOptions options = small();
  options.dim = 15;
  EXPECT_THROW(ef::Transformer<float>(options, ef::Random(1)), ef::OptionError);
  options = small();
  options.decoder_layers = -1;
  EXPECT_THROW(ef::Transformer<float>(options, ef::Random(1)), ef::OptionError);
  options = small();
  options.vocabulary = 0;
  EXPECT_THROW(ef::Transformer<float>(options, ef::Random(1)), ef::OptionError);
}

}  // namespace
