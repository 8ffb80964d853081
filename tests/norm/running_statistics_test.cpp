// SPDX-License-Identifier: MIT

#include <eigenformer/norm/running_statistics.hpp>

#include <gtest/gtest.h>

#include "norm/channel_case.hpp"

namespace ef = eigenformer;
using ef::Index;

TEST(RunningStatistics, move_by_the_share_of_the_newest_batch) {
  EXPECT_EQ(ef::detail::moved(2.0, 10.0, 0.25), 4.0);
  EXPECT_EQ(ef::detail::moved(2.0F, 10.0, 1.0), 10.0F);
  EXPECT_EQ(ef::detail::moved(2.0F, 10.0, 0.0), 2.0F);
}

TEST(RunningStatistics, are_infinite_where_their_type_cannot_hold_them) {
  EXPECT_TRUE(support::is_infinite(static_cast<double>(ef::detail::moved(1.0F, 1e60, 0.1))));
  EXPECT_EQ(ef::detail::moved(1.0, 1e60, 0.5), 0.5 + 5e59);
}

TEST(RunningStatistics, follow_with_pytorchs_momentum_unless_told_otherwise) {
  const ef::RunningStatistics statistics;
  ASSERT_TRUE(std::holds_alternative<ef::MovingAverage>(statistics));
  EXPECT_EQ(std::get<ef::MovingAverage>(statistics).momentum, 0.1);
  EXPECT_NO_THROW(ef::detail::require_momentum(ef::CumulativeAverage{}, "BatchNorm"));
  EXPECT_NO_THROW(ef::detail::require_momentum(ef::MovingAverage{.momentum = 1}, "BatchNorm"));
  EXPECT_THROW(ef::detail::require_momentum(ef::MovingAverage{.momentum = 1.01}, "BatchNorm"), ef::OptionError);
  const double nan = std::bit_cast<double>(std::uint64_t{0x7ff8000000000000U});
  EXPECT_THROW(ef::detail::require_momentum(ef::MovingAverage{.momentum = nan}, "BatchNorm"), ef::OptionError);
}

TEST(RunningStatistics, normalise_rows_by_given_numbers) {
  support::Generator random(271);
  const norm_case::Case<float> c(331, 127, support::Distribution::normal, random);
  ef::Vector<float> mean(127), variance(127);
  support::fill(mean, support::Distribution::normal, random);
  for (Index k = 0; k < 127; ++k) variance[k] = static_cast<float>(random.uniform(0.1, 3));
  ef::Matrix<float> y(331, 127);
  std::vector<float> inverse(127);
  ef::Context context;
  ef::detail::normalise_by<float>({.x = c.x,
                                   .y = y,
                                   .z = nullptr,
                                   .weight = c.weight.data(),
                                   .bias = c.bias.data(),
                                   .inverse = inverse.data(),
                                   .mean = nullptr,
                                   .variance = nullptr,
                                   .epsilon = 1e-5,
                                   .live = {}},
                                  {mean.data(), 127}, {variance.data(), 127}, context);
  using norm_case::wide;
  const auto exact = reference::channel_norm_by<long double>(wide(c.x), wide(mean), wide(variance), wide(c.weight),
                                                             wide(c.bias), 1e-5L);
  double largest = 1;
  for (const long double number : exact.values) largest = (std::max)(largest, static_cast<double>(std::abs(number)));
  EXPECT_TRUE(support::within(support::max_error(y, exact, largest), 4 * support::tolerance::epsilon<float>));
}
