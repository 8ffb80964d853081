// SPDX-License-Identifier: MIT

#include <eigenformer/kernels/gemv.hpp>

#include <kernels/product_case.hpp>

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace ef = eigenformer;
using ef::Index;
using ef::InstructionSet;
using product_case::Case;
using product_case::Layout;
using product_case::Trial;

namespace {

class Gemv : public testing::TestWithParam<InstructionSet> {
 protected:
  void SetUp() override {
    if (!ef::available(GetParam())) GTEST_SKIP() << "this machine has no " << ef::name(GetParam());
  }
};

}  // namespace

TEST_P(Gemv, equals_reference_for_weights_by_rows_and_by_columns) {
  ef::Context context({.instruction_set = GetParam()});
  support::Generator random(1);
  int cases = 0;
  for (const Index rows : {1, 2, 3, 4, 5, 6, 7, 11, 17}) {
    for (const Index columns : {1, 2, 3, 4, 5, 15, 16, 17, 19, 63, 65, 131}) {
      for (const Index depth : {0, 1, 3, 4, 5, 7, 8, 9, 16, 17, 31, 129}) {
        for (const Layout layout : {Layout::rows, Layout::columns}) {
          const Case shape = {
              .rows = rows,
              .columns = columns,
              .depth = depth,
              .a = cases % 3 == 0 ? Layout::columns : Layout::rows,
              .b = layout,
              .destination = cases % 5 < 3 ? ef::kernels::Destination::overwrite : ef::kernels::Destination::accumulate,
              .with_bias = cases % 7 < 4};
          const auto gemv = [](const auto& product, ef::Context& with, const auto& epilogue) {
            ef::kernels::gemv(product, with, epilogue);
          };
          const Trial<float> trial(shape, random);
          const Trial<double> wide(shape, random);
          ASSERT_TRUE(within(trial.error(trial.multiply(context, cases % 16, gemv)), support::tolerance::gemm_c))
              << shape;
          ASSERT_TRUE(within(wide.error(wide.multiply(context, cases % 16, gemv)), support::tolerance::gemm_c))
              << shape;
          ++cases;
        }
      }
    }
  }
  EXPECT_EQ(cases, 9 * 12 * 12 * 2);
}

INSTANTIATE_TEST_SUITE_P(EveryInstructionSet, Gemv, testing::ValuesIn(ef::all_instruction_sets),
                         [](const auto& tested) { return std::string(ef::name(tested.param)); });
