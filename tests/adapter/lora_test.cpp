// SPDX-License-Identifier: MIT

#include <eigenformer/adapter/lora.hpp>

#include <eigenformer/linear/bit_linear.hpp>
#include <eigenformer/linear/packed_linear.hpp>
#include <eigenformer/train/adamw.hpp>
#include <eigenformer/train/gradient_check.hpp>

#include <gtest/gtest.h>

#include "adapter/lora_case.hpp"
#include "support/allocation.hpp"
#include "support/compare.hpp"
#include "support/golden.hpp"
#include "support/tolerances.hpp"

namespace ef = eigenformer;
namespace tolerance = support::tolerance;
using ef::Index;
using lora_case::normal;
using lora_case::wide;

static_assert(ef::Projection<ef::Lora<ef::Linear<float>>, float>);
static_assert(ef::Projection<ef::Lora<ef::Linear<double, ef::Bfloat16>>, double>);
static_assert(ef::Projection<ef::Lora<ef::BitLinear<float>>, float>);
static_assert(!ef::Projection<ef::Lora<ef::Linear<float>>, double>);

namespace {

template <class T>
class LoraOf : public testing::Test {};
using Scalars = testing::Types<float, double>;
TYPED_TEST_SUITE(LoraOf, Scalars);

template <class T>
using Layer = ef::Lora<ef::Linear<T>>;

/// A golden case as a layer with one adapter.
template <class T>
Layer<T> layer_of(const support::Golden& golden) {
  std::optional<ef::Vector<T>> bias;
  if (golden.contains("b")) bias.emplace(golden.vector<T>("b"));
  Layer<T> layer(ef::Linear<T>(golden.matrix<T>("W"), bias));
  ef::LoraAdapter<T> adapter = {
      .name = "golden",
      .options = {.rank = golden.parameter<std::int64_t>("r"), .alpha = golden.parameter<double>("alpha")}};
  if (golden.parameter<bool>("rslora")) adapter.options.scaling = ef::AlphaOverRootRank{};
  adapter.a.value = golden.matrix<T>("A");
  adapter.b.value = golden.matrix<T>("B");
  if (golden.contains("magnitude")) {
    adapter.options.magnitude.emplace();
    adapter.magnitude.emplace(golden.vector<T>("magnitude"));
  }
  layer.add(std::move(adapter));
  return layer;
}
template <class T, class Values>
testing::AssertionResult close(const Values& actual, const support::Golden& golden, const char* name) {
  const auto expected = golden.values<double>(name);
  double largest = 0;
  for (const double value : expected) largest = (std::max)(largest, std::abs(value));
  return within(support::max_error(actual, expected, largest), tolerance::pytorch_rel<T>);
}

template <class T>
void follow(const char* name) {
  const support::Golden golden(name);
  Layer<T> layer = layer_of<T>(golden);
  EXPECT_EQ(layer.adapter("golden").scale(), golden.parameter<double>("scaling"));
  const ef::Tensor<T, 3> x = golden.tensor<T, 3>("x");
  const ef::Tensor<T, 3> dy = golden.tensor<T, 3>("d_y");
  ef::Tensor<T, 3> y = layer.output_like(x);
  ef::Tensor<T, 3> dx = x;
  ef::Context context;
  typename Layer<T>::Cache cache;
  layer.forward(x, y, context, &cache);
  layer.backward(dy, cache, dx, context);
  EXPECT_TRUE(close<T>(y, golden, "y"));
  EXPECT_TRUE(close<T>(dx, golden, "grad.x"));
  EXPECT_TRUE(close<T>(layer.adapter("golden").a.gradient, golden, "grad.A"));
  EXPECT_TRUE(close<T>(layer.adapter("golden").b.gradient, golden, "grad.B"));
  if (layer.adapter("golden").magnitude) {
    EXPECT_TRUE(close<T>(layer.adapter("golden").magnitude->gradient, golden, "grad.magnitude"));
  }
  EXPECT_EQ(layer.base.weight.gradient.size(), 0) << "the base is frozen";
  layer.merge();
  EXPECT_TRUE(close<T>(layer.base.weight.value, golden, "merged_weight"));
  EXPECT_TRUE(close<T>(layer(x), golden, "y"));
}

}  // namespace

TYPED_TEST(LoraOf, gives_what_peft_gives) {
  follow<TypeParam>("lora_r4_alpha16");
  follow<TypeParam>("lora_rslora_r8_alpha16_nobias");
  follow<TypeParam>("dora_r4");
}

