// SPDX-License-Identifier: MIT

#include "support/compare.hpp"

#include <gtest/gtest.h>

#include <Eigen/Core>
#include <cmath>
#include <limits>
#include <vector>

namespace {

using support::within;

constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();
constexpr float infinity = std::numeric_limits<float>::infinity();
const std::vector<double> expected = {1, 2, 3, 4, 5, 6};
const std::vector<double> magnitude = {1, 2, 3, 4, 5, 6};

TEST(Compare, max_error_names_the_worst_element) {
  const std::vector<float> actual = {1, 2, 3.5F, 4, 5.25F, 6};
  const support::ErrorReport report = support::max_error(actual, expected);
  EXPECT_EQ(report.worst, 0.5);
  EXPECT_EQ(report.index, 2);
  EXPECT_EQ(report.compared, 6);
  EXPECT_TRUE(within(report, 0.5));
  EXPECT_FALSE(within(report, 0.49));
  EXPECT_EQ(support::max_error(actual, expected, 2).worst, 0.25);
}

TEST(Compare, every_measure_fails_on_nan_wherever_it_is) {
  int cases = 0;
  for (std::size_t at = 0; at < expected.size(); ++at) {
    std::vector<float> actual(expected.begin(), expected.end());
    actual[at] = not_a_number;
    EXPECT_FALSE(within(support::max_error(actual, expected), 1e300));
    EXPECT_FALSE(within(support::mixed_error(actual, expected, 1, 1), 1e300));
    EXPECT_FALSE(within(support::worst_row_nmse(actual, expected, 3), 1e300));
    EXPECT_FALSE(within(support::dot_product_error(actual, expected, magnitude), 1e300));
    EXPECT_FALSE(within(support::ulp_error(actual, expected), 1e300));
    EXPECT_FALSE(support::all_finite(actual));
    ++cases;
  }
  EXPECT_EQ(cases, 6);
}

TEST(Compare, fails_on_a_reference_or_a_tolerance_that_is_nan) {
  const std::vector<float> actual = {1};
  EXPECT_FALSE(within(support::max_error(actual, std::vector<double>{std::nan("")}), 1e300));
  EXPECT_FALSE(within(support::max_error(actual, std::vector<double>{1}), std::nan("")));
}

TEST(Compare, infinity_agrees_with_its_like_only) {
  const std::vector<double> high = {static_cast<double>(infinity)};
  EXPECT_TRUE(within(support::max_error(std::vector<float>{infinity}, high), 0));
  EXPECT_FALSE(within(support::max_error(std::vector<float>{-infinity}, high), 1e300));
  EXPECT_FALSE(within(support::max_error(std::vector<float>{1}, high), 1e300));
  EXPECT_FALSE(within(support::max_error(std::vector<float>{infinity}, std::vector<double>{1}), 1e300));
  EXPECT_TRUE(within(support::max_error(std::vector<float>{infinity}, std::vector<double>{1e60}), 0))
      << "1e60 is infinite in float";
}

TEST(Compare, comparing_nothing_or_other_sizes_fails) {
  const std::vector<float> none;
  EXPECT_FALSE(within(support::max_error(none, std::vector<double>{}), 1));
  EXPECT_FALSE(within(support::max_error(std::vector<float>{1, 2}, expected), 1e300));
  EXPECT_FALSE(within(support::worst_row_nmse(std::vector<float>{1, 2}, expected, 1), 1e300));
  EXPECT_FALSE(within(support::worst_row_nmse(std::vector<float>(6, 1.0F), expected, 4), 1e300))
      << "4 does not divide 6";
  EXPECT_FALSE(support::bit_equal(std::vector<float>{1, 2}, std::vector<float>{1}));
}

TEST(Compare, row_nmse_finds_the_one_bad_row_that_an_average_hides) {
  const std::ptrdiff_t rows = 101;
  std::vector<double> reference(static_cast<std::size_t>(rows * 3), 1.0);
  std::vector<float> actual(reference.begin(), reference.end());
  actual[3 * 57 + 1] = 1.3F;
  const support::ErrorReport report = support::worst_row_nmse(actual, reference, 3);
  EXPECT_NEAR(report.worst, 0.09 / 3, 1e-8);
  EXPECT_EQ(report.index, 57);
  EXPECT_EQ(report.compared, rows);
}

TEST(Compare, row_nmse_does_not_depend_on_the_magnitude) {
  for (const double size : {1e-300, 1e-30, 1.0, 1e30, 1e300}) {
    const std::vector<double> reference = {3 * size, 4 * size};
    EXPECT_NEAR(support::worst_row_nmse(std::vector<double>{3 * size, 4.5 * size}, reference, 2).worst, 0.01, 1e-12);
  }
}

TEST(Compare, row_nmse_leaves_negligible_rows_out_and_zero_rows_exact) {
  const std::vector<double> reference = {1e-9, 1e-9, 1, 1};
  const std::vector<double> actual = {2e-9, 1e-9, 1, 1};
  EXPECT_EQ(support::worst_row_nmse(actual, reference, 2, 1e-6).worst, 0);
  EXPECT_EQ(support::worst_row_nmse(actual, reference, 2, 1e-6).compared, 1);
  EXPECT_GT(support::worst_row_nmse(actual, reference, 2).worst, 0.1);
  const std::vector<double> zeros = {0, 0};
  EXPECT_TRUE(within(support::worst_row_nmse(zeros, zeros, 2), 0));
  EXPECT_FALSE(within(support::worst_row_nmse(std::vector<double>{0, 1e-40}, zeros, 2), 1e300));
}

TEST(Compare, c_counts_in_epsilons_of_the_sum_of_magnitudes) {
  constexpr double epsilon = 0x1p-23;
  const std::vector<float> actual = {1 + 4 * 0x1p-23F};
  EXPECT_DOUBLE_EQ(support::dot_product_error(actual, std::vector<double>{1}, std::vector<double>{1}).worst, 4);
  EXPECT_DOUBLE_EQ(support::dot_product_error(actual, std::vector<double>{1}, std::vector<double>{8}).worst, 0.5);
  // Products that vanish below the denormal numbers: the unit is the smallest of those.
  const double smallest = static_cast<double>(std::numeric_limits<float>::denorm_min());
  EXPECT_NEAR(
      support::dot_product_error(std::vector<float>{0}, std::vector<double>{2 * smallest}, std::vector<double>{1e-60})
          .worst,
      2, epsilon);
}

TEST(Compare, ulp_error_is_fractional_and_ulp_distance_counts_numbers) {
  const float next = std::nextafter(1.0F, 2.0F);
  EXPECT_DOUBLE_EQ(support::ulp_error(std::vector<float>{next}, std::vector<double>{1}).worst, 1);
  EXPECT_DOUBLE_EQ(support::ulp_error(std::vector<float>{1}, std::vector<double>{1 + 0x1p-24}).worst, 0.5);
  EXPECT_DOUBLE_EQ(support::ulp_error(std::vector<float>{4 + 0x1p-21F}, std::vector<double>{4}).worst, 1);
  EXPECT_EQ(support::ulp_distance(1.0F, next), 1);
  EXPECT_EQ(support::ulp_distance(0.0F, -0.0F), 0);
  EXPECT_EQ(support::ulp_distance(std::numeric_limits<float>::denorm_min(), -std::numeric_limits<float>::denorm_min()),
            2);
  EXPECT_EQ(support::ulp_distance(-1.0, std::nextafter(-1.0, 0.0)), 1);
  EXPECT_EQ(support::ulp_distance(1.0F, not_a_number), (std::numeric_limits<std::int64_t>::max)());
}

TEST(Compare, bit_equality_tells_signed_zeros_and_takes_nan_for_itself) {
  EXPECT_TRUE(support::bit_equal(std::vector<float>{1, not_a_number}, std::vector<float>{1, not_a_number}));
  EXPECT_FALSE(support::bit_equal(std::vector<float>{0.0F}, std::vector<float>{-0.0F}));
  EXPECT_FALSE(support::bit_equal(std::vector<double>{1}, std::vector<double>{1 + 0x1p-52}));
}

TEST(Compare, views_with_gaps_are_refused) {
  Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor> matrix(2, 3);
  matrix << 1, 2, 3, 4, 5, 6;
  EXPECT_TRUE(within(support::max_error(matrix, expected), 0));
  EXPECT_TRUE(within(support::max_error(matrix.topRows(1), std::vector<double>{1, 2, 3}), 0));
  EXPECT_THROW(support::flat(matrix.leftCols(2)), std::invalid_argument);
}

}  // namespace
