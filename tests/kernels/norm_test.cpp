// SPDX-License-Identifier: MIT

#include <eigenformer/kernels/norm.hpp>

#include <gtest/gtest.h>

#include <limits>
#include <utility>
#include <vector>

#include "support/alignment.hpp"
#include "support/inputs.hpp"

// Accuracy is tested through the blocks, in tests/norm; here, what memory the kernels touch and how they add.

namespace ef = eigenformer;
using ef::Index;

TEST(NormKernels, write_their_rows_and_nothing_else) {
  support::Generator random(95);
  int cases = 0;
  for (const ef::InstructionSet set : ef::all_instruction_sets) {
    if (!ef::available(set)) continue;
    for (Index features = 1; features <= 70; ++features) {
      constexpr Index rows = 6;  // four together and two alone
      const auto x = support::normal<float>(rows * features, random);
      const auto weight = support::normal<float>(features, random);
      support::GuardedRows<float> y(rows, features, features + 3, 1);
      support::GuardedBuffer<float> normalised(rows * features, 2);
      support::GuardedBuffer<float> inverse(rows, 3);
      support::GuardedRows<float> dx(rows, features, features + 2, 4);
      support::GuardedBuffer<float> dweight(features, 5);
      support::GuardedBuffer<float> dbias(features, 6);
      std::fill(dweight.begin(), dweight.end(), 0.0F);
      std::fill(dbias.begin(), dbias.end(), 0.0F);
      ef::kernels::normalise<ef::kernels::Centred>(
          ef::kernels::NormRows<float>{x.data(), features, y.data(), y.row_stride(), weight.data(), weight.data(),
                                       normalised.data(), inverse.data(), rows, features, 1e-5},
          set);
      ef::kernels::normalise_backward<ef::kernels::Centred>(
          ef::kernels::NormBackwardRows<float>{x.data(), features, normalised.data(), inverse.data(), weight.data(),
                                               dx.data(), dx.row_stride(), dweight.data(), dbias.data(), rows,
                                               features},
          set);
      for (Index n = 0; n < rows; ++n) {
        for (Index j = 0; j < features; ++j) {
          const float z = normalised[n * features + j];
          const float g = weight[static_cast<std::size_t>(j)];
          ASSERT_NEAR(y(n, j), z * g + g, 1e-6F * (1 + std::abs(z * g) + std::abs(g)));
          ASSERT_LT(std::abs(dx(n, j)), 1e5F);
        }
      }
      ASSERT_TRUE(y.untouched_outside() && normalised.untouched_outside() && inverse.untouched_outside());
      ASSERT_TRUE(dx.untouched_outside() && dweight.untouched_outside() && dbias.untouched_outside());
      ++cases;
    }
  }
  EXPECT_GE(cases, 70);
}

/// Where the arrays lie decides how they are read and written, and about no bit.
TEST(NormKernels, have_the_same_bits_for_arrays_in_memory) {
  support::Generator random(96);
  for (const ef::InstructionSet set : ef::all_instruction_sets) {
    if (!ef::available(set)) continue;
    for (const Index features : {5, 16, 48, 61, 64, 1088, 2053}) {
      constexpr Index rows = 7;
      const auto x = support::normal<float>(rows * features, random);
      const auto weight = support::normal<float>(features, random);
      std::vector<std::vector<float>> results;
      for (const ef::kernels::Home home : {ef::kernels::Home::cache, ef::kernels::Home::memory}) {
        std::vector<float> all(static_cast<std::size_t>(2 * rows * features + rows + 2 * features));
        alignas(64) static float z[rows * 2053];  // streamed if the rows begin at vectors
        float* const y = all.data();
        float* const dx = y + rows * features;
        float* const inverse = dx + rows * features;
        float* const dweight = inverse + rows;
        ef::kernels::normalise<ef::kernels::Centred>(
            ef::kernels::NormRows<float>{x.data(), features, y, features, weight.data(), weight.data(), z, inverse,
                                         rows, features, 1e-5, home},
            set);
        ef::kernels::normalise_backward<ef::kernels::Centred>(
            ef::kernels::NormBackwardRows<float>{y, features, z, inverse, weight.data(), dx, features, dweight,
                                                 dweight + features, rows, features, home},
            set);
        all.insert(all.end(), z, z + rows * features);
        results.push_back(std::move(all));
      }
      EXPECT_TRUE(results[0] == results[1]) << ef::name(set) << " " << features;
    }
  }
}

TEST(NormKernels, add_rows_in_their_order) {
  const float parts[3][2] = {{1e8F, 1}, {-1e8F, 2}, {1, 3}};
  for (const ef::InstructionSet set : ef::all_instruction_sets) {
    if (!ef::available(set)) continue;
    float total[2] = {10, 20};
    ef::kernels::add_rows(&parts[0][0], 3, 2, total, set);
    EXPECT_EQ(total[0], 11);  // (1e8 - 1e8) + 1; any other order loses the 1
    EXPECT_EQ(total[1], 26);
  }
}

TEST(NormKernels, tell_finite_numbers_by_their_bits) {
  EXPECT_TRUE(ef::kernels::is_finite((std::numeric_limits<float>::max)()));
  EXPECT_TRUE(ef::kernels::is_finite(0.0) && ef::kernels::is_finite(std::numeric_limits<double>::denorm_min()));
  EXPECT_FALSE(ef::kernels::is_finite(std::bit_cast<float>(0x7f800000U)));
  EXPECT_FALSE(ef::kernels::is_finite(std::bit_cast<double>(std::uint64_t{0xfff8000000000000U})));
}
