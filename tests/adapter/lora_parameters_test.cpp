// SPDX-License-Identifier: MIT

#include <eigenformer/adapter/lora_parameters.hpp>

#include <eigenformer/io/checkpoint.hpp>

#include <filesystem>
#include <sstream>

#include <gtest/gtest.h>

#include "adapter/lora_model_case.hpp"
#include "support/compare.hpp"

namespace ef = eigenformer;
using namespace lora_model_case;

TEST(LoraParameters, saves_and_loads_adapters_alone) {
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

TEST(LoraParameters, are_counted_as_peft_counts_them) {
  Model m = model();
  ef::lora::attach(m, {.rank = 2, .targets = {"query", "value"}}, ef::Random(1));
  const ef::lora::TrainableShare share = ef::lora::trainable_share(m);
  EXPECT_EQ(share.trainable, 4 * (2 * 14 + 14 * 2));
  EXPECT_EQ(share.all, ef::parameter_count(m));
  std::ostringstream text;
  text << ef::lora::TrainableShare{294912, 124734720};
  EXPECT_EQ(text.str(), "trainable params: 294912 || all params: 124734720 || trainable%: 0.2364");
}

TEST(LoraParameters, take_trained_biases_along) {
  Model m = model();
  ef::lora::attach(m, {.rank = 2, .biases = ef::lora::AllBiases{}, .targets = {"query"}}, ef::Random(1));
  const auto names = [](const auto& of) {
    std::vector<std::string> all;
    of.visit_parameters([&](const ef::Name& name, const auto&) { all.push_back(name.str()); });
    std::sort(all.begin(), all.end());
    return all;
  };
  std::vector<std::string> expected = trained(m);
  std::sort(expected.begin(), expected.end());
  EXPECT_EQ(names(ef::lora::parameters(m)), expected);
  EXPECT_EQ(names(ef::lora::parameters(std::as_const(m), "default")), expected);
}

// What is merged is saved for a program that knows of no adapters, and read by it.
TEST(LoraParameters, of_the_base_are_those_of_a_model_without_adapters) {
  const std::string path =
      (std::filesystem::temp_directory_path() / "eigenformer_lora_base_parameters_test.safetensors").string();
  Model m = model();
  ef::lora::attach(m, {.rank = 2}, ef::Random(1));
  randomise(m);
  ef::lora::merge(m);
  ef::save_safetensors(path, ef::lora::base_parameters(std::as_const(m)));
  ef::Stack<LayerWith<ef::Linear<float>>> plain({layer<ef::Linear<float>>(7), layer<ef::Linear<float>>(9)});
  ef::load_safetensors(path, plain);
  EXPECT_TRUE(support::bit_equal(plain(input(), ef::Causal{}), m(input(), ef::Causal{})));
  // And back into a model that carries adapters.
  Model other = model();
  ef::lora::attach(other, {.rank = 3}, ef::Random(1));
  auto base = ef::lora::base_parameters(other);
  ef::load_safetensors(path, base);
  ef::lora::activate(other, {});
  EXPECT_TRUE(support::bit_equal(other(input(), ef::Causal{}), plain(input(), ef::Causal{})));
  std::filesystem::remove(path);
}
