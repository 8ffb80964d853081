// SPDX-License-Identifier: MIT

#include <kernels/rows_probe.hpp>

#include <gtest/gtest.h>

#include "support/alignment.hpp"

namespace ef = eigenformer;
using support::GuardedBuffer;

TEST(Lanes, visit_every_element_of_a_row_and_nothing_beyond) {
  int rows = 0;
  for (const ef::InstructionSet set : ef::all_instruction_sets) {
    if (!ef::available(set)) continue;
    for (ef::Index count = 0; count <= 200; ++count) {
      GuardedBuffer<float> x(count, count % 16);
      GuardedBuffer<float> in_slots(count, 3);
      GuardedBuffer<float> on_lines(count, count % 17);
      for (ef::Index i = 0; i < count; ++i) x[i] = static_cast<float>(i);
      ef::kernels::probe_in_slots(x.data(), in_slots.data(), count, set);
      ef::kernels::probe_on_lines(x.data(), on_lines.data(), count, set);
      for (ef::Index i = 0; i < count; ++i) {
        ASSERT_EQ(in_slots[i], static_cast<float>(i + 1)) << ef::name(set) << " " << count;
        ASSERT_EQ(on_lines[i], static_cast<float>(i + 1)) << ef::name(set) << " " << count;
      }
      ASSERT_TRUE(in_slots.untouched_outside());
      ASSERT_TRUE(on_lines.untouched_outside());
      ++rows;
    }
  }
  EXPECT_GE(rows, 201);
}
