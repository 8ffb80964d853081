// SPDX-License-Identifier: MIT

#include <eigenformer/quantize/absmax.hpp>

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "support/compare.hpp"
#include "support/inputs.hpp"

namespace ef = eigenformer;
using ef::Index;

namespace {

/// What quantising did to rows of numbers, by several measures.
struct Distortion {
  double largest_in_steps = 0;  ///< largest error, in steps between codes
  double mean_in_steps = 0;     ///< mean error, which is 0 where rounding favours no side
  double noise_ratio = 0;       ///< noise over signal, both in squares
  double clipped = 0;           ///< share of numbers at the largest code
};

template <class Activations>
Distortion distortion(const ef::Matrix<float>& x, int bits) {
  using Range = typename Activations::Range;
  using Code = typename Activations::Rounding::template Code<float>;
  std::vector<Code> codes(static_cast<std::size_t>(x.size()));
  std::vector<float> gamma(static_cast<std::size_t>(x.rows())), minimum(gamma.size());
  ef::Context context;
  ef::quantize_rows<Activations>(ef::ConstRowsView<float>(x), bits,
                                 ef::QuantizedRows<float, Code>{codes.data(), gamma.data(), minimum.data()}, context);
  Distortion result;
  double noise = 0, signal = 0;
  for (Index n = 0; n < x.rows(); ++n) {
    const double step = double(gamma[std::size_t(n)]) / Range::levels(bits);
    const double origin = Range::subtracts_minimum ? double(minimum[std::size_t(n)]) : 0;
    for (Index i = 0; i < x.cols(); ++i) {
      const auto code = static_cast<double>(codes[std::size_t(n * x.cols() + i)]);
      const double error = code * step + origin - double(x(n, i));
      result.largest_in_steps = (std::max)(result.largest_in_steps, std::abs(error) / step);
      result.mean_in_steps += error / step / static_cast<double>(x.size());
      if (code >= Range::largest(bits)) result.clipped += 1 / static_cast<double>(x.size());
      noise += error * error;
      signal += double(x(n, i)) * double(x(n, i));
    }
  }
  result.noise_ratio = noise / signal;
  return result;
}

ef::Matrix<float> normal(Index rows, Index features) {
  ef::Matrix<float> x(rows, features);
  support::Generator random(21);
  support::fill(x, support::Distribution::normal, random);
  return x;
}

}  // namespace

TEST(Absmax, errs_by_half_a_step_at_most_and_to_neither_side) {
  const ef::Matrix<float> x = normal(64, 769);
  for (const int bits : {3, 4, 6, 8}) {
    const Distortion d = distortion<ef::Absmax158>(x, bits);
    EXPECT_LE(d.largest_in_steps, 0.5 + 1e-4) << bits;
    // 49,216 errors, uniform within half a step: five standard errors of their mean.
    EXPECT_LE(std::abs(d.mean_in_steps), 5 * std::sqrt(1.0 / 12 / 49216)) << bits;
  }
}

TEST(Absmax, has_four_times_less_noise_for_each_bit) {
  const ef::Matrix<float> x = normal(64, 769);
  double before = distortion<ef::Absmax158>(x, 4).noise_ratio;
  for (const int bits : {5, 6, 7, 8}) {
    const double noise = distortion<ef::Absmax158>(x, bits).noise_ratio;
    EXPECT_LT(noise, before / 3.5) << bits;
    EXPECT_GT(noise, before / 5) << bits;
    before = noise;
  }
  // The largest of 769 normal numbers is about 3.2: steps of 3.2 / 127, whose square over 12 is the noise.
  EXPECT_NEAR(before, std::pow(3.2 / 127, 2) / 12, 0.2 * std::pow(3.2 / 127, 2) / 12);
}

TEST(Absmax, clips_what_the_paper_clips) {
  const ef::Matrix<float> x = normal(64, 769);
  // Signed: the largest magnitude of a row stands for 128 and is cut to 127, a whole step.
  const Distortion clipped = distortion<ef::Absmax<>>(x, 8);
  EXPECT_NEAR(clipped.largest_in_steps, 1, 1e-4);
  EXPECT_LE(clipped.clipped, 3.0 / 769);
  EXPECT_LT(clipped.noise_ratio, 1.2 * distortion<ef::Absmax158>(x, 8).noise_ratio);
  // Unsigned: gamma is the largest magnitude and not the width, so that what is above the minimum by more is cut.
  EXPECT_GT(distortion<ef::Absmax<ef::UnsignedRange>>(x, 8).clipped, 0.3);
  // Literal: nothing is rounded, only the largest is cut, by the paper's epsilon.
  EXPECT_LE((distortion<ef::Absmax<ef::SignedRange, ef::LiteralClip>>(x, 8).largest_in_steps), 2e-5 + 1e-4);
}

TEST(Absmax, one_tensor_shares_its_gamma) {
  ef::Matrix<float> x = normal(6, 13);
  x(4, 5) = 100;
  std::vector<std::int8_t> codes(78);
  std::vector<float> gamma(6);
  ef::Context context;
  using OfTensor = ef::Absmax<ef::SymmetricRange, ef::NearestEven, ef::PerTensor>;
  ef::quantize_rows<OfTensor>(ef::ConstRowsView<float>(x), 8, ef::QuantizedRows<float>{codes.data(), gamma.data()},
                              context);
  for (const float g : gamma) EXPECT_EQ(g, 100);
  EXPECT_EQ(codes[4 * 13 + 5], 127);
  // Two tensors, row by row in turn.
  ef::quantize_rows<OfTensor>(ef::ConstRowsView<float>(x), 8, ef::QuantizedRows<float>{codes.data(), gamma.data()},
                              context, 2);
  EXPECT_EQ(gamma[0], 100);
  EXPECT_EQ(gamma[1], x.row(1).cwiseAbs().maxCoeff() > x.row(3).cwiseAbs().maxCoeff()
                          ? (std::max)(x.row(1).cwiseAbs().maxCoeff(), x.row(5).cwiseAbs().maxCoeff())
                          : (std::max)(x.row(3).cwiseAbs().maxCoeff(), x.row(5).cwiseAbs().maxCoeff()));
  EXPECT_EQ(gamma[3], gamma[1]);
}

TEST(Absmax, refuses_other_numbers_of_bits) {
  const ef::Matrix<float> x = normal(1, 3);
  std::int8_t codes[3] = {7, 7, 7};
  float gamma[1] = {7};
  ef::Context context;
  for (const int bits : {-1, 0, 1, 9, 32}) {
    EXPECT_THROW(ef::quantize_rows<ef::Absmax<>>(ef::ConstRowsView<float>(x), bits,
                                                 ef::QuantizedRows<float>{codes, gamma}, context),
                 ef::OptionError)
        << bits;
  }
  EXPECT_EQ(codes[0], 7);
  EXPECT_EQ(gamma[0], 7);
}
