// SPDX-License-Identifier: MIT

#include "support/allocation.hpp"
#include "support/compare.hpp"
#include "support/golden.hpp"
#include "support/inputs.hpp"
#include "support/tolerances.hpp"

#include <eigenformer/model/decoder.hpp>
#include <eigenformer/train/adamw.hpp>
#include <eigenformer/train/clip.hpp>
#include <eigenformer/train/cross_entropy.hpp>
#include <eigenformer/train/gradient_check.hpp>

#include <gtest/gtest.h>

#include <map>

namespace {

namespace ef = eigenformer;
namespace tolerance = support::tolerance;
using ef::Index;
using Tokens = ef::Tensor<std::int32_t, 2>;

template <class T>
class Decoder : public testing::Test {};
using Scalars = testing::Types<float, double>;
TYPED_TEST_SUITE(Decoder, Scalars);

/// Our name for a parameter of Llama's own checkpoints.
std::string our_name(std::string name) {
  static const std::map<std::string, std::string> parts = {
      {"tok_embeddings", "embedding"},        {"attention.wq", "attention.query"},
      {"attention.wk", "attention.key"},      {"attention.wv", "attention.value"},
      {"attention.wo", "attention.output"},   {"feed_forward.w1", "feed_forward.gate"},
      {"feed_forward.w3", "feed_forward.up"}, {"feed_forward.w2", "feed_forward.down"},
      {"ffn_norm", "feed_forward_norm"}};
  for (const auto& [theirs, ours] : parts) {
    const std::size_t at = name.find(theirs);
    if (at != std::string::npos) return name.replace(at, theirs.size(), ours);
  }
  return name;
}

/// Fills every parameter of a block from a golden case.
template <class T, class B>
void take_weights(const support::Golden& golden, B& block) {
  std::map<std::string, std::string> theirs;
  for (const std::string& tensor : golden.tensors()) theirs[our_name(tensor)] = tensor;
  block.visit_parameters([&](const ef::Name& name, auto& parameter) {
    const std::vector<T> values = golden.values<T>(theirs.at(name.str()));
    ASSERT_EQ(static_cast<Index>(values.size()), parameter.size()) << name;
    std::copy(values.begin(), values.end(), parameter.values().begin());
  });
}

/// Within the error of stored float32, or of T's arithmetic over sums of a few hundred terms.
template <class T, class Actual>
testing::AssertionResult close(const Actual& actual, const std::vector<double>& expected) {
  double largest = 0;
  for (const double x : expected) largest = std::max(largest, std::abs(x));
  return support::within(support::max_error(actual, expected, largest), tolerance::choose<T>(1e-5, 2e-7));
}

template <class T, class B>
void expect_gradients(const support::Golden& golden, B& block) {
  int compared = 0;
  for (const std::string& tensor : golden.tensors()) {
    if (!tensor.starts_with("grad.") || tensor == "grad.x") continue;
    const std::string name = our_name(tensor.substr(5));
    block.visit_parameters([&](const ef::Name& each, auto& parameter) {
      if (each.str() != name) return;
      EXPECT_TRUE(close<T>(parameter.gradients(), golden.values<double>(tensor))) << name;
      ++compared;
    });
  }
  int parameters = 0;
  block.visit_parameters([&](const ef::Name&, auto&) { ++parameters; });
  EXPECT_EQ(compared, parameters);
}

template <class T>
ef::LlamaDecoder<T, ef::Linear<T>> golden_model(const support::Golden& golden) {
  const auto number = [&](const char* name) { return static_cast<Index>(golden.parameter<std::int64_t>(name)); };
  ef::LlamaDecoder<T, ef::Linear<T>> model({.vocabulary = number("vocab"),
                                            .dim = number("dim"),
                                            .layers = number("layers"),
                                            .heads = number("heads"),
                                            .kv_heads = number("kv_heads"),
                                            .hidden = number("hidden"),
                                            .rope_base = golden.parameter<double>("rope_theta"),
                                            .epsilon = golden.parameter<double>("norm_eps")},
                                           ef::Random(0));
  take_weights<T>(golden, model);
  return model;
}

TYPED_TEST(Decoder, trains_as_llama_does) {
  using T = TypeParam;
  const support::Golden golden("llama_tiny_train");
  auto model = golden_model<T>(golden);
  const Tokens tokens = golden.tensor<std::int32_t, 2>("tokens");
  const Index batch = tokens.dimension(0);
  const Index length = tokens.dimension(1);
  ef::Context context;
  ef::Tensor<T, 3> logits = model.output_like(tokens);
  typename decltype(model)::Cache cache;
  model.forward(tokens, logits, context, &cache);
  EXPECT_TRUE(close<T>(logits, golden.values<double>("logits")));
  Tokens targets(batch, length);
  for (Index b = 0; b < batch; ++b) {
    for (Index i = 0; i < length; ++i) targets(b, i) = i + 1 < length ? tokens(b, i + 1) : -100;
  }
  const auto loss = ef::cross_entropy<T>(logits, targets, logits, context);
  EXPECT_NEAR(loss.mean, golden.scalar<double>("loss"), tolerance::pytorch_abs<T>);
  model.backward(logits, cache, context);
  expect_gradients<T>(golden, model);
}

TYPED_TEST(Decoder, decodes_as_llama_does) {
  using T = TypeParam;
  const support::Golden golden("llama_tiny_decode");
  const auto model = golden_model<T>(golden);
  const Tokens tokens = golden.tensor<std::int32_t, 2>("tokens");
  const auto expected = golden.values<double>("logits");
  EXPECT_TRUE(close<T>(model(tokens), expected));
  const Index length = tokens.dimension(1);
  const Index vocabulary = model.vocabulary();
  const Index prefill = static_cast<Index>(golden.parameter<std::int64_t>("prefill"));
  ef::Context context;
  auto key_values = model.key_values(2, length);
  ef::Matrix<T> logits(2, vocabulary);
  for (Index begin = 0, end = prefill; begin < length; begin = end++) {
    Tokens part(2, end - begin);
    for (Index b = 0; b < 2; ++b) {
      for (Index i = begin; i < end; ++i) part(b, i - begin) = tokens(b, i);
    }
    model.next_logits(part, logits, key_values, context);
    std::vector<double> last;
    for (Index b = 0; b < 2; ++b) {
      const auto row = expected.begin() + (b * length + end - 1) * vocabulary;
      last.insert(last.end(), row, row + vocabulary);
    }
    EXPECT_TRUE(close<T>(logits, last)) << "up to " << end;
  }
  EXPECT_EQ(key_values.front().length(), length);
}

template <class T, class Pairing>
ef::LlamaLayer<T, Pairing> golden_layer(const support::Golden& golden) {
  const auto number = [&](const char* name) { return static_cast<Index>(golden.parameter<std::int64_t>(name)); };
  const Index dim = number("dim");
  typename ef::LlamaLayer<T, Pairing>::Options options;
  options.norm = {.dim = dim, .epsilon = golden.parameter<double>("norm_eps")};
  options.attention = {.dim = dim, .heads = number("heads"), .kv_heads = number("kv_heads")};
  options.attention.position.base = golden.parameter<double>("rope_theta");
  options.feed_forward = {.dim = dim, .hidden = number("hidden")};
  ef::LlamaLayer<T, Pairing> layer(options, ef::Random(0));
  take_weights<T>(golden, layer);
  return layer;
}

TYPED_TEST(Decoder, a_layer_equals_llamas_forward_and_backward) {
  using T = TypeParam;
  const support::Golden golden("llama_block_d40_h5_mqa");
  auto layer = golden_layer<T, ef::Interleaved>(golden);
  const ef::Tensor<T, 3> x = golden.tensor<T, 3>("x");
  const ef::Tensor<T, 3> dy = golden.tensor<T, 3>("d_y");
  ef::Tensor<T, 3> y(x.dimensions());
  ef::Tensor<T, 3> dx(x.dimensions());
  ef::Context context;
  typename decltype(layer)::Cache cache;
  layer.forward(x, y, ef::Causal{}, context, &cache);
  layer.backward(dy, cache, dx, context);
  EXPECT_TRUE(close<T>(y, golden.values<double>("y")));
  EXPECT_TRUE(close<T>(dx, golden.values<double>("grad.x")));
  expect_gradients<T>(golden, layer);
}

TYPED_TEST(Decoder, a_layer_with_huggingfaces_permuted_heads_and_half_split_pairs_is_the_same) {
  using T = TypeParam;
  const support::Golden golden("llama_block_d40_h5_mqa");
  auto layer = golden_layer<T, ef::HalfSplit>(golden);
  layer.attention.query.weight.value = golden.matrix<T>("hf.q_proj");
  layer.attention.key.weight.value = golden.matrix<T>("hf.k_proj");
  EXPECT_TRUE(close<T>(layer(golden.tensor<T, 3>("x"), ef::Causal{}), golden.values<double>("y")));
}

TYPED_TEST(Decoder, a_layer_goes_on_from_its_cache_as_llamas_does) {
  using T = TypeParam;
  const support::Golden golden("llama_block_d32_h4_g2_cached");
  const auto layer = golden_layer<T, ef::Interleaved>(golden);
  const ef::Tensor<T, 3> past = golden.tensor<T, 3>("x_past");
  const ef::Tensor<T, 3> x = golden.tensor<T, 3>("x");
  ef::Context context;
  auto key_values = layer.attention.key_value_cache(2, 10);
  ef::Tensor<T, 3> y(past.dimensions());
  layer.forward(past, y, ef::Causal{}, key_values, context);
  y.resize(x.dimensions());
  layer.forward(x, y, ef::Causal{}, key_values, context);
  EXPECT_TRUE(close<T>(y, golden.values<double>("y")));
}

constexpr ef::DecoderOptions small = {
    .vocabulary = 29, .dim = 42, .layers = 3, .heads = 3, .kv_heads = 1, .hidden = 53};

Tokens random_tokens(Index batch, Index length, support::Generator& random) {
  Tokens tokens(batch, length);
  for (Index i = 0; i < tokens.size(); ++i) tokens.data()[i] = static_cast<std::int32_t>(random.integer(29));
  return tokens;
}

TYPED_TEST(Decoder, any_division_into_steps_gives_the_logits_of_one_forward) {
  using T = TypeParam;
  support::Generator random(91);
  const ef::LlamaDecoder<T> model(small, ef::Random(3));
  const Tokens tokens = random_tokens(1, 23, random);
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
    EXPECT_TRUE(support::within(support::max_error(logits, whole), 64 * tolerance::epsilon<T>)) << "steps of " << step;
  }
}

