// SPDX-License-Identifier: MIT

#include <eigenformer/adapter/prefixes_of.hpp>
#include <eigenformer/model/llama_checkpoint.hpp>
#include <eigenformer/model/peft.hpp>

#include "adapter/prefix_case.hpp"
#include "model/peft_case.hpp"
#include "support/compare.hpp"
#include "support/golden.hpp"
#include "support/tolerances.hpp"

#include <gtest/gtest.h>

#include <filesystem>

namespace {

namespace ef = eigenformer;
namespace tolerance = support::tolerance;
using ef::Index;
using peft_case::Folder;
using peft_case::lora_folder;
using peft_case::message_of;
using peft_case::values_of;

template <class T>
class PeftOf : public testing::Test {};
using Scalars = testing::Types<float, double>;
TYPED_TEST_SUITE(PeftOf, Scalars);

std::string load_message(const std::string& folder) {
  peft_case::Model<float> model;
  return message_of([&] { ef::peft::load(folder, model); });
}

TYPED_TEST(PeftOf, lora_comes_back_bit_by_bit) {
  using Model = peft_case::Model<TypeParam>;
  const std::vector<ef::lora::AttachOptions> all = {
      {.rank = 3, .alpha = 5, .targets = {"query", "value"}},
      {.rank = 5,
       .alpha = 0.3,
       .scaling = ef::AlphaOverRootRank{},
       .dropout = 0.1,
       .targets = {"attention.output", "up"}},
      {.rank = 2,
       .alpha = 7,
       .magnitude = ef::LearnedMagnitude{},
       .targets = {"key", "down", "layers.1.attention.query"}},
      {.rank = 3, .alpha = 5, .targets = {"embedding", "output"}},
      {.rank = 3,
       .alpha = 5,
       .targets = {},
       .exceptions = {{"value", 1, std::nullopt}, {"0.attention.value", 7, 0.125}, {"up", std::nullopt, 11}}}};
  for (const ef::lora::AttachOptions& options : all) {
    const support::TemporaryDirectory directory;
    Model saved;
    ef::lora::attach(saved, options, ef::Random(5));
    peft_case::randomise(saved);
    saved.output.add("other", {.rank = 1}, ef::Random(6));
    ef::peft::save_lora(directory.path(), saved);
    saved.output.remove("other");
    Model loaded;
    ef::peft::load(directory.path(), loaded);
    EXPECT_EQ(values_of(loaded), values_of(saved));
    std::vector<ef::LoraOptions> of_saved, of_loaded;
    const auto collect = [](const Model& model, std::vector<ef::LoraOptions>& list) {
      ef::lora::visit_layers(model, [&](const ef::Name&, const auto& layer) {
        if (layer.has_adapter("default")) list.push_back(layer.adapter("default").options);
      });
    };
    collect(saved, of_saved);
    collect(loaded, of_loaded);
    ASSERT_EQ(of_loaded.size(), of_saved.size());
    for (std::size_t i = 0; i < of_saved.size(); ++i) {
      EXPECT_EQ(of_loaded[i].rank, of_saved[i].rank);
      EXPECT_EQ(of_loaded[i].alpha, of_saved[i].alpha);
      EXPECT_EQ(of_loaded[i].dropout, of_saved[i].dropout);
      EXPECT_EQ(of_loaded[i].scaling.index(), of_saved[i].scaling.index());
      EXPECT_EQ(of_loaded[i].magnitude.has_value(), of_saved[i].magnitude.has_value());
    }
  }
}

TYPED_TEST(PeftOf, prefixes_and_prompts_come_back_bit_by_bit) {
  using T = TypeParam;
  using Attention = ef::Prefixed<ef::GroupedQueryAttention<T>>;
  using Layer = ef::PreNorm<ef::LayerNorm<T>, Attention, ef::FeedForward<T, ef::Gelu>>;
  using Model = ef::Stack<Layer>;
  const typename Model::Options options = {.count = 3,
                                           .layer = {.norm = {.dim = 14},
                                                     .attention = {.dim = 14, .heads = 4, .kv_heads = 2, .head_dim = 5},
                                                     .feed_forward = {.dim = 14, .hidden = 11}}};
  const support::TemporaryDirectory directory;
  Model saved(options, ef::Random(1));
  for (ef::Prefix<T>* const prefix : ef::prefixes_of<T>(saved))
    *prefix = saved.layers[0].attention.own_prefix(7, ef::Random(2));
  ef::peft::save_prefixes(directory.path(), saved);
  Model loaded(options, ef::Random(1));
  ef::peft::load(directory.path(), loaded);
  EXPECT_EQ(values_of(loaded), values_of(saved));
  EXPECT_NE(peft_case::text_of(directory / "adapter_config.json").find("\"task_type\": \"CAUSAL_LM\""),
            std::string::npos);

  const ef::PromptTuning<Model> prompted(saved, {.length = 5, .dim = 14}, ef::Random(4));
  ef::peft::save_prompt(directory.path(), prompted, {.description = {.base_model = "m"}});
  ef::PromptTuning<Model> other(saved, {.length = 2, .dim = 14}, ef::Random(5));
  ef::peft::load(directory.path(), other);
  EXPECT_EQ(values_of(other), values_of(prompted));
  EXPECT_TRUE(other.prompt.trainable);
  EXPECT_FALSE(other.body.layers[0].attention.prefix.keys.trainable);
}

/// A module by HuggingFace's manner of names.
template <class Layer>
struct Holder : ef::Block<Holder<Layer>> {
  using Scalar = typename Layer::Scalar;
  explicit Holder(Layer given) : layer(std::move(given)) {}
  static void members(auto& self, auto&& visit) { visit("model.layers.0.q_proj", self.layer); }
  Layer layer;
};

template <class T>
testing::AssertionResult close(const auto& actual, const support::Golden& golden, const char* name) {
  const auto expected = golden.values<double>(name);
  double largest = 0;
  for (const double value : expected) largest = (std::max)(largest, std::abs(value));
  return within(support::max_error(actual, expected, largest), tolerance::pytorch_rel<T>);
}

// P1: every flag of a file changes the function as PEFT's own code says.
TYPED_TEST(PeftOf, golden_adapters_in_pefts_files_give_what_peft_gives) {
  using T = TypeParam;
  struct Case {
    const char* name;
    std::map<std::string, std::string> config;
  };
  for (const Case& golden_case :
       {Case{"lora_r4_alpha16", {{"r", "4"}, {"lora_alpha", "16"}}},
        Case{"lora_rslora_r8_alpha16_nobias", {{"r", "8"}, {"lora_alpha", "16"}, {"use_rslora", "true"}}},
        Case{"lora_rslora_r8_alpha16_nobias",
             {{"r", "2"},
              {"lora_alpha", "1"},
              {"use_rslora", "true"},
              {"rank_pattern", "{\"q_proj\": 8}"},
              {"alpha_pattern", "{\"0.q_proj\": 16}"}}},
        Case{"dora_r4", {{"r", "4"}, {"lora_alpha", "8"}, {"use_dora", "true"}}}}) {
    const support::Golden golden(golden_case.name);
    std::optional<ef::Vector<T>> bias;
    if (golden.contains("b")) bias = golden.vector<T>("b");
    using Layer = ef::Lora<ef::Linear<T>>;
    Holder<Layer> model(
        Layer(bias ? ef::Linear<T>(golden.matrix<T>("W"), *bias) : ef::Linear<T>(golden.matrix<T>("W"))));
    Folder folder(golden_case.config);
    folder.config["peft_type"] = "\"LORA\"";
    folder.config["target_modules"] = "[\"q_proj\"]";
    const std::string begin = "base_model.model.model.layers.0.q_proj.lora_";
    folder.tensors[begin + "A.weight"] = {golden.shape("A"), golden.values<float>("A")};
    folder.tensors[begin + "B.weight"] = {golden.shape("B"), golden.values<float>("B")};
    if (golden.contains("magnitude"))
      folder.tensors[begin + "magnitude_vector"] = {golden.shape("magnitude"), golden.values<float>("magnitude")};
    ef::peft::load(folder.write().path(), model);
    EXPECT_TRUE(close<T>(model.layer(golden.tensor<T, 3>("x")), golden, "y")) << golden_case.name;
    ef::lora::merge(model);
    EXPECT_TRUE(close<T>(model.layer.base.weight.value, golden, "merged_weight")) << golden_case.name;
  }
}

TYPED_TEST(PeftOf, a_golden_embedding_in_pefts_files_gives_what_peft_gives) {
  using T = TypeParam;
  const support::Golden golden("lora_embedding_r4");
  using Layer = ef::Lora<ef::Embedding<T>>;
  Holder<Layer> model(Layer(ef::Embedding<T>(golden.matrix<T>("W"))));
  Folder folder(
      {{"peft_type", "\"LORA\""}, {"r", "4"}, {"lora_alpha", "8"}, {"target_modules", "[\"layers.0.q_proj\"]"}});
  const std::string begin = "base_model.model.model.layers.0.q_proj.";
  folder.tensors[begin + "lora_embedding_A"] = {golden.shape("A"), golden.values<float>("A")};
  folder.tensors[begin + "lora_embedding_B"] = {golden.shape("B"), golden.values<float>("B")};
  folder.tensors[begin + "base_layer.weight"] = {golden.shape("W"), golden.values<float>("W")};
  ef::peft::load(folder.write().path(), model);
  ef::Tensor<std::int32_t, 2> tokens(2, 9);
  const auto ids = golden.values<std::int64_t>("ids");
  std::copy(ids.begin(), ids.end(), tokens.data());
  EXPECT_TRUE(close<T>(model.layer(tokens), golden, "y"));
}

TEST(Peft, golden_prefixes_in_pefts_files_are_read) {
  const support::Golden golden("prefix_direct");
  prefix_test::GoldenLayer first(golden, 0), second(golden, 1);
  ef::Stack<prefix_test::GoldenLayer::Attention> model({first.attention, second.attention});
  Folder folder({{"peft_type", "\"PREFIX_TUNING\""},
                 {"num_virtual_tokens", "5"},
                 {"num_layers", "2"},
                 {"token_dim", "24"},
                 {"num_attention_heads", "3"},
                 {"task_type", "\"CAUSAL_LM\""},
                 {"prefix_projection", "false"}});
  folder.tensors["prompt_embeddings"] = {golden.shape("embedding.weight"), golden.values<float>("embedding.weight")};
  ef::peft::load(folder.write().path(), model);
  first.attention = model.layers[0];
  second.attention = model.layers[1];
  first.expect_golden();
  second.expect_golden();
}

template <class Projection>
using LlamaLayer =
    ef::PreNorm<ef::RmsNorm<float>, ef::GroupedQueryAttention<float, Projection, ef::Rotary<ef::HalfSplit>>,
                ef::GatedFeedForward<float, ef::Silu, Projection>>;
template <class Projection>
using Llama = ef::Decoder<float, LlamaLayer<Projection>, Projection>;

// By HuggingFace's names, into a model that came from HuggingFace's checkpoint.
TEST(Peft, an_adapter_of_a_llama_finds_its_modules) {
  ef::LlamaConfig config;
  config.decoder = {.vocabulary = 29, .dim = 42, .layers = 2, .heads = 3, .kv_heads = 1, .head_dim = 22, .hidden = 53};
  const support::TemporaryDirectory directory;
  ef::save_llama(directory / "base", Llama<ef::Linear<float>>(config.decoder, ef::Random(1)));
  const ef::SafetensorsFile base(directory / "base");
  using Model = Llama<ef::Lora<ef::Linear<float>>>;
  auto model = ef::load_llama<Model>(base, config);

  Folder folder({{"peft_type", "\"LORA\""},
                 {"r", "2"},
                 {"lora_alpha", "4"},
                 {"target_modules", "[\"k_proj\", \"down_proj\", \"lm_head\"]"}});
  for (const char* layer : {"model.layers.0.", "model.layers.1."}) {
    folder.set_lora(layer + std::string("self_attn.k_proj"), 2, 42, 22);
    folder.set_lora(layer + std::string("mlp.down_proj"), 2, 53, 42);
  }
  folder.set_lora("lm_head", 2, 42, 29);
  folder.write();
  ef::peft::load(folder.path(), model, {.names = {.prefix = {}, .table = ef::llama_names}});
  std::vector<std::string> adapted;
  ef::lora::visit_layers(model, [&](const ef::Name& name, const auto& layer) {
    if (layer.has_adapter("default")) adapted.push_back(name.str());
  });
  EXPECT_EQ(adapted, (std::vector<std::string>{"layers.0.attention.key", "layers.0.feed_forward.down",
                                               "layers.1.attention.key", "layers.1.feed_forward.down", "output"}));
  // The same function as with adapters put together by hand.
  auto by_hand = ef::load_llama<Model>(base, config);
  const auto add = [&](auto& layer, const std::string& module) {
    ef::LoraAdapter<float> adapter = {.name = "default", .options = {.rank = 2, .alpha = 4}};
    const auto set = [&](ef::Parameter<float, 2>& parameter, const char* ending) {
      const auto& [shape, values] = folder.tensors.at("base_model.model." + module + ending);
      parameter.value.resize(shape[0], shape[1]);
      std::copy(values.begin(), values.end(), parameter.value.data());
    };
    set(adapter.a, ".lora_A.weight");
    set(adapter.b, ".lora_B.weight");
    layer.add(std::move(adapter));
  };
  add(by_hand.layers.layers[0].attention.key, "model.layers.0.self_attn.k_proj");
  add(by_hand.layers.layers[1].attention.key, "model.layers.1.self_attn.k_proj");
  add(by_hand.layers.layers[0].feed_forward.down, "model.layers.0.mlp.down_proj");
  add(by_hand.layers.layers[1].feed_forward.down, "model.layers.1.mlp.down_proj");
  add(by_hand.output, "lm_head");
  ef::Tensor<std::int32_t, 1> tokens(5);
  tokens.setValues({3, 11, 0, 28, 7});
  const auto logits = model(tokens);
  EXPECT_TRUE(support::bit_equal(logits, by_hand(tokens)));
  ef::lora::activate(by_hand, {});
  EXPECT_FALSE(support::bit_equal(logits, by_hand(tokens)));

  ef::peft::save_lora(directory.path(), model, {.names = {.prefix = {}, .table = ef::llama_names}});
  const ef::PeftConfig written = ef::read_peft_config(directory / "adapter_config.json");
  EXPECT_EQ(std::get<ef::PeftLoraConfig>(written).targets, (ef::PeftModules{"k_proj", "down_proj", "lm_head"}));
  EXPECT_TRUE(ef::SafetensorsFile(directory / "adapter_model.safetensors")
                  .contains("base_model.model.model.layers.1.self_attn.k_proj.lora_B.weight"));
  EXPECT_EQ(ef::SafetensorsFile(directory / "adapter_model.safetensors").metadata("format"), "pt");
}

template <class Half>
void expect_widened() {
  Folder folder = lora_folder();
  folder.write();
  ef::SafetensorsWriter writer;
  std::map<std::string, std::vector<Half>> halves;
  for (const auto& [name, tensor] : folder.tensors) {
    for (const float value : tensor.second) halves[name].push_back(static_cast<Half>(value));
    writer.add(name, tensor.first, std::span<const Half>(halves[name]));
  }
  writer.write(folder.file("adapter_model.safetensors"));
  peft_case::Model<float> model;
  ef::peft::load(folder.path(), model);
  const auto& b = model.layers.layers[1].attention.value.adapter("default").b;
  const auto& stored = halves.at("base_model.model.layers.1.attention.value.lora_B.weight");
  for (std::size_t i = 0; i < stored.size(); ++i) EXPECT_EQ(b.values()[i], static_cast<float>(stored[i]));
}
TEST(Peft, half_precision_is_widened) {
  expect_widened<Eigen::half>();
  expect_widened<Eigen::bfloat16>();
}

TEST(Peft, says_what_is_wrong_with_a_folder) {
  Folder folder = lora_folder();
  const std::string path = folder.path();
  EXPECT_EQ(load_message(path),
            "adapter config: " + path + ": adapter_config.json: cannot open: No such file or directory");
  EXPECT_NE(load_message(path + "/absent").find("cannot open the folder"), std::string::npos);
  folder.write();
  EXPECT_EQ(load_message(path), "nothing thrown");
  std::filesystem::remove(folder.file("adapter_model.safetensors"));
  EXPECT_EQ(load_message(path), "safetensors: " + path +
                                    ": the folder holds neither adapter_model.safetensors nor "
                                    "adapter_model.safetensors.index.json");
  support::write_file(folder.file("adapter_model.bin"), support::Bytes(10));
  EXPECT_NE(load_message(path).find("adapter_model.bin is a pickle"), std::string::npos);
  folder.config["r"] = "0";
  folder.config["modules_to_save"] = "[\"x\"]";
  folder.write();
  EXPECT_EQ(load_message(path),
            "adapter config: " + path +
                ": adapter_config.json: these fields are not as expected:"
                "\n  modules_to_save: expected nothing, null or false, as it is not implemented, got [\"x\"]"
                "\n  r: expected an integer in 1 .. 65536, got 0");
  folder.write_text("{\"peft_type\": ");
  EXPECT_NE(load_message(path).find("adapter_config.json: at byte 14: expected JSON"), std::string::npos);
}

TEST(Peft, of_a_kind_that_the_model_is_not) {
  Folder prompt({{"peft_type", "\"PROMPT_TUNING\""}, {"num_virtual_tokens", "3"}, {"token_dim", "14"}});
  prompt.set("prompt_embeddings", {3, 14});
  EXPECT_TRUE(load_message(prompt.write().path())
                  .ends_with(": the tensors are not those of the model\n  the model is no PromptTuning"));
  using Prompted = ef::PromptTuning<ef::Stack<peft_case::Layer<float>>>;
  Prompted model(peft_case::Model<float>().layers, {.length = 2, .dim = 14}, ef::Random(1));
  const auto message = [&](const Folder& folder) { return message_of([&] { ef::peft::load(folder.path(), model); }); };
  EXPECT_EQ(message(prompt), "nothing thrown");
  prompt.config["token_dim"] = "15";
  prompt.set("prompt_embeddings", {3, 15});
  EXPECT_TRUE(message(prompt.write())
                  .ends_with("\n  wrong shape: prompt_embeddings: expected [3, 14], got [3, 15]"
                             "\n  expected token_dim 14, got 15"));
  EXPECT_EQ(model.length(), 3);
  const ef::Result<void> failed = ef::peft::try_load(prompt.path(), model);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.fault().rule, 42);
  EXPECT_NE(failed.fault().reason.view().find("expected token_dim 14, got 15"), std::string::npos);
  // LoRA of the body is called as it is without the prompt.
  Folder lora = lora_folder();
  for (const char* module : {"0.attention.query", "0.attention.value", "1.attention.query", "1.attention.value"}) {
    for (const char* part : {".lora_A.weight", ".lora_B.weight"}) {
      lora.tensors["base_model.model." + (std::string(module) + part)] =
          lora.tensors.extract("base_model.model.layers." + (std::string(module) + part)).mapped();
    }
  }
  EXPECT_EQ(message(lora.write()), "nothing thrown");
}

