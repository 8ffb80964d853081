// SPDX-License-Identifier: MIT

#include <eigenformer/model/llama_checkpoint.hpp>

#include "support/compare.hpp"
#include "support/safetensors_files.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <map>

namespace {

namespace ef = eigenformer;
using Model = ef::LlamaDecoder<float, ef::Linear<float>, ef::HalfSplit>;
using TiedModel = ef::LlamaDecoder<float, ef::TiedOutput<float>, ef::HalfSplit>;

ef::LlamaConfig small(ef::OutputWeights output) {
  ef::LlamaConfig config;
  config.decoder = {.vocabulary = 29, .dim = 42, .layers = 2, .heads = 3, .kv_heads = 1, .head_dim = 22, .hidden = 53};
  config.output = output;
  return config;
}

template <class M>
std::map<std::string, std::vector<float>> values_of(const M& model) {
  std::map<std::string, std::vector<float>> values;
  model.visit_parameters([&](const ef::Name& name, const auto& parameter) {
    values[name.str()].assign(parameter.values().begin(), parameter.values().end());
  });
  return values;
}

std::string message_of(const auto& call) {
  try {
    call();
  } catch (const ef::Error& error) {
    return error.what();
  }
  return "nothing thrown";
}

TEST(LlamaCheckpoint, comes_back_bit_by_bit_under_huggingfaces_names) {
  const support::TemporaryDirectory directory;
  ef::LlamaConfig config = small(ef::OutputWeights::separate);
  config.decoder.attention_bias = true;
  config.decoder.feed_forward_bias = true;
  const Model saved(config.decoder, ef::Random(1));
  ef::save_llama(directory / "m", saved);
  const ef::SafetensorsFile file{directory / "m"};
  EXPECT_EQ(file.metadata("format"), "pt");
  EXPECT_TRUE(file.contains("model.layers.1.self_attn.o_proj.bias"));
  const Model loaded = ef::load_llama<Model>(file, config);
  EXPECT_EQ(values_of(loaded), values_of(saved));
  EXPECT_EQ(values_of(loaded).size(), 35U);

  const TiedModel tied(small(ef::OutputWeights::tied).decoder, ef::Random(2));
  ef::save_llama(directory / "tied", tied);
  EXPECT_FALSE(ef::SafetensorsFile(directory / "tied").contains("lm_head.weight"));
  EXPECT_EQ(
      values_of(ef::load_llama<TiedModel>(ef::SafetensorsFile(directory / "tied"), small(ef::OutputWeights::tied))),
      values_of(tied));
}

/// The checkpoint of a model, with tensors added, replaced, or left out (by an empty shape).
struct Changed {
  std::map<std::string, std::pair<ef::Shape, std::vector<float>>> tensors;
  explicit Changed(const auto& model) {
    const ef::ParameterNames names = {.prefix = {}, .table = ef::llama_names};
    model.visit_parameters([&](const ef::Name& name, const auto& p) {
      tensors[names.in_file(name.str()).value()] = {p.shape(), {p.values().begin(), p.values().end()}};
    });
  }
  void set(const std::string& name, const ef::Shape& shape) {
    tensors[name] = {shape, std::vector<float>(static_cast<std::size_t>(shape.size()), 1.0F)};
  }
  ef::SafetensorsFile write(const std::filesystem::path& path) const {
    ef::SafetensorsWriter writer;
    for (const auto& [name, tensor] : tensors) writer.add<float>(name, tensor.first, tensor.second);
    writer.write(path);
    return ef::SafetensorsFile(path);
  }
};

TEST(LlamaCheckpoint, one_error_lists_all_that_does_not_fit) {
  const support::TemporaryDirectory directory;
  const ef::LlamaConfig config = small(ef::OutputWeights::separate);
  Changed changed{Model(config.decoder, ef::Random(1))};
  changed.tensors.erase("lm_head.weight");
  changed.tensors.erase("model.layers.1.mlp.up_proj.weight");
  changed.set("model.layers.0.self_attn.q_proj.weight", {42, 66});
  changed.set("model.embed_tokens.weight", {30, 42});
  changed.set("model.layers.2.input_layernorm.weight", {42});
  changed.set("model.layers.0.self_attn.q_proj.bias", {66});
  const ef::SafetensorsFile file = changed.write(directory / "m");
  EXPECT_EQ(message_of([&] { ef::load_llama<Model>(file, config); }),
            "safetensors: " + (directory / "m").string() +
                ": rule 42 at byte 0: the tensors are not those of the model"
                "\n  not in the model: model.layers.0.self_attn.q_proj.bias of shape [66]"
                "\n  not in the model: model.layers.2.input_layernorm.weight of shape [42]"
                "\n  wrong shape: model.embed_tokens.weight: expected [29, 42], got [30, 42]"
                "\n  wrong shape: model.layers.0.self_attn.q_proj.weight: expected [66, 42], got [42, 66]"
                "\n  missing: model.layers.1.mlp.up_proj.weight of shape [53, 42]"
                "\n  missing: lm_head.weight of shape [29, 42]");
}

TEST(LlamaCheckpoint, failures_also_come_as_values) {
  const support::TemporaryDirectory directory;
  ef::LlamaConfig config = small(ef::OutputWeights::tied);
  const TiedModel saved(config.decoder, ef::Random(1));
  const ef::SafetensorsFile file = Changed(saved).write(directory / "m");
  const ef::Result<TiedModel> loaded = ef::try_load_llama<TiedModel>(file, config);
  ASSERT_TRUE(loaded);
  EXPECT_EQ(values_of(*loaded), values_of(saved));
  EXPECT_FALSE(ef::try_load_llama<Model>(file, config));
  config.decoder.vocabulary = 31;
  const ef::Result<TiedModel> refused = ef::try_load_llama<TiedModel>(file, config);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.fault().reason.view(),
            "the tensors are not those of the model"
            "\n  wrong shape: model.embed_tokens.weight: expected [31, 42], got [29, 42]");
}

