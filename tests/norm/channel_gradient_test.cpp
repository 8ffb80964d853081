// SPDX-License-Identifier: MIT

#include <eigenformer/norm/channel_gradient.hpp>

#include <gtest/gtest.h>

#include "norm/channel_case.hpp"

namespace ef = eigenformer;
using ef::Index;
using ef::detail::StatisticsOf;
using support::Distribution;

namespace {

constexpr Index channels = 66, group = 3, groups = 22, items = 2;

struct Gradients {
  ef::Matrix<double> dx;
  ef::Vector<double> dweight, dbias;
};

/// From any z, as in the formula.
Gradients by_formula(const ef::Matrix<double>& dy, const ef::Matrix<double>& z, const ef::Vector<double>& weight,
                     const std::vector<double>& inverse, StatisticsOf statistics) {
  const Index rows = dy.rows() / items;
  Gradients result = {ef::Matrix<double>(dy.rows(), channels), ef::Vector<double>::Zero(channels),
                      ef::Vector<double>::Zero(channels)};
  for (Index b = 0; b < items; ++b) {
    for (Index g = 0; g < groups; ++g) {
      double mean_g = 0, mean_gz = 0;
      for (Index n = b * rows; n < (b + 1) * rows; ++n) {
        for (Index c = g * group; c < (g + 1) * group; ++c) {
          mean_g += dy(n, c) * weight[c] / double(rows * group);
          mean_gz += dy(n, c) * weight[c] * z(n, c) / double(rows * group);
          result.dweight[c] += dy(n, c) * z(n, c);
          result.dbias[c] += dy(n, c);
        }
      }
      if (statistics == StatisticsOf::elsewhere) mean_g = mean_gz = 0;
      for (Index n = b * rows; n < (b + 1) * rows; ++n) {
        for (Index c = g * group; c < (g + 1) * group; ++c) {
          result.dx(n, c) = inverse[std::size_t(b * groups + g)] * (dy(n, c) * weight[c] - mean_g - z(n, c) * mean_gz);
        }
      }
    }
  }
  return result;
}

void expect_formula(Index rows, StatisticsOf statistics, support::Generator& random) {
  ef::Matrix<double> dy(items * rows, channels), z(items * rows, channels), dx(items * rows, channels);
  ef::Vector<double> weight(channels);
  support::fill(dy, Distribution::normal, random);
  support::fill(z, Distribution::normal, random);
  support::fill(weight, Distribution::normal, random);
  std::vector<double> inverse(items * groups);
  support::fill(inverse, Distribution::uniform, random);
  const Gradients expected = by_formula(dy, z, weight, inverse, statistics);
  ef::Vector<double> first;
  for (const int threads : {1, 2, 3}) {
    ef::Context context({.threads = threads});
    ef::Vector<double> dweight = ef::Vector<double>::Ones(channels), dbias = ef::Vector<double>::Ones(channels);
    ef::detail::ChannelGradient<double>({.dy = dy,
                                         .z = z.data(),
                                         .dx = dx,
                                         .weight = weight.data(),
                                         .inverse = inverse.data(),
                                         .dweight = dweight.data(),
                                         .dbias = dbias.data(),
                                         .statistics = statistics,
                                         .live = {}},
                                        {items, rows, channels, group, 8}, context)
        .run();
    EXPECT_TRUE(support::within(support::worst_row_nmse(dx, expected.dx, dx.size()), 1e-28));
    EXPECT_TRUE(support::within(support::max_error(dweight, ef::Vector<double>(expected.dweight.array() + 1)), 1e-10));
    EXPECT_TRUE(support::within(support::max_error(dbias, ef::Vector<double>(expected.dbias.array() + 1)), 1e-10));
    if (threads == 1) first = dweight;
    EXPECT_TRUE(support::bit_equal(dweight, first));
  }
}

}  // namespace

TEST(ChannelGradient, is_that_of_the_formula_for_statistics_of_the_rows_and_from_elsewhere) {
  support::Generator random(261);
  for (const Index rows : {1, 17, 9001}) {  // the last in parts
    expect_formula(rows, StatisticsOf::rows, random);
    expect_formula(rows, StatisticsOf::elsewhere, random);
  }
}
