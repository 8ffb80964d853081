// SPDX-License-Identifier: MIT

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

class Gemm : public testing::TestWithParam<InstructionSet> {
 protected:
  void SetUp() override {
    if (!ef::available(GetParam())) GTEST_SKIP() << "this machine has no " << ef::name(GetParam());
  }
  ef::Context context(int threads = 1) const {
    return ef::Context({.threads = threads, .instruction_set = GetParam()});
  }
};

template <class T>
void expect_products(ef::Context& context, const std::vector<Case>& cases, double tolerance) {
  support::Generator random(cases.size());
  for (const Case& shape : cases) {
    const Trial<T> trial(shape, random);
    ASSERT_TRUE(within(trial.error(trial.multiply(context)), tolerance)) << shape;
  }
}

/// Around every edge: one tile is 4 x 8 to 8 x 48, and up to 8 rows take another way.
std::vector<Case> small_cases() {
  std::vector<Case> cases;
  int i = 0;
  for (const Index rows : {1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 13, 17}) {
    for (const Index columns : {1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 23, 24, 25, 31, 33, 47, 48, 49, 65, 97}) {
      for (const Index depth : {1, 2, 3, 4, 5, 8, 15, 16, 17, 33}) cases.push_back(variant(rows, columns, depth, i++));
    }
  }
  return cases;
}

}  // namespace

TEST_P(Gemm, equals_reference_for_every_small_shape) {
  ef::Context one = context();
  ASSERT_EQ(small_cases().size(), 2400U);
  expect_products<float>(one, small_cases(), support::tolerance::gemm_c);
  expect_products<double>(one, small_cases(), support::tolerance::gemm_c);
}

TEST_P(Gemm, equals_reference_for_every_layout_destination_and_bias) {
  ef::Context one = context();
  std::vector<Case> cases;
  for (int i = 0; i < product_case::variants; ++i) {
    cases.push_back(variant(37, 103, 29, i));
    cases.push_back(variant(3, 103, 29, i));
    cases.push_back(variant(19, 13, 601, i));
  }
  ASSERT_EQ(cases.size(), 108U);
  expect_products<float>(one, cases, support::tolerance::gemm_c);
  expect_products<double>(one, cases, support::tolerance::gemm_c);
}

TEST_P(Gemm, equals_reference_where_sums_and_panels_are_cut) {
  ef::Context two = context(2);
  std::vector<Case> cases;
  int i = 0;
  for (const Index depth : {255, 257, 513, 1023, 1025, 2053}) cases.push_back(variant(67, 211, depth, 7 * i++));
  for (const Index columns : {191, 193, 389}) cases.push_back(variant(131, columns, 263, 5 * i++));
  cases.push_back(variant(4099, 17, 31, 1));  // more rows than are copied at a time
  cases.push_back(variant(4101, 3, 263, 20));
  for (const Index columns : {63, 64, 65, 111}) cases.push_back(variant(29, columns, 1063, 3));  // the last group
  ASSERT_EQ(cases.size(), 15U);
  expect_products<float>(two, cases, support::tolerance::gemm_c);
  expect_products<double>(two, cases, support::tolerance::gemm_c);
}

TEST_P(Gemm, gives_zero_or_bias_for_no_depth_and_nothing_for_no_elements) {
  ef::Context one = context();
  int cases = 0;
  support::Generator random(3);
  for (const Index rows : {0, 1, 5, 13}) {
    for (const Index columns : {0, 1, 7, 53}) {
      for (int i = 0; i < product_case::variants; ++i, ++cases) {
        const Trial<float> trial(variant(rows, columns, 0, i), random);
        const std::vector<float> result = trial.multiply(one);
        if (result.empty()) continue;
        EXPECT_TRUE(within(trial.error(result), 1)) << trial.shape();
      }
    }
  }
  EXPECT_EQ(cases, 16 * product_case::variants);
}

