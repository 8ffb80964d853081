// SPDX-License-Identifier: MIT

#include <eigenformer/adapter/dora.hpp>

#include <gtest/gtest.h>

#include "adapter/lora_case.hpp"
#include "support/compare.hpp"
#include "support/golden.hpp"
#include "support/tolerances.hpp"

namespace ef = eigenformer;
using ef::Index;
using lora_case::normal;
using lora_case::wide;

TEST(Dora, measures_the_rows_of_the_adapted_weight_of_any_height) {
  support::Generator random;
  ef::Context context;
  for (const Index out : {1, 5, 64, 131}) {
    const ef::Matrix<float> weight = normal<float>(out, 7, random);
    const ef::Matrix<float> a = normal<float>(3, 7, random);
    const ef::Matrix<float> b = normal<float>(out, 3, random);
    ef::Vector<float> norms(out);
    ef::adapted_row_norms<float, float>(weight, a, b, 0.5F, norms.data(), context);
    const auto expected = reference::row_norms(reference::lora_weight(wide(weight), wide(a), wide(b), 0.5));
    EXPECT_TRUE(within(support::worst_row_nmse(norms, expected, out), support::tolerance::gemm_row_nmse<float>));
  }
}

TEST(Dora, starts_from_the_lengths_that_peft_starts_from) {
  const support::Golden golden("dora_r4");
  const ef::Matrix<double> weight = golden.matrix<double>("W");
  ef::Vector<double> norms(weight.rows());
  ef::Context context;
  ef::adapted_row_norms<double, double>(weight, golden.matrix<double>("A"), golden.matrix<double>("B"), 2.0,
                                        norms.data(), context);
  EXPECT_TRUE(within(support::max_error(norms, golden.values<double>("magnitude_init")), 1e-12));
}

TEST(Dora, leaves_out_rows_without_a_direction) {
  const double norms[] = {2, 0};
  const double magnitudes[] = {3, 5};
  double factors[2];
  ef::row_factors<double>(std::span(magnitudes), norms, 0.5, factors);
  EXPECT_EQ(factors[0], 0.75);
  EXPECT_EQ(factors[1], 0);
}
