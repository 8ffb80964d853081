// SPDX-License-Identifier: MIT

#include <eigenformer/adapter/lora_adapters.hpp>

#include <gtest/gtest.h>

#include "adapter/lora_case.hpp"
#include "support/compare.hpp"
#include "support/tolerances.hpp"

namespace ef = eigenformer;
using ef::AdapterState;
using ef::Index;

namespace {

template <class Storage>
class LoraAdaptersOver : public testing::Test {};
using Storages = testing::Types<float, ef::Bfloat16, ef::Float16>;
TYPED_TEST_SUITE(LoraAdaptersOver, Storages);

template <class Storage = float>
using Layer = ef::Lora<ef::Linear<float, Storage>>;

template <class Storage = float>
Layer<Storage> layer_of(int adapters, support::Generator& random) {
  Layer<Storage> layer({.in_features = 7, .out_features = 5}, ef::Random(3));
  for (int i = 0; i < adapters; ++i) {
    ef::LoraOptions options = {.rank = 1 + i % 5, .alpha = 1.0 + i};
    if (i % 3 == 1) options.scaling = ef::AlphaOverRootRank{};
    if (i % 3 == 2) options.magnitude.emplace();
    lora_case::add(layer, "adapter" + std::to_string(i), options, random);
  }
  return layer;
}
template <class Storage>
std::string bits(const ef::Matrix<Storage>& weight) {
  return {reinterpret_cast<const char*>(weight.data()), static_cast<std::size_t>(weight.size()) * sizeof(Storage)};
}

}  // namespace

TYPED_TEST(LoraAdaptersOver, leave_the_base_as_it_was_after_ten_thousand_merges) {
  support::Generator random;
  Layer<TypeParam> layer = layer_of<TypeParam>(16, random);
  const Layer<TypeParam> start = layer;
  const std::string before = bits(layer.base.weight.value);
  int merges = 0;
  while (merges < 10000) {
    const std::string name = "adapter" + std::to_string(random.integer(16));
    if (layer.state(name) == AdapterState::merged) {
      layer.unmerge(name);
    } else {
      layer.merge(name);
      ++merges;
    }
    if (merges % 100 != 0) continue;
    Layer<TypeParam> other = start;  // merged once each, in the reverse order
    for (std::size_t i = 16; i-- > 0;) {
      const std::string& merged = layer.adapter(i).name;
      if (layer.state(merged) == AdapterState::merged) other.merge(merged);
    }
    ASSERT_EQ(bits(layer.base.weight.value), bits(other.base.weight.value)) << "the way to here shows";
  }
  if (layer.merged()) layer.unmerge();
  EXPECT_EQ(bits(layer.base.weight.value), before);
}

TYPED_TEST(LoraAdaptersOver, merge_what_the_reference_merges_rounded_once) {
  support::Generator random;
  Layer<TypeParam> layer = layer_of<TypeParam>(3, random);
  ef::Matrix<float> start(5, 7);
  for (Index i = 0; i < start.size(); ++i) start.data()[i] = ef::widened<float>(layer.base.weight.value.data()[i]);
  layer.set_adapter_weight("adapter1", -0.5);
  reference::Array<double> expected = lora_case::wide(start);
  for (std::size_t i = 0; i < 3; ++i) {
    const auto& adapter = layer.adapter(i);
    const auto one = lora_case::adapted(start, adapter, layer.adapter_weight(adapter.name));
    for (long j = 0; j < one.size(); ++j) expected.data()[j] += one.data()[j] - static_cast<double>(start.data()[j]);
  }
  layer.merge();
  ef::Matrix<float> merged(5, 7);
  for (Index i = 0; i < merged.size(); ++i) merged.data()[i] = ef::widened<float>(layer.base.weight.value.data()[i]);
  const double rounding = sizeof(TypeParam) == 4 ? 0 : std::is_same_v<TypeParam, ef::Bfloat16> ? 0x1p-8 : 0x1p-11;
  EXPECT_TRUE(within(support::mixed_error(merged, expected, 2e-6, rounding), 1));
}