// The description may come from a stranger too: what it claims is compared with the file before memory is taken.
TEST(LlamaCheckpoint, a_description_that_claims_too_much_costs_nothing) {
  const support::TemporaryDirectory directory;
  ef::LlamaConfig config = small(ef::OutputWeights::tied);
  ef::save_llama(directory / "m", TiedModel(config.decoder, ef::Random(1)));
  const ef::SafetensorsFile file{directory / "m"};
  config.decoder.vocabulary = ef::LlamaLimits::tokens;
  config.decoder.dim = ef::LlamaLimits::features;
  config.decoder.hidden = ef::LlamaLimits::hidden;
  config.decoder.heads = config.decoder.kv_heads = ef::LlamaLimits::heads;
  EXPECT_NE(
      message_of([&] { ef::load_llama<TiedModel>(file, config); }).find("expected [16777216, 1048576], got [29, 42]"),
      std::string::npos);
}

TEST(LlamaCheckpoint, a_tied_one_may_repeat_the_embedding_but_nothing_else) {
  const support::TemporaryDirectory directory;
  const ef::LlamaConfig config = small(ef::OutputWeights::tied);
  Changed changed{TiedModel(config.decoder, ef::Random(1))};
  changed.tensors["lm_head.weight"] = changed.tensors["model.embed_tokens.weight"];
  EXPECT_NO_THROW(ef::load_llama<TiedModel>(changed.write(directory / "m"), config));
  changed.tensors["lm_head.weight"].second.back() += 1;
  EXPECT_NE(message_of([&] {
              ef::load_llama<TiedModel>(changed.write(directory / "m"), config);
            }).find("expected the embedding, to which the configuration ties the output; got other values"),
            std::string::npos);
  changed.set("lm_head.weight", {28, 42});
  EXPECT_THROW(ef::load_llama<TiedModel>(changed.write(directory / "m"), config), ef::FileError);
}

TEST(LlamaCheckpoint, of_older_writers_may_hold_rotary_frequencies) {
  const support::TemporaryDirectory directory;
  const ef::LlamaConfig config = small(ef::OutputWeights::tied);
  Changed changed{TiedModel(config.decoder, ef::Random(1))};
  changed.set("model.layers.0.self_attn.rotary_emb.inv_freq", {11});
  EXPECT_NO_THROW(ef::load_llama<TiedModel>(changed.write(directory / "m"), config));
}

TEST(LlamaCheckpoint, needs_the_model_type_that_its_output_weights_ask_for) {
  const support::TemporaryDirectory directory;
  const ef::LlamaConfig config = small(ef::OutputWeights::tied);
  const ef::SafetensorsFile file = Changed{TiedModel(config.decoder, ef::Random(1))}.write(directory / "m");
  EXPECT_EQ(message_of([&] { ef::load_llama<Model>(file, config); }),
            "safetensors: " + (directory / "m").string() +
                ": rule 42 at byte 0: expected a model type with output weights of its own, got a checkpoint without");
}

TEST(LlamaCheckpoint, values_must_be_finite_where_asked) {
  const support::TemporaryDirectory directory;
  const ef::LlamaConfig config = small(ef::OutputWeights::tied);
  Changed changed{TiedModel(config.decoder, ef::Random(1))};
  changed.tensors["model.norm.weight"].second.back() = std::numeric_limits<float>::infinity();
  const ef::SafetensorsFile file = changed.write(directory / "m");
  EXPECT_NO_THROW(ef::load_llama<TiedModel>(file, config));
  EXPECT_THROW(ef::load_llama<TiedModel>(file, config, {.finite = ef::Finite::required}), ef::FileError);
}

TEST(LlamaCheckpoint, has_the_dtype_that_its_matrices_share) {
  const support::TemporaryDirectory directory;
  const std::vector<float> floats(6);
  const std::vector<Eigen::bfloat16> halves(6);
  const auto dtype_of = [&](const auto& add) {
    ef::SafetensorsWriter writer;
    add(writer);
    writer.write(directory / "m");
    return ef::llama_weights_dtype(ef::SafetensorsFile(directory / "m"));
  };
  EXPECT_EQ(dtype_of([&](auto& w) { w.template add<float>("a", {2, 3}, floats); }), ef::Dtype::f32);
  EXPECT_EQ(dtype_of([&](auto& w) {
              w.template add<Eigen::bfloat16>("a", {2, 3}, halves);
              w.template add<float>("norm", {6}, floats);
            }),
            ef::Dtype::bf16);
  EXPECT_EQ(dtype_of([&](auto& w) {
              w.template add<Eigen::bfloat16>("a", {2, 3}, halves);
              w.template add<float>("b", {2, 3}, floats);
            }),
            ef::Dtype::f32);
}

}  // namespace