TYPED_TEST(LoraOf, is_the_base_until_an_adapter_has_learned_something) {
  using T = TypeParam;
  support::Generator random;
  Layer<T> layer({.in_features = 7, .out_features = 5}, ef::Random(3));
  const ef::Matrix<T> x = normal<T>(11, 7, random);
  const ef::Matrix<T> before = layer.base(x);
  EXPECT_TRUE(support::bit_equal(layer(x), before));
  layer.add("plain", {.rank = 3, .alpha = 6}, ef::Random(4));
  EXPECT_TRUE(support::bit_equal(layer(x), before));
  layer.add("decomposed", {.rank = 3, .alpha = 6, .magnitude = ef::LearnedMagnitude{}}, ef::Random(5));
  EXPECT_TRUE(within(support::worst_row_nmse(layer(x), before, 5), tolerance::gemm_row_nmse<T>));
}

TYPED_TEST(LoraOf, starts_with_the_variance_of_a_linear) {
  Layer<TypeParam> layer({.in_features = 101, .out_features = 103}, ef::Random(3));
  layer.add("start", {.rank = 97}, ef::Random(4));
  const auto& a = layer.adapter("start").a.value;
  const double variance = a.template cast<double>().squaredNorm() / static_cast<double>(a.size());
  EXPECT_NEAR(variance * 3 * 101, 1, 0.06);  // four deviations of a mean of 9797 squares
  EXPECT_TRUE(layer.adapter("start").b.value.isZero(0));
}

TYPED_TEST(LoraOf, equals_the_reference_merged_or_not) {
  using T = TypeParam;
  support::Generator random;
  for (const Index rows : {1, 2, 11, 67}) {
    for (const Index in : {1, 7, 67}) {
      for (const Index out : {1, 5, 131}) {
        Layer<T> layer({.in_features = in, .out_features = out, .bias = rows != 2}, ef::Random(3));
        const Index rank = (std::min)(Index(3), (std::max)(in, out));
        lora_case::add(layer, "first", {.rank = rank, .alpha = 5}, random);
        lora_case::add(layer, "second", {.rank = 1, .alpha = 2, .magnitude = ef::LearnedMagnitude{}}, random);
        lora_case::add(layer, "idle", {.rank = 1}, random);
        layer.activate({"first", "second"});
        layer.set_adapter_weight("first", -0.7);
        layer.set_adapter_weight("second", 1.3);
        // What cancels in the sum of weights was rounded before: the sizes of all its parts count.
        const auto original = wide(layer.base.weight.value);
        const auto first = lora_case::adapted(layer.base.weight.value, layer.adapter("first"), -0.7);
        const auto second = lora_case::adapted(layer.base.weight.value, layer.adapter("second"), 1.3);
        auto weight = original;
        auto sizes = original;
        for (long i = 0; i < weight.size(); ++i) {
          const double start = original.data()[i];
          weight.data()[i] = first.data()[i] + second.data()[i] - start;
          sizes.data()[i] = std::abs(start);
        }
        lora_case::add_sizes(sizes, layer.base.weight.value, layer.adapter("first"), -0.7);
        lora_case::add_sizes(sizes, layer.base.weight.value, layer.adapter("second"), 1.3);
        reference::Array<double> bias;
        if (layer.base.bias) bias = lora_case::wide_vector(layer.base.bias->value);
        const ef::Matrix<T> x = normal<T>(rows, in, random);
        const auto expected = reference::linear(wide(x), weight, bias).value;
        const auto magnitude = reference::linear(wide(x), sizes, bias).magnitude;
        const auto expect_close = [&] {
          const ef::Matrix<T> y = layer(x);
          EXPECT_TRUE(within(support::dot_product_error(y, expected, magnitude), tolerance::gemm_c));
          if (in < 67 || rows * out < 100) return;  // little of a row of V or of y may be left
          EXPECT_TRUE(within(support::worst_row_nmse(y, expected, rows * out), tolerance::choose<T>(1e-12, 1e-28)));
        };
        expect_close();
        layer.merge("second");
        expect_close();
        layer.merge();
        expect_close();
        EXPECT_TRUE(support::bit_equal(layer(x), layer.base(x)));
      }
    }
  }
}

