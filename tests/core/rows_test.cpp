// SPDX-License-Identifier: MIT

#include <eigenformer/core/rows.hpp>

#include <gtest/gtest.h>

#include <type_traits>

namespace ef = eigenformer;

using Read = ef::ConstRowsView<float>;
using Write = ef::RowsView<float>;
using ColumnMajor = Eigen::MatrixXf;

static_assert(std::is_convertible_v<const ef::Tensor<float, 4>&, Read> &&
              std::is_convertible_v<ef::Tensor<float, 1>&, Write>);
static_assert(std::is_convertible_v<ef::Matrix<float>&, Write> && std::is_convertible_v<ef::Vector<float>&, Write>);
static_assert(std::is_convertible_v<Write, Read>);
static_assert(!std::is_convertible_v<Read, Write>, "what is read cannot be written");
static_assert(!std::is_convertible_v<const ef::Matrix<float>&, Write>);
static_assert(!std::is_convertible_v<ColumnMajor&, Read>, "the rows of a column-major matrix lie apart");
static_assert(!std::is_convertible_v<ef::Matrix<double>&, Read>);

TEST(Rows, see_tensors_of_any_rank_in_place) {
  ef::Tensor<float, 3> x(2, 3, 5);
  x.setZero();
  x(1, 2, 4) = 7;
  const Read view = x;
  EXPECT_EQ(view.rows(), 6);
  EXPECT_EQ(view.features(), 5);
  EXPECT_EQ(view.stride(), 5);
  EXPECT_EQ(view.data(), x.data());
  EXPECT_EQ(view(5, 4), 7.0F);
  EXPECT_EQ(view.shape(), ef::Shape({2, 3, 5})) << "messages show what the caller handed in";
  const ef::Tensor<float, 0> scalar;
  EXPECT_EQ(Read(scalar).rows(), 1);
  EXPECT_EQ(Read(scalar).features(), 1);
}

TEST(Rows, see_matrices_blocks_and_vectors_in_place) {
  ef::Matrix<float> matrix = ef::Matrix<float>::Zero(4, 6);
  matrix(1, 2) = 3;
  const Read block = matrix.middleCols(1, 4);
  EXPECT_EQ(block.features(), 4);
  EXPECT_EQ(block.stride(), 6);
  EXPECT_EQ(block(1, 1), 3.0F);
  Write write = matrix;
  write(3, 5) = 8;
  EXPECT_EQ(matrix(3, 5), 8.0F);
  const ef::Vector<float> vector = ef::Vector<float>::Ones(5);
  EXPECT_EQ(Read(vector).rows(), 1);
  EXPECT_EQ(Read(vector).features(), 5);
  EXPECT_EQ(Read(vector).shape(), ef::Shape({5}));
}

TEST(Rows, that_can_be_written_can_be_read_with_their_shape) {
  ef::Tensor<float, 3> x(2, 3, 5);
  const Read view = Write(x);
  EXPECT_EQ(view.data(), x.data());
  EXPECT_EQ(view.shape(), ef::Shape({2, 3, 5}));
  EXPECT_EQ(view.rows(), 6);
}

TEST(Rows, without_rows_or_features_are_fine) {
  const ef::Tensor<float, 3> none(2, 0, 5);
  EXPECT_EQ(Read(none).rows(), 0);
  EXPECT_EQ(Read(none).features(), 5);
  const ef::Tensor<float, 2> empty(3, 0);
  EXPECT_EQ(Read(empty).rows(), 3);
  EXPECT_EQ(Read(empty).features(), 0);
}

TEST(Rows, checks_name_the_tensor_at_fault) {
  const ef::Tensor<float, 2> x(3, 5);
  const ef::Tensor<float, 2> y(4, 7);
  const auto message = [&](ef::Index in, ef::Index out) -> std::string {
    try {
      ef::require_rows(Read(x), in, Read(y), out, "Block", "x", "y");
    } catch (const ef::ShapeError& error) {
      return error.what();
    }
    return "nothing thrown";
  };
  EXPECT_EQ(message(6, 7), "Block: expected last dimension 6, got x of shape [3, 5]");
  EXPECT_EQ(message(5, 6), "Block: expected last dimension 6, got y of shape [4, 7]");
  EXPECT_EQ(message(5, 7), "Block: expected y with the 3 rows of x of shape [3, 5], got shape [4, 7]");
}
