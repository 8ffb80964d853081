// SPDX-License-Identifier: MIT

#include <eigenformer/io/peft_config_reader.hpp>
#include <eigenformer/linear/bit_linear.hpp>
#include <eigenformer/model/peft_lora_loader.hpp>

#include "model/peft_case.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace {

namespace ef = eigenformer;
using ef::Index;
using Model = peft_case::Model<float>;
using peft_case::Folder;
using peft_case::lora_folder;

/// What a model says of a folder's tensors: the list of what does not fit, the reason if the list is empty, or "loaded".
template <class M>
std::string load(const Folder& folder, M& model, const ef::peft::LoadOptions& options = {}) {
  folder.write();
  const ef::SafetensorsFile file(folder.file("adapter_model.safetensors"));
  const auto config = ef::read_peft_config(folder.file("adapter_config.json"));
  std::string list;
  const ef::Result<void> done =
      ef::peft::detail::LoraLoader(file, std::get<ef::PeftLoraConfig>(config), model, options).load(list);
  return done ? "loaded" : list.empty() ? std::string(done.fault().reason.view()) : list;
}
std::string load(const Folder& folder) {
  Model model;
  return load(folder, model);
}

std::vector<std::string> trained(const Model& model) {
  std::vector<std::string> names;
  ef::visit_learnable(model, [&](const ef::Name& name, const auto& parameter) {
    if (parameter.trainable) names.push_back(name.str());
  });
  return names;
}
/// That nothing of the model is another than before.
void expect_untouched(const Folder& folder, const ef::peft::LoadOptions& options = {}) {
  Model model;
  model.output.add("other", {.rank = 2}, ef::Random(9));
  const auto values = peft_case::values_of(model);
  const auto names = trained(model);
  EXPECT_NE(load(folder, model, options), "loaded");
  EXPECT_EQ(peft_case::values_of(model), values);
  EXPECT_EQ(trained(model), names);
}

TEST(PeftLoraLoader, adapters_are_added_where_the_targets_say_and_all_else_is_frozen) {
  const Folder folder = lora_folder();
  Model model;
  EXPECT_EQ(load(folder, model, {.name = "mine"}), "loaded");
  int adapted = 0;
  ef::lora::visit_layers(model, [&](const ef::Name& name, const auto& layer) {
    if (!layer.has_adapter("mine")) return;
    ++adapted;
    const auto& adapter = layer.adapter("mine");
    EXPECT_EQ(adapter.options.rank, 3);
    EXPECT_EQ(adapter.scale(), 2);
    EXPECT_EQ(layer.state("mine"), ef::AdapterState::active);
    const auto& a = folder.tensors.at("base_model.model." + name.str() + ".lora_A.weight").second;
    EXPECT_TRUE(std::equal(a.begin(), a.end(), adapter.a.values().begin()));
  });
  EXPECT_EQ(adapted, 4);
  EXPECT_EQ(trained(model).size(), 8U);
  EXPECT_EQ(trained(model).front(), "layers.0.attention.query.mine.lora_A");
}

// P5: matched and unmatched keys are all keys, and every unmatched one is named.
TEST(PeftLoraLoader, one_error_lists_all_that_does_not_fit) {
  Folder folder = lora_folder();
  folder.config["target_modules"] = "[\"query\", \"value\", \"q_proj\", \"attention\"]";
  folder.config["rank_pattern"] = "{\"key\": 2, \"1.attention.query\": 20}";
  folder.config["alpha_pattern"] = "{\"^attention.query\": 2}";
  folder.tensors.erase("base_model.model.layers.0.attention.query.lora_B.weight");
  folder.set("base_model.model.layers.0.attention.value.lora_A.weight", {14, 3});
  folder.set_lora("layers.2.attention.value", 3, 14, 14);
  folder.set("layers.0.attention.value.lora_A.weight", {3, 14});
  folder.set("base_model.model.layers.0.attention.value.bias", {14});
  EXPECT_EQ(load(folder),
            "\n  layers.1.attention.query: expected a rank of at most 14, got 20"
            "\n  attention: no module of that name can carry an adapter"
            "\n  q_proj: no module of that name can carry an adapter"
            "\n  key: rank_pattern names it, but no module of that name is adapted"
            "\n  ^attention.query: alpha_pattern names it, but no module of that name is adapted"
            "\n  not in the model: base_model.model.layers.0.attention.value.bias of shape [14]"
            "\n  not in the model: base_model.model.layers.2.attention.value.lora_A.weight of shape [3, 14]"
            "\n  not in the model: base_model.model.layers.2.attention.value.lora_B.weight of shape [14, 3]"
            "\n  not in the model: layers.0.attention.value.lora_A.weight of shape [3, 14]"
            "\n  missing: base_model.model.layers.0.attention.query.lora_B.weight of shape [14, 3]"
            "\n  wrong shape: base_model.model.layers.0.attention.value.lora_A.weight: expected [3, 14], got [14, 3]"
            "\n  wrong shape: base_model.model.layers.1.attention.query.lora_A.weight: expected [20, 14], got [3, 14]"
            "\n  wrong shape: base_model.model.layers.1.attention.query.lora_B.weight: expected [14, 20], got [14, 3]");
  expect_untouched(folder);
}