TEST(Peft, says_what_cannot_be_saved_and_writes_nothing) {
  const support::TemporaryDirectory directory;
  peft_case::Model<float> model;
  const std::string path = directory.path().string();
  EXPECT_EQ(message_of([&] { ef::peft::save_lora(path, model); }),
            "adapter: " + path +
                ": PEFT's files cannot say what the model has:\n  default: no module of the model has such an adapter");
  EXPECT_FALSE(ef::peft::try_save_lora(path, model));
  EXPECT_FALSE(ef::peft::try_save_prefixes(path, model));
  const ef::PromptTuning<ef::Stack<peft_case::Layer<float>>> prompted(model.layers, {.length = 0, .dim = 14},
                                                                      ef::Random(1));
  EXPECT_FALSE(ef::peft::try_save_prompt(path, prompted));
  model.output.add("default", {.rank = 2, .alpha = 3e6}, ef::Random(1));
  EXPECT_NE(
      message_of([&] { ef::peft::save_lora(path, model); }).find("lora_alpha: expected a number above 0 and up to 1e6"),
      std::string::npos);
  EXPECT_TRUE(std::filesystem::is_empty(directory.path()));
  model.output.remove("default");
  ef::lora::attach(model, {.targets = {"query"}}, ef::Random(1));
  EXPECT_THROW(ef::peft::save_lora(path + "/absent", model), ef::FileError);
  EXPECT_TRUE(ef::peft::try_save_lora(path, model));
  EXPECT_TRUE(ef::peft::try_load(path, model, {.name = "again"}));
}

