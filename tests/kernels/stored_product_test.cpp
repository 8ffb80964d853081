// SPDX-License-Identifier: MIT
// Products with a B in half precision have the bits of the product with the same B widened: it is the order of the sums
// that must not change, whichever way the product takes.

#include <eigenformer/kernels/gemm.hpp>

#include <kernels/product_case.hpp>
#include <support/allocation.hpp>

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace ef = eigenformer;
using ef::Index;
using ef::InstructionSet;
using product_case::Case;
using product_case::Layout;
using product_case::Trial;
using product_case::variant;
using support::bit_equal;
using support::Distribution;

namespace {

class StoredProduct : public testing::TestWithParam<InstructionSet> {
 protected:
  void SetUp() override {
    if (!ef::available(GetParam())) GTEST_SKIP() << "this machine has no " << ef::name(GetParam());
  }
  ef::Context context(int threads = 1) const {
    return ef::Context({.threads = threads, .instruction_set = GetParam()});
  }
};

template <class T, class Stored>
void expect_same_bits(ef::Context& context, const std::vector<Case>& cases) {
  support::Generator random(cases.size());
  Index offset = 0;
  for (const Case& shape : cases) {
    const Trial<T, Stored> trial(shape, random);
    const std::vector<T> actual = trial.multiply(context, ++offset % 17);
#if defined(__FAST_MATH__)
    // Portable sums are the compiler's, which may order them otherwise beside other loads.
    if (context.instruction_set() == InstructionSet::portable && !actual.empty()) {
      ASSERT_TRUE(within(trial.widened().error(actual), support::tolerance::gemm_c)) << shape;
      continue;
    }
#endif
    ASSERT_TRUE(bit_equal(actual, trial.widened().multiply(context))) << shape;
  }
}
void expect_same_bits(ef::Context& context, const std::vector<Case>& cases) {
  expect_same_bits<float, ef::Bfloat16>(context, cases);
  expect_same_bits<float, ef::Float16>(context, cases);
  expect_same_bits<double, ef::Bfloat16>(context, cases);
  expect_same_bits<double, ef::Float16>(context, cases);
}

}  // namespace

TEST_P(StoredProduct, has_the_bits_of_the_widened_one_around_every_edge) {
  ef::Context one = context();
  std::vector<Case> cases;
  int i = 0;
  for (const Index rows : {1, 2, 3, 5, 8, 9, 17}) {
    for (const Index columns : {1, 3, 7, 8, 9, 16, 17, 31, 33, 48, 49, 97}) {
      for (const Index depth : {0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 33})
        cases.push_back(variant(rows, columns, depth, i++));
    }
  }
  ASSERT_EQ(cases.size(), 7U * 12 * 11);
  expect_same_bits(one, cases);
}

TEST_P(StoredProduct, has_the_bits_of_the_widened_one_for_every_layout_destination_and_bias) {
  ef::Context one = context();
  std::vector<Case> cases;
  for (int i = 0; i < product_case::variants; ++i) {
    cases.push_back(variant(1, 103, 61, i));
    cases.push_back(variant(3, 103, 29, i));
    cases.push_back(variant(37, 103, 29, i));
    cases.push_back(variant(19, 13, 601, i));
  }
  ASSERT_EQ(cases.size(), 4U * 36);
  expect_same_bits(one, cases);
}

TEST_P(StoredProduct, has_the_bits_of_the_widened_one_where_a_matrix_is_large) {
  // Large enough for columns to be asked for from memory ahead: 4 MB as float, or as half.
  ef::Context two = context(2);
  const std::vector<Case> cases = {variant(1, 1031, 1033, 3), variant(1, 1031, 2063, 3), variant(1, 2053, 1033, 0),
                                   variant(41, 389, 1033, 3), variant(41, 389, 1033, 0)};
  expect_same_bits<float, ef::Bfloat16>(two, cases);
  expect_same_bits<float, ef::Float16>(two, cases);
}

