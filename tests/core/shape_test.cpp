// SPDX-License-Identifier: MIT

#include <eigenformer/core/shape.hpp>

#include <gtest/gtest.h>

#include <sstream>

namespace ef = eigenformer;

TEST(Shape, prints_as_a_list) {
  EXPECT_EQ(ef::Shape({4, 10, 256}).to_string(), "[4, 10, 256]");
  EXPECT_EQ(ef::Shape({7}).to_string(), "[7]");
  EXPECT_EQ(ef::Shape().to_string(), "[]");
  std::ostringstream out;
  out << ef::Shape({2, 3});
  EXPECT_EQ(out.str(), "[2, 3]");
}

TEST(Shape, counts_from_both_ends) {
  const ef::Shape shape = {4, 10, 256};
  EXPECT_EQ(shape.rank(), 3);
  EXPECT_EQ(shape[0], 4);
  EXPECT_EQ(shape[-1], 256);
  EXPECT_EQ(shape[-3], 4);
}

TEST(Shape, size_is_the_product_and_rows_leave_out_the_features) {
  EXPECT_EQ(ef::Shape({4, 10, 256}).size(), 4 * 10 * 256);
  EXPECT_EQ(ef::Shape({4, 10, 256}).rows(), 40);
  EXPECT_EQ(ef::Shape({3}).rows(), 1);
  EXPECT_EQ(ef::Shape().size(), 1);
  EXPECT_EQ(ef::Shape({5, 0, 3}).size(), 0);
  EXPECT_EQ(ef::Shape({5, 2, 0}).rows(), 10);
}

TEST(Shape, is_equal_only_with_the_same_rank_and_extents) {
  EXPECT_EQ(ef::Shape({2, 3}), ef::Shape({2, 3}));
  EXPECT_NE(ef::Shape({2, 3}), ef::Shape({3, 2}));
  EXPECT_NE(ef::Shape({2, 3}), ef::Shape({2, 3, 1}));
  EXPECT_NE(ef::Shape({0}), ef::Shape());
}

TEST(Shape, extents_can_be_changed) {
  ef::Shape shape = {2, 3};
  shape[-1] = 5;
  EXPECT_EQ(shape, ef::Shape({2, 5}));
}

TEST(Shape, rejects_more_dimensions_than_it_holds) {
  EXPECT_EQ(ef::Shape({1, 2, 3, 4, 5, 6, 7, 8}).rank(), 8);
  EXPECT_THROW(ef::Shape({1, 2, 3, 4, 5, 6, 7, 8, 9}), ef::ShapeError);
  const ef::Index none = 0;
  EXPECT_THROW(ef::Shape(&none, -1), ef::ShapeError);
}