TYPED_TEST(Decoder, predicts_from_what_came_before_alone) {
  using T = TypeParam;
  support::Generator random(92);
  const ef::LlamaDecoder<T> model(small, ef::Random(3));
  Tokens tokens = random_tokens(1, 13, random);
  const ef::Tensor<T, 3> before = model(tokens);
  tokens(0, 7) = (tokens(0, 7) + 1) % 29;
  const ef::Tensor<T, 3> after = model(tokens);
  for (Index i = 0; i < 13; ++i) {
    bool same = true;
    for (Index c = 0; c < 29; ++c) same = same && before(0, i, c) == after(0, i, c);
    EXPECT_EQ(same, i < 7) << "position " << i;
  }
}

template <class Model>
ef::GradientCheck check_model(Model model) {
  support::Generator random(93);
  const Tokens tokens = random_tokens(2, 7, random);
  const Tokens targets = random_tokens(2, 7, random);
  ef::Context context;
  typename Model::Cache cache;
  ef::Tensor<double, 3> logits = model.output_like(tokens);
  const auto loss = [&] {
    model.forward(tokens, logits, context, &cache);
    return ef::cross_entropy<double>(logits, targets, logits, context).mean;
  };
  loss();
  model.backward(logits, cache, context);
  return ef::check_parameter_gradients(model, loss, {.absolute = 1e-7, .values_each = 61});
}

