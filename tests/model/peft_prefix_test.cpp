// SPDX-License-Identifier: MIT

#include <eigenformer/adapter/named_prefixes.hpp>
#include <eigenformer/adapter/prefix_mlp.hpp>
#include <eigenformer/adapter/prefixes_of.hpp>
#include <eigenformer/io/safetensors.hpp>
#include <eigenformer/model/peft_prefix.hpp>

#include "adapter/prefix_case.hpp"
#include "model/peft_case.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace {

namespace ef = eigenformer;
namespace peft = ef::peft::detail;
using ef::Index;
using prefix_test::GoldenLayer;

/// Two attentions of 3 heads, of which pairs and more share keys and values of 2 heads of 5 features.
struct Model : ef::Block<Model> {
  using Scalar = float;
  using Attention = ef::Prefixed<ef::GroupedQueryAttention<float>>;
  explicit Model(Index kv_heads = 2, Index value_dim = 5)
      : layers{Attention({.dim = 7, .heads = 6, .kv_heads = kv_heads, .head_dim = 5, .value_dim = value_dim},
                         ef::Random(1)),
               Attention({.dim = 7, .heads = 6, .kv_heads = kv_heads, .head_dim = 5, .value_dim = value_dim},
                         ef::Random(2))} {}

  static void members(auto& self, auto&& visit) { visit("layers", self.layers); }

  std::vector<Attention> layers;
};

std::string load(const peft_case::Folder& folder, auto& model, const ef::PeftPrefixConfig& config,
                 const ef::peft::LoadOptions& options = {}) {
  folder.write_tensors();
  std::string list;
  const ef::Result<void> done =
      peft::load_prefixes(ef::SafetensorsFile(folder.file("adapter_model.safetensors")), config, model, options, list);
  return done ? "loaded" : list.empty() ? std::string(done.fault().reason.view()) : list;
}
peft_case::Folder rows(const ef::Shape& shape) {
  peft_case::Folder folder({});
  folder.set("prompt_embeddings", shape);
  return folder;
}

// Position by position k_1 v_1 k_2 v_2, head by head.
TEST(PeftPrefix, keys_and_values_of_all_layers_are_one_row_for_each_position) {
  Model model;
  const peft_case::Folder folder = rows({3, 40});
  ASSERT_EQ(load(folder, model, {3, 2, 2, 10}), "loaded");
  const auto& values = folder.tensors.at("prompt_embeddings").second;
  for (Index n = 0; n < 3; ++n) {
    for (Index layer = 0; layer < 2; ++layer) {
      const ef::Prefix<float>& prefix = model.layers[static_cast<std::size_t>(layer)].prefix;
      ASSERT_EQ(prefix.length(), 3);
      for (Index h = 0; h < 2; ++h) {
        for (Index d = 0; d < 5; ++d) {
          const auto at = static_cast<std::size_t>(n * 40 + layer * 20 + h * 5 + d);
          EXPECT_EQ(prefix.keys.value(n, h, d), values[at]);
          EXPECT_EQ(prefix.values.value(n, h, d), values[at + 10]);
        }
      }
    }
  }
  int trained = 0;
  ef::visit_learnable(model, [&](const ef::Name& name, const auto& parameter) {
    trained += parameter.trainable;
    EXPECT_EQ(parameter.trainable, name.str().find(".prefix.") != std::string::npos);
  });
  EXPECT_EQ(trained, 4);

  ef::PeftPrefixConfig config;
  std::string problems;
  const ef::Matrix<float> again = peft::prefix_rows(std::as_const(model), config, problems);
  EXPECT_EQ(problems, "");
  EXPECT_TRUE(std::equal(values.begin(), values.end(), again.data(), again.data() + again.size()));
  EXPECT_EQ(config.virtual_tokens, 3);
  EXPECT_EQ(config.layers, 2);
  EXPECT_EQ(config.kv_heads, 2);
  EXPECT_EQ(config.features, 10);
}

// One file after the other, each set aside by a name.
TEST(PeftPrefix, those_with_names_stay_as_they_are) {
  Model model;
  ASSERT_EQ(load(rows({3, 40}), model, {3, 2, 2, 10}), "loaded");
  const ef::Tensor<float, 3> first = model.layers[1].prefix.keys.value;
  ef::name_prefixes(model, "first");
  ASSERT_EQ(load(rows({4, 40}), model, {4, 2, 2, 10}), "loaded");
  EXPECT_EQ(model.layers[1].prefix.length(), 4);
  EXPECT_TRUE(support::bit_equal(model.layers[1].named.find("first")->keys.value, first));
  ef::PeftPrefixConfig config;
  std::string problems;
  EXPECT_EQ(peft::prefix_rows(model, config, problems).rows(), 4);
  EXPECT_EQ(problems, "");
  EXPECT_EQ(config.layers, 2);
}

