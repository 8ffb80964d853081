// SPDX-License-Identifier: MIT
#include <eigenformer/kernels/seeded_bug.hpp>

#include <gtest/gtest.h>

namespace {

// A constant, so that what asks for it is left out by the compiler.
static_assert(eigenformer::kernels::seeded_bug == 0);

TEST(SeededBugs, are_made_by_those_alone_who_ask_for_them) { EXPECT_EQ(eigenformer::kernels::seeded_bug, 0); }

}  // namespace