TEST(DecoderGradient, agrees_with_differences_tied_or_not) {
  // A larger embedding than a model starts with, so that no gradient is too small to be seen.
  ef::DecoderOptions options = small;
  options.embedding_deviation = 0.5;
  const ef::GradientCheck tied = check_model(ef::LlamaDecoder<double>(options, ef::Random(5)));
  EXPECT_TRUE(tied.passed()) << tied;
  const ef::GradientCheck untied = check_model(ef::LlamaDecoder<double, ef::Linear<double>>(options, ef::Random(5)));
  EXPECT_TRUE(untied.passed()) << untied;
  EXPECT_GT(untied.compared, tied.compared);
}

/// Some steps of training; the loss of each, and the model.
template <class T>
std::pair<std::vector<double>, ef::LlamaDecoder<T>> trained(int threads) {
  support::Generator random(94);
  ef::Context context({.threads = threads});
  ef::LlamaDecoder<T> model(small, ef::Random(7));
  ef::AdamW<T> optimizer({.learning_rate = 0.01});
  const Tokens tokens = random_tokens(11, 37, random);
  const Tokens targets = random_tokens(11, 37, random);
  ef::Tensor<T, 3> logits = model.output_like(tokens);
  typename ef::LlamaDecoder<T>::Cache cache;
  std::vector<double> losses;
  losses.reserve(5);
  const auto step = [&] {
    model.forward(tokens, logits, context, &cache);
    losses.push_back(ef::cross_entropy<T>(logits, targets, logits, context).mean);
    ef::zero_gradients(model);
    model.backward(logits, cache, context);
    ef::clip_gradient_norm(model, 1, context);
    optimizer.step(model, context);
  };
  for (int i = 0; i < 4; ++i) step();
  if (support::AllocationCounter::available()) {
    EXPECT_EQ(support::allocations_during(step), 0u) << threads << " threads";
  } else {
    step();
  }
  return {losses, model};
}

