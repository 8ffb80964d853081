// SPDX-License-Identifier: MIT

#include <eigenformer/adapter/lora_adapter.hpp>

#include <gtest/gtest.h>

#include <eigenformer/core/block.hpp>

namespace ef = eigenformer;

TEST(LoraAdapter, names_its_parameters_as_peft_does) {
  ef::LoraAdapter<float> adapter = {.name = "task", .options = {.rank = 4, .alpha = 6}};
  const auto names = [&] {
    std::string text;
    adapter.members(adapter, [&](std::string_view name, auto& member) {
      if constexpr (requires { member.has_value(); }) {
        if (!member) return;
      }
      text += std::string(name) + ' ';
    });
    return text;
  };
  EXPECT_EQ(names(), "lora_A lora_B ");
  adapter.magnitude.emplace(ef::Vector<float>::Ones(3));
  EXPECT_EQ(names(), "lora_A lora_B lora_magnitude_vector ");
  EXPECT_EQ(adapter.scale(), 1.5);
  adapter.options.scaling = ef::AlphaOverRootRank{};
  EXPECT_EQ(adapter.scale(), 3);
}
