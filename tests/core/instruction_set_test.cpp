// SPDX-License-Identifier: MIT

#include <eigenformer/core/instruction_set.hpp>

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace ef = eigenformer;

TEST(InstructionSet, portable_is_always_there) { EXPECT_TRUE(ef::available(ef::InstructionSet::portable)); }

TEST(InstructionSet, best_is_available_and_the_last_that_is) {
  const ef::InstructionSet best = ef::best_instruction_set();
  EXPECT_TRUE(ef::available(best));
  bool after = false;
  for (const ef::InstructionSet candidate : ef::all_instruction_sets) {
    EXPECT_FALSE(after && ef::available(candidate)) << name(candidate);
    after = after || candidate == best;
  }
  EXPECT_TRUE(after);
}

TEST(InstructionSet, avx512_comes_with_avx2_and_neon_with_neither) {
  EXPECT_TRUE(ef::available(ef::InstructionSet::avx2) || !ef::available(ef::InstructionSet::avx512));
  EXPECT_FALSE(ef::available(ef::InstructionSet::avx2) && ef::available(ef::InstructionSet::neon));
}

TEST(InstructionSet, names_differ) {
  std::set<std::string> names;
  for (const ef::InstructionSet instruction_set : ef::all_instruction_sets) names.emplace(name(instruction_set));
  EXPECT_EQ(names.size(), ef::all_instruction_sets.size());
  EXPECT_TRUE(names.contains("portable"));
}