TYPED_TEST(Decoder, training_has_the_same_bits_for_any_thread_count_and_allocates_nothing) {
  using T = TypeParam;
  const auto [losses, model] = trained<T>(1);
  EXPECT_LT(losses.back(), losses.front());
  for (int threads = 2; threads <= 3; ++threads) {
    const auto [other_losses, other] = trained<T>(threads);
    EXPECT_TRUE(support::bit_equal(other_losses, losses)) << threads;
    std::vector<std::vector<T>> values;
    model.visit_parameters(
        [&](const ef::Name&, const auto& p) { values.emplace_back(p.values().begin(), p.values().end()); });
    std::size_t at = 0;
    other.visit_parameters([&](const ef::Name& name, const auto& p) {
      EXPECT_TRUE(support::bit_equal(p.values(), values[at++])) << name << " with " << threads << " threads";
    });
  }
}

TYPED_TEST(Decoder, a_step_of_decoding_allocates_nothing) {
  using T = TypeParam;
  if (!support::AllocationCounter::available()) GTEST_SKIP() << support::AllocationCounter::why_not();
  for (const int threads : {1, 2}) {
    ef::Context context({.threads = threads});
    const ef::LlamaDecoder<T> model(small, ef::Random(3));
    auto key_values = model.key_values(1, 31);
    ef::Matrix<T> logits(1, 29);
    const std::vector<std::int32_t> token = {5};
    model.next_logits(token, logits, key_values, context);
    // Scratch memory may grow with the number of keys, so the longest step goes first.
    while (key_values.front().length() < 31) model.next_logits(token, logits, key_values, context);
    for (auto& layer : key_values) layer.clear();
    const auto decode = [&] {
      while (key_values.front().length() < 31) model.next_logits(token, logits, key_values, context);
    };
    EXPECT_EQ(support::allocations_during(decode), 0u) << threads << " threads";
  }
}

