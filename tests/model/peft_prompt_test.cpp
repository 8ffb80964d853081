// SPDX-License-Identifier: MIT

#include <eigenformer/adapter/prompt_tuning.hpp>
#include <eigenformer/io/safetensors.hpp>
#include <eigenformer/model/peft_prompt.hpp>

#include "model/peft_case.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace {

namespace ef = eigenformer;
namespace peft = ef::peft::detail;
using Body = ef::Stack<peft_case::Layer<float>>;
using Model = ef::PromptTuning<Body>;
static_assert(peft::Prompted<Model> && !peft::Prompted<Body>);

std::string load(const peft_case::Folder& folder, auto& model, const ef::PeftPromptConfig& config) {
  folder.write_tensors();
  std::string list;
  const ef::Result<void> done =
      peft::load_prompt(ef::SafetensorsFile(folder.file("adapter_model.safetensors")), config, model, {}, list);
  return done ? "loaded" : list.empty() ? std::string(done.fault().reason.view()) : list;
}

TEST(PeftPrompt, replaces_the_prompt_whatever_its_length_was_and_freezes_the_body) {
  Model model(peft_case::Model<float>().layers, {.length = 2, .dim = 14}, ef::Random(1));
  peft_case::Folder folder({});
  folder.set("prompt_embeddings", {3, 14});
  EXPECT_EQ(load(folder, model, {.virtual_tokens = 3}), "loaded");
  const auto& values = folder.tensors.at("prompt_embeddings").second;
  EXPECT_EQ(model.length(), 3);
  EXPECT_TRUE(std::equal(values.begin(), values.end(), model.prompt.values().begin()));
  ef::visit_learnable(model, [](const ef::Name& name, const auto& parameter) {
    EXPECT_EQ(parameter.trainable, name.str() == "prompt") << name;
  });
}

TEST(PeftPrompt, one_error_lists_all_that_does_not_fit_and_changes_nothing) {
  Model model(peft_case::Model<float>().layers, {.length = 2, .dim = 14}, ef::Random(1));
  const auto before = peft_case::values_of(model);
  peft_case::Folder folder({});
  folder.set("prompt_embeddings", {3, 15});
  folder.set("other", {1});
  EXPECT_EQ(load(folder, model, {4, 15}),
            "\n  not in the model: other of shape [1]"
            "\n  wrong shape: prompt_embeddings: expected [4, 14], got [3, 15]"
            "\n  expected token_dim 14, got 15");
  folder.tensors.erase("other");
  folder.set("prompt_embeddings", {3, 14});
  folder.tensors["prompt_embeddings"].second[5] = std::numeric_limits<float>::infinity();
  EXPECT_EQ(load(folder, model, {3, 14}), "expected finite values only");
  EXPECT_EQ(peft_case::values_of(model), before);
  EXPECT_EQ(load(folder, model.body, {3, 14}), "\n  the model is no PromptTuning");
}

}  // namespace