TEST(Lora, has_the_gradients_of_differences) {
  support::Generator random;
  ef::Lora<ef::Linear<double>> layer({.in_features = 7, .out_features = 5}, ef::Random(3));
  lora_case::add(layer, "first", {.rank = 3, .alpha = 5}, random);
  lora_case::add(layer, "second", {.rank = 2, .alpha = 5, .scaling = ef::AlphaOverRootRank{}}, random);
  layer.set_adapter_weight("second", -0.5);
  EXPECT_TRUE(ef::check_gradients(layer, normal<double>(11, 7, random)).passed());
  layer.merge("first");
  EXPECT_TRUE(ef::check_gradients(layer, normal<double>(11, 7, random)).passed());
  // Of a decomposed weight x and the magnitude have derivatives; those of A and B leave the lengths alone.
  ef::Lora<ef::Linear<double>> decomposed({.in_features = 7, .out_features = 5}, ef::Random(3));
  lora_case::add(decomposed, "third", {.rank = 3, .alpha = 5, .magnitude = ef::LearnedMagnitude{}}, random);
  decomposed.set_adapter_weight("third", 0.7);
  decomposed.adapter("third").a.trainable = false;
  decomposed.adapter("third").b.trainable = false;
  EXPECT_TRUE(ef::check_gradients(decomposed, normal<double>(11, 7, random)).passed());
}

TEST(Lora, drops_in_training_alone_and_backward_drops_the_same) {
  support::Generator random;
  ef::Lora<ef::Linear<double>> layer({.in_features = 7, .out_features = 5}, ef::Random(3));
  lora_case::add(layer, "first", {.rank = 3, .alpha = 5, .dropout = 0.4}, random);
  const ef::Matrix<double> x = normal<double>(11, 7, random);
  const ef::Matrix<double> dy = normal<double>(11, 5, random);
  ef::Matrix<double> y(11, 5), dx(11, 7), dropped(11, 7);
  ef::Context context({.seed = 5});
  ef::Random same(5);
  ef::Lora<ef::Linear<double>>::Cache cache;
  layer.forward(x, y, context, &cache);
  layer.backward(dy, cache, dx, context);
  const auto& adapter = layer.adapter("first");
  const double scale = adapter.scale();
  const ef::Dropout rule = {.rate = 0.4, .seed = same.bits()};
  ef::dropout<double>(x, dropped, rule, context);
  const ef::Matrix<double> base = layer.base(x);
  const ef::Matrix<double> expected =
      base + scale * dropped * adapter.a.value.transpose() * adapter.b.value.transpose();
  EXPECT_TRUE(within(support::max_error(y, expected), 1e-13));
  const ef::Matrix<double> gradient_of_a = scale * adapter.b.value.transpose() * dy.transpose() * dropped;
  EXPECT_TRUE(within(support::max_error(adapter.a.gradient, gradient_of_a), 1e-13));
  ef::Matrix<double> part = scale * dy * adapter.b.value * adapter.a.value;
  ef::dropout_backward<double>(part, part, rule, context);
  const ef::Matrix<double> expected_dx = dy * layer.base.weight.value + part;
  EXPECT_TRUE(within(support::max_error(dx, expected_dx), 1e-13));
  const ef::Matrix<double> whole = base + scale * x * adapter.a.value.transpose() * adapter.b.value.transpose();
  EXPECT_TRUE(within(support::max_error(layer(x), whole), 1e-13)) << "without a cache nothing is dropped";
}

TEST(Lora, trains_over_weights_of_one_bit) {
  support::Generator random;
  using OneBit = ef::Lora<ef::BitLinear<float>>;
  OneBit layer({.in_features = 13, .out_features = 11}, ef::Random(3));
  layer.add("task", {.rank = 4, .alpha = 8}, ef::Random(5));
  const ef::Matrix<float> latent = layer.base.weight.value;
  const ef::Matrix<float> x = normal<float>(37, 13, random);
  const ef::Matrix<float> target =
      layer.base(x) + 0.5F * x * normal<float>(13, 2, random) * normal<float>(2, 11, random);
  ef::AdamW<float> optimizer({.learning_rate = 0.03});
  ef::Context context;
  OneBit::Cache cache;
  ef::Matrix<float> y(37, 11), dx(37, 13);
  float first = 0;
  for (int step = 0; step < 200; ++step) {
    layer.forward(x, y, context, &cache);
    const ef::Matrix<float> dy = (y - target) / 37.0F;
    if (step == 0) first = dy.squaredNorm();
    ef::zero_gradients(layer);
    layer.backward(dy, cache, dx, context);
    optimizer.step(layer, context);
  }
  EXPECT_LT(((y - target) / 37.0F).squaredNorm(), 0.02F * first);
  EXPECT_TRUE(support::bit_equal(layer.base.weight.value, latent));
  EXPECT_EQ(layer.base.weight.gradient.size(), 0);
  EXPECT_THROW(layer.merge(), ef::OptionError);
  EXPECT_THROW(layer.add("lengths", {.magnitude = ef::LearnedMagnitude{}}, ef::Random(5)), ef::OptionError);
}

