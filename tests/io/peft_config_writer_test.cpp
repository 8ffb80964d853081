// SPDX-License-Identifier: MIT

#include <eigenformer/io/peft_config_writer.hpp>

#include "support/safetensors_files.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <string>
#include <vector>

namespace {

using namespace eigenformer;

std::vector<PeftConfig> configs() {
  return {PeftLoraConfig{.targets = {"q_proj"}},
          PeftLoraConfig{},
          PeftLoraConfig{.rank = 3,
                         .alpha = 0.1,
                         .dropout = 0.05,
                         .rank_stabilized = true,
                         .learned_magnitude = true,
                         .targets = {"a \"b\"", "layers.0.q\xc3\xa9"},
                         .excluded = {"x.y"},
                         .ranks = {{"q", 2}, {"^a.b", 65536}},
                         .alphas = {{"k", 1e-300}, {"v", 1.0 / 3}}},
          PeftPrefixConfig{.virtual_tokens = 5, .layers = 2, .kv_heads = 3, .features = 21},
          PeftPrefixConfig{.virtual_tokens = 5},
          PeftPromptConfig{.virtual_tokens = 7, .features = 11}};
}

TEST(PeftConfigWriter, what_is_written_is_read_back) {
  const support::TemporaryDirectory directory;
  const PeftDescription description = {.base_model = "a/\"b\"", .task = "CAUSAL_LM"};
  for (const PeftConfig& config : configs()) {
    write_peft_config(directory / "c.json", config, description);
    const PeftConfig read = read_peft_config(directory / "c.json");
    EXPECT_EQ(read.index(), config.index());
    EXPECT_EQ(peft_config_text(read), peft_config_text(config));
  }
  const auto third =
      std::get<PeftLoraConfig>(value_or_throw(try_parse_peft_config(peft_config_text(configs()[2])), ""));
  EXPECT_EQ(third.alpha, 0.1);
  EXPECT_EQ(third.alphas.at("v"), 1.0 / 3);
  EXPECT_EQ(third.excluded, (PeftModules{"x.y"}));
}

TEST(PeftConfigWriter, writes_fields_by_pefts_names) {
  const nlohmann::json lora =
      nlohmann::json::parse(peft_config_text(configs()[2], {.base_model = "m", .task = "SEQ_CLS"}));
  const nlohmann::json expected = {{"alpha_pattern", {{"k", 1e-300}, {"v", 1.0 / 3}}},
                                   {"auto_mapping", nullptr},
                                   {"base_model_name_or_path", "m"},
                                   {"bias", "none"},
                                   {"exclude_modules", {"x.y"}},
                                   {"fan_in_fan_out", false},
                                   {"inference_mode", true},
                                   {"init_lora_weights", true},
                                   {"lora_alpha", 0.1},
                                   {"lora_dropout", 0.05},
                                   {"modules_to_save", nullptr},
                                   {"peft_type", "LORA"},
                                   {"r", 3},
                                   {"rank_pattern", {{"q", 2}, {"^a.b", 65536}}},
                                   {"revision", nullptr},
                                   {"target_modules", {"a \"b\"", "layers.0.q\xc3\xa9"}},
                                   {"task_type", "SEQ_CLS"},
                                   {"use_dora", true},
                                   {"use_rslora", true}};
  EXPECT_EQ(lora, expected);
  const nlohmann::json all = nlohmann::json::parse(peft_config_text(configs()[1]));
  EXPECT_EQ(all["target_modules"], "all-linear");
  EXPECT_FALSE(all.contains("exclude_modules"));
  EXPECT_TRUE(all["task_type"].is_null());
  EXPECT_TRUE(all["rank_pattern"].is_object());
  const nlohmann::json prefix = nlohmann::json::parse(peft_config_text(configs()[3]));
  EXPECT_EQ(prefix["peft_type"], "PREFIX_TUNING");
  EXPECT_EQ(prefix["num_virtual_tokens"], 5);
  EXPECT_EQ(prefix["num_layers"], 2);
  EXPECT_EQ(prefix["num_attention_heads"], 3);
  EXPECT_EQ(prefix["token_dim"], 21);
  EXPECT_EQ(prefix["num_transformer_submodules"], 1);
  EXPECT_EQ(prefix["prefix_projection"], false);
  const nlohmann::json prompt = nlohmann::json::parse(peft_config_text(configs()[5]));
  EXPECT_EQ(prompt["peft_type"], "PROMPT_TUNING");
  EXPECT_EQ(prompt["prompt_tuning_init"], "RANDOM");
  EXPECT_EQ(prompt["token_dim"], 11);
}

TEST(PeftConfigWriter, does_not_write_what_the_reader_would_refuse) {
  const support::TemporaryDirectory directory;
  for (const PeftConfig& config :
       {PeftConfig(PeftLoraConfig{.rank = 0, .targets = {"q"}}),
        PeftConfig(PeftLoraConfig{.alpha = 2e6, .targets = {"q"}}), PeftConfig(PeftLoraConfig{.targets = {"q\xff"}}),
        PeftConfig(PeftLoraConfig{.targets = {""}}), PeftConfig(PeftLoraConfig{.ranks = {{"q.*", 2}}}),
        PeftConfig(PeftLoraConfig{.ranks = {{"q", 2}, {"a.q", 3}}}), PeftConfig(PeftPrefixConfig{}),
        PeftConfig(PeftPromptConfig{.virtual_tokens = -1})}) {
    EXPECT_FALSE(try_write_peft_config(directory / "c.json", config));
    EXPECT_THROW(write_peft_config(directory / "c.json", config), FileError);
  }
  EXPECT_FALSE(std::filesystem::exists(directory / "c.json"));
  EXPECT_TRUE(std::filesystem::is_empty(directory.path()));
  EXPECT_FALSE(try_write_peft_config(directory / "no/such/folder", PeftLoraConfig{}));
}

}  // namespace