TEST_P(StoredProduct, has_the_bits_of_the_widened_one_on_adversarial_inputs) {
  ef::Context one = context();
  support::Generator random(7);
  int cases = 0;
  for (const Distribution a : support::distributions) {
    for (const Distribution b : support::distributions) {
      for (const Index rows : {1, 21}) {
        const Trial<float, ef::Bfloat16> brain(variant(rows, 51, 131, ++cases), random, a, b);
        const Trial<float, ef::Float16> half(variant(rows, 51, 131, ++cases), random, a, b);
        // Overflow is an infinity, and infinities make NaN, whose bits may differ.
        const auto expect_same = [&](const auto& trial) {
          const std::vector<float> actual = trial.multiply(one), expected = trial.widened().multiply(one);
          for (std::size_t i = 0; i < expected.size(); ++i) {
            if (support::is_nan(static_cast<double>(expected[i]))) {
              ASSERT_TRUE(support::is_nan(static_cast<double>(actual[i])));
            } else {
              ASSERT_TRUE(bit_equal(std::vector<float>{actual[i]}, std::vector<float>{expected[i]}))
                  << name(a) << " times " << name(b) << ", " << trial.shape();
            }
          }
        };
        expect_same(brain);
        expect_same(half);
      }
    }
  }
  EXPECT_EQ(cases, 9 * 9 * 2 * 2);
}

TEST_P(StoredProduct, has_the_same_bits_at_every_alignment_and_for_every_number_of_threads) {
  ef::Context one = context(1), two = context(2), three = context(3);
  support::Generator random(8);
  int cases = 0;
  for (const Case& shape : {variant(1, 1031, 521, 3), variant(1, 2053, 521, 0), variant(7, 1031, 263, 3),
                            variant(131, 257, 521, 0), variant(131, 257, 521, 3), variant(67, 257, 131, 6)}) {
    const Trial<float, ef::Bfloat16> brain(shape, random);
    const Trial<float, ef::Float16> half(shape, random);
    const std::vector<float> expected_brain = brain.multiply(one), expected_half = half.multiply(one);
    for (Index offset = 0; offset < 2 * support::alignment_offsets; offset += 5, ++cases) {
      for (ef::Context* const many : {&one, &two, &three}) {
        EXPECT_TRUE(bit_equal(brain.multiply(*many, offset), expected_brain)) << shape << " at " << offset;
        EXPECT_TRUE(bit_equal(half.multiply(*many, offset), expected_half)) << shape << " at " << offset;
      }
    }
  }
  EXPECT_EQ(cases, 6 * 7);
}

TEST_P(StoredProduct, allocates_nothing_after_the_first_call) {
  if (!support::AllocationCounter::available()) GTEST_SKIP() << support::AllocationCounter::why_not();
  for (const int threads : {1, 2}) {
    ef::Context many = context(threads);
    for (const Index rows : {1, 131}) {
      const std::vector<float> a(static_cast<std::size_t>(rows * 521), 1.0F);
      const std::vector<ef::Bfloat16> b(521 * 257, ef::rounded<ef::Bfloat16>(2.0F));
      std::vector<float> c(static_cast<std::size_t>(rows * 257));
      const ef::kernels::Product<float, ef::Bfloat16> product = {.rows = rows,
                                                                 .columns = 257,
                                                                 .depth = 521,
                                                                 .a = ef::kernels::plain(a.data(), 521),
                                                                 .b = ef::kernels::transposed(b.data(), 521),
                                                                 .c = c.data(),
                                                                 .c_stride = 257};
      ef::kernels::gemm(product, many);
      EXPECT_EQ(c[0], 1042);
      EXPECT_EQ(support::allocations_during([&] { ef::kernels::gemm(product, many); }), 0U) << rows << " rows";
    }
  }
}

INSTANTIATE_TEST_SUITE_P(EveryInstructionSet, StoredProduct, testing::ValuesIn(ef::all_instruction_sets),
                         [](const auto& tested) { return std::string(ef::name(tested.param)); });