TEST(Peft, links_may_not_lead_out_of_the_folder_unless_they_may) {
  const Folder target = lora_folder();
  target.write();
  for (const char* name : {"adapter_config.json", "adapter_model.safetensors"}) {
    const Folder folder = lora_folder();
    folder.write();
    std::filesystem::remove(folder.file(name));
    std::filesystem::create_symlink(target.file(name), folder.file(name));
    EXPECT_NE(load_message(folder.path()).find("a symbolic link that leads out of it"), std::string::npos) << name;
    peft_case::Model<float> model;
    EXPECT_TRUE(ef::peft::try_load(folder.path(), model, {.links = ef::SymbolicLinks::anywhere}));
  }
}

// L20: what we wrote ourselves goes through the same reader; damaged it is refused or harmless, and then the model is as
// it was. The readers of either file have tests of every prefix and bit.
TEST(Peft, survives_damage_to_its_files) {
  const support::TemporaryDirectory directory;
  peft_case::Model<float> saved;
  ef::lora::attach(saved, {.rank = 1, .targets = {"0.attention.query"}}, ef::Random(5));
  ef::peft::save_lora(directory.path(), saved);
  peft_case::Model<float> model;
  const auto before = values_of(model);
  for (const char* name : {"adapter_config.json", "adapter_model.safetensors"}) {
    const std::string whole = peft_case::text_of(directory / name);
    const auto accepted = [&](const std::string& text) {
      const auto* const bytes = reinterpret_cast<const std::byte*>(text.data());
      support::write_file(directory / name, support::Bytes(bytes, bytes + text.size()));
      const bool loaded = static_cast<bool>(ef::peft::try_load(directory.path(), model));
      if (loaded) model.layers.layers[0].attention.query.remove("default");
      return loaded;
    };
    for (std::size_t cut = 0; cut + 2 < whole.size(); cut += 7) EXPECT_FALSE(accepted(whole.substr(0, cut))) << cut;
    for (std::size_t bit = 0; bit < 8 * whole.size(); bit += 37) {
      std::string damaged = whole;
      damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
      accepted(damaged);
    }
    EXPECT_TRUE(accepted(whole));
  }
  EXPECT_EQ(values_of(model), before);
}

}  // namespace