TEST(PeftPrefix, what_a_file_leaves_out_the_model_knows) {
  Model model;
  EXPECT_EQ(load(rows({3, 40}), model, {.virtual_tokens = 3}), "loaded");
  EXPECT_EQ(load(rows({4, 40}), model, {.virtual_tokens = 4}), "loaded") << "another length";
  EXPECT_EQ(model.layers[1].prefix.length(), 4);
}

TEST(PeftPrefix, one_error_lists_all_that_does_not_fit_and_changes_nothing) {
  Model model;
  ASSERT_EQ(load(rows({3, 40}), model, {3, 2, 2, 10}), "loaded");
  const auto before = peft_case::values_of(model);
  peft_case::Folder folder = rows({4, 60});
  folder.set("prompt_embeddings.weight", {1});
  EXPECT_EQ(load(folder, model, {3, 3, 4, 12}),
            "\n  layers.0.prefix: expected num_attention_heads 2, got 4"
            "\n  layers.0.prefix: expected token_dim 10, got 12"
            "\n  layers.1.prefix: expected num_attention_heads 2, got 4"
            "\n  layers.1.prefix: expected token_dim 10, got 12"
            "\n  expected num_layers 2, got 3"
            "\n  not in the model: prompt_embeddings.weight of shape [1]"
            "\n  wrong shape: prompt_embeddings: expected [3, 40], got [4, 60]");
  folder = rows({3, 40});
  folder.tensors["prompt_embeddings"].second[7] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(load(folder, model, {3, 2, 2, 10}), "expected finite values only");
  EXPECT_EQ(peft_case::values_of(model), before);
  EXPECT_EQ(load(folder, model, {3, 2, 2, 10}, {.read = {.finite = ef::Finite::unchecked}}), "loaded");
  folder.tensors.clear();
  EXPECT_EQ(load(folder, model, {.virtual_tokens = 3}), "\n  missing: prompt_embeddings of shape [3, 40]");
  peft_case::Model<float> without;
  EXPECT_EQ(load(rows({3, 40}), without, {3, 2, 2, 10}),
            "\n  the model has no attention with a prefix"
            "\n  not in the model: prompt_embeddings of shape [3, 40]");
}

TEST(PeftPrefix, lists_what_a_file_cannot_say) {
  const auto problems = [](const auto& model) {
    ef::PeftPrefixConfig config;
    std::string list;
    EXPECT_EQ(peft::prefix_rows(model, config, list).size(), 0);
    return list;
  };
  Model model;
  EXPECT_EQ(problems(model), "\n  its prefixes have no positions");
  model.layers[0].prefix = model.layers[0].own_prefix(3, ef::Random(1));
  EXPECT_EQ(problems(model),
            "\n  layers.1.prefix: expected all keys and values of shape [3, 2, 5], got [0, 2, 5]"
            "\n  layers.1.prefix: expected all keys and values of shape [3, 2, 5], got [0, 2, 5]");
  EXPECT_EQ(problems(peft_case::Model<float>()), "\n  the model has no attention with a prefix");
  Model wide(2, 6);
  wide.layers.pop_back();
  wide.layers[0].prefix = wide.layers[0].own_prefix(3, ef::Random(1));
  EXPECT_EQ(problems(wide), "\n  layers.0.prefix: expected all keys and values of shape [3, 2, 5], got [3, 2, 6]");
}

/// The two layers of a golden case as one model.
struct Golden : ef::Block<Golden> {
  using Scalar = double;
  explicit Golden(const support::Golden& golden) : first(golden, 0), second(golden, 1) {}
  static void members(auto& self, auto&& visit) {
    visit("0", self.first.attention);
    visit("1", self.second.attention);
  }
  GoldenLayer first, second;
};

TEST(PeftPrefix, gives_what_peft_gives) {
  const support::Golden direct("prefix_direct");
  Golden model(direct);
  peft_case::Folder folder({});
  folder.tensors["prompt_embeddings"] = {direct.shape("embedding.weight"), direct.values<float>("embedding.weight")};
  ASSERT_EQ(load(folder, model, {5, 2, 3, 24}), "loaded");
  model.first.expect_golden();
  model.second.expect_golden();

  // With a projection, PEFT's file has what it makes of the vectors.
  const support::Golden projected("prefix_mlp_2layers");
  const ef::PrefixMlp<double> mlp(
      projected.matrix<double>("embedding.weight"),
      ef::Linear<double>(projected.matrix<double>("transform.0.weight"), projected.vector<double>("transform.0.bias")),
      ef::Linear<double>(projected.matrix<double>("transform.2.weight"), projected.vector<double>("transform.2.bias")));
  Golden folded(projected);
  ef::Matrix<double> made(6, 128);
  ef::Context context;
  mlp.forward(made, context);
  ef::SafetensorsWriter writer;
  writer.add("prompt_embeddings", {6, 128}, std::span<const double>(made.data(), 768));
  writer.write(folder.file("double"));
  std::string list;
  ASSERT_TRUE(peft::load_prefixes(ef::SafetensorsFile(folder.file("double")), {6, 2, 4, 32}, folded, {}, list)) << list;
  folded.first.expect_golden();
  folded.second.expect_golden();
}

}  // namespace
