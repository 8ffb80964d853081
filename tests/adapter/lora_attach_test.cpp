// SPDX-License-Identifier: MIT

#include <eigenformer/adapter/lora_attach.hpp>

#include <gtest/gtest.h>

#include "adapter/lora_model_case.hpp"
#include "support/compare.hpp"

namespace ef = eigenformer;
using namespace lora_model_case;

TEST(LoraAttach, attaches_to_what_is_named_and_freezes_the_rest) {
  Model m = model();
  ef::lora::attach(m, {.rank = 2, .alpha = 4, .targets = {"query", "value"}}, ef::Random(1));
  const std::vector<std::string> expected = {"0.attention.query.default.lora_A", "0.attention.query.default.lora_B",
                                             "0.attention.value.default.lora_A", "0.attention.value.default.lora_B",
                                             "1.attention.query.default.lora_A", "1.attention.query.default.lora_B",
                                             "1.attention.value.default.lora_A", "1.attention.value.default.lora_B"};
  EXPECT_EQ(trained(m), expected);
}

TEST(LoraAttach, starts_as_the_model_that_it_adapts) {
  Model m = model();
  const ef::Stack<LayerWith<ef::Linear<float>>> plain({layer<ef::Linear<float>>(3), layer<ef::Linear<float>>(5)});
  const auto x = input();
  const auto before = m(x, ef::Causal{});
  EXPECT_TRUE(support::bit_equal(before, plain(x, ef::Causal{})));
  ef::lora::attach(m, {.rank = 2}, ef::Random(1));
  EXPECT_TRUE(support::bit_equal(m(x, ef::Causal{}), before));
  EXPECT_EQ(trained(m).size(), 2U * 6U * 2U);
  m.layers[0].attention.query.remove("default");  // names of a base are those of the plain model
  std::vector<std::string> names;
  m.layers[0].attention.query.visit_parameters([&](const ef::Name& name, const auto&) { names.push_back(name.str()); });
  EXPECT_EQ(names, (std::vector<std::string>{"weight", "bias"}));
}

TEST(LoraAttach, takes_rank_and_alpha_from_the_longest_target_in_any_order) {
  std::vector<ef::lora::TargetOptions> exceptions = {{.target = "value", .rank = 3},
                                                     {.target = "1.attention.value", .rank = 4, .alpha = 5},
                                                     {.target = "key", .alpha = 7}};
  std::sort(exceptions.begin(), exceptions.end(), [](const auto& a, const auto& b) { return a.target < b.target; });
  int orders = 0;
  do {
    Model m = model();
    ef::lora::attach(m, {.rank = 2, .alpha = 4, .exceptions = exceptions}, ef::Random(1));
    const auto options = [](const auto& projection) { return projection.adapter("default").options; };
    EXPECT_EQ(options(m.layers[0].attention.value).rank, 3);
    EXPECT_EQ(options(m.layers[0].attention.value).alpha, 4);
    EXPECT_EQ(options(m.layers[1].attention.value).rank, 4);
    EXPECT_EQ(options(m.layers[1].attention.value).alpha, 5);
    EXPECT_EQ(options(m.layers[1].attention.key).alpha, 7);
    EXPECT_EQ(options(m.layers[1].feed_forward.up).rank, 2);
    ++orders;
  } while (std::next_permutation(exceptions.begin(), exceptions.end(),
                                 [](const auto& a, const auto& b) { return a.target < b.target; }));
  EXPECT_EQ(orders, 6);
}

TEST(LoraAttach, refuses_what_matches_nothing_and_changes_nothing) {
  Model m = model();
  EXPECT_EQ(message<ef::OptionError>([&] {
              ef::lora::attach(m, {.rank = 2, .targets = {"query", "uery", "gate", ""}}, ef::Random(1));
            }),
            "lora::attach: no layer that can carry an adapter matches \"uery\", \"gate\", \"\"");
  EXPECT_EQ(message<ef::OptionError>([&] {
              ef::lora::attach(m, {.rank = 2, .targets = {"query"}, .exceptions = {{.target = "value", .rank = 3}}},
                               ef::Random(1));
            }),
            "lora::attach: no layer that can carry an adapter matches \"value\"");
  EXPECT_THROW(ef::lora::attach(m, {.rank = 15, .targets = {"up", "query"}}, ef::Random(1)), ef::OptionError);
  EXPECT_THROW(ef::lora::parameters(m), ef::ValueError);
  EXPECT_THROW(ef::lora::merge(m), ef::ValueError);
  EXPECT_THROW(ef::lora::unmerge(m), ef::ValueError);
  auto plain = layer<ef::Linear<float>>(3);
  EXPECT_THROW(ef::lora::attach(plain, {.rank = 2}, ef::Random(1)), ef::OptionError);
  EXPECT_EQ(ef::lora::trainable_share(m).percent(), 100) << "nothing was frozen";
}

TEST(LoraAttach, starts_from_the_random_numbers_given) {
  const auto start = [](auto... random) {
    Model m = model();
    ef::lora::attach(m, {.rank = 2, .targets = {"query"}}, std::move(random)...);
    return ef::Matrix<float>(m.layers[1].attention.query.adapter("default").a.value);
  };
  EXPECT_TRUE(support::bit_equal(start(ef::Random(5)), start(ef::Random(5))));
  EXPECT_FALSE(support::bit_equal(start(ef::Random(5)), start(ef::Random(6))));
  EXPECT_TRUE(support::bit_equal(start(), start())) << "the same in every run if none are given";
}

TEST(LoraAttach, trains_the_biases_chosen) {
  Model none = model(), layers = model(), all = model();
  ef::lora::attach(none, {.rank = 2, .targets = {"query"}}, ef::Random(1));
  ef::lora::attach(layers, {.rank = 2, .biases = ef::lora::LayerBiases{}, .targets = {"query"}}, ef::Random(1));
  ef::lora::attach(all, {.rank = 2, .biases = ef::lora::AllBiases{}, .targets = {"query"}}, ef::Random(1));
  const std::vector<std::string> adapters = trained(none);
  ASSERT_EQ(adapters.size(), 4U);
  const auto biases = [&](const Model& of) {
    std::string names;
    for (const std::string& name : trained(of)) {
      if (std::find(adapters.begin(), adapters.end(), name) == adapters.end()) names += name + ' ';
    }
    return names;
  };
  EXPECT_EQ(biases(none), "");
  EXPECT_EQ(biases(layers), "0.attention.query.bias 1.attention.query.bias ");
  std::string every;
  ef::visit_learnable(all, [&](const ef::Name& name, const auto&) {
    if (name.str().ends_with(".bias")) every += name.str() + ' ';
  });
  EXPECT_EQ(biases(all), every);
  EXPECT_NE(every.find("0.attention_norm.bias "), std::string::npos);

  // Their gradients are those that the whole model has, and no weight has one.
  Model whole = model();
  const auto gradients = [](Model& of) {
    const ef::Tensor<float, 3> x = input();
    ef::Tensor<float, 3> y = x, dx = x;
    ef::Context context;
    Model::Cache cache;
    of.forward(x, y, ef::Causal{}, context, &cache);
    of.backward(x, cache, dx, context);
  };
  gradients(whole);
  gradients(layers);
  const auto& learned = layers.layers[0].attention.query.base;
  EXPECT_TRUE(support::bit_equal(learned.bias->gradient, whole.layers[0].attention.query.base.bias->gradient));
  EXPECT_EQ(learned.weight.gradient.size(), 0);
  EXPECT_EQ(layers.layers[0].attention.key.base.bias->gradient.size(), 0);
}