TEST_P(Gemm, stays_within_the_bound_of_the_depth_on_adversarial_inputs) {
  ef::Context one = context();
  support::Generator random(4);
  int cases = 0;
  for (const Distribution a : support::distributions) {
    for (const Distribution b : support::distributions) {
      if (a == Distribution::huge && b == Distribution::huge) continue;  // overflows by itself
#if defined(__FAST_MATH__)
      if (a == Distribution::denormal || b == Distribution::denormal) continue;  // flushed
      if (a == Distribution::tiny && b == Distribution::tiny) continue;
#endif
      for (const Index rows : {3, 21}) {
        const Trial<float> trial(variant(rows, 51, 331, cases++), random, a, b);
        const Trial<double> wide(variant(rows, 51, 331, cases++), random, a, b);
        EXPECT_TRUE(within(trial.error(trial.multiply(one)), support::tolerance::gemm_c_adversarial(331)))
            << name(a) << " times " << name(b) << ", " << trial.shape();
        EXPECT_TRUE(within(wide.error(wide.multiply(one)), support::tolerance::gemm_c_adversarial(331)))
            << name(a) << " times " << name(b) << ", " << wide.shape();
      }
    }
  }
  EXPECT_GE(cases, 200);
}

TEST_P(Gemm, has_the_same_bits_at_every_alignment) {
  ef::Context one = context();
  support::Generator random(5);
  int cases = 0;
  for (const Index rows : {1, 6, 29}) {
    for (const int layout : {0, 3, 4, 10}) {
      const Trial<float> trial(variant(rows, 83, 271, layout), random);
      const Trial<double> wide(variant(rows, 83, 271, layout), random);
      const std::vector<float> expected = trial.multiply(one);
      const std::vector<double> expected_wide = wide.multiply(one);
      for (Index offset = 1; offset < support::alignment_offsets; ++offset, ++cases) {
        EXPECT_TRUE(bit_equal(trial.multiply(one, offset), expected)) << trial.shape() << " at " << offset;
        EXPECT_TRUE(bit_equal(wide.multiply(one, offset), expected_wide)) << wide.shape() << " at " << offset;
      }
    }
  }
  EXPECT_EQ(cases, 3 * 4 * 15);
}

TEST_P(Gemm, has_the_same_bits_for_every_number_of_threads) {
  ef::Context one = context(1), two = context(2), three = context(3);
  support::Generator random(6);
  const std::vector<Case> cases = {variant(1, 1031, 521, 3),    variant(1, 2053, 521, 0),   variant(7, 1031, 263, 3),
                                   variant(7, 2053, 263, 1),    variant(131, 257, 521, 0),  variant(131, 257, 521, 3),
                                   variant(1021, 23, 263, 13),  variant(521, 1031, 67, 31), variant(4099, 7, 31, 12),
                                   variant(301, 211, 1031, 23), variant(67, 67, 67, 35)};
  for (const Case& shape : cases) {
    const Trial<float> trial(shape, random);
    const std::vector<float> expected = trial.multiply(one);
    for (int repeat = 0; repeat < 3; ++repeat) {
      EXPECT_TRUE(bit_equal(trial.multiply(two), expected)) << shape;
      EXPECT_TRUE(bit_equal(trial.multiply(three), expected)) << shape;
    }
  }
}

namespace {

/// The product with panels packed before, of the same numbers as `trial`.
template <class T, class Stored>
std::vector<T> multiply_packed(const Trial<T, Stored>& trial, ef::Context& context, InstructionSet packed_for) {
  return trial.multiply(context, 3, [&](const auto& product, ef::Context& with, const auto& epilogue) {
    const Index size = ef::kernels::panels_size<T>(product.depth, product.columns, packed_for);
    support::GuardedBuffer<T> panels(size, 0);
    ef::kernels::pack_panels<T>(product.b, product.depth, product.columns, panels.data(), packed_for);
    EXPECT_TRUE(panels.untouched_outside());
    ef::kernels::gemm(product, ef::kernels::Panels<T>{panels.data(), packed_for}, with, epilogue);
  });
}

}  // namespace

