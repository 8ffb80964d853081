// SPDX-License-Identifier: MIT

#include <eigenformer/kernels/narrow_gemm.hpp>

#include <kernels/product_case.hpp>
#include <support/allocation.hpp>

#include <gtest/gtest.h>

#include <vector>

namespace ef = eigenformer;
using ef::Index;
using ef::InstructionSet;
using product_case::Case;
using product_case::Trial;

namespace {

class NarrowGemm : public testing::TestWithParam<InstructionSet> {
 protected:
  void SetUp() override {
    if (!ef::available(GetParam())) GTEST_SKIP() << "this machine has no " << ef::name(GetParam());
  }
  ef::Context context(int threads = 1) const {
    return ef::Context({.threads = threads, .instruction_set = GetParam()});
  }
};

/// Every layout of both operands, written and added to. Without a bias, which it does not take.
std::vector<Case> cases() {
  std::vector<Case> result;
  for (const Index columns : {1, 2, 7, 13, 17}) {
    for (const Index rows : {1, 5, 67, 211}) {
      for (int i = 0; i < product_case::variants / 2; ++i) {
        result.push_back(product_case::variant(rows, columns, i % 2 == 0 ? 29 : 601, i));
      }
    }
  }
  return result;
}

template <class T>
std::vector<T> narrow_product(const Trial<T>& trial, ef::Context& context) {
  return trial.multiply(context, 0, [](const ef::kernels::Product<T>& product, ef::Context& with, const auto&) {
    ef::kernels::narrow_gemm(product, with);
  });
}

template <class T>
void expect_products(ef::Context& one, ef::Context& two) {
  support::Generator random(7);
  ASSERT_EQ(cases().size(), 360U);
  for (const Case& shape : cases()) {
    const Trial<T> trial(shape, random);
    const std::vector<T> product = narrow_product(trial, one);
    ASSERT_TRUE(within(trial.error(product), support::tolerance::gemm_c)) << shape;
    ASSERT_TRUE(support::bit_equal(narrow_product(trial, two), product)) << shape;
  }
}

}  // namespace

TEST_P(NarrowGemm, equals_reference_for_any_number_of_threads) {
  ef::Context one = context(), two = context(2);
  expect_products<float>(one, two);
  expect_products<double>(one, two);
}

TEST_P(NarrowGemm, of_depth_zero_is_zero_or_what_is_there) {
  ef::Context one = context();
  std::vector<float> c = {1, 2, 3, 4, 5, 6};
  const float nothing = 0;
  ef::kernels::Product<float> product = {.rows = 3,
                                         .columns = 2,
                                         .depth = 0,
                                         .a = ef::kernels::plain(&nothing, 0),
                                         .b = ef::kernels::plain(&nothing, 2),
                                         .c = c.data(),
                                         .c_stride = 2,
                                         .destination = ef::kernels::Destination::accumulate};
  ef::kernels::narrow_gemm(product, one);
  EXPECT_EQ(c, (std::vector<float>{1, 2, 3, 4, 5, 6}));
  product.destination = ef::kernels::Destination::overwrite;
  ef::kernels::narrow_gemm(product, one);
  EXPECT_EQ(c, std::vector<float>(6, 0.0F));
}

TEST_P(NarrowGemm, allocates_nothing_after_the_first_call) {
  ef::Context two = context(2);
  const std::vector<float> a(331 * 103, 0.5F), b(103 * 7, 2.0F);
  std::vector<float> c(331 * 7);
  const ef::kernels::Product<float> product = {.rows = 331,
                                               .columns = 7,
                                               .depth = 103,
                                               .a = ef::kernels::transposed(a.data(), 331),
                                               .b = ef::kernels::plain(b.data(), 7),
                                               .c = c.data(),
                                               .c_stride = 7};
  ef::kernels::narrow_gemm(product, two);
  EXPECT_EQ(support::allocations_during([&] { ef::kernels::narrow_gemm(product, two); }), 0U);
}

INSTANTIATE_TEST_SUITE_P(EveryInstructionSet, NarrowGemm, testing::ValuesIn(ef::all_instruction_sets),
                         [](const auto& tested) { return std::string(ef::name(tested.param)); });