TEST(Lora, stands_over_a_packed_projection) {
  support::Generator random;
  const ef::Linear<float> linear({.in_features = 7, .out_features = 5}, ef::Random(3));
  ef::Lora<ef::Linear<float>> plain(linear);
  ef::Lora<ef::PackedLinear<float>> packed(linear.prepack());
  lora_case::add(plain, "task", {.rank = 2}, random);
  packed.add(plain.adapter("task"));
  const ef::Matrix<float> x = normal<float>(11, 7, random);
  EXPECT_TRUE(support::bit_equal(packed(x), plain(x)));
  EXPECT_THROW(packed.merge(), ef::OptionError);
}

TEST(Lora, allocates_nothing_after_the_first_call) {
  if (!support::AllocationCounter::available()) GTEST_SKIP() << support::AllocationCounter::why_not();
  support::Generator random;
  ef::Lora<ef::Linear<float>> layer({.in_features = 67, .out_features = 131}, ef::Random(3));
  lora_case::add(layer, "first", {.rank = 3, .dropout = 0.1}, random);
  lora_case::add(layer, "second", {.rank = 2, .magnitude = ef::LearnedMagnitude{}}, random);
  const ef::Matrix<float> x = normal<float>(37, 67, random);
  ef::Matrix<float> y(37, 131), dx(37, 67);
  ef::Context context;
  ef::Lora<ef::Linear<float>>::Cache cache;
  const auto step = [&] {
    layer.forward(x, y, context, &cache);
    layer.backward(y, cache, dx, context);
    layer.forward(x, y, context);
  };
  step();
  EXPECT_EQ(support::allocations_during(step), 0U);
}

TEST(Lora, refuses_a_cache_of_other_adapters) {
  support::Generator random;
  ef::Lora<ef::Linear<float>> layer({.in_features = 7, .out_features = 5}, ef::Random(3));
  lora_case::add(layer, "first", {.rank = 3}, random);
  const ef::Matrix<float> x = normal<float>(11, 7, random);
  ef::Matrix<float> y(11, 5), dx = ef::Matrix<float>::Constant(11, 7, 9);
  const ef::Matrix<float> before = dx;
  ef::Context context;
  ef::Lora<ef::Linear<float>>::Cache cache;
  layer.forward(x, y, context, &cache);
  layer.merge();
  EXPECT_THROW(layer.backward(y, cache, dx, context), ef::ValueError);
  layer.unmerge();
  lora_case::add(layer, "second", {.rank = 3}, random);
  EXPECT_THROW(layer.backward(y, cache, dx, context), ef::ValueError);
  layer.remove("second");
  layer.adapter("first").a.trainable = false;
  layer.forward(x, y, context, &cache);
  layer.adapter("first").a.trainable = true;
  EXPECT_THROW(layer.backward(y, cache, dx, context), ef::ValueError);
  EXPECT_EQ(dx, before);
  layer.adapter("first").a.value.resize(3, 8);
  EXPECT_THROW(layer.forward(x, y, context), ef::ShapeError);
}

// Square layers too: A and B of equal shape do not commute.
TEST(Lora, refuses_transposed_matrices) {
  support::Generator random;
  ef::Lora<ef::Linear<float>> layer({.in_features = 7, .out_features = 7}, ef::Random(3));
  ef::LoraAdapter<float> adapter = {.name = "turned", .options = {.rank = 3}};
  adapter.a.value = normal<float>(7, 3, random);
  adapter.b.value = normal<float>(3, 7, random);
  EXPECT_THROW(layer.add(adapter), ef::ShapeError);
  adapter.a.value = normal<float>(3, 7, random);
  EXPECT_THROW(layer.add(adapter), ef::ShapeError);
  adapter.b.value = normal<float>(7, 3, random);
  EXPECT_NO_THROW(layer.add(adapter));
}
