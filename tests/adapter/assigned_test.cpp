// SPDX-License-Identifier: MIT

#include <eigenformer/adapter/assigned.hpp>

#include <eigenformer/adapter/lora.hpp>
#include <eigenformer/adapter/lora_attach.hpp>
#include <eigenformer/adapter/lora_embedding.hpp>
#include <eigenformer/adapter/lora_parameters.hpp>
#include <eigenformer/attention/grouped_query_attention.hpp>
#include <eigenformer/linear/bit_linear.hpp>
#include <eigenformer/linear/packed_linear.hpp>
#include <eigenformer/model/decoder.hpp>

#include <gtest/gtest.h>

#include "adapter/lora_case.hpp"
#include "support/allocation.hpp"
#include "support/compare.hpp"
#include "support/tolerances.hpp"

namespace ef = eigenformer;
namespace tolerance = support::tolerance;
using ef::Index;
using lora_case::normal;

namespace {

const std::vector<std::string> names = {"wide", "", "thin", "wide", "lengths", "", "thin", "absent here"};

/// Adapters of different ranks, scales, weights and states.
template <class Layer>
void add_adapters(Layer& layer, support::Generator& random) {
  lora_case::add(layer, "wide", {.rank = 5, .alpha = 7}, random);
  lora_case::add(layer, "thin", {.rank = 1, .alpha = 2, .scaling = ef::AlphaOverRootRank{}}, random);
  lora_case::add(layer, "unused", {.rank = 3}, random);
  ef::LoraOptions options = {.rank = 3, .alpha = 4};
  if constexpr (
      Layer::merges && requires { layer.base.weight.value; } && requires { layer.input_features(); }) {
    options.magnitude.emplace();
  }
  lora_case::add(layer, "lengths", options, random);
  layer.activate({"thin", "unused"});
  layer.set_adapter_weight("thin", -0.7);
}

/// Has a layer with an adapter "absent here" beside the layer under test.
template <class Layer>
struct Pair {
  void visit_parameters(auto&& visitor) const {
    ef::detail::walk(ef::Name(ef::Name(), "layer"), layer, visitor);
    ef::detail::walk(ef::Name(ef::Name(), "other"), other, visitor);
  }
  const Layer& layer;
  const ef::Lora<ef::Linear<typename Layer::Scalar>>& other;
};
template <class Layer>
ef::Lora<ef::Linear<typename Layer::Scalar>> other() {
  ef::Lora<ef::Linear<typename Layer::Scalar>> layer({.in_features = 2, .out_features = 2}, ef::Random(3));
  layer.add("absent here", {.rank = 1}, ef::Random(4));
  return layer;
}

/// Forward of one sequence with the one adapter active.
template <class Layer, class Input>
ef::Matrix<typename Layer::Scalar> alone(Layer layer, const std::string& name, const Input& x) {
  layer.activate({});
  if (layer.has_adapter(name)) layer.activate({name});
  return layer(x);
}

/// Every sequence of a batch gets what it would get alone, or the bits of the base if it has no adapter.
template <class Layer>
void expect_each_as_alone(Index in, Index out, Index length) {
  using T = typename Layer::Scalar;
  support::Generator random;
  const auto start = [&] {
    if constexpr (std::is_same_v<Layer, ef::Lora<ef::PackedLinear<T>>>) {
      return Layer(ef::Linear<T>({.in_features = in, .out_features = out}, ef::Random(3)).prepack());
    } else {
      return Layer({.in_features = in, .out_features = out}, ef::Random(3));
    }
  };
  Layer layer = start();
  add_adapters(layer, random);
  const auto beside = other<Layer>();
  const auto sequences = static_cast<Index>(names.size());
  const ef::Matrix<T> x = normal<T>(sequences * length, in, random);
  const ef::Matrix<T> base = layer.base(x);
  std::optional<ef::Matrix<T>> of_one_thread;
  for (const int threads : {1, 2, 5}) {
    ef::Context context({.threads = threads});
    ef::Matrix<T> y(sequences * length, out);
    {
      const ef::Assigned assigned(context, Pair<Layer>{layer, beside}, names);
      layer.forward(x, y, context);
    }
    if (!of_one_thread) of_one_thread = y;
    EXPECT_TRUE(support::bit_equal(y, *of_one_thread)) << threads << " threads";
    for (Index s = 0; s < sequences; ++s) {
      const ef::Matrix<T> own = x.middleRows(s * length, length);
      const ef::Matrix<T> mixed = y.middleRows(s * length, length);
      const std::string& name = names[static_cast<std::size_t>(s)];
      EXPECT_TRUE(within(support::worst_row_nmse(mixed, alone(layer, name, own), out), tolerance::gemm_row_nmse<T>))
          << name;
      if (layer.has_adapter(name)) continue;
      EXPECT_TRUE(support::bit_equal(mixed, ef::Matrix<T>(base.middleRows(s * length, length)))) << name;
    }
  }
}

template <class T>
class AssignedOf : public testing::Test {};
using Layers =
    testing::Types<ef::Lora<ef::Linear<float>>, ef::Lora<ef::Linear<double>>, ef::Lora<ef::Linear<float, ef::Bfloat16>>,
                   ef::Lora<ef::BitLinear<float>>, ef::Lora<ef::PackedLinear<float>>>;
TYPED_TEST_SUITE(AssignedOf, Layers);

using Layer = ef::Lora<ef::Linear<double>>;

ef::Tensor<std::int32_t, 2> tokens_of(const std::vector<std::int32_t>& tokens, Index sequences) {
  ef::Tensor<std::int32_t, 2> rows(sequences, static_cast<Index>(tokens.size()) / sequences);
  std::copy(tokens.begin(), tokens.end(), rows.data());
  return rows;
}

}  // namespace

