// SPDX-License-Identifier: MIT

#include "reference/array.hpp"

#include <gtest/gtest.h>

#include <stdexcept>
#include <vector>

namespace {

using reference::Array;

TEST(ReferenceArray, is_row_major_and_checks_every_index) {
  const Array<double> a({2, 3}, std::vector<double>{1, 2, 3, 4, 5, 6});
  EXPECT_EQ(a(0, 2), 3);
  EXPECT_EQ(a(1, 0), 4);
  EXPECT_EQ(a.rows(), 2);
  EXPECT_EQ(a.row_length(), 3);
  EXPECT_EQ(a.dimension(-1), 3);
  EXPECT_THROW(a(0, 3), std::out_of_range);
  EXPECT_THROW(a(-1, 0), std::out_of_range);
  EXPECT_THROW(a(2, 0), std::out_of_range);
  EXPECT_THROW(a(1), std::out_of_range);
  EXPECT_THROW((Array<double>({2, 3}, std::vector<double>{1})), std::invalid_argument);
}

TEST(ReferenceArray, transposes_and_widens) {
  const std::vector<float> stored = {1, 2, 3, 4, 5, 0.1F};
  const Array<double> a = reference::widened<double>(stored.data(), {2, 3});
  EXPECT_EQ(a(1, 2), static_cast<double>(0.1F));
  const Array<double> b = reference::transposed(a);
  EXPECT_EQ(b.shape, (std::vector<long>{3, 2}));
  EXPECT_EQ(b(2, 0), 3);
  EXPECT_EQ(b(0, 1), 4);
}

}  // namespace
