// SPDX-License-Identifier: MIT

#include <eigenformer/io/peft_config.hpp>

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace {

using namespace eigenformer;

TEST(PeftConfig, names_are_ends_of_names_in_whole_parts) {
  std::vector<std::string> ends;
  detail::any_end_of("a.bc.d", [&](std::string_view end) {
    ends.emplace_back(end);
    return false;
  });
  EXPECT_EQ(ends, (std::vector<std::string>{"a.bc.d", "bc.d", "d"}));
  EXPECT_TRUE(detail::any_end_of("a.b", [](std::string_view end) { return end == "b"; }));
  EXPECT_FALSE(detail::any_end_of("", [](std::string_view end) { return end == "b"; }));

  const PeftLoraConfig config = {.targets = {"q_proj", "1.self_attn.v_proj"},
                                 .excluded = {"layers.3.self_attn.q_proj"}};
  EXPECT_TRUE(config.adapts("q_proj"));
  EXPECT_TRUE(config.adapts("model.layers.0.self_attn.q_proj"));
  EXPECT_TRUE(config.adapts("layers.1.self_attn.v_proj"));
  EXPECT_FALSE(config.adapts("layers.11.self_attn.v_proj"));
  EXPECT_FALSE(config.adapts("layers.1.self_attn.k_proj"));
  EXPECT_FALSE(config.adapts("eq_proj"));
  EXPECT_FALSE(config.adapts("q_proj.inner"));
  EXPECT_FALSE(config.adapts("model.layers.3.self_attn.q_proj"));
  EXPECT_TRUE(config.adapts("layers.13.self_attn.q_proj"));
  EXPECT_TRUE(PeftLoraConfig().adapts("anything")) << "all-linear";
}

TEST(PeftConfig, exceptions_are_the_same_in_any_order_and_may_mean_a_whole_name) {
  const PeftLoraConfig config = {
      .rank = 8, .alpha = 16, .ranks = {{"v_proj", 2}, {"^layers.0.q_proj", 5}}, .alphas = {{"0.q_proj", 3.5}}};
  EXPECT_EQ(config.rank_of("layers.7.v_proj"), 2);
  EXPECT_EQ(config.rank_of("layers.0.q_proj"), 5);
  EXPECT_EQ(config.rank_of("decoder.layers.0.q_proj"), 8);
  EXPECT_EQ(config.alpha_of("decoder.layers.0.q_proj"), 3.5);
  EXPECT_EQ(config.alpha_of("decoder.layers.10.q_proj"), 16);
  EXPECT_EQ(config.alpha_of("v_proj"), 16);
}

}  // namespace
