// SPDX-License-Identifier: MIT

#include <eigenformer/adapter/lora_embedding.hpp>
#include <eigenformer/linear/bit_linear.hpp>
#include <eigenformer/model/peft_lora_names.hpp>

#include <gtest/gtest.h>

namespace {

namespace ef = eigenformer;
namespace peft = ef::peft::detail;
using Projection = ef::Lora<ef::Linear<float>>;
using Embedding = ef::Lora<ef::Embedding<float>>;
static_assert(peft::EmbedsTokens<Embedding> && !peft::EmbedsTokens<Projection> &&
              !peft::EmbedsTokens<ef::Lora<ef::BitLinear<float>>>);

TEST(PeftLoraNames, are_those_of_pefts_files_and_of_its_state_dicts) {
  const peft::LoraNames file = peft::lora_names<Projection>("a.q");
  EXPECT_EQ(file.a, "base_model.model.a.q.lora_A.weight");
  EXPECT_EQ(file.b, "base_model.model.a.q.lora_B.weight");
  EXPECT_EQ(file.magnitude, "base_model.model.a.q.lora_magnitude_vector");
  const peft::LoraNames state = peft::lora_names<Projection>("a.q", "default");
  EXPECT_EQ(state.a, "base_model.model.a.q.lora_A.default.weight");
  EXPECT_EQ(state.b, "base_model.model.a.q.lora_B.default.weight");
  EXPECT_EQ(state.magnitude, "base_model.model.a.q.lora_magnitude_vector.default.weight");
  EXPECT_EQ(peft::lora_names<Embedding>("e").a, "base_model.model.e.lora_embedding_A");
  EXPECT_EQ(peft::lora_names<Embedding>("e").b, "base_model.model.e.lora_embedding_B");
  EXPECT_EQ(peft::lora_names<Embedding>("e", "n").b, "base_model.model.e.lora_embedding_B.n");
}

TEST(PeftLoraNames, an_adapter_maps_from_features_or_from_tokens) {
  EXPECT_EQ(peft::extent_in(Projection({.in_features = 7, .out_features = 5}, ef::Random(1))), 7);
  EXPECT_EQ(peft::extent_in(Embedding({.vocabulary = 11, .dim = 5}, ef::Random(1))), 11);
}

}  // namespace
