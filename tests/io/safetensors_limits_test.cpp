// SPDX-License-Identifier: MIT

#include <eigenformer/io/safetensors_limits.hpp>

#include <gtest/gtest.h>

namespace {

// What users rely on without naming it; each limit's effect is tested with its rule in safetensors_header_test.cpp.
TEST(SafetensorsLimits, defaults_are_those_documented) {
  const eigenformer::SafetensorsLimits limits;
  EXPECT_EQ(limits.header_bytes, 100'000'000U);
  EXPECT_EQ(limits.tensors, 1'000'000U);
  EXPECT_EQ(limits.name_bytes, 4096U);
  EXPECT_EQ(limits.rank, 8);
  EXPECT_EQ(limits.dimension, 281474976710655U);
  EXPECT_EQ(limits.style, eigenformer::HeaderStyle::reference);
}

}  // namespace