TYPED_TEST(AssignedOf, gives_each_sequence_what_it_gets_alone) {
  expect_each_as_alone<TypeParam>(7, 5, 1);
  expect_each_as_alone<TypeParam>(67, 131, 1);
  expect_each_as_alone<TypeParam>(67, 131, 3);
  expect_each_as_alone<TypeParam>(131, 67, 17);
}

TEST(Assigned, gives_each_token_of_an_embedding_what_it_gets_alone) {
  support::Generator random;
  ef::Lora<ef::Embedding<float>> layer({.vocabulary = 11, .dim = 5}, ef::Random(3));
  add_adapters(layer, random);
  const auto sequences = static_cast<Index>(names.size());
  std::vector<std::int32_t> tokens(names.size() * 3);
  for (auto& token : tokens) token = static_cast<std::int32_t>(random.integer(11));
  const auto beside = other<ef::Lora<ef::Embedding<float>>>();
  ef::Context context;
  const ef::Assigned assigned(context, Pair<ef::Lora<ef::Embedding<float>>>{layer, beside}, names);
  ef::Matrix<float> y(sequences * 3, 5);
  layer.forward(tokens, y, context);
  for (Index s = 0; s < sequences; ++s) {
    const std::vector<std::int32_t> own(tokens.begin() + s * 3, tokens.begin() + s * 3 + 3);
    const ef::Matrix<float> mixed = y.middleRows(s * 3, 3);
    const ef::Matrix<float> expected = alone(layer, names[static_cast<std::size_t>(s)], own);
    EXPECT_TRUE(within(support::worst_row_nmse(mixed, expected, 5), tolerance::gemm_row_nmse<float>));
  }
}

