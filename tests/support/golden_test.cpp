// SPDX-License-Identifier: MIT

#include "support/golden.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace {

using support::Golden;

TEST(Golden, opens_every_case_of_the_index) {
  const std::vector<std::string> cases = Golden::cases();
  EXPECT_EQ(cases.size(), 61U);
  for (const std::string& name : cases) {
    const Golden golden(name);
    EXPECT_GE(golden.tensors().size(), 2U) << name;
    for (const std::string& tensor : golden.tensors()) {
      const auto dtype =
          eigenformer::SafetensorsFile(Golden::directory() / (name + ".safetensors")).find(tensor)->dtype;
      if (dtype == eigenformer::Dtype::f32 || dtype == eigenformer::Dtype::f64) {
        EXPECT_EQ(golden.values<double>(tensor).size(), static_cast<std::size_t>(golden.shape(tensor).size()))
            << tensor;
      } else {
        EXPECT_EQ(golden.values<std::int64_t>(tensor).size(), static_cast<std::size_t>(golden.shape(tensor).size()));
      }
    }
  }
}

TEST(Golden, reads_shapes_values_and_parameters) {
  const Golden golden("layer_norm_3x16x48");
  EXPECT_EQ(golden.shape("x"), (eigenformer::Shape{3, 16, 48}));
  EXPECT_EQ(golden.parameter<double>("eps"), 1e-5);
  EXPECT_EQ(golden.parameter<std::vector<std::int64_t>>("normalized_shape"), std::vector<std::int64_t>{48});
  EXPECT_TRUE(golden.parameter<bool>("affine"));
  EXPECT_EQ(golden.vector<float>("weight").size(), 48);
  EXPECT_FALSE(Golden("gqa_h8_g2").has_parameter("rope"));
  EXPECT_EQ(Golden("gqa_h8_g2").matrix<float>("wk").rows(), 16);
}

// The formula written once more over the numbers as read: wrong offsets, order or types could not reproduce y.
TEST(Golden, tensors_fit_their_formula) {
  const Golden golden("layer_norm_3x16x48");
  const auto x = golden.tensor<double, 3>("x");
  const auto y = golden.tensor<double, 3>("y");
  const auto weight = golden.values<double>("weight");
  const auto bias = golden.values<double>("bias");
  for (eigenformer::Index i = 0; i < 3; ++i) {
    for (eigenformer::Index j = 0; j < 16; ++j) {
      double mean = 0;
      double variance = 0;
      for (eigenformer::Index k = 0; k < 48; ++k) mean += x(i, j, k) / 48;
      for (eigenformer::Index k = 0; k < 48; ++k) variance += (x(i, j, k) - mean) * (x(i, j, k) - mean) / 48;
      for (eigenformer::Index k = 0; k < 48; ++k) {
        const auto at = static_cast<std::size_t>(k);
        EXPECT_NEAR(y(i, j, k), (x(i, j, k) - mean) / std::sqrt(variance + 1e-5) * weight[at] + bias[at], 1e-13);
      }
    }
  }
}

TEST(Golden, rounds_to_float_and_refuses_what_is_missing) {
  const Golden golden("layer_norm_3x16x48");
  const auto wide = golden.values<double>("y");
  const auto narrow = golden.values<float>("y");
  for (std::size_t i = 0; i < wide.size(); ++i) EXPECT_EQ(narrow[i], static_cast<float>(wide[i]));
  EXPECT_THROW(golden.values<float>("z"), eigenformer::FileError);
  EXPECT_THROW(golden.shape("z"), std::out_of_range);
  EXPECT_ANY_THROW(golden.parameter<double>("epsilon"));
  EXPECT_THROW(Golden("no_such_case"), eigenformer::FileError);
}

}  // namespace
