// SPDX-License-Identifier: MIT

#include <eigenformer/adapter/lora_model.hpp>

#include <eigenformer/adapter/lora_embedding.hpp>
#include <eigenformer/attention/multi_head_attention.hpp>
#include <eigenformer/block/feed_forward.hpp>
#include <eigenformer/block/pre_norm.hpp>
#include <eigenformer/block/stack.hpp>
#include <eigenformer/io/checkpoint.hpp>
#include <eigenformer/norm/layer_norm.hpp>

#include <gtest/gtest.h>

#include <filesystem>
#include <sstream>

#include "adapter/lora_case.hpp"
#include "support/compare.hpp"

namespace ef = eigenformer;
using ef::Index;

namespace {

template <class Projection>
using LayerWith = ef::PreNorm<ef::LayerNorm<float>, ef::MultiHeadAttention<float, Projection>,
                              ef::FeedForward<float, ef::Gelu, Projection>>;
using Model = ef::Stack<LayerWith<ef::Lora<ef::Linear<float>>>>;

template <class Projection>
LayerWith<Projection> layer(std::uint64_t seed) {
  return LayerWith<Projection>(
      {.norm = {.dim = 14}, .attention = {.dim = 14, .heads = 2}, .feed_forward = {.dim = 14, .hidden = 23}},
      ef::Random(seed));
}
Model model() { return Model({layer<ef::Lora<ef::Linear<float>>>(3), layer<ef::Lora<ef::Linear<float>>>(5)}); }

std::vector<std::string> trained(const auto& of) {
  std::vector<std::string> names;
  ef::visit_learnable(of, [&](const ef::Name& name, const auto& parameter) {
    if (parameter.trainable) names.push_back(name.str());
  });
  return names;
}
ef::Tensor<float, 3> input() {
  support::Generator random;
  ef::Tensor<float, 3> x(2, 3, 14);
  support::fill(x, support::Distribution::normal, random);
  return x;
}
template <class M>
void randomise(M& of) {
  support::Generator random(7);
  const auto adapters = ef::lora::parameters(of);
  adapters.visit_parameters([&](const ef::Name&, auto& parameter) {
    for (float& value : parameter.values()) value = static_cast<float>(0.2 * random.normal());
  });
}
template <class Failure, class Act>
std::string message(const Act& act) {
  try {
    act();
  } catch (const Failure& error) {
    return error.what();
  }
  return "nothing";
}

}  // namespace

TEST(LoraModel, attaches_to_what_is_named_and_freezes_the_rest) {
  Model m = model();
  ef::lora::attach(m, {.rank = 2, .alpha = 4, .targets = {"query", "value"}}, ef::Random(1));
  const std::vector<std::string> expected = {"0.attention.query.default.lora_A", "0.attention.query.default.lora_B",
                                             "0.attention.value.default.lora_A", "0.attention.value.default.lora_B",
                                             "1.attention.query.default.lora_A", "1.attention.query.default.lora_B",
                                             "1.attention.value.default.lora_A", "1.attention.value.default.lora_B"};
  EXPECT_EQ(trained(m), expected);
  const ef::lora::TrainableShare share = ef::lora::trainable_share(m);
  EXPECT_EQ(share.trainable, 4 * (2 * 14 + 14 * 2));
  EXPECT_EQ(share.all, ef::parameter_count(m));
  std::ostringstream text;
  text << ef::lora::TrainableShare{294912, 124734720};
  EXPECT_EQ(text.str(), "trainable params: 294912 || all params: 124734720 || trainable%: 0.2364");
}

