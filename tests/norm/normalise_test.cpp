// SPDX-License-Identifier: MIT

#include <eigenformer/norm/normalise.hpp>

#include <gtest/gtest.h>

#include "norm/norm_case.hpp"
#include "support/compare.hpp"
#include "support/tolerances.hpp"

namespace ef = eigenformer;
using ef::Index;
using norm_case::Case;
using norm_case::wide;
using support::Distribution;

TEST(Normalise, keeps_the_normalised_rows_and_the_inverse_deviation_that_the_reference_finds) {
  support::Generator random(91);
  const Case<float> c(17, 61, Distribution::normal, random);
  ef::Context context;
  ef::NormCache<float> cache;
  ef::Matrix<float> y(17, 61);
  ef::detail::normalise<ef::kernels::Centred, float>(c.x, c.weight.data(), nullptr, 1e-5, y, context, &cache);
  const auto exact = reference::layer_norm(wide(c.x), {}, {}, 1e-5L);
  EXPECT_TRUE(support::within(support::max_error(cache.normalised.values(), exact.y), 2e-6));
  EXPECT_TRUE(support::within(support::ulp_error(cache.inverse.values(), exact.inverse_deviation), 4));
}

/// A large z is written past the cache where its rows begin at vectors; otherwise, and when it is small, it is not.
TEST(Normalise, keeps_the_same_rows_however_many_there_are) {
  support::Generator random(93);
  ef::Context context;
  for (const Index features : {1024, 1021}) {
    const Index rows = ef::detail::kept_in_cache / (features * 4) + 7;
    const Case<float> c(rows, features, Distribution::normal, random);
    ef::NormCache<float> cache;
    ef::Matrix<float> y(rows, features);
    ef::detail::normalise<ef::kernels::Centred, float>(c.x, c.weight.data(), c.bias.data(), 1e-5, y, context, &cache);
    for (const Index first : {Index(0), rows - 5}) {
      const ef::Matrix<float> few = c.x.middleRows(first, 5);
      ef::NormCache<float> alone;
      ef::Matrix<float> y_alone(5, features);
      ef::detail::normalise<ef::kernels::Centred, float>(few, c.weight.data(), c.bias.data(), 1e-5, y_alone, context,
                                                         &alone);
      EXPECT_TRUE(support::bit_equal(ef::Matrix<float>(y.middleRows(first, 5)), y_alone)) << features;
      const auto z = cache.normalised.values().subspan(static_cast<std::size_t>(first * features),
                                                       alone.normalised.values().size());
      EXPECT_TRUE(std::equal(z.begin(), z.end(), alone.normalised.values().begin())) << features;
      ef::Matrix<float> dx(rows, features);
      ef::Matrix<float> dx_alone(5, features);
      ef::detail::normalise_backward<ef::kernels::Centred, float>(c.x, cache, c.weight.data(), dx, nullptr, nullptr,
                                                                  context);
      ef::detail::normalise_backward<ef::kernels::Centred, float>(few, alone, c.weight.data(), dx_alone, nullptr,
                                                                  nullptr, context);
      EXPECT_TRUE(support::bit_equal(ef::Matrix<float>(dx.middleRows(first, 5)), dx_alone)) << features;
    }
  }
}

/// Partial sums are taken in blocks that the shape fixes; here there are many, the last one shorter.
TEST(Normalise, sums_gradients_over_many_rows_with_the_same_bits_for_any_number_of_threads) {
  support::Generator random(92);
  constexpr Index rows = 20011;
  constexpr Index features = 7;
  const Case<float> c(rows, features, Distribution::normal, random);
  ef::Context one;
  ef::NormCache<float> cache;
  ef::Matrix<float> y(rows, features);
  ef::detail::normalise<ef::kernels::Uncentred, float>(c.x, c.weight.data(), nullptr, 1e-6, y, one, &cache);
  ef::Vector<float> expected = ef::Vector<float>::Zero(features);
  ef::Vector<float> expected_bias = ef::Vector<float>::Zero(features);
  ef::detail::normalise_backward<ef::kernels::Uncentred, float>(c.dy, cache, c.weight.data(), y, expected.data(),
                                                                expected_bias.data(), one);
  const auto gradients = reference::rms_norm_backward(wide(c.x), wide(c.weight), 1e-6L, wide(c.dy));
  EXPECT_TRUE(support::within(support::worst_row_nmse(expected, gradients.dweight, features),
                              support::tolerance::backward_row_nmse<float>));
  for (const int threads : {2, 3}) {
    ef::Context context({.threads = threads});
    ef::Vector<float> dweight = ef::Vector<float>::Zero(features);
    ef::Vector<float> dbias = ef::Vector<float>::Zero(features);
    ef::detail::normalise_backward<ef::kernels::Uncentred, float>(c.dy, cache, c.weight.data(), y, dweight.data(),
                                                                  dbias.data(), context);
    EXPECT_TRUE(support::bit_equal(dweight, expected));
    EXPECT_TRUE(support::bit_equal(dbias, expected_bias));
  }
}
