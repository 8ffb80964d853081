// SPDX-License-Identifier: MIT

#include <gtest/gtest.h>

#include <grid.hpp>

#include <set>
#include <string>

namespace {

namespace grid = bench::grid;

/// Adds the sizes of a list to those seen, and their number to `count`.
template <class Sizes, class Seen>
void see(const Sizes& sizes, Seen& seen, std::set<std::string>& shapes, int& count) {
  for (const auto& size : sizes) {
    EXPECT_TRUE(seen.insert(size.dimensions()).second) << size.shape() << " is there twice";
    EXPECT_TRUE(shapes.insert(size.shape()).second) << "two sizes are called " << size.shape();
    EXPECT_EQ(size.shape().find('/'), std::string::npos) << "a slash parts the names of benchmarks";
    for (const auto dimension : size.dimensions()) EXPECT_GE(dimension, 0);
    ++count;
  }
}

template <class... Sizes>
int count_distinct(const Sizes&... sizes) {
  std::set<typename std::common_type_t<decltype(sizes.front().dimensions())...>> seen;
  std::set<std::string> shapes;
  int count = 0;
  (see(sizes, seen, shapes, count), ...);
  return count;
}

TEST(BenchGrid, measures_no_size_twice) {
  EXPECT_EQ(count_distinct(grid::products), 5);
  EXPECT_EQ(count_distinct(grid::linear_of_one_row, grid::linear_of_few_rows, grid::linear_of_many_rows), 10);
  EXPECT_EQ(count_distinct(grid::attention), 3);
  EXPECT_EQ(count_distinct(grid::causal_attention), 4);
  EXPECT_EQ(count_distinct(grid::attention_backward), 1);
  EXPECT_EQ(count_distinct(grid::causal_attention_backward), 2);
  EXPECT_EQ(count_distinct(grid::decoding_attention), 5);
  EXPECT_EQ(count_distinct(grid::cascaded_attention, grid::trained_cascaded_attention), 13);
  EXPECT_EQ(count_distinct(grid::rows, grid::channels), 3);
  EXPECT_EQ(count_distinct(grid::images), 2);
  EXPECT_EQ(count_distinct(grid::logits), 2);
  EXPECT_EQ(count_distinct(grid::lookups), 2);
  EXPECT_EQ(count_distinct(grid::rotary), 3);
  EXPECT_EQ(count_distinct(grid::decoders), 5);
  EXPECT_EQ(count_distinct(grid::recurrent), 2);
  EXPECT_EQ(count_distinct(grid::adapted), 2);
  EXPECT_EQ(count_distinct(grid::training), 2);
}

TEST(BenchGrid, has_shapes_of_real_models) {
  std::string all;
  for (const auto& size : grid::linear_of_one_row) all += size.shape();
  for (const auto& size : grid::linear_of_few_rows) all += size.shape();
  for (const auto& size : grid::linear_of_many_rows) all += size.shape();
  for (const char* model : {"Llama 110M", "BitNet 2B", "EfficientViT", "ViT-B"}) {
    EXPECT_NE(all.find(model), std::string::npos) << model;
  }
}

}  // namespace
