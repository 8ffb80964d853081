// SPDX-License-Identifier: MIT

#include <eigenformer/quantize/weights.hpp>

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "support/compare.hpp"
#include "support/inputs.hpp"

namespace ef = eigenformer;
using ef::Index;

namespace {

ef::Matrix<float> normal(Index rows, Index features) {
  ef::Matrix<float> x(rows, features);
  support::Generator random(22);
  support::fill(x, support::Distribution::normal, random);
  return x;
}

template <class Weights>
std::pair<ef::Matrix<float>, std::vector<float>> quantized(const ef::Matrix<float>& weight,
                                                           ef::WeightGroups groups = {}, int threads = 1) {
  ef::Matrix<float> codes(weight.rows(), weight.cols());
  std::vector<float> scales(static_cast<std::size_t>(groups.count()));
  ef::Context context({.threads = threads});
  ef::quantize_weight<Weights, float>(weight, groups, codes.data(), scales.data(), context);
  return {codes, scales};
}

}  // namespace

TEST(Weights, of_normal_numbers_have_the_noise_that_theory_says) {
  const ef::Matrix<float> weight = normal(301, 769);
  const auto [signs, beta] = quantized<ef::BinaryWeights>(weight);
  // Mean |w| is sqrt(2 / pi); what remains of the square is 1 - 2 / pi.
  EXPECT_NEAR(beta[0], std::sqrt(2 / M_PI), 0.01);
  EXPECT_NEAR(signs.mean(), 0, 0.01);
  EXPECT_NEAR((weight - signs * beta[0]).squaredNorm() / weight.squaredNorm(), 1 - 2 / M_PI, 0.01);
  // Ternary: |w| below half of 0.798 becomes 0, which are 31% of them.
  const auto [codes, gamma] = quantized<ef::TernaryWeights>(weight);
  EXPECT_NEAR(static_cast<double>((codes.array() == 0).count()) / static_cast<double>(codes.size()),
              std::erf(0.5 * std::sqrt(2 / M_PI) / std::sqrt(2.0)), 0.01);
  EXPECT_LT((weight - codes * gamma[0]).squaredNorm(), (weight - signs * beta[0]).squaredNorm());
}

TEST(Weights, that_are_equal_have_the_codes_of_the_formula) {
  // Mean-centred they are zeros, whose sign is -1.
  const auto [signs, beta] = quantized<ef::BinaryWeights>(ef::Matrix<float>::Constant(3, 5, 0.25F));
  EXPECT_TRUE((signs.array() == -1).all());
  EXPECT_EQ(beta[0], 0.25F);
  const auto [codes, gamma] = quantized<ef::TernaryWeights>(ef::Matrix<float>::Constant(3, 5, -0.25F));
  EXPECT_TRUE((codes.array() == -1).all());
  EXPECT_EQ(gamma[0], 0.25F);
  const auto [zeros, least] = quantized<ef::TernaryWeights>(ef::Matrix<float>::Zero(3, 5));
  EXPECT_TRUE((zeros.array() == 0).all());
  EXPECT_EQ(least[0], 1e-5F);
}

TEST(Weights, are_the_same_for_any_number_of_threads_and_any_stride) {
  const ef::Matrix<float> weight = normal(263, 769);
  const auto one = quantized<ef::TernaryWeights>(weight, {1, 1}, 1);
  for (const int threads : {2, 3}) {
    const auto more = quantized<ef::TernaryWeights>(weight, {1, 1}, threads);
    EXPECT_TRUE(support::bit_equal(more.first, one.first));
    EXPECT_EQ(more.second, one.second);
  }
  ef::Matrix<float> wide(263, 800), codes(263, 769);
  wide.middleCols(7, 769) = weight;
  float scale = 0;
  ef::Context context;
  ef::quantize_weight<ef::TernaryWeights, float>(ef::ConstRowsView<float>(wide.data() + 7, 263, 769, 800), {},
                                                 codes.data(), &scale, context);
  EXPECT_TRUE(support::bit_equal(codes, one.first));
  EXPECT_EQ(scale, one.second[0]);
}

TEST(Weights, in_groups_are_those_of_each_block_alone) {
  const ef::Matrix<float> weight = normal(12, 35);
  const ef::WeightGroups groups = {.outputs = 3, .inputs = 5};
  const auto [codes, scales] = quantized<ef::BinaryWeights>(weight, groups);
  for (Index o = 0; o < 3; ++o) {
    for (Index i = 0; i < 5; ++i) {
      const auto alone = quantized<ef::BinaryWeights>(ef::Matrix<float>(weight.block(4 * o, 7 * i, 4, 7)));
      EXPECT_TRUE(support::bit_equal(ef::Matrix<float>(codes.block(4 * o, 7 * i, 4, 7)), alone.first)) << o << " " << i;
      EXPECT_EQ(scales[static_cast<std::size_t>(groups.at(4 * o, 12, i))], alone.second[0]);
    }
  }
}

TEST(Weights, in_groups_that_do_not_divide_are_refused) {
  EXPECT_THROW(quantized<ef::BinaryWeights>(normal(12, 35), {5, 1}), ef::OptionError);
  EXPECT_THROW(quantized<ef::BinaryWeights>(normal(12, 35), {1, 4}), ef::OptionError);
  EXPECT_THROW(quantized<ef::BinaryWeights>(normal(12, 35), {0, 1}), ef::OptionError);
}