TEST(Assigned, takes_sequences_of_their_own_lengths_and_one_row_of_each) {
  support::Generator random;
  Layer layer({.in_features = 7, .out_features = 5}, ef::Random(3));
  add_adapters(layer, random);
  ef::Context context;
  const std::vector<std::string> three = {"thin", "wide", "thin"};
  const ef::Assigned assigned(context, layer, three, {2, 5, 3});
  for (const std::vector<Index>& lengths : {std::vector<Index>{2, 5, 3}, {1, 1, 1}}) {
    const ef::Matrix<double> x = normal<double>(lengths[0] + lengths[1] + lengths[2], 7, random);
    ef::Matrix<double> y(x.rows(), 5);
    layer.forward(x, y, context);
    Index first = 0;
    for (std::size_t i = 0; i < 3; ++i) {
      const ef::Matrix<double> own = x.middleRows(first, lengths[i]);
      const ef::Matrix<double> mixed = y.middleRows(first, lengths[i]);
      EXPECT_TRUE(
          within(support::worst_row_nmse(mixed, alone(layer, three[i], own), 5), tolerance::gemm_row_nmse<double>));
      first += lengths[i];
    }
  }
}

// The gradient of an adapter is the sum of what its sequences give it alone; who is named by none gets none.
TEST(Assigned, trains_each_adapter_on_its_own_sequences) {
  support::Generator random;
  Layer layer({.in_features = 7, .out_features = 5}, ef::Random(3));
  lora_case::add(layer, "wide", {.rank = 5, .alpha = 7}, random);
  lora_case::add(layer, "thin", {.rank = 1, .alpha = 2}, random);
  lora_case::add(layer, "unused", {.rank = 2}, random);
  lora_case::add(layer, "lengths", {.rank = 2, .magnitude = ef::LearnedMagnitude{}}, random);
  const std::vector<std::string> batch = {"wide", "lengths", "", "thin", "wide", "thin", "lengths"};
  Layer apart = layer;
  const ef::Matrix<double> x = normal<double>(7 * 3, 7, random);
  const ef::Matrix<double> dy = normal<double>(7 * 3, 5, random);
  ef::Matrix<double> y(21, 5), dx(21, 7);
  ef::Context context;
  Layer::Cache cache;
  {
    const ef::Assigned assigned(context, layer, batch);
    layer.forward(x, y, context, &cache);
  }
  layer.backward(dy, cache, dx, context);  // what was assigned is in the cache
  for (Index s = 0; s < 7; ++s) {
    const std::string& name = batch[static_cast<std::size_t>(s)];
    if (name.empty()) {
      apart.activate({});
    } else {
      apart.activate({name});
    }
    ef::Matrix<double> own_y(3, 5), own_dx(3, 7);
    Layer::Cache own;
    apart.forward(x.middleRows(s * 3, 3), own_y, context, &own);
    apart.backward(dy.middleRows(s * 3, 3), own, own_dx, context);
    const ef::Matrix<double> mixed = dx.middleRows(s * 3, 3);
    EXPECT_TRUE(within(support::worst_row_nmse(mixed, own_dx, 7), tolerance::gemm_row_nmse<double>)) << name;
  }
  for (const char* const name : {"wide", "thin", "lengths"}) {
    const auto& mixed = layer.adapter(name);
    const auto& summed = apart.adapter(name);
    EXPECT_TRUE(within(support::max_error(mixed.a.gradient, summed.a.gradient), 1e-13)) << name;
    EXPECT_TRUE(within(support::max_error(mixed.b.gradient, summed.b.gradient), 1e-13)) << name;
    EXPECT_GT(mixed.a.gradient.norm(), 0.1) << name;
  }
  const ef::Vector<double> lengths = apart.adapter("lengths").magnitude->gradient;
  EXPECT_TRUE(within(support::max_error(layer.adapter("lengths").magnitude->gradient, lengths), 1e-13));
  EXPECT_EQ(layer.adapter("unused").a.gradient.size(), 0);
}