/// Caches in half precision: the logits move by no more than rounding each layer's keys and values once may move them,
/// are the same for any number of threads, and nothing is allocated.
template <class T, class Half>
void expect_decoding_with_caches_of(double epsilon) {
  const ef::LlamaDecoder<T> model(small, ef::Random(3));
  support::Generator random(97);
  const Tokens tokens = random_tokens(1, 23, random);
  const ef::Tensor<T, 3> exact = model(tokens);
  std::vector<T> first;
  for (const int threads : {1, 2}) {
    ef::Context context({.threads = threads});
    auto key_values = model.template key_values<Half>(1, 23);
    std::vector<T> logits(23 * 29);
    const auto decode = [&] {
      for (auto& layer : key_values) layer.clear();
      for (const auto& [begin, count] : {std::pair<Index, Index>{0, 11}, {11, 1}, {12, 2}, {14, 9}}) {
        const ef::TokensView part(tokens.data() + begin, {1, count});
        model.forward(part, ef::RowsView<T>(logits.data() + begin * 29, count, 29, 29), key_values, context);
      }
    };
    decode();
    if (threads == 1) first = logits;
    EXPECT_TRUE(support::bit_equal(logits, first));
    const support::ErrorReport report = support::max_error(logits, exact);
    EXPECT_TRUE(support::within(report, 8 * static_cast<double>(small.layers) * epsilon));
    EXPECT_GT(report.worst, epsilon / 64) << "nothing was rounded";
    if (support::AllocationCounter::available()) {
      EXPECT_EQ(support::allocations_during(decode), 0u);
    }
    ef::Matrix<T> next(1, 29);
    EXPECT_THROW(model.next_logits(std::vector<std::int32_t>{1}, next, key_values, context), ef::ValueError);
  }
}

TYPED_TEST(Decoder, decodes_with_caches_in_half_precision) {
  expect_decoding_with_caches_of<TypeParam, ef::Bfloat16>(0x1p-8);
  expect_decoding_with_caches_of<TypeParam, ef::Float16>(0x1p-11);
}

/// The step of a head is 1/127 of its largest magnitude, half of which a number may be off by.
TYPED_TEST(Decoder, decodes_with_caches_of_int8) { expect_decoding_with_caches_of<TypeParam, ef::Int8>(1.0 / 254); }

/// A decoder stored in half precision beside one that computes with the same numbers in T.
template <class T, class Stored, class Wide>
void expect_the_bits_of_the_widened_one() {
  Stored stored(small, ef::Random(5));
  Wide wide(small, ef::Random(6));
  std::map<std::string, std::vector<T>> values;
  int halves = 0;
  stored.visit_parameters([&]<class P>(const ef::Name& name, const P& p) {
    for (const auto x : p.values()) values[name.str()].push_back(ef::widened<T>(x));
    halves += P::learnable ? 0 : 1;
  });
  EXPECT_EQ(static_cast<std::size_t>(halves), values.size() - 2 * static_cast<std::size_t>(small.layers) - 1)
      << "all but the norms";
  wide.visit_parameters([&](const ef::Name& name, auto& p) {
    ASSERT_EQ(values.at(name.str()).size(), p.values().size()) << name;
    std::copy(values[name.str()].begin(), values[name.str()].end(), p.values().begin());
  });
  support::Generator random(96);
  const Tokens tokens = random_tokens(2, 13, random);
  ef::Context context;
  ef::Tensor<T, 3> logits = stored.output_like(tokens), wide_logits = logits;
  typename Stored::Cache cache;
  typename Wide::Cache wide_cache;
  stored.forward(tokens, logits, context, &cache);
  wide.forward(tokens, wide_logits, context, &wide_cache);
  EXPECT_TRUE(support::bit_equal(logits, wide_logits));
  stored.backward(logits, cache, context);
  wide.backward(wide_logits, wide_cache, context);
  EXPECT_TRUE(support::bit_equal(stored.norm.weight.gradient, wide.norm.weight.gradient));
  EXPECT_TRUE(support::bit_equal(stored.layers.layers[0].attention_norm.weight.gradient,
                                 wide.layers.layers[0].attention_norm.weight.gradient))
      << "what came back through every layer";
  auto key_values = stored.key_values(1, 7), wide_key_values = wide.key_values(1, 7);
  ef::Matrix<T> next(1, 29), wide_next(1, 29);
  for (std::int32_t token = 0; token < 7; ++token) {
    stored.next_logits(std::vector<std::int32_t>{token}, next, key_values, context);
    wide.next_logits(std::vector<std::int32_t>{token}, wide_next, wide_key_values, context);
    EXPECT_TRUE(support::bit_equal(next, wide_next)) << token;
  }
}

