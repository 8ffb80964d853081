// SPDX-License-Identifier: MIT

#include <eigenformer/attention/multi_query_attention.hpp>
#include <eigenformer/block/cross_layer.hpp>

#include "block/cross_case.hpp"
#include "block/golden_layer.hpp"
#include "reference/central_difference.hpp"
#include "support/inputs.hpp"

namespace {

namespace ef = eigenformer;
namespace tolerance = support::tolerance;
using ef::Index;
using support::Golden;

template <class T, class Order>
using LayerOf = ef::CrossLayer<ef::LayerNorm<T>, ef::MultiHeadAttention<T>, ef::FeedForward<T, ef::Relu>, Order,
                               ef::MultiQueryAttention<T>>;
template <class T>
using Published = ef::PostNormCross<ef::LayerNorm<T>, ef::MultiHeadAttention<T>, ef::FeedForward<T, ef::Relu>>;

template <class T>
class CrossLayer : public testing::Test {};
using Scalars = testing::Types<float, double>;
TYPED_TEST_SUITE(CrossLayer, Scalars);

template <class T>
ef::Tensor<T, 3> normal(Index batch, Index length, Index dim, std::uint64_t salt) {
  support::Generator random(salt);
  ef::Tensor<T, 3> x(batch, length, dim);
  support::fill(x, support::Distribution::normal, random);
  return x;
}

/// A layer of 14 features over a memory of 11, no weight of which is as it starts.
template <class T, class Order>
LayerOf<T, Order> some_layer() {
  LayerOf<T, Order> layer({.norm = {.dim = 14},
                           .attention = {.dim = 14, .heads = 2},
                           .cross_attention = {.dim = 14, .heads = 3, .head_dim = 5, .memory_dim = 11},
                           .feed_forward = {.dim = 14, .hidden = 17}},
                          ef::Random(3));
  support::Generator random(29);
  layer.visit_parameters([&](const ef::Name&, auto& parameter) {
    for (T& value : parameter.values()) value += static_cast<T>(0.2 * random.normal());
  });
  return layer;
}

template <class T>
Published<T> published(const Golden& golden) {
  Published<T> layer({.norm = {.dim = 28},
                      .attention = {.dim = 28, .heads = 4},
                      .cross_attention = {.dim = 28, .heads = 4},
                      .feed_forward = {.dim = 28, .hidden = 40}},
                     ef::Random(1));
  layer.visit_parameters([&](const ef::Name& name, auto& parameter) {
    const cross::TheirName theirs = cross::their_name(name.str(), 28, true);
    const std::vector<T> all = golden.values<T>(theirs.tensor);
    const Index row = parameter.size() / parameter.shape()[0];
    ASSERT_LE(theirs.first_row * row + parameter.size(), static_cast<Index>(all.size())) << name;
    std::copy_n(all.data() + theirs.first_row * row, parameter.size(), parameter.values().data());
  });
  return layer;
}

TYPED_TEST(CrossLayer, equals_the_decoder_layer_of_pytorch_forward_and_backward) {
  using T = TypeParam;
  const Golden golden("decoder_layer_post_relu");
  Published<T> layer = published<T>(golden);
  const auto x = golden.tensor<T, 3>("x"), memory = golden.tensor<T, 3>("memory");
  ef::Tensor<T, 3> y(x.dimensions()), dx(x.dimensions()), dmemory(memory.dimensions());
  ef::Context context;
  typename Published<T>::Cache cache;
  layer.forward(x, y, ef::Causal{}, ef::Memory{memory, ef::NoMask{}}, context, &cache);
  layer.backward(golden.tensor<T, 3>("d_y"), cache, dx, dmemory, context);
  layer::expect_output(y, golden);
  layer::expect_gradient<T>(dx, golden, "x");
  layer::expect_gradient<T>(dmemory, golden, "memory");
  int compared = 0;
  layer.visit_parameters([&](const ef::Name& name, const auto& parameter) {
    const cross::TheirName theirs = cross::their_name(name.str(), 28, true);
    const auto first = static_cast<std::size_t>(theirs.first_row * parameter.size() / parameter.shape()[0]);
    layer::expect_gradient<T>(parameter.gradient, golden, theirs.tensor, first);
    ++compared;
  });
  EXPECT_EQ(compared, 26);
}

template <class T, class Order>
void expect_reference(reference::NormPlace place) {
  const LayerOf<T, Order> layer = some_layer<T, Order>();
  const auto x = normal<T>(2, 7, 14, 1), memory = normal<T>(2, 5, 11, 2);
  const std::array<Index, 2> lengths = {3, 5};
  const ef::Tensor<T, 3> y = layer(x, ef::Causal{}, ef::Memory{memory, ef::Padding{lengths}});
  reference::AttentionModuleOptions own{.heads = 2, .kv_heads = 2}, across{.heads = 3, .kv_heads = 1};
  own.attention.mask = reference::causal_mask(0);
  across.attention.mask = reference::padding_mask({3, 5});
  const auto expected =
      reference::cross_layer(reference::widened(x.data(), {2, 7, 14}), reference::widened(memory.data(), {2, 5, 11}),
                             cross::cross_layer_weights(layer), own, across, place);
  EXPECT_TRUE(support::within(support::worst_row_nmse(y, expected, 14), 4 * tolerance::attention_row_nmse<T>(3)));
}

TYPED_TEST(CrossLayer, equals_the_formula_with_norms_before_or_after) {
  using T = TypeParam;
  expect_reference<T, ef::NormAfter>(reference::NormPlace::after);
  expect_reference<T, ef::NormBefore>(reference::NormPlace::before);
}

/// What went into x and the memory, and every parameter, by differences.
template <class Order>
void expect_gradients() {
  auto layer = some_layer<double, Order>();
  auto x = normal<double>(2, 3, 14, 1), memory = normal<double>(2, 5, 11, 2);
  const auto dy = normal<double>(2, 3, 14, 3);
  ef::Tensor<double, 3> y(x.dimensions()), dx(x.dimensions()), dmemory(memory.dimensions());
  ef::Context context;
  typename LayerOf<double, Order>::Cache cache;
  const std::array<Index, 2> lengths = {3, 5};
  const auto loss = [&] {
    layer.forward(x, y, ef::Causal{}, ef::Memory{memory, ef::Padding{lengths}}, context, &cache);
    double sum = 0;
    for (Index i = 0; i < y.size(); ++i) sum += y.data()[i] * dy.data()[i];
    return sum;
  };
  loss();
  layer.backward(dy, cache, dx, dmemory, context);
  const auto check = [&](std::span<double> values, std::span<const double> gradient, const std::string& name) {
    for (std::size_t i = 0; i < values.size(); i += 1 + values.size() / 50) {
      const double difference =
          reference::central_difference(values[i], tolerance::difference_step, [&] { return loss(); });
      EXPECT_NEAR(gradient[i], difference, tolerance::difference_abs + tolerance::difference_rel * std::abs(difference))
          << name << ' ' << i;
    }
  };
  const auto all = [](auto& tensor) { return std::span(tensor.data(), static_cast<std::size_t>(tensor.size())); };
  check(all(x), all(dx), "x");
  check(all(memory), all(dmemory), "memory");
  layer.visit_parameters(
      [&](const ef::Name& name, auto& parameter) { check(parameter.values(), parameter.gradients(), name.str()); });
}

TEST(CrossLayer, gradients_match_differences) {
  expect_gradients<ef::NormAfter>();
  expect_gradients<ef::NormBefore>();
}

/// Three sequences share each of two memories; steps of any size give what one forward gives.
template <class T, class Order>
void expect_steps_equal_forward() {
  const auto layer = some_layer<T, Order>();
  const auto x = normal<T>(6, 7, 14, 1), memory = normal<T>(2, 5, 11, 2);
  ef::Tensor<T, 3> repeated(6, 5, 11);
  for (Index b = 0; b < 6; ++b) repeated.chip(b, 0) = memory.chip(b / 3, 0);
  const std::array<Index, 6> all_lengths = {3, 3, 3, 5, 5, 5};
  const std::array<Index, 2> lengths = {3, 5};
  const ef::Tensor<T, 3> whole = layer(x, ef::Causal{}, ef::Memory{repeated, ef::Padding{all_lengths}});
  ef::Context context;
  for (const Index step : {Index(1), Index(3), Index(7)}) {
    auto key_values = layer.key_values(memory, {.capacity = 7, .sequences = 3}, context);
    for (Index first = 0; first < 7; first += step) {
      const std::array<Index, 3> at = {0, first, 0}, size = {6, std::min(step, 7 - first), 14};
      const ef::Tensor<T, 3> part = x.slice(at, size), expected = whole.slice(at, size);
      ef::Tensor<T, 3> y(size);
      layer.forward(part, y, ef::Causal{}, ef::Padding{lengths}, key_values, context);
      EXPECT_TRUE(support::within(support::worst_row_nmse(y, expected, 14), 4 * tolerance::attention_row_nmse<T>(3)))
          << step << " from " << first;
    }
    EXPECT_EQ(key_values.own.length(), 7);
    EXPECT_EQ(key_values.memory.length(), 5);
  }
}

TYPED_TEST(CrossLayer, steps_with_shared_memories_equal_one_forward) {
  expect_steps_equal_forward<TypeParam, ef::NormAfter>();
  expect_steps_equal_forward<TypeParam, ef::NormBefore>();
}

TYPED_TEST(CrossLayer, works_in_place) {
  using T = TypeParam;
  auto layer = some_layer<T, ef::NormAfter>();
  auto x = normal<T>(2, 7, 14, 1);
  const auto memory = normal<T>(2, 5, 11, 2);
  const ef::Tensor<T, 3> y = layer(x, ef::Causal{}, ef::Memory{memory, ef::NoMask{}});
  ef::Context context;
  typename LayerOf<T, ef::NormAfter>::Cache cache;
  layer.forward(x, x, ef::Causal{}, ef::Memory{memory, ef::NoMask{}}, context, &cache);
  EXPECT_TRUE(support::bit_equal(x, y));
  ef::Tensor<T, 3> dx(x.dimensions()), dmemory(memory.dimensions()), dmemory_again(memory.dimensions());
  layer.backward(y, cache, dx, dmemory, context);
  layer.backward(x, cache, x, dmemory_again, context);
  EXPECT_TRUE(support::bit_equal(x, dx));
  EXPECT_TRUE(support::bit_equal(dmemory_again, dmemory));
}

TEST(CrossLayer, names_its_parameters) {
  std::string names;
  some_layer<float, ef::NormBefore>().visit_parameters(
      [&](const ef::Name& name, const auto&) { names += name.str() + " "; });
  EXPECT_EQ(
      names,
      "attention_norm.weight attention_norm.bias attention.query.weight attention.query.bias attention.key.weight "
      "attention.key.bias attention.value.weight attention.value.bias attention.output.weight "
      "attention.output.bias feed_forward_norm.weight feed_forward_norm.bias feed_forward.up.weight "
      "feed_forward.up.bias feed_forward.down.weight feed_forward.down.bias cross_attention_norm.weight "
      "cross_attention_norm.bias cross_attention.query.weight cross_attention.key.weight "
      "cross_attention.value.weight cross_attention.output.weight ");
}

TEST(CrossLayer, rejects_what_does_not_fit_and_writes_nothing) {
  const auto layer = some_layer<float, ef::NormAfter>();
  const auto x = normal<float>(2, 7, 14, 1);
  ef::Tensor<float, 3> y(2, 7, 14);
  y.setConstant(17);
  ef::Context context;
  const auto message_of = [](const auto& call) -> std::string {
    try {
      call();
    } catch (const ef::Error& error) {
      return error.what();
    }
    return "nothing thrown";
  };
  const auto memory = normal<float>(2, 5, 11, 2), narrow = normal<float>(2, 5, 10, 2),
             other = normal<float>(3, 5, 11, 2);
  const auto wide = normal<float>(2, 7, 15, 1);
  ef::Tensor<float, 3> wide_y(2, 7, 15);
  EXPECT_EQ(message_of([&] {
              layer(wide, ef::Causal{}, ef::Memory{memory, ef::NoMask{}}, context);
            }),
            "CrossLayer: expected last dimension 14 for attention_norm, got 15");
  EXPECT_EQ(message_of([&] {
              layer.forward(x, wide_y, ef::Causal{}, ef::Memory{memory, ef::NoMask{}}, context);
            }),
            "CrossLayer: expected y of shape [2, 7, 14], got [2, 7, 15]");
  EXPECT_THROW(layer.key_values(narrow, {.capacity = 7}, context), ef::ShapeError);
  EXPECT_EQ(message_of([&] { layer.key_values(memory, {.capacity = 7, .sequences = 0}, context); }),
            "CrossLayer: expected sequences of at least 1, got 0");
  EXPECT_THROW(layer.key_values(memory, {.capacity = -1}, context), ef::OptionError);
  auto key_values = layer.key_values(other, {.capacity = 7}, context);
  EXPECT_THROW(layer.forward(x, y, ef::Causal{}, ef::NoMask{}, key_values, context), ef::ShapeError);
  EXPECT_TRUE(std::all_of(y.data(), y.data() + y.size(), [](float value) { return value == 17; }));
  const auto of = [&](const ef::Tensor<float, 3>& values) {
    return message_of([&] { layer(x, ef::Causal{}, ef::Memory{values, ef::NoMask{}}, context); });
  };
  EXPECT_EQ(of(narrow), "MultiQueryAttention: expected last dimension 11, got memory of shape [2, 5, 10]");
  EXPECT_EQ(of(other), "MultiQueryAttention: expected x of the memory's batch of shape [3, 7, 14], got [2, 7, 14]");
}

}  // namespace
