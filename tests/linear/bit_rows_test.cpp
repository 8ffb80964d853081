// SPDX-License-Identifier: MIT

#include <eigenformer/linear/bit_rows.hpp>

#include <gtest/gtest.h>

#include "support/compare.hpp"
#include "support/inputs.hpp"

namespace ef = eigenformer;
using ef::Index;

namespace {

template <class Norm>
void expect_refused(Index out, Index in, Index bias, const Norm& norm, ef::WeightGroups groups, int bits,
                    const std::string& words) {
  try {
    ef::detail::require_bit_linear(out, in, bias, norm, groups, bits, "Bits");
    FAIL() << "took what should be refused: " << words;
  } catch (const ef::Error& error) {
    EXPECT_NE(std::string(error.what()).find(words), std::string::npos) << error.what();
  }
}

}  // namespace

TEST(BitRows, cut_rows_into_parts_that_lie_one_after_the_other) {
  const ef::detail::BitRows shape = {.rows = 3, .features = 5, .groups = 2};
  std::vector<float> numbers(30);
  for (std::size_t i = 0; i < 30; ++i) numbers[i] = static_cast<float>(i);
  EXPECT_EQ(shape.in(), 10);
  EXPECT_EQ(shape.quantized(), 6);
  EXPECT_EQ(shape.split(numbers.data())(3, 2), 17);
  EXPECT_EQ(shape.whole(numbers.data())(1, 7), 17);
}

TEST(BitRows, quantise_each_part_behind_its_norm) {
  support::Generator random(31);
  ef::Matrix<float> x(3, 14);
  support::fill(x, support::Distribution::normal, random);
  const ef::PlainLayerNorm<float> norm({.dim = 7});
  ef::Context context;
  ef::ScratchScope scope(context.scratch());
  const ef::detail::BitRows shape = {.rows = 3, .features = 7, .groups = 2};
  std::vector<float> values(42);
  const auto together = ef::detail::quantize_input<ef::Absmax<>, float, ef::PlainLayerNorm<float>, std::int8_t>(
      norm, x, shape, 8, {}, values.data(), scope, context, nullptr);
  for (Index g = 0; g < 2; ++g) {
    const ef::Matrix<float> normed = norm(ef::Matrix<float>(x.middleCols(7 * g, 7)));
    for (Index n = 0; n < 3; ++n) {
      const float gamma = normed.row(n).cwiseAbs().maxCoeff();
      EXPECT_EQ(together.step[2 * n + g], gamma / 128);
      for (Index i = 0; i < 7; ++i) {
        const double code = std::nearbyint(static_cast<double>(normed(n, i)) * 128 / static_cast<double>(gamma));
        EXPECT_NEAR(together.rows.codes[(2 * n + g) * 7 + i], (std::min)((std::max)(code, -127.0), 127.0), 1);
      }
    }
  }
}

TEST(BitRows, parts_that_do_not_go_together_are_named) {
  const ef::NoNorm<float> none;
  ef::detail::require_bit_linear(6, 10, 6, none, {2, 5}, 8, "Bits");
  ef::detail::require_bit_linear(6, 10, -1, none, {}, 2, "Bits");
  expect_refused(0, 10, -1, none, {}, 8, "Bits: expected a weight [out_features, in_features] of at least [1, 1]");
  expect_refused(6, 10, 5, none, {}, 8, "expected a bias of 6 values for a weight of 6 out_features, got 5");
  expect_refused(6, 10, -1, none, {}, 9, "expected 2 .. 8 bits, got 9");
  expect_refused(6, 10, -1, none, {4, 1}, 8, "expected output groups that divide 6 out_features, got 4");
  expect_refused(6, 10, -1, none, {1, 3}, 8, "expected input groups that divide 10 in_features, got 3");
  expect_refused(6, 10, -1, ef::PlainLayerNorm<float>({.dim = 10}), {1, 2}, 8, "expected norm over 5 features, got 10");
}
