// SPDX-License-Identifier: MIT

#include "support/tolerances.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "reference/attention.hpp"
#include "reference/gemm.hpp"
#include "support/compare.hpp"
#include "support/inputs.hpp"

namespace {

namespace tolerance = support::tolerance;
using reference::Array;
using support::within;

Array<float> normal_numbers(std::vector<long> shape, support::Generator& random) {
  Array<float> result(std::move(shape));
  support::fill(result, support::Distribution::normal, random);
  return result;
}
Array<double> wide(const Array<float>& a) { return reference::widened<double>(a.data(), a.shape); }

TEST(Tolerances, leave_room_for_plain_code_as_measured) {
  EXPECT_LT(2.3, tolerance::gemm_c);
  EXPECT_LT(9e-14, tolerance::gemm_row_nmse<float>);
  EXPECT_LT(2.8e-7, tolerance::softmax_abs<float>);
  EXPECT_LT(3.6e-7, tolerance::softmax_sum<float>);
  EXPECT_LT(1.3 * tolerance::epsilon<float>, tolerance::attention_abs<float>(1, 1));
  EXPECT_LT(9.7e-13, tolerance::attention_row_nmse<float>(4));
  EXPECT_LT(1.2e-6, tolerance::norm_abs<float>(0));
}

TEST(Tolerances, of_double_are_as_tight_as_its_epsilon) {
  const double ratio = tolerance::epsilon<double> / tolerance::epsilon<float>;
  EXPECT_DOUBLE_EQ(tolerance::softmax_abs<double>, 1e-6 * ratio);
  EXPECT_DOUBLE_EQ(tolerance::softmax_relative<double>(3), 11 * tolerance::epsilon<double>);
  EXPECT_DOUBLE_EQ(tolerance::attention_abs<double>(2, 5), 18 * 5 * tolerance::epsilon<double>);
  EXPECT_LT(tolerance::gemm_row_nmse<double>, tolerance::gemm_row_nmse<float> * 1e-16);
  EXPECT_LT(tolerance::attention_row_nmse<double>(1), tolerance::attention_row_nmse<float>(1) * 1e-16);
  EXPECT_LT(tolerance::norm_abs<double>(1), tolerance::norm_abs<float>(1) * 1e-8);
}

TEST(Tolerances, of_products_admit_plain_float_code_and_nothing_coarser) {
  int cases = 0;
  for (const long depth : {1L, 17L, 257L, 1021L}) {
    support::Generator random(static_cast<std::uint64_t>(depth));
    const Array<float> a = normal_numbers({13, depth}, random);
    const Array<float> b = normal_numbers({depth, 11}, random);
    const auto exact = reference::product(wide(a), wide(b));
    Array<float> plain = reference::product(a, b).value;
    EXPECT_TRUE(within(support::dot_product_error(plain, exact.value, exact.magnitude), tolerance::gemm_c)) << depth;
    // Twelve bits of mantissa instead of 24, as a narrow accumulator would leave: must not pass.
    for (float& number : plain.values) number = std::ldexp(std::round(std::ldexp(number, 8)), -8);
    EXPECT_FALSE(within(support::dot_product_error(plain, exact.value, exact.magnitude), tolerance::gemm_c)) << depth;
    ++cases;
  }
  EXPECT_EQ(cases, 4);
}

TEST(Tolerances, of_attention_admit_plain_float_code_at_any_size_of_logits) {
  int cases = 0;
  for (const float deviation : {1.0F, 3.0F, 10.0F}) {
    support::Generator random(static_cast<std::uint64_t>(deviation));
    Array<float> q = normal_numbers({1, 13, 2, 17}, random);
    for (float& number : q.values) number *= deviation;
    const Array<float> k = normal_numbers({1, 257, 1, 17}, random);
    const Array<float> v = normal_numbers({1, 257, 1, 7}, random);
    const auto exact = reference::attention(wide(q), wide(k), wide(v));
    const Array<float> plain = reference::attention(q, k, v).out;
    EXPECT_TRUE(within(support::max_error(plain, exact.out),
                       tolerance::attention_abs<float>(exact.largest_logit, exact.largest_value)));
    EXPECT_TRUE(within(support::worst_row_nmse(plain, exact.out, 7),
                       tolerance::attention_row_nmse<float>(exact.largest_logit)));
    // The same without its last key is a different function.
    const Array<float> lost = reference::attention(q, k, v, {.mask = reference::causal_mask(257 - 13)}).out;
    EXPECT_FALSE(
        within(support::worst_row_nmse(lost, exact.out, 7), tolerance::attention_row_nmse<float>(exact.largest_logit)));
    ++cases;
  }
  EXPECT_EQ(cases, 3);
}

}  // namespace
