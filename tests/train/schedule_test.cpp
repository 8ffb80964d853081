// SPDX-License-Identifier: MIT

#include "reference/optimizers.hpp"

#include <eigenformer/train/schedule.hpp>

#include <gtest/gtest.h>

namespace {

namespace ef = eigenformer;

TEST(WarmupCosine, equals_reference_at_every_step) {
  int compared = 0;
  for (const long warmup : {0L, 1L, 13L, 97L}) {
    const ef::WarmupCosine schedule({.warmup_steps = warmup, .total_steps = 97, .peak = 0.02, .floor = 0.003});
    for (long step = 0; step < 120; ++step) {
      const double expected =
          reference::warmup_cosine(step, {.peak = 0.02, .minimum = 0.003, .warmup_steps = warmup, .total_steps = 97});
      EXPECT_NEAR(schedule(step), expected, 1e-15) << warmup << " at " << step;
      ++compared;
    }
  }
  EXPECT_EQ(compared, 480);
}

TEST(WarmupCosine, rises_to_the_peak_and_ends_on_the_floor) {
  const ef::WarmupCosine schedule({.warmup_steps = 4, .total_steps = 10, .peak = 1, .floor = 0.25});
  EXPECT_EQ(schedule(0), 0.25);
  EXPECT_EQ(schedule(3), 1);
  EXPECT_EQ(schedule(4), 1);
  EXPECT_NEAR(schedule(7), 0.625, 1e-15);
  EXPECT_EQ(schedule(10), 0.25);
  EXPECT_EQ(schedule(1000000), 0.25);
}

TEST(WarmupCosine, rejects_options_that_contradict_each_other) {
  EXPECT_THROW(ef::WarmupCosine({.total_steps = 0}), ef::OptionError);
  EXPECT_THROW(ef::WarmupCosine({.warmup_steps = 11, .total_steps = 10}), ef::OptionError);
  EXPECT_THROW(ef::WarmupCosine({.warmup_steps = -1, .total_steps = 10}), ef::OptionError);
  EXPECT_THROW(ef::WarmupCosine({.total_steps = 10, .peak = 1, .floor = 2}), ef::OptionError);
  EXPECT_THROW(ef::WarmupCosine({.total_steps = 10, .peak = 1, .floor = -1}), ef::OptionError);
  EXPECT_THROW(ef::WarmupCosine({.total_steps = 10})(-1), ef::OptionError);
}

}  // namespace