TEST(LoraModel, starts_as_the_model_that_it_adapts) {
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

TEST(LoraModel, takes_rank_and_alpha_from_the_longest_target_in_any_order) {
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

TEST(LoraModel, refuses_what_matches_nothing_and_changes_nothing) {
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

TEST(LoraModel, merges_all_layers_or_none) {
  Model m = model();
  ef::lora::attach(m, {.rank = 2, .targets = {"query", "up"}}, ef::Random(1));
  randomise(m);
  const auto x = input();
  const auto before = m(x, ef::Causal{});
  const ef::Matrix<float> weight = m.layers[0].attention.query.base.weight.value;
  auto& last = m.layers[1].feed_forward.up.adapter("default").b.value(3, 1);
  const float kept = last;
  last = std::bit_cast<float>(0x7fc00000U);
  EXPECT_THROW(ef::lora::merge(m), ef::ValueError);
  EXPECT_FALSE(m.layers[0].attention.query.merged());
  last = kept;
  ef::lora::merge(m);
  EXPECT_TRUE(within(support::worst_row_nmse(m(x, ef::Causal{}), before, 14), 1e-12));
  EXPECT_THROW(ef::lora::merge(m), ef::ValueError);
  EXPECT_THROW(ef::lora::remove(m, "default"), ef::ValueError);
  EXPECT_THROW(ef::lora::activate(m, {}), ef::ValueError);
  ef::lora::unmerge(m);
  EXPECT_TRUE(support::bit_equal(m.layers[0].attention.query.base.weight.value, weight));
  EXPECT_TRUE(support::bit_equal(m(x, ef::Causal{}), before));
  EXPECT_THROW(ef::lora::unmerge(m), ef::ValueError);
}

TEST(LoraModel, switches_between_adapters) {
  Model m = model();
  const auto x = input();
  const auto base = m(x, ef::Causal{});
  ef::lora::attach(m, {.rank = 2, .targets = {"query"}, .name = "first"}, ef::Random(1));
  randomise(m);
  const auto first = m(x, ef::Causal{});
  ef::lora::attach(m, {.rank = 3, .targets = {"up"}, .name = "second"}, ef::Random(1));
  EXPECT_EQ(trained(m).size(), 4U) << "the first is frozen with the rest";
  EXPECT_TRUE(support::bit_equal(m(x, ef::Causal{}), first));
  ef::lora::activate(m, {"second"});
  EXPECT_TRUE(support::bit_equal(m(x, ef::Causal{}), base));
  ef::lora::activate(m, {"second", "first"});
  EXPECT_TRUE(support::bit_equal(m(x, ef::Causal{}), first));
  EXPECT_THROW(ef::lora::activate(m, {"third"}), ef::ValueError);
  ef::lora::remove(m, "first");
  EXPECT_TRUE(support::bit_equal(m(x, ef::Causal{}), base));
  EXPECT_THROW(ef::lora::remove(m, "first"), ef::ValueError);
}

TEST(LoraModel, saves_and_loads_adapters_alone) {
  const std::string path =
      (std::filesystem::temp_directory_path() / "eigenformer_lora_model_test.safetensors").string();
  Model m = model();
  ef::lora::attach(m, {.rank = 2, .targets = {"query", "down"}, .name = "first"}, ef::Random(1));
  ef::lora::attach(m, {.rank = 3, .targets = {"up"}, .name = "second"}, ef::Random(1));
  randomise(m);
  ef::save_safetensors(path, ef::lora::parameters(std::as_const(m)));
  EXPECT_EQ(ef::SafetensorsFile(path).size(), 2U * 3U * 2U);
  Model other = model();
  ef::lora::attach(other, {.rank = 2, .targets = {"query", "down"}, .name = "first"}, ef::Random(2));
  ef::lora::attach(other, {.rank = 3, .targets = {"up"}, .name = "second"}, ef::Random(2));
  auto loaded = ef::lora::parameters(other);
  ef::load_safetensors(path, loaded);
  EXPECT_TRUE(support::bit_equal(other(input(), ef::Causal{}), m(input(), ef::Causal{})));
  ef::save_safetensors(path, ef::lora::parameters(m, "second"));
  EXPECT_EQ(ef::SafetensorsFile(path).size(), 2U * 2U);
  std::filesystem::remove(path);
}