TEST(Assigned, drops_in_training_the_same_in_backward) {
  support::Generator random;
  Layer layer({.in_features = 7, .out_features = 5}, ef::Random(3));
  lora_case::add(layer, "dropping", {.rank = 2, .dropout = 0.5}, random);
  const ef::Matrix<double> x = normal<double>(12, 7, random);
  ef::Matrix<double> y(12, 5), other_y(12, 5), dx(12, 7);
  ef::Context context({.seed = 5});
  const ef::Assigned assigned(context, layer, {"dropping", "", "", "dropping"});
  Layer::Cache cache;
  layer.forward(x, y, context, &cache);
  const ef::Matrix<double> dy = normal<double>(12, 5, random);
  layer.backward(dy, cache, dx, context);
  // The derivative along a direction, with the same numbers dropped again.
  const ef::Matrix<double> direction = normal<double>(12, 7, random);
  context.random() = ef::Random(5);
  layer.forward(ef::Matrix<double>(x + direction), other_y, context, &cache);
  EXPECT_NEAR((other_y - y).cwiseProduct(dy).sum(), direction.cwiseProduct(dx).sum(), 1e-12);  // it is linear
}

// A whole model, all at once and step by step through its caches.
TEST(Assigned, runs_through_a_decoder_and_its_caches) {
  using Projection = ef::Lora<ef::Linear<float>>;
  using Model = ef::Decoder<float, ef::PreNorm<ef::RmsNorm<float>, ef::GroupedQueryAttention<float, Projection>,
                                               ef::GatedFeedForward<float, ef::Silu, Projection>>>;
  Model model({.vocabulary = 13, .dim = 24, .layers = 2, .heads = 4, .kv_heads = 2, .hidden = 37}, ef::Random(3));
  const auto randomised = [&](const std::string& name, Index rank, std::vector<std::string> targets) {
    ef::lora::attach(model, {.rank = rank, .alpha = 4, .targets = std::move(targets), .name = name}, ef::Random(5));
    support::Generator random(7 + static_cast<std::uint64_t>(rank));
    ef::lora::parameters(model, name).visit_parameters([&](const ef::Name&, auto& parameter) {
      for (float& value : parameter.values()) value = static_cast<float>(0.3 * random.normal());
    });
  };
  randomised("all", 3, {});
  randomised("some", 2, {"query", "value"});
  const std::vector<std::string> batch = {"some", "all", "", "all"};
  std::vector<std::int32_t> tokens(4 * 5);
  support::Generator random;
  for (auto& token : tokens) token = static_cast<std::int32_t>(random.integer(13));
  ef::Context context;
  const auto logits = [&](const Model& of, const std::vector<std::int32_t>& input, Index sequences) {
    ef::Tensor<float, 3> y(sequences, 5, 13);
    of.forward(tokens_of(input, sequences), y, context);
    return y;
  };
  ef::Tensor<float, 3> mixed(4, 5, 13), steps(4, 5, 13);
  {
    const ef::Assigned assigned(context, model, batch);
    mixed = logits(model, tokens, 4);
    auto caches = model.key_values(4, 5);
    for (Index position = 0; position < 5; ++position) {
      std::vector<std::int32_t> step(4);
      for (Index s = 0; s < 4; ++s)
        step[static_cast<std::size_t>(s)] = tokens[static_cast<std::size_t>(s * 5 + position)];
      ef::Tensor<float, 3> y(4, 1, 13);
      model.forward(tokens_of(step, 4), y, caches, context);
      steps.chip(position, 1) = y.chip(0, 1);
    }
  }
  std::vector<ef::Tensor<float, 3>> seen;
  for (Index s = 0; s < 4; ++s) {
    Model own = model;
    const std::string& name = batch[static_cast<std::size_t>(s)];
    ef::lora::activate(own, name.empty() ? std::vector<std::string>{} : std::vector<std::string>{name});
    const std::vector<std::int32_t> sequence(tokens.begin() + s * 5, tokens.begin() + s * 5 + 5);
    const ef::Tensor<float, 3> expected = logits(own, sequence, 1);
    const ef::Tensor<float, 3> got = mixed.slice(std::array<Index, 3>{s, 0, 0}, std::array<Index, 3>{1, 5, 13});
    const ef::Tensor<float, 3> stepped = steps.slice(std::array<Index, 3>{s, 0, 0}, std::array<Index, 3>{1, 5, 13});
    EXPECT_TRUE(within(support::worst_row_nmse(got, expected, 13), tolerance::gemm_row_nmse<float>)) << name;
    EXPECT_TRUE(within(support::worst_row_nmse(stepped, expected, 13), tolerance::gemm_row_nmse<float>)) << name;
    for (const auto& before : seen) EXPECT_FALSE(within(support::worst_row_nmse(got, before, 13), 1e-4));
    seen.push_back(expected);
  }
}

