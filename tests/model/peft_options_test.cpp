// SPDX-License-Identifier: MIT

#include <eigenformer/model/llama_parameters.hpp>
#include <eigenformer/model/peft_options.hpp>

#include <gtest/gtest.h>

namespace {

namespace ef = eigenformer;
using ef::peft::detail::module_name;

TEST(PeftOptions, a_module_is_called_as_its_weight_without_the_ending) {
  EXPECT_EQ(module_name({}, "layers.0.attention.query"), "layers.0.attention.query");
  EXPECT_EQ(module_name({.prefix = "model."}, "norm"), "model.norm");
  const ef::ParameterNames llama = {.prefix = {}, .table = ef::llama_names};
  EXPECT_EQ(module_name(llama, "layers.31.attention.query"), "model.layers.31.self_attn.q_proj");
  EXPECT_EQ(module_name(llama, "layers.0.feed_forward.down"), "model.layers.0.mlp.down_proj");
  EXPECT_EQ(module_name(llama, "embedding"), "model.embed_tokens");
  EXPECT_EQ(module_name(llama, "output"), "lm_head");
  EXPECT_EQ(module_name(llama, "layers.0.attention.other"), std::nullopt);
  EXPECT_EQ(module_name({}, ""), std::nullopt) << "a model that is one Lora has no name for it";
}

TEST(PeftOptions, lines_show_names_escaped) {
  std::string lines = "x";
  ef::peft::detail::add_line(lines, "a\n\"b\"", "what");
  EXPECT_EQ(lines, "x\n  a\\x0a\\x22b\\x22: what");
}

TEST(PeftOptions, adapters_are_finite_and_inside_their_folder_by_default) {
  const ef::peft::LoadOptions options;
  EXPECT_EQ(options.name, "default");
  EXPECT_EQ(options.read.finite, ef::Finite::required);
  EXPECT_EQ(options.read.narrowing, ef::Narrowing::exact);
  EXPECT_EQ(options.links, ef::SymbolicLinks::inside);
}

}  // namespace