TEST(LoraAdapters, follow_a_simple_model_through_random_steps) {
  struct Modelled {
    std::string name;
    AdapterState state;
  };
  support::Generator random;
  Layer<> layer({.in_features = 7, .out_features = 5}, ef::Random(3));
  const std::string before = bits(layer.base.weight.value);
  const float* const memory = layer.base.weight.value.data();
  std::vector<Modelled> model;
  int refused = 0;
  for (int step = 0; step < 100000; ++step) {
    const std::string name = "adapter" + std::to_string(random.integer(6));
    const auto there = std::find_if(model.begin(), model.end(), [&](const Modelled& m) { return m.name == name; });
    const bool known = there != model.end();
    const auto is = [&](AdapterState state) { return known && there->state == state; };
    const auto any = [&](AdapterState state) {
      return std::any_of(model.begin(), model.end(), [&](const Modelled& m) { return m.state == state; });
    };
    const auto others_merged = [&] {
      return std::any_of(model.begin(), model.end(),
                         [&](const Modelled& m) { return m.name != name && m.state == AdapterState::merged; });
    };
    bool allowed = false;
    const std::string weight = bits(layer.base.weight.value);
    try {
      switch (random.integer(9)) {
        case 0:
        case 1:
          allowed = !known;
          lora_case::add(layer, name, {.rank = 2, .alpha = 3}, random);
          model.push_back({name, AdapterState::active});
          break;
        case 2:
          allowed = known && !is(AdapterState::merged);
          layer.remove(name);
          model.erase(there);
          break;
        case 3:
          allowed = is(AdapterState::active);
          layer.merge(name);
          there->state = AdapterState::merged;
          break;
        case 4:
          allowed = is(AdapterState::merged);
          layer.unmerge(name);
          there->state = AdapterState::active;
          break;
        case 5:
          allowed = any(AdapterState::active);
          layer.merge();
          for (Modelled& m : model) {
            if (m.state == AdapterState::active) m.state = AdapterState::merged;
          }
          break;
        case 6:
          allowed = any(AdapterState::merged);
          layer.unmerge();
          for (Modelled& m : model) {
            if (m.state == AdapterState::merged) m.state = AdapterState::active;
          }
          break;
        case 7:
          allowed = known && !is(AdapterState::merged);
          layer.set_adapter_weight(name, random.uniform(-1, 1));
          break;
        default:
          allowed = known && !others_merged();
          layer.activate({name});
          for (Modelled& m : model) {
            if (m.state != AdapterState::merged) m.state = m.name == name ? AdapterState::active : AdapterState::idle;
          }
      }
      ASSERT_TRUE(allowed) << "step " << step;
    } catch (const ef::ValueError&) {
      ASSERT_FALSE(allowed) << "step " << step;
      ASSERT_EQ(bits(layer.base.weight.value), weight) << "what was refused wrote, in step " << step;
      ++refused;
    }
    ASSERT_EQ(layer.adapter_count(), model.size());
    for (std::size_t i = 0; i < model.size(); ++i) {
      ASSERT_EQ(layer.adapter(i).name, model[i].name) << "step " << step;
      ASSERT_EQ(layer.state(model[i].name), model[i].state) << "step " << step;
    }
    ASSERT_EQ(layer.merged(), any(AdapterState::merged)) << "step " << step;
    ASSERT_EQ(bits(layer.base.weight.value) == before, !layer.merged()) << "step " << step;
    ASSERT_EQ(layer.base.weight.value.data() == memory, !layer.merged()) << "the base moved in step " << step;
  }
  EXPECT_GT(refused, 10000);
  EXPECT_LT(refused, 90000);
}

TEST(LoraAdapters, refuse_numbers_that_are_not_finite_and_leave_the_base_alone) {
  support::Generator random;
  const float infinite = std::bit_cast<float>(0x7f800000U);
  const float none = std::bit_cast<float>(0x7fc00000U);
  for (const float value : {infinite, -infinite, none}) {
    for (const int place : {0, 1, 2}) {
      Layer<> layer = layer_of(3, random);
      layer.merge("adapter0");
      const std::string before = bits(layer.base.weight.value);
      auto& adapter = layer.adapter("adapter2");
      if (place == 0) adapter.a.value(1, 3) = value;
      if (place == 1) adapter.b.value(4, 1) = value;
      if (place == 2) adapter.magnitude->value[2] = value;
      EXPECT_THROW(layer.merge("adapter2"), ef::ValueError);
      EXPECT_THROW(layer.merge(), ef::ValueError);
      EXPECT_THROW(layer.check_merge(), ef::ValueError);
      EXPECT_EQ(bits(layer.base.weight.value), before);
      EXPECT_EQ(layer.state("adapter1"), AdapterState::active);
    }
  }
  Layer<ef::Float16> narrow({.in_features = 7, .out_features = 5}, ef::Random(3));
  lora_case::add(narrow, "large", {.rank = 1, .alpha = 1}, random);
  narrow.adapter("large").b.value.setConstant(3e5F);
  narrow.adapter("large").a.value.setOnes();
  const std::string before = bits(narrow.base.weight.value);
  EXPECT_THROW(narrow.merge(), ef::ValueError) << "beyond the largest number of float16";
  EXPECT_EQ(bits(narrow.base.weight.value), before);
}

TEST(LoraAdapters, say_what_is_wrong) {
  support::Generator random;
  Layer<> layer = layer_of(2, random);
  const auto message = [&](const auto& act) -> std::string {
    try {
      act();
    } catch (const ef::Error& error) {
      return error.what();
    }
    return "nothing";
  };
  EXPECT_EQ(message([&] { layer.merge("other"); }), "Lora: there is no adapter \"other\"");
  EXPECT_EQ(message([&] { layer.unmerge(); }), "Lora: no adapter is merged");
  EXPECT_EQ(message([&] { layer.unmerge("adapter0"); }), "Lora: adapter \"adapter0\" is not merged");
  layer.merge("adapter0");
  EXPECT_EQ(message([&] { layer.merge("adapter0"); }),
            "Lora: adapter \"adapter0\" is merged and cannot be merged before it is unmerged");
  EXPECT_EQ(message([&] { layer.set_adapter_weight("adapter0", 2); }),
            "Lora: adapter \"adapter0\" is merged and cannot be weighted before it is unmerged");
  layer.unmerge();
  layer.activate({});
  EXPECT_EQ(message([&] { layer.merge("adapter1"); }), "Lora: adapter \"adapter1\" is idle and cannot be merged");
  EXPECT_EQ(message([&] { layer.merge(); }), "Lora: there is no active adapter to merge");
  EXPECT_EQ(message([&] { layer.add("adapter1", {.rank = 2}, ef::Random(1)); }),
            "Lora: there is an adapter \"adapter1\" already");
  EXPECT_EQ(message([&] { layer.add("a.b", {.rank = 2}, ef::Random(1)); }),
            "Lora: expected a name of an adapter without dots, got \"a.b\"");
  EXPECT_THROW(layer.set_adapter_weight("adapter1", std::bit_cast<double>(std::uint64_t{0x7ff0000000000000})),
               ef::ValueError);
}
