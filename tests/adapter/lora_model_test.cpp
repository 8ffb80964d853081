// SPDX-License-Identifier: MIT

#include <eigenformer/adapter/lora_model.hpp>

#include <gtest/gtest.h>

#include "adapter/lora_model_case.hpp"
#include "support/compare.hpp"

namespace ef = eigenformer;
using namespace lora_model_case;

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
