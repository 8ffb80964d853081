// SPDX-License-Identifier: MIT

#include <eigenformer/core/parameter.hpp>

#include <gtest/gtest.h>

#include <sstream>
#include <type_traits>

namespace ef = eigenformer;

static_assert(std::is_same_v<ef::Parameter<float>::Value, ef::Vector<float>>);
static_assert(std::is_same_v<ef::Parameter<float, 2>::Value, ef::Matrix<float>>);
static_assert(std::is_same_v<ef::Parameter<double, 4>::Value, ef::Tensor<double, 4>>);

TEST(Parameter, has_no_gradient_until_one_is_asked_for) {
  ef::Parameter<float, 2> weight(ef::Matrix<float>::Ones(2, 3));
  EXPECT_TRUE(weight.trainable);
  EXPECT_TRUE(weight.gradients().empty());
  EXPECT_EQ(weight.accumulated_gradient(), ef::Matrix<float>(ef::Matrix<float>::Zero(2, 3)));
  weight.gradient(1, 2) = 5;
  EXPECT_EQ(weight.accumulated_gradient()(1, 2), 5.0F) << "what is there is kept";
  EXPECT_EQ(weight.gradients().size(), 6U);
  weight.zero_gradient();
  EXPECT_EQ(weight.gradient(1, 2), 0.0F);
}

TEST(Parameter, knows_its_shape_at_every_rank) {
  EXPECT_EQ(ef::Parameter<float>(ef::Vector<float>(7)).shape(), ef::Shape({7}));
  EXPECT_EQ((ef::Parameter<float, 2>(ef::Matrix<float>(2, 3)).shape()), ef::Shape({2, 3}));
  ef::Parameter<float, 4> kernel(ef::Tensor<float, 4>(2, 3, 5, 7));
  EXPECT_EQ(kernel.shape(), ef::Shape({2, 3, 5, 7}));
  EXPECT_EQ(kernel.size(), 210);
  EXPECT_EQ(kernel.values().size(), 210U);
  EXPECT_EQ(kernel.accumulated_gradient().size(), 210);
}

template <class P>
concept HasGradient = requires(P& parameter) {
  parameter.gradient;
}
|| requires(P& parameter) { parameter.accumulated_gradient(); }
|| requires(P& parameter) { parameter.gradients(); }
|| requires(P& parameter) { parameter.zero_gradient(); };
static_assert(HasGradient<ef::Parameter<float, 2>> && ef::Parameter<float, 2>::learnable);
static_assert(!HasGradient<ef::Parameter<ef::Bfloat16, 2>> && !ef::Parameter<ef::Bfloat16, 2>::learnable);
static_assert(!HasGradient<ef::Parameter<ef::Float16>> && !ef::Parameter<ef::Float16>::trainable);
static_assert(sizeof(ef::Parameter<ef::Bfloat16, 2>) == sizeof(ef::Matrix<ef::Bfloat16>), "and costs no memory for it");

TEST(Parameter, in_half_precision_has_values_and_a_shape) {
  ef::Parameter<ef::Bfloat16, 2> weight(ef::stored_as<ef::Bfloat16>(ef::Matrix<float>(ef::Matrix<float>::Ones(2, 3))));
  EXPECT_EQ(weight.shape(), ef::Shape({2, 3}));
  EXPECT_EQ(weight.size(), 6);
  EXPECT_EQ(ef::widened<float>(weight.values()[5]), 1.0F);
  EXPECT_EQ(std::as_const(weight).values().data(), weight.value.data());
}

TEST(Parameter, copies_are_deep) {
  const ef::Parameter<float> bias(ef::Vector<float>::Ones(3));
  ef::Parameter<float> copy = bias;
  copy.values()[0] = 9;
  EXPECT_EQ(bias.values()[0], 1.0F);
}

TEST(Name, joins_parts_and_numbers_with_dots) {
  const ef::Name root;
  const ef::Name layers(root, "layers");
  const ef::Name third(layers, 2);
  const ef::Name query(third, "query");
  EXPECT_EQ(ef::Name(query, "weight").str(), "layers.2.query.weight");
  EXPECT_EQ(root.str(), "");
  EXPECT_EQ(ef::Name(ef::Name(root, ""), "weight").str(), "weight");
  EXPECT_EQ(ef::Name(ef::Name(layers, ""), 0).str(), "layers.0");
  std::ostringstream out;
  out << third;
  EXPECT_EQ(out.str(), "layers.2");
}
