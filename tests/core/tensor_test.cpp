// SPDX-License-Identifier: MIT

#include <eigenformer/core/tensor.hpp>

#include <gtest/gtest.h>

#include <type_traits>
#include <vector>

namespace ef = eigenformer;

static_assert(std::is_convertible_v<ef::Tensor<float, 3>&, ef::TensorView<float, 3>>);
static_assert(std::is_convertible_v<const ef::Tensor<float, 3>&, ef::ConstTensorView<float, 3>>);
static_assert(std::is_convertible_v<ef::TensorView<float, 3>, ef::ConstTensorView<float, 3>>);
static_assert(!std::is_convertible_v<const ef::Tensor<float, 3>&, ef::TensorView<float, 3>>, "const stays const");
static_assert(!std::is_convertible_v<ef::ConstTensorView<float, 3>, ef::TensorView<float, 3>>);
static_assert(!std::is_convertible_v<ef::Tensor<float, 2>&, ef::TensorView<float, 3>>);
static_assert(!std::is_convertible_v<ef::Tensor<double, 3>&, ef::TensorView<float, 3>>);

TEST(Tensor, last_dimension_is_contiguous) {
  ef::Tensor<float, 3> x(2, 3, 5);
  EXPECT_EQ(&x(0, 0, 1) - &x(0, 0, 0), 1);
  EXPECT_EQ(&x(0, 1, 0) - &x(0, 0, 0), 5);
  EXPECT_EQ(&x(1, 0, 0) - &x(0, 0, 0), 15);
  EXPECT_EQ(ef::shape_of(x.dimensions()), ef::Shape({2, 3, 5}));
}

TEST(Tensor, views_see_the_memory_of_a_tensor_a_map_and_a_vector) {
  ef::Tensor<float, 2> x(2, 3);
  x.setZero();
  const ef::TensorView<float, 2> view = x;
  EXPECT_EQ(view.data(), x.data());
  EXPECT_EQ(view.shape(), ef::Shape({2, 3}));
  std::vector<float> memory(6, 1.0F);
  const Eigen::TensorMap<ef::Tensor<float, 2>> map(memory.data(), 3, 2);
  const ef::ConstTensorView<float, 2> constant = map;
  EXPECT_EQ(constant.data(), memory.data());
  EXPECT_EQ(constant(2, 1), 1.0F);
  ef::TensorView<float, 2> own(memory.data(), 2, 3);
  own(1, 2) = 7;
  EXPECT_EQ(memory[5], 7.0F);
}

/// Users write Eigen's own types; ours differ from them in not being aligned.
TEST(Tensor, views_see_eigen_s_own_row_major_tensors_in_place) {
  using Theirs = Eigen::Tensor<float, 2, Eigen::RowMajor>;
  static_assert(!std::is_same_v<Theirs, ef::Tensor<float, 2>>);
  Theirs x(2, 3);
  x.setConstant(2);
  Eigen::TensorMap<Theirs> map(x.data(), 2, 3);
  const Eigen::TensorMap<const Theirs> constant(x.data(), 2, 3);
  EXPECT_EQ((ef::TensorView<float, 2>(x).data()), x.data());
  EXPECT_EQ((ef::TensorView<float, 2>(map).data()), x.data());
  EXPECT_EQ((ef::ConstTensorView<float, 2>(x).data()), x.data());
  EXPECT_EQ((ef::ConstTensorView<float, 2>(map).data()), x.data());
  EXPECT_EQ((ef::ConstTensorView<float, 2>(constant).data()), x.data());
  using ColumnMajor = Eigen::Tensor<float, 2>;
  static_assert(!std::is_convertible_v<ColumnMajor&, ef::ConstTensorView<float, 2>>);
  static_assert(!std::is_convertible_v<ColumnMajor&, ef::TensorView<float, 2>>);

  const ef::Tensor<float, 2> ours = x + x;  // each is made from an expression of the other
  const Theirs theirs = ours + x;
  EXPECT_EQ(theirs(1, 2), 6.0F);
}

TEST(Tensor, assigning_views_copies_elements) {
  ef::Tensor<float, 2> x(2, 2);
  ef::Tensor<float, 2> y(2, 2);
  x.setConstant(3);
  y.setZero();
  ef::TensorView<float, 2> to = y;
  to = ef::ConstTensorView<float, 2>(x);
  EXPECT_EQ(y(1, 1), 3.0F);
  EXPECT_NE(to.data(), x.data());
}

TEST(Tensor, matrices_are_stored_as_halves_rounded_and_widened_exactly) {
  ef::Matrix<float> weight(2, 3);
  weight << 1.0F, 1.00390625F, 1.01171875F, -0.1F, 65519.0F, 1e-8F;  // the second and third lie half way in bfloat16
  const ef::Matrix<ef::Bfloat16> brain = ef::stored_as<ef::Bfloat16>(weight);
  const ef::Matrix<ef::Float16> half = ef::stored_as<ef::Float16>(weight);
  ef::Matrix<float> expected(2, 3);
  expected << 1.0F, 1.0F, 1.015625F, -0.10009765625F, 65536.0F, 0x1.58p-27F;
  EXPECT_EQ(ef::stored_as<float>(brain), expected);
  expected << 1.0F, 1.00390625F, 1.01171875F, -0.0999755859375F, 65504.0F, 0.0F;
  EXPECT_EQ(ef::stored_as<float>(half), expected);
  EXPECT_EQ(ef::stored_as<double>(half), expected.cast<double>());
  EXPECT_EQ(ef::stored_as<ef::Float16>(ef::Matrix<double>(weight.cast<double>())), half);
}

TEST(Tensor, matrices_are_row_major) {
  const ef::Matrix<double> weight = ef::Matrix<double>::Zero(2, 3);
  EXPECT_EQ(&weight(1, 0) - &weight(0, 0), 3);
}