// P3: a transposed file is refused wherever shapes can tell, for a square layer too.
TEST(PeftLoraLoader, transposed_matrices_are_refused) {
  for (const char* part : {"lora_A", "lora_B"}) {
    Folder folder = lora_folder();
    const std::string name = std::string("base_model.model.layers.1.attention.query.") + part + ".weight";
    const ef::Shape shape = folder.tensors.at(name).first;
    folder.set(name, {shape[1], shape[0]});
    EXPECT_NE(load(folder).find("wrong shape: " + name), std::string::npos);
    folder.config["fan_in_fan_out"] = "true";
    EXPECT_NE(load(folder).find("wrong shape: " + name), std::string::npos);
  }
  Folder folder = lora_folder();
  folder.config["fan_in_fan_out"] = "true";
  EXPECT_EQ(load(folder), "loaded");
}

TEST(PeftLoraLoader, ranks_and_alphas_differ_by_module) {
  Folder folder = lora_folder();
  folder.config["rank_pattern"] = "{\"value\": 5, \"^layers.0.attention.query\": 1}";
  folder.config["alpha_pattern"] = "{\"1.attention.value\": 0.5}";
  folder.set_lora("layers.0.attention.query", 1, 14, 14);
  folder.set_lora("layers.0.attention.value", 5, 14, 14);
  folder.set_lora("layers.1.attention.value", 5, 14, 14);
  Model model;
  ASSERT_EQ(load(folder, model), "loaded");
  const auto scale = [&](std::size_t layer, const char* part) {
    const auto& attention = model.layers.layers[layer].attention;
    return (part == std::string("query") ? attention.query : attention.value).adapter("default").scale();
  };
  EXPECT_EQ(scale(0, "query"), 6);
  EXPECT_EQ(scale(1, "query"), 2);
  EXPECT_EQ(scale(0, "value"), 1.2);
  EXPECT_EQ(scale(1, "value"), 0.1);
}

TEST(PeftLoraLoader, all_linear_leaves_out_embeddings_and_excluded_modules_are_none) {
  Folder folder = lora_folder();
  folder.config["target_modules"] = "\"all-linear\"";
  folder.config["exclude_modules"] = "[\"feed_forward.down\", \"0.attention.output\", \"absent\"]";
  for (const char* layer : {"layers.0.", "layers.1."}) {
    for (const char* part : {"attention.query", "attention.key", "attention.value", "attention.output"}) {
      if (std::string(layer) + part != "layers.0.attention.output")
        folder.set_lora(std::string(layer) + part, 3, 14, 14);
    }
    folder.set_lora(std::string(layer) + "feed_forward.up", 3, 14, 23);
  }
  folder.set_lora("output", 3, 14, 19);
  EXPECT_EQ(load(folder), "loaded");
  // transformers' models do not count their output projection, whose name there is lm_head.
  constexpr std::array<ef::NamePair, 2> table = {
      {{"output.weight", "lm_head.weight"}, {"embedding.weight", "e.weight"}}};
  Model model;
  folder.tensors.clear();
  folder.config["exclude_modules"] = "null";
  EXPECT_EQ(load(folder, model, {.names = {.prefix = {}, .table = table}}),
            "\n  the model has no module that can carry an adapter");
}

TEST(PeftLoraLoader, keys_may_carry_the_adapters_name) {
  Folder folder = lora_folder();
  Folder state = lora_folder();
  state.tensors.clear();
  for (const auto& [name, tensor] : folder.tensors) {
    state.tensors[name.substr(0, name.size() - 6) + "mine.weight"] = tensor;
  }
  Model model;
  EXPECT_EQ(load(state, model, {.name = "mine"}), "loaded");
  EXPECT_NE(load(state).find("not in the model: base_model.model.layers.0.attention.query.lora_A.mine.weight"),
            std::string::npos);
  state.tensors.merge(folder.tensors);
  Model other;
  EXPECT_NE(load(state, other, {.name = "mine"}).find("not in the model: "), std::string::npos) << "both at once";
}

