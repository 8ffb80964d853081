// SPDX-License-Identifier: MIT

#include "conformance/subject.hpp"

#include <gtest/gtest.h>

#include <set>

TEST(ConformanceTable, has_every_block_once_for_float_and_double) {
  const auto& single = conformance::rows<float>();
  const auto& twice = conformance::rows<double>();
  ASSERT_EQ(single.size(), twice.size());
  EXPECT_GE(single.size(), 19U);
  std::set<std::string> names;
  for (std::size_t i = 0; i < single.size(); ++i) {
    EXPECT_EQ(single[i].name, twice[i].name);
    EXPECT_TRUE(names.insert(single[i].name).second) << single[i].name;
  }
}
