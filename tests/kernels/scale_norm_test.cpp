// SPDX-License-Identifier: MIT

#include <eigenformer/kernels/scale_norm.hpp>

#include <gtest/gtest.h>

#include "support/alignment.hpp"
#include "support/inputs.hpp"

// Accuracy is tested through the block, in tests/norm; here, what memory the kernels touch.

namespace ef = eigenformer;
using ef::Index;

TEST(ScaleNormKernels, write_their_rows_and_nothing_else) {
  support::Generator random(196);
  int cases = 0;
  for (const ef::InstructionSet set : ef::all_instruction_sets) {
    if (!ef::available(set)) continue;
    for (Index features = 1; features <= 70; ++features) {
      constexpr Index rows = 5;
      const auto x = support::normal<float>(rows * features, random);
      support::GuardedRows<float> y(rows, features, features + 3, 1);
      support::GuardedBuffer<float> normalised(rows * features, 2);
      support::GuardedBuffer<float> inverse(rows, 3);
      support::GuardedRows<float> dx(rows, features, features + 2, 4);
      ef::kernels::scale_norm(
          ef::kernels::ScaleNormRows<float>{x.data(), features, y.data(), y.row_stride(), normalised.data(),
                                            inverse.data(), rows, features, 1e-5, 3},
          set);
      const double dg = ef::kernels::scale_norm_backward(
          ef::kernels::ScaleNormBackwardRows<float>{x.data(), features, normalised.data(), inverse.data(), dx.data(),
                                                    dx.row_stride(), rows, features, 3, 1e5F},
          set);
      double norms = 0;
      for (Index n = 0; n < rows; ++n) {
        norms += 1 / static_cast<double>(inverse[n]);
        for (Index j = 0; j < features; ++j) {
          ASSERT_EQ(y(n, j), 3 * normalised[n * features + j]);
          ASSERT_LT(std::abs(dx(n, j)), 1e-4F);  // x has no part across itself
        }
      }
      ASSERT_NEAR(dg, norms, 1e-5 * norms);
      ASSERT_TRUE(y.untouched_outside() && normalised.untouched_outside() && inverse.untouched_outside());
      ASSERT_TRUE(dx.untouched_outside());
      ++cases;
    }
  }
  EXPECT_GE(cases, 70);
}