TEST(PeftLoraLoader, an_embedding_has_names_of_its_own_and_may_repeat_the_base) {
  Folder folder(
      {{"peft_type", "\"LORA\""}, {"r", "4"}, {"lora_dropout", "0.1"}, {"target_modules", "[\"embedding\"]"}});
  const std::string begin = "base_model.model.embedding.";
  folder.set(begin + "lora_embedding_A", {4, 19});
  folder.set(begin + "lora_embedding_B", {14, 4});
  Model model;
  EXPECT_EQ(load(folder, model), "loaded");
  EXPECT_EQ(model.embedding.adapter("default").options.dropout, 0);
  const auto& weight = model.embedding.base.weight;
  folder.tensors[begin + "base_layer.weight"] = {weight.shape(), {weight.values().begin(), weight.values().end()}};
  EXPECT_EQ(load(folder), "loaded");
  Model merged;  // the base is what it was before something was merged
  merged.embedding.add("other", {.rank = 2}, ef::Random(1));
  merged.embedding.adapter("other").a.value.setConstant(1);
  merged.embedding.merge();
  EXPECT_EQ(load(folder, merged), "loaded");
  folder.tensors[begin + "base_layer.weight"].second.back() += 1;
  EXPECT_EQ(load(folder), "expected the weight of the base; got other values");
  expect_untouched(folder);
  folder.set(begin + "base_layer.weight", {20, 14});
  EXPECT_EQ(load(folder),
            "\n  wrong shape: base_model.model.embedding.base_layer.weight: expected [19, 14], got [20, 14]");
  folder.tensors.erase(begin + "base_layer.weight");
  folder.config["use_dora"] = "true";
  EXPECT_NE(load(folder).find("embedding: its weight has no rows whose lengths use_dora could learn"),
            std::string::npos);
}

TEST(PeftLoraLoader, a_magnitude_needs_a_plain_weight) {
  Folder folder = lora_folder();
  folder.config["use_dora"] = "true";
  EXPECT_NE(load(folder).find("missing: base_model.model.layers.0.attention.query.lora_magnitude_vector of shape [14]"),
            std::string::npos);
  using Bits = ef::MultiHeadAttention<float, ef::Lora<ef::BitLinear<float>>>;
  Bits bits({.dim = 14, .heads = 2}, ef::Random(1));
  EXPECT_NE(load(folder, bits).find("query: its weight has no rows whose lengths use_dora could learn"),
            std::string::npos);
  Folder plain({{"peft_type", "\"LORA\""}, {"r", "3"}, {"target_modules", "[\"query\"]"}});
  plain.set_lora("query", 3, 14, 14);
  EXPECT_EQ(load(plain, bits), "loaded");
}

TEST(PeftLoraLoader, names_of_adapters_are_new_and_without_dots) {
  const Folder folder = lora_folder();
  Model model;
  ASSERT_EQ(load(folder, model), "loaded");
  EXPECT_TRUE(load(folder, model).starts_with("\n  layers.0.attention.query: it has an adapter \"default\" already"));
  EXPECT_EQ(load(folder, model, {.name = "second"}), "loaded");
  for (const char* name : {"", "a.b"}) {
    EXPECT_TRUE(load(folder, model, {.name = name})
                    .starts_with("\n  layers.0.attention.query: expected a name of the adapter without dots, got \""));
    expect_untouched(folder, {.name = name});
  }
}

// P4, L22: what is not a number is refused unless it is asked for; merging refuses it in any case.
TEST(PeftLoraLoader, numbers_are_finite_unless_they_need_not_be) {
  for (const float bad : {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
    Folder folder = lora_folder();
    folder.tensors["base_model.model.layers.1.attention.value.lora_B.weight"].second.back() = bad;
    EXPECT_EQ(load(folder), "expected finite values only");
    expect_untouched(folder);
    Model model;
    EXPECT_EQ(load(folder, model, {.read = {.finite = ef::Finite::unchecked}}), "loaded");
    const auto before = peft_case::values_of(model)["layers.0.attention.query.weight"];
    EXPECT_THROW(ef::lora::merge(model), ef::ValueError);
    EXPECT_EQ(peft_case::values_of(model)["layers.0.attention.query.weight"], before);
  }
}

}  // namespace
