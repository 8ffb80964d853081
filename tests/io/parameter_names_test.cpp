// SPDX-License-Identifier: MIT

#include <eigenformer/io/parameter_names.hpp>

#include <gtest/gtest.h>

#include <array>

namespace {

using namespace eigenformer;

constexpr std::array table = {NamePair{"embedding.weight", "model.embed.weight"},
                              NamePair{"layers.*.query.weight", "model.layers.*.q_proj.weight"},
                              NamePair{"last.*", "*.end"}};

TEST(ParameterNames, are_the_models_own_without_a_table) {
  EXPECT_EQ(ParameterNames{}.in_file("layers.3.query.weight"), "layers.3.query.weight");
  EXPECT_EQ(ParameterNames{.prefix = "model."}.in_file("norm.weight"), "model.norm.weight");
}

TEST(ParameterNames, come_from_the_table_with_the_layers_number) {
  const ParameterNames names = {.table = table};
  EXPECT_EQ(names.in_file("embedding.weight"), "model.embed.weight");
  EXPECT_EQ(names.in_file("layers.0.query.weight"), "model.layers.0.q_proj.weight");
  EXPECT_EQ(names.in_file("layers.117.query.weight"), "model.layers.117.q_proj.weight");
  EXPECT_EQ(names.in_file("last.5"), "5.end");
  EXPECT_EQ((ParameterNames{.prefix = "a*.", .table = table}).in_file("last.5"), "a*.5.end");
}

TEST(ParameterNames, of_no_row_are_none) {
  const ParameterNames names = {.table = table};
  for (const char* other : {"", "embedding", "embedding.weight.", "layers.query.weight", "layers..query.weight",
                            "layers.x.query.weight", "layers.-1.query.weight", "layers.1.2.query.weight", "layers.3",
                            "layers.3.query.weightx", "xlayers.3.query.weight", "last."}) {
    EXPECT_FALSE(names.in_file(other)) << other;
  }
}

}  // namespace
