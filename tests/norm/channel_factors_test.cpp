// SPDX-License-Identifier: MIT

#include <eigenformer/norm/channel_factors.hpp>

#include <gtest/gtest.h>

#include <vector>

namespace ef = eigenformer;
using ef::Index;
using Factors = ef::detail::ChannelFactors<float>;

namespace {

/// A channel, and how large its numbers are.
struct Channel {
  float scale, shift, factor, offset, weight, bias, size;
};
constexpr Channel plain = {1, -3.1F, 0.37F, 0.23F, 1.9F, -1.3F, 4.7F};
constexpr Channel faint = {1, 0, 1e-19F, 0, 1e-25F, 0, 1e19F};        // 1e-44, which has but three bits
constexpr Channel steep = {1, 0, 1e25F, 0, 1e20F, 0, 1e-25F};         // 1e45
constexpr Channel huge = {0x1p-100F, 0, 2, -0.5F, 3, 1, 0x1.8p100F};  // with a scale
constexpr Channel mute = {1, 1, 1e-19F, 0, 0, 7, 1e19F};              // of weight 0

constexpr Index rows = 3;

/// What normalises the channels, and rows of them.
struct Case {
  std::vector<float> scale, shift, factor, offset, weight, bias, x, y, z;
  std::vector<float> gain, base, zeros;

  explicit Case(const std::vector<Channel>& channels) {
    for (const Channel& c : channels) {
      scale.push_back(c.scale);
      shift.push_back(c.shift);
      factor.push_back(c.factor);
      offset.push_back(c.offset);
      weight.push_back(c.weight);
      bias.push_back(c.bias);
    }
    for (Index n = 0; n < rows; ++n) {
      for (const Channel& c : channels) x.push_back(c.size * (static_cast<float>(n) - 0.75F));
    }
    gain.resize(channels.size());
    base.resize(channels.size());
    zeros.resize(channels.size());
    y.resize(x.size());
    z.resize(x.size());
  }
  Index channels() const { return static_cast<Index>(scale.size()); }
  Factors factors() {
    return {scale.data(), shift.data(), factor.data(), offset.data(), weight.data(),
            bias.data(),  gain.data(),  base.data(),   zeros.data()};
  }
  /// Returns how many channels went step by step.
  Index run(ef::InstructionSet set) {
    const Index stepwise = factors().fold(channels());
    factors().normalise({.x = x.data(),
                         .x_stride = channels(),
                         .y = y.data(),
                         .y_stride = channels(),
                         .z = z.data(),
                         .z_stride = channels(),
                         .rows = rows,
                         .channels = channels()},
                        stepwise, set);
    return stepwise;
  }
  void expect_formula() const {
    for (std::size_t i = 0; i < x.size(); ++i) {
      const std::size_t c = i % scale.size();
      const auto as_double = [&](const std::vector<float>& values) { return static_cast<double>(values[c]); };
      const double d = static_cast<double>(x[i]) * as_double(scale) + as_double(shift);
      const double row = d * as_double(factor) + as_double(offset);
      const double expected = row * as_double(weight) + as_double(bias);
      const double terms =
          (std::abs(d * as_double(factor)) + std::abs(as_double(offset))) * std::abs(as_double(weight));
      EXPECT_NEAR(z[i], row, 2e-7 * (std::abs(row) + std::abs(as_double(offset)))) << "channel " << c;
      EXPECT_NEAR(y[i], expected, 3e-7 * (terms + std::abs(as_double(bias)))) << "channel " << c;
    }
  }
};

}  // namespace

TEST(ChannelFactors, hold_where_a_gain_leaves_the_range) {
  for (const ef::InstructionSet set : ef::all_instruction_sets) {
    if (!ef::available(set)) continue;
    Case mixed({plain, faint, plain, steep, huge, mute, plain});
    EXPECT_EQ(mixed.run(set), 3) << ef::name(set);
    mixed.expect_formula();
  }
}

TEST(ChannelFactors, a_channel_does_not_change_the_bits_of_others) {
  Case mixed({plain, faint, plain, steep, huge, mute, plain});
  Case alone({plain});
  mixed.run(ef::best_instruction_set());
  EXPECT_EQ(alone.run(ef::best_instruction_set()), 0);
  for (std::size_t n = 0; n < rows; ++n) {
    for (const std::size_t c : {0U, 2U, 6U}) {
      EXPECT_EQ(mixed.y[n * 7 + c], alone.y[n]);
      EXPECT_EQ(mixed.z[n * 7 + c], alone.z[n]);
    }
  }
}

TEST(ChannelFactors, may_write_where_they_read) {
  Case apart({plain, huge, faint}), in_place = apart;
  apart.run(ef::best_instruction_set());
  const Index stepwise = in_place.factors().fold(3);
  in_place.factors().normalise({.x = in_place.x.data(),
                                .x_stride = 3,
                                .y = in_place.x.data(),
                                .y_stride = 3,
                                .z = nullptr,
                                .z_stride = 3,
                                .rows = rows,
                                .channels = 3},
                               stepwise, ef::best_instruction_set());
  EXPECT_EQ(in_place.x, apart.y);
}
