// SPDX-License-Identifier: MIT

#include <eigenformer/core/sequence_labels.hpp>

#include <gtest/gtest.h>

#include "support/compare.hpp"

namespace ef = eigenformer;
using ef::Index;

namespace {

/// "name first+count name first+count ..."
std::string visited(const ef::SequenceLabels& labels, Index rows) {
  std::string text;
  labels.visit(rows, "Test", [&](std::string_view label, Index first, Index count) {
    text += std::string(label) + ' ' + std::to_string(first) + '+' + std::to_string(count) + ' ';
  });
  return text;
}

}  // namespace

TEST(SequenceLabels, share_the_rows_of_a_batch_equally) {
  const ef::SequenceLabels labels = {.labels = {"a", "", "b"}};
  EXPECT_EQ(visited(labels, 3), "a 0+1  1+1 b 2+1 ");
  EXPECT_EQ(visited(labels, 15), "a 0+5  5+5 b 10+5 ");
  EXPECT_EQ(visited(labels, 0), "a 0+0  0+0 b 0+0 ");
  EXPECT_THROW(visited(labels, 16), ef::ShapeError);
  EXPECT_THROW(visited(labels, 1), ef::ShapeError);
}

TEST(SequenceLabels, have_lengths_or_one_row_each) {
  const ef::SequenceLabels labels = {.labels = {"a", "", "b"}, .lengths = {2, 5, 1}};
  EXPECT_EQ(visited(labels, 8), "a 0+2  2+5 b 7+1 ");
  EXPECT_EQ(visited(labels, 3), "a 0+1  1+1 b 2+1 ");
  EXPECT_THROW(visited(labels, 6), ef::ShapeError);
  EXPECT_THROW(visited(labels, 9), ef::ShapeError);
  EXPECT_THROW(visited(labels, 0), ef::ShapeError);
}

TEST(SequenceLabels, without_any_fit_no_batch) {
  EXPECT_THROW(visited({}, 3), ef::ShapeError);
  EXPECT_THROW(visited({}, 0), ef::ShapeError);
}