TEST(Assigned, allocates_nothing_after_the_first_call) {
  if (!support::AllocationCounter::available()) GTEST_SKIP() << support::AllocationCounter::why_not();
  support::Generator random;
  ef::Lora<ef::Linear<float>> layer({.in_features = 67, .out_features = 131}, ef::Random(3));
  add_adapters(layer, random);
  const ef::Matrix<float> x = normal<float>(35, 67, random);
  ef::Matrix<float> y(35, 131), dx(35, 67);
  ef::Context context;
  const ef::Assigned assigned(context, layer, {"wide", "thin", "", "wide", "lengths"});
  ef::Lora<ef::Linear<float>>::Cache cache;
  const auto step = [&] {
    layer.forward(x, y, context, &cache);
    layer.backward(y, cache, dx, context);
    layer.forward(x, y, context);
  };
  step();
  EXPECT_EQ(support::allocations_during(step), 0U);
}

TEST(Assigned, ends_with_its_scope_and_goes_back_to_the_one_around_it) {
  support::Generator random;
  Layer layer({.in_features = 7, .out_features = 5}, ef::Random(3));
  add_adapters(layer, random);
  ef::Context context;
  EXPECT_EQ(context.labels(), nullptr);
  {
    const ef::Assigned outer(context, layer, {"thin"});
    const ef::SequenceLabels* const labels = context.labels();
    {
      const ef::Assigned inner(context, layer, {"wide", ""});
      EXPECT_EQ(context.labels()->labels.size(), 2U);
    }
    EXPECT_EQ(context.labels(), labels);
    EXPECT_THROW(ef::Assigned(context, layer, {"nobody"}), ef::ValueError);
    EXPECT_EQ(context.labels(), labels);
  }
  EXPECT_EQ(context.labels(), nullptr);
}

TEST(Assigned, says_what_is_wrong_and_changes_nothing) {
  support::Generator random;
  Layer layer({.in_features = 7, .out_features = 5}, ef::Random(3));
  add_adapters(layer, random);
  ef::Context context;
  using ef::Assigned;
  EXPECT_THROW(Assigned(context, layer, {}), ef::OptionError);
  EXPECT_THROW(Assigned(context, layer, {"thin", "wide"}, {3}), ef::OptionError);
  EXPECT_THROW(Assigned(context, layer, {"thin", "wide"}, {3, 0}), ef::OptionError);
  EXPECT_THROW(Assigned(context, layer, {"thin", "Thin"}), ef::ValueError);
  layer.activate({"wide"});
  layer.merge();
  EXPECT_THROW(Assigned(context, layer, {"thin"}), ef::ValueError);
  layer.unmerge();

  const Assigned assigned(context, layer, {"thin", "", "wide"});
  const ef::Matrix<double> x = normal<double>(7, 7, random);
  ef::Matrix<double> y = ef::Matrix<double>::Constant(7, 5, 9);
  const ef::Matrix<double> before = y;
  EXPECT_THROW(layer.forward(x, y, context), ef::ShapeError);  // 7 rows are no three sequences
  EXPECT_EQ(y, before);
  layer.merge();
  ef::Matrix<double> six = ef::Matrix<double>::Constant(6, 5, 9);
  EXPECT_THROW(layer.forward(x.topRows(6), six, context), ef::ValueError);
  EXPECT_EQ(six, before.topRows(6));
}
