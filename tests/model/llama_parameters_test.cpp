// SPDX-License-Identifier: MIT

#include <eigenformer/model/llama_parameters.hpp>

#include <gtest/gtest.h>

#include <map>
#include <set>

namespace {

namespace ef = eigenformer;

std::map<std::string, std::string> shapes_of(const ef::LlamaConfig& config) {
  std::map<std::string, std::string> shapes;
  ef::for_each_llama_parameter(config, [&](const std::string& name, const ef::Shape& shape) {
    EXPECT_TRUE(shapes.emplace(name, shape.to_string()).second) << name;
  });
  return shapes;
}

TEST(LlamaParameters, each_have_one_name_in_the_table) {
  ef::LlamaConfig config;
  config.decoder = {.vocabulary = 29,
                    .dim = 42,
                    .layers = 12,
                    .heads = 3,
                    .kv_heads = 1,
                    .head_dim = 22,
                    .hidden = 53,
                    .attention_bias = true,
                    .feed_forward_bias = true};
  const ef::ParameterNames names = {.prefix = {}, .table = ef::llama_names};
  std::set<std::string> theirs;
  for (const auto& [ours, shape] : shapes_of(config)) {
    const auto name = names.in_file(ours);
    ASSERT_TRUE(name) << ours;
    EXPECT_TRUE(theirs.insert(*name).second) << *name;
  }
  EXPECT_EQ(theirs.size(), 3U + 12U * 16U);
  EXPECT_TRUE(theirs.contains("model.layers.11.self_attn.q_proj.bias"));
  EXPECT_TRUE(theirs.contains("lm_head.weight"));
}

TEST(LlamaParameters, have_the_shapes_that_the_description_implies) {
  ef::LlamaConfig config;
  config.decoder = {.vocabulary = 29, .dim = 42, .heads = 3, .kv_heads = 1, .head_dim = 22, .hidden = 53};
  auto shapes = shapes_of(config);
  EXPECT_EQ(shapes.size(), 12U);
  EXPECT_EQ(shapes["output.weight"], "[29, 42]");
  EXPECT_EQ(shapes["layers.0.attention.query.weight"], "[66, 42]");
  EXPECT_EQ(shapes["layers.0.attention.output.weight"], "[42, 66]");
  EXPECT_EQ(shapes["layers.0.feed_forward.down.weight"], "[42, 53]");
  config.output = ef::OutputWeights::tied;
  config.decoder.feed_forward_bias = true;
  shapes = shapes_of(config);
  EXPECT_EQ(shapes.size(), 14U);
  EXPECT_EQ(shapes["layers.0.feed_forward.up.bias"], "[53]");
  EXPECT_EQ(shapes["layers.0.feed_forward.down.bias"], "[42]");
}

}  // namespace