TYPED_TEST(Decoder, in_half_precision_gives_the_bits_of_the_widened_one) {
  using T = TypeParam;
  expect_the_bits_of_the_widened_one<T, ef::LlamaDecoder<T, ef::TiedOutput<T, ef::Bfloat16>>, ef::LlamaDecoder<T>>();
  expect_the_bits_of_the_widened_one<T, ef::LlamaDecoder<T, ef::Linear<T, ef::Float16>, ef::HalfSplit>,
                                     ef::LlamaDecoder<T, ef::Linear<T>, ef::HalfSplit>>();
}

TEST(DecoderNames, are_dotted_and_a_tied_output_has_none) {
  std::vector<std::string> names;
  const ef::LlamaDecoder<float> tied({.vocabulary = 5, .dim = 4, .hidden = 3}, ef::Random(1));
  tied.visit_parameters([&](const ef::Name& name, const auto&) { names.push_back(name.str()); });
  EXPECT_EQ(names,
            (std::vector<std::string>{
                "embedding.weight", "layers.0.attention_norm.weight", "layers.0.attention.query.weight",
                "layers.0.attention.key.weight", "layers.0.attention.value.weight", "layers.0.attention.output.weight",
                "layers.0.feed_forward_norm.weight", "layers.0.feed_forward.gate.weight",
                "layers.0.feed_forward.up.weight", "layers.0.feed_forward.down.weight", "norm.weight"}));
  const ef::LlamaDecoder<float, ef::Linear<float>> untied({.vocabulary = 5, .dim = 4, .hidden = 3}, ef::Random(1));
  EXPECT_EQ(ef::parameter_count(untied), ef::parameter_count(tied) + 5 * 4);
}

TEST(DecoderShapes, layers_may_be_placed_otherwise_and_have_norms_inside) {
  using Attention = ef::GroupedQueryAttention<double, ef::Linear<double>, ef::Rotary<>, ef::RmsNorm<double>>;
  using Layer = ef::DeepNorm<ef::RmsNorm<double>, Attention, ef::GatedFeedForward<double, ef::Silu>>;
  const ef::Decoder<double, Layer> model({.vocabulary = 29, .dim = 12, .layers = 8, .heads = 2, .epsilon = 0.5},
                                         ef::Random(1));
  for (const Layer& layer : model.layers.layers) {
    EXPECT_DOUBLE_EQ(layer.alpha, 2);  // (2 * 8)^(1/4)
    EXPECT_EQ(layer.attention.query_norm.epsilon, 0.5);
    EXPECT_EQ(layer.attention.query_norm.input_features(), 6);
  }
  Tokens tokens(1, 5);
  tokens.setValues({{3, 1, 4, 1, 5}});
  EXPECT_TRUE(support::all_finite(model(tokens)));
}

