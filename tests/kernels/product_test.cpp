// SPDX-License-Identifier: MIT

#include <eigenformer/kernels/product.hpp>

#include <gtest/gtest.h>

#include <type_traits>
#include <vector>

namespace kernels = eigenformer::kernels;
using eigenformer::Index;

namespace {

/// What the header says of element (i, j).
double element(const kernels::Operand<double>& matrix, Index i, Index j) {
  return matrix.data[i * matrix.row_stride + j * matrix.column_stride];
}

// Kernels hand them to threads by value.
static_assert(std::is_trivially_copyable_v<kernels::Operand<float>>);
static_assert(std::is_trivially_copyable_v<kernels::Product<float>>);
static_assert(std::is_trivially_copyable_v<kernels::AddBias<float>>);
// Operands are read only, the product is written.
static_assert(std::is_same_v<decltype(kernels::Operand<float>::data), const float*>);
static_assert(std::is_same_v<decltype(kernels::Product<float>::c), float*>);

}  // namespace

TEST(Product, operands_are_a_matrix_or_its_transpose_in_place) {
  constexpr Index rows = 3, columns = 5;
  for (const Index stride : {columns, columns + 2}) {
    std::vector<double> memory(static_cast<std::size_t>(rows * stride));
    for (std::size_t n = 0; n < memory.size(); ++n) memory[n] = static_cast<double>(n);
    const kernels::Operand<double> matrix = kernels::plain(memory.data(), stride);
    const kernels::Operand<double> transpose = kernels::transposed(memory.data(), stride);
    EXPECT_EQ(matrix.data, memory.data());
    EXPECT_EQ(transpose.data, memory.data());
    for (Index i = 0; i < rows; ++i) {
      for (Index j = 0; j < columns; ++j) {
        EXPECT_EQ(element(matrix, i, j), static_cast<double>(i * stride + j));
        EXPECT_EQ(element(transpose, j, i), element(matrix, i, j));
      }
    }
  }
}

TEST(Product, overwrites_and_adds_no_bias_unless_told) {
  const double a = 2, b = 3;
  double c = 0;
  const kernels::Product<double> product = {.rows = 1,
                                            .columns = 1,
                                            .depth = 1,
                                            .a = kernels::plain(&a, 1),
                                            .b = kernels::transposed(&b, 1),
                                            .c = &c,
                                            .c_stride = 1};
  EXPECT_EQ(product.destination, kernels::Destination::overwrite);
  EXPECT_EQ(kernels::AddBias<double>{}.bias, nullptr);
  *product.c = element(product.a, 0, 0) * element(product.b, 0, 0);
  EXPECT_EQ(c, 6);
}