TEST_P(Gemm, has_the_same_bits_with_panels_packed_before) {
  ef::Context one = context(1), two = context(2);
  support::Generator random(8);
  int cases = 0;
  for (const Index rows : {1, 7, 17, 37}) {
    for (const Index columns : {1, 16, 47, 64, 131, 1031}) {
      for (const Index depth : {0, 1, 17, 263, 1031}) {
        const Case shape = variant(rows, columns, depth, cases++);
        const Trial<float> trial(shape, random);
        const Trial<double> wide(shape, random);
        const Trial<float, ef::Bfloat16> halves(shape, random);
        EXPECT_TRUE(bit_equal(multiply_packed(trial, two, GetParam()), trial.multiply(one))) << shape;
        EXPECT_TRUE(bit_equal(multiply_packed(wide, two, GetParam()), wide.multiply(one))) << shape;
        EXPECT_TRUE(bit_equal(multiply_packed(halves, two, GetParam()), halves.multiply(one))) << shape;
        EXPECT_TRUE(bit_equal(multiply_packed(trial, one, InstructionSet::portable), trial.multiply(one))) << shape;
      }
    }
  }
  EXPECT_EQ(cases, 4 * 6 * 5);
}

TEST_P(Gemm, reads_nothing_of_scratch_that_it_did_not_write) {
  ef::Context poisoned = context(2), fresh = context(2);
  support::Generator random(7);
  for (const Case& shape : {variant(67, 211, 300, 3), variant(70, 53, 17, 1), variant(5, 71, 29, 4)}) {
    const Trial<float> trial(shape, random);
    const std::vector<float> expected = trial.multiply(fresh);
    poisoned.scratch().poison();
    EXPECT_TRUE(bit_equal(trial.multiply(poisoned), expected)) << shape;
    poisoned.scratch().poison();
    EXPECT_TRUE(bit_equal(trial.multiply(poisoned), expected)) << shape;
  }
}

TEST_P(Gemm, allocates_nothing_after_the_first_call) {
  if (!support::AllocationCounter::available()) GTEST_SKIP() << support::AllocationCounter::why_not();
  for (const int threads : {1, 2}) {
    ef::Context context = this->context(threads);
    for (const Index rows : {1, 5, 133}) {
      const std::vector<float> a(std::size_t(rows * 301), 1), b(301 * 211, 1);
      std::vector<float> c(std::size_t(rows * 211));
      for (const bool flip : {false, true}) {
        const ef::kernels::Product<float> product = {
            .rows = rows,
            .columns = 211,
            .depth = 301,
            .a = flip ? ef::kernels::transposed(a.data(), rows) : ef::kernels::plain(a.data(), Index(301)),
            .b = flip ? ef::kernels::transposed(b.data(), Index(301)) : ef::kernels::plain(b.data(), Index(211)),
            .c = c.data(),
            .c_stride = 211};
        ef::kernels::gemm(product, context);
        ef::kernels::gemm(product, context);
        EXPECT_EQ(support::allocations_during([&] { ef::kernels::gemm(product, context); }), 0U)
            << rows << " rows, " << threads << " threads";
        EXPECT_EQ(c[0], 301.0F);
      }
    }
  }
}

#if !defined(__FAST_MATH__)
TEST_P(Gemm, keeps_nan_and_infinity_to_their_rows_and_columns) {
  ef::Context one = context();
  for (const Index rows : {5, 21}) {
    for (const float poison : support::poisons<float>()) {
      std::vector<float> a(std::size_t(rows * 37), 1), b(37 * 53, 1), c(std::size_t(rows * 53));
      a[2 * 37 + 36] = poison;
      b[36 * 53 + 52] = poison;
      ef::kernels::gemm<float>({.rows = rows,
                                .columns = 53,
                                .depth = 37,
                                .a = ef::kernels::plain(a.data(), Index(37)),
                                .b = ef::kernels::plain(b.data(), Index(53)),
                                .c = c.data(),
                                .c_stride = 53},
                               one);
      for (Index i = 0; i < rows * 53; ++i) {
        if (i / 53 == 2 || i % 53 == 52) continue;
        ASSERT_EQ(c[std::size_t(i)], 37.0F) << i;
      }
      EXPECT_NE(c[2 * 53], 37.0F);
      EXPECT_NE(c[52], 37.0F);
    }
  }
}
#endif

INSTANTIATE_TEST_SUITE_P(EveryInstructionSet, Gemm, testing::ValuesIn(ef::all_instruction_sets),
                         [](const auto& tested) { return std::string(ef::name(tested.param)); });
