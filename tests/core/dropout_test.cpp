// SPDX-License-Identifier: MIT
#include <eigenformer/core/dropout.hpp>

#include <gtest/gtest.h>

namespace ef = eigenformer;

TEST(DropoutOptions, drop_nothing_by_default) {
  EXPECT_EQ(ef::Dropout{}.rate, 0);
  EXPECT_EQ(ef::Dropout{}.seed, 0U);
}

TEST(DropoutOptions, need_a_rate_of_at_least_0_and_below_1) {
  for (const double rate : {0.0, 0.1, 0.999}) EXPECT_NO_THROW(ef::require_dropout(rate, "Block"));
  for (const double rate : {-1e-9, 1.0, 2.0}) EXPECT_THROW(ef::require_dropout(rate, "Block"), ef::OptionError);
  try {
    ef::require_dropout(1.5, "Block");
    ADD_FAILURE() << "expected OptionError";
  } catch (const ef::OptionError& error) {
    EXPECT_STREQ(error.what(), "Block: expected dropout of at least 0 and below 1, got 1.5");
  }
}
