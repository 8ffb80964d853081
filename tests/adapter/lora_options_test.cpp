// SPDX-License-Identifier: MIT

#include <eigenformer/adapter/lora_options.hpp>

#include <gtest/gtest.h>

namespace ef = eigenformer;

TEST(LoraOptions, scale_by_rank_or_its_root) {
  EXPECT_EQ(ef::lora_scale({.rank = 4, .alpha = 16}), 4);
  EXPECT_EQ(ef::lora_scale({.rank = 4, .alpha = 16, .scaling = ef::AlphaOverRootRank{}}), 8);
  EXPECT_EQ(ef::lora_scale({}), 1);
}

TEST(LoraOptions, refuse_ranks_that_no_layer_has) {
  for (const ef::Index rank : {ef::Index(0), ef::Index(-1), ef::Index(8), ef::Index(1) << 31}) {
    EXPECT_THROW(ef::require_lora_options({.rank = rank}, 5, 7, "Lora"), ef::OptionError) << rank;
  }
  EXPECT_NO_THROW(ef::require_lora_options({.rank = 7}, 5, 7, "Lora"));
  try {
    ef::require_lora_options({.rank = 8}, 7, 5, "Lora");
    ADD_FAILURE() << "expected OptionError";
  } catch (const ef::OptionError& error) {
    EXPECT_STREQ(error.what(), "Lora: expected rank in 1 .. 7 for a map of 7 to 5 features, got 8");
  }
}

TEST(LoraOptions, refuse_an_alpha_that_is_no_factor) {
  const double infinite = std::bit_cast<double>(std::uint64_t{0x7ff0000000000000});
  const double none = std::bit_cast<double>(std::uint64_t{0x7ff8000000000000});
  for (const double alpha : {infinite, -infinite, none, 1e308, 0.0, -1.0}) {
    EXPECT_THROW(ef::require_lora_options({.rank = 2, .alpha = alpha}, 5, 7, "Lora"), ef::OptionError) << alpha;
  }
  EXPECT_THROW(ef::require_lora_options({.rank = 2, .dropout = 1}, 5, 7, "Lora"), ef::OptionError);
}
