// SPDX-License-Identifier: MIT

#include <eigenformer/io/safetensors.hpp>
#include <eigenformer/model/peft_lora_saver.hpp>

#include "model/peft_case.hpp"

#include <gtest/gtest.h>

namespace {

namespace ef = eigenformer;
using ef::Index;
using Model = peft_case::Model<float>;

Model adapted(const ef::lora::AttachOptions& options) {
  Model model;
  ef::lora::attach(model, options, ef::Random(5));
  peft_case::randomise(model);
  return model;
}
std::string problems(const Model& model, const ef::peft::SaveOptions& options = {}) {
  return ef::peft::detail::LoraSaver<Model>(model, options).problems();
}
/// What a file says of a model whose adapters a file can say.
template <class M>
ef::PeftLoraConfig config(const M& model, const ef::peft::SaveOptions& options = {}) {
  ef::peft::detail::LoraSaver<M> saver(model, options);
  EXPECT_EQ(saver.problems(), "");
  return saver.config();
}

TEST(PeftLoraSaver, says_in_few_words_which_modules_are_adapted) {
  const auto targets = [](const std::vector<std::string>& names) {
    return config(adapted({.targets = names})).targets;
  };
  using Names = ef::PeftModules;
  EXPECT_EQ(targets({"query", "value"}), (Names{"query", "value"}));
  EXPECT_EQ(targets({"layers.0.attention.query", "value"}), (Names{"layers.0.attention.query", "value"}));
  EXPECT_EQ(targets({"0.attention.query", "1.attention.query"}), (Names{"query"}));
  EXPECT_EQ(targets({"attention.output"}), (Names{"layers.0.attention.output", "layers.1.attention.output"}));
  EXPECT_EQ(targets({"output"}), (Names{"output"}));
  EXPECT_EQ(targets({}), (Names{"down", "embedding", "key", "output", "query", "up", "value"}));
  EXPECT_TRUE(config(adapted({.targets = {"query"}})).excluded.empty());
}

TEST(PeftLoraSaver, names_that_are_ends_of_others_are_told_apart) {
  Model model;
  model.output.add("default", {.rank = 2, .alpha = 3}, ef::Random(1));
  const ef::PeftLoraConfig only_last = config(model);
  EXPECT_EQ(only_last.targets, (ef::PeftModules{"output"}));
  EXPECT_EQ(only_last.excluded, (ef::PeftModules{"layers.0.attention.output", "layers.1.attention.output"}));
  EXPECT_TRUE(only_last.adapts("output"));
  EXPECT_FALSE(only_last.adapts("layers.0.attention.output"));
  // Both, of different ranks.
  model.layers.layers[0].attention.output.add("default", {.rank = 5, .alpha = 3}, ef::Random(1));
  const ef::PeftLoraConfig both = config(model);
  EXPECT_EQ(both.rank, 5);
  EXPECT_EQ(both.ranks, (ef::PeftExceptions<Index>{{"^output", 2}}));
  EXPECT_EQ(both.rank_of("output"), 2);
  EXPECT_EQ(both.rank_of("layers.0.attention.output"), 5);
}

/// Three projections, each of which has a name that is the end of the next one's.
struct Nested : ef::Block<Nested> {
  using Scalar = float;
  using Projection = ef::Lora<ef::Linear<float>>;
  static void members(auto& self, auto&& visit) {
    visit("q", self.q);
    visit("b.q", self.b_q);
    visit("a.b.q", self.a_b_q);
  }
  Projection q{{.in_features = 3, .out_features = 3}, ef::Random(1)}, b_q = q, a_b_q = q;
};

TEST(PeftLoraSaver, refuses_what_no_names_can_tell_apart) {
  Nested model;
  model.a_b_q.add("default", {.rank = 2}, ef::Random(1));
  EXPECT_EQ(config(model).targets, (ef::PeftModules{"a.b.q"}));
  model.q.add("default", {.rank = 2}, ef::Random(1));
  EXPECT_EQ(ef::peft::detail::LoraSaver<Nested>(model, {}).problems(),
            "\n  a.b.q: other modules have names that end alike, so that PEFT could not tell them apart");
  model.b_q.add("default", {.rank = 3}, ef::Random(1));
  EXPECT_EQ(config(model).targets, (ef::PeftModules{"q"}));
  EXPECT_EQ(config(model).ranks, (ef::PeftExceptions<Index>{{"^b.q", 3}}));
}

TEST(PeftLoraSaver, what_most_modules_share_is_said_once) {
  const ef::PeftLoraConfig one =
      config(adapted({.rank = 3,
                      .alpha = 6,
                      .scaling = ef::AlphaOverRootRank{},
                      .dropout = 0.25,
                      .magnitude = ef::LearnedMagnitude{},
                      .targets = {"query", "value"},
                      .exceptions = {{"0.attention.value", 2, 5}, {"1.attention.value", std::nullopt, 7}}}));
  EXPECT_EQ(one.rank, 3);
  EXPECT_EQ(one.alpha, 6);
  EXPECT_EQ(one.dropout, 0.25);
  EXPECT_TRUE(one.rank_stabilized);
  EXPECT_TRUE(one.learned_magnitude);
  EXPECT_EQ(one.ranks, (ef::PeftExceptions<Index>{{"layers.0.attention.value", 2}}));
  EXPECT_EQ(one.alphas, (ef::PeftExceptions<double>{{"layers.0.attention.value", 5}, {"layers.1.attention.value", 7}}));
}

TEST(PeftLoraSaver, an_embedding_has_no_dropout_and_does_not_ask_for_one) {
  Model model;
  model.embedding.add("default", {.rank = 2}, ef::Random(1));
  model.output.add("default", {.rank = 2, .dropout = 0.125}, ef::Random(1));
  EXPECT_EQ(config(model).dropout, 0.125);
}

TEST(PeftLoraSaver, lists_what_a_file_cannot_say) {
  EXPECT_EQ(problems(Model()), "\n  default: no module of the model has such an adapter");
  EXPECT_EQ(problems(adapted({.targets = {"query"}}), {.name = "other"}),
            "\n  other: no module of the model has such an adapter");
  Model model = adapted({.targets = {"query"}});
  model.output.add("default", {.rank = 2, .scaling = ef::AlphaOverRootRank{}, .dropout = 0.5}, ef::Random(1));
  model.layers.layers[0].attention.key.add("default", {.rank = 2, .magnitude = ef::LearnedMagnitude{}}, ef::Random(1));
  EXPECT_EQ(problems(model),
            "\n  layers.0.attention.key: a file has one scaling for all modules, and magnitudes for all or none"
            "\n  output: a file has one scaling for all modules, and magnitudes for all or none"
            "\n  output: a file has one dropout for all modules");
  constexpr std::array<ef::NamePair, 1> table = {{{"layers.*.attention.key.weight", "h.*.k.weight"}}};
  EXPECT_EQ(problems(adapted({.targets = {"query", "key"}}), {.names = {.prefix = {}, .table = table}}),
            "\n  layers.0.attention.query: expected a name for it in the table"
            "\n  layers.1.attention.query: expected a name for it in the table");
}

TEST(PeftLoraSaver, tensors_have_pefts_names_and_the_tables_modules) {
  constexpr std::array<ef::NamePair, 2> table = {
      {{"layers.*.attention.query.weight", "h.*.q.weight"}, {"embedding.weight", "wte.weight"}}};
  const Model model = adapted({.rank = 3, .targets = {"query", "embedding"}});
  const ef::peft::SaveOptions options = {.names = {.prefix = "transformer.", .table = table}};
  ef::peft::detail::LoraSaver<Model> saver(model, options);
  ASSERT_EQ(saver.problems(), "");
  EXPECT_EQ(saver.config().targets, (ef::PeftModules{"q", "wte"}));
  const support::TemporaryDirectory directory;
  saver.writer().write(directory / "a.safetensors");
  const ef::SafetensorsFile file(directory / "a.safetensors");
  EXPECT_EQ(
      file.names(),
      (std::vector<std::string>{
          "base_model.model.transformer.h.0.q.lora_A.weight", "base_model.model.transformer.h.0.q.lora_B.weight",
          "base_model.model.transformer.h.1.q.lora_A.weight", "base_model.model.transformer.h.1.q.lora_B.weight",
          "base_model.model.transformer.wte.lora_embedding_A", "base_model.model.transformer.wte.lora_embedding_B"}));
  EXPECT_EQ(file.find("base_model.model.transformer.wte.lora_embedding_A")->shape, (ef::Shape{3, 19}));
  EXPECT_EQ(file.find("base_model.model.transformer.h.0.q.lora_B.weight")->shape, (ef::Shape{14, 3}));
}

}  // namespace
