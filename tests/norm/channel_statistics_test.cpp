// SPDX-License-Identifier: MIT

#include <eigenformer/norm/channel_statistics.hpp>

#include <gtest/gtest.h>

#include "norm/channel_case.hpp"

namespace ef = eigenformer;
using channel_case::as_items;
using ef::Index;
using norm_case::Case;
using norm_case::wide;
using support::Distribution;

namespace {

/// Statistics of 2 items in groups of 3 channels, against the reference.
void expect_statistics(Index rows, Distribution distribution, support::Generator& random) {
  constexpr Index channels = 66, group = 3, groups = 22, items = 2;
  const Case<float> c(items * rows, channels, distribution, random);
  ef::Matrix<float> y(items * rows, channels), z(items * rows, channels);
  std::vector<float> inverse(items * groups);
  std::vector<double> mean(items * groups), variance(items * groups);
  ef::Context context;
  ef::detail::ChannelStatistics<float>({.x = c.x,
                                        .y = y,
                                        .z = z.data(),
                                        .weight = c.weight.data(),
                                        .bias = c.bias.data(),
                                        .inverse = inverse.data(),
                                        .mean = mean.data(),
                                        .variance = variance.data(),
                                        .epsilon = 1e-5,
                                        .live = {}},
                                       {items, rows, channels, group, 4}, context)
      .run();
  const auto ones = reference::Array<long double>({channels}, 1.0L),
             none = reference::Array<long double>({channels}, 0.0L);
  const auto exact = reference::channel_norm<long double>(as_items(c.x, items), groups, ones, none, 1e-5L);
  EXPECT_TRUE(support::within(support::max_error(z, exact.y), 2e-6));
  for (Index n = 0; n < y.rows(); ++n) {
    for (Index k = 0; k < channels; ++k) {
      ASSERT_NEAR(y(n, k), z(n, k) * c.weight[k] + c.bias[k], 1e-6 * (std::abs(z(n, k) * c.weight[k]) + 1));
    }
  }
  constexpr double limit = 4 * support::tolerance::epsilon<float>;
  for (std::size_t i = 0; i < mean.size(); ++i) {
    const double spread = static_cast<double>(exact.variance.values[i]);
    EXPECT_NEAR(mean[i], static_cast<double>(exact.mean.values[i]), limit * (1 + std::abs(mean[i])));
    EXPECT_NEAR(variance[i], spread, limit * spread);
    EXPECT_NEAR(inverse[i], 1 / std::sqrt(spread + 1e-5), limit * inverse[i]);
  }
}

}  // namespace

TEST(ChannelStatistics, keep_mean_variance_and_rows_of_few_rows_and_of_many) {
  support::Generator random(251);
  for (const Index rows : {2, 17, 131, 20011}) {  // the last in parts
    expect_statistics(rows, Distribution::normal, random);
    expect_statistics(rows, Distribution::mean_1e6, random);
  }
}