TEST(DecoderShapes, heads_may_be_of_any_size_and_projections_have_biases) {
  const ef::LlamaDecoder<float> model({.vocabulary = 29,
                                       .dim = 42,
                                       .heads = 3,
                                       .kv_heads = 1,
                                       .head_dim = 22,
                                       .hidden = 53,
                                       .attention_bias = true,
                                       .feed_forward_bias = true},
                                      ef::Random(1));
  std::map<std::string, std::string> shapes;
  model.visit_parameters([&](const ef::Name& name, const auto& p) { shapes[name.str()] = p.shape().to_string(); });
  EXPECT_EQ(shapes.size(), 18u);
  EXPECT_EQ(shapes["layers.0.attention.query.weight"], "[66, 42]");
  EXPECT_EQ(shapes["layers.0.attention.key.weight"], "[22, 42]");
  EXPECT_EQ(shapes["layers.0.attention.output.weight"], "[42, 66]");
  EXPECT_EQ(shapes["layers.0.attention.query.bias"], "[66]");
  EXPECT_EQ(shapes["layers.0.attention.output.bias"], "[42]");
  EXPECT_EQ(shapes["layers.0.feed_forward.gate.bias"], "[53]");
  EXPECT_EQ(shapes["layers.0.feed_forward.down.bias"], "[42]");
  const Tokens tokens = [] {
    support::Generator random(95);
    return random_tokens(1, 5, random);
  }();
  const ef::Tensor<float, 3> logits = model(tokens);
  ef::Context context;
  auto key_values = model.key_values(1, 5);
  ef::Matrix<float> last(1, 29);
  model.next_logits(tokens, last, key_values, context);
  EXPECT_TRUE(
      support::within(support::max_error(last, std::span(logits.data() + 4 * 29, 29)), 64 * tolerance::epsilon<float>));
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

TYPED_TEST(Decoder, rejects_what_does_not_fit_and_leaves_the_caches) {
  using T = TypeParam;
  ef::Context context;
  ef::LlamaDecoder<T> model(small, ef::Random(3));
  auto key_values = model.key_values(1, 4);
  ef::Matrix<T> logits(3, 29);
  ef::Matrix<T> one(1, 29);
  using Ints = std::vector<std::int32_t>;
  EXPECT_THROW(model.forward(Ints{1, 2, 29}, logits, context), ef::ValueError);
  EXPECT_THROW(model.forward(Ints{1, 2, -1}, logits, context), ef::ValueError);
  EXPECT_EQ(message_of<ef::ShapeError>([&] {
              model.forward(Ints{1, 2}, logits, context);
            }),
            "Decoder: expected logits of 2 rows for tokens of shape [2], got shape [3, 29]");
  ef::Matrix<T> narrow(3, 28);
  EXPECT_THROW(model.forward(Ints{1, 2, 3}, narrow, context), ef::ShapeError);
  const ef::Tensor<std::int32_t, 3> cube(1, 1, 3);
  EXPECT_THROW(model.forward(cube, logits, context), ef::ShapeError);
  EXPECT_THROW(model.next_logits(Ints{}, one, key_values, context), ef::ShapeError);
  EXPECT_THROW(model.next_logits(Ints{1, 2, 3, 4, 5}, one, key_values, context), ef::ValueError);
  std::vector<ef::KeyValueCache<T>> too_few(key_values.begin(), key_values.end() - 1);
  EXPECT_THROW(model.next_logits(Ints{1}, one, too_few, context), ef::ShapeError);
  EXPECT_THROW(model.next_logits(Ints{1}, logits, key_values, context), ef::ShapeError);
  for (const auto& layer : key_values) EXPECT_EQ(layer.length(), 0);
  typename ef::LlamaDecoder<T>::Cache cache;
  model.forward(Ints{1, 2, 3}, logits, context, &cache);
  EXPECT_THROW(model.backward(one, cache, context), ef::ShapeError);
  EXPECT_THROW(model.backward(narrow, cache, context), ef::ShapeError);
  EXPECT_THROW(ef::LlamaDecoder<T>({.vocabulary = 0, .dim = 4}, ef::Random(1)), ef::OptionError);
  EXPECT_THROW(ef::LlamaDecoder<T>({.vocabulary = 5, .dim = 5, .heads = 2}, ef::Random(1)), ef::OptionError);
  EXPECT_THROW(ef::LlamaDecoder<T>({.vocabulary = 5, .dim = 4, .layers = -1}, ef::Random(1)), ef::OptionError);
}

}  // namespace
