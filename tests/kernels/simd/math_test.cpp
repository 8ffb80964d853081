// SPDX-License-Identifier: MIT

#include <kernels/simd/vec_probe.hpp>

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <vector>

namespace ef = eigenformer;
using ef::InstructionSet;
using ef::kernels::Operation;

namespace {

class VectorExp : public testing::TestWithParam<InstructionSet> {
 protected:
  void SetUp() override {
    if (!ef::available(GetParam())) GTEST_SKIP() << "this machine has no " << ef::name(GetParam());
  }

  template <class T>
  void apply(const std::vector<T>& x, std::vector<T>& y) {
    const auto lanes = static_cast<std::size_t>(ef::kernels::probe_lanes<T>(GetParam()));
    ASSERT_EQ(x.size() % lanes, 0U);
    y.assign(x.size(), T(-1));
    for (std::size_t i = 0; i < x.size(); i += lanes) {
      ef::kernels::probe<T>(GetParam(), Operation::exp, &x[i], &x[i], &x[i], &y[i]);
    }
  }
};

/// |y - exact| in units of the last place of T at `exact`. Denormals may be zero where the program flushes them.
template <class T, class Exact>
double ulps(T y, Exact exact) {
  int exponent = 0;
  std::frexp(exact, &exponent);
  exponent = (std::max)(exponent, std::numeric_limits<T>::min_exponent);
#if defined(__FAST_MATH__)
  if (exact < Exact((std::numeric_limits<T>::min)()) && y == T(0)) return 0;
#endif
  return static_cast<double>(std::abs(Exact(y) - exact) /
                             std::ldexp(Exact(1), exponent - std::numeric_limits<T>::digits));
}

// 1 ulp is what math.inl says; -ffast-math may reorder the last sums.
#if defined(__FAST_MATH__)
constexpr double ulp_limit = 2;
#else
constexpr double ulp_limit = 1.1;
#endif

}  // namespace

TEST_P(VectorExp, is_within_two_ulp_over_all_floats_with_a_finite_result) {
  std::vector<float> x;
  for (std::uint32_t pattern = 0; pattern < std::bit_cast<std::uint32_t>(106.0F); pattern += 997) {
    x.push_back(-std::bit_cast<float>(pattern));
    if (std::bit_cast<float>(pattern) < 88.7228F) x.push_back(std::bit_cast<float>(pattern));
  }
  for (float dense = -104.5F; dense < 88.72F; dense += 1.0F / 4096) x.push_back(dense);
  x.resize(x.size() / 16 * 16);
  ASSERT_GT(x.size(), 2'000'000U);
  std::vector<float> y;
  apply(x, y);
  double worst = 0;
  float at = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double error = ulps(y[i], std::exp(double(x[i])));
    if (!(error <= worst)) worst = error, at = x[i];
  }
  RecordProperty("worst_ulp", std::to_string(worst));
  EXPECT_TRUE(worst <= ulp_limit) << "at " << at << ": " << worst;
}

TEST_P(VectorExp, is_within_two_ulp_in_double) {
  std::mt19937_64 generator(3);
  std::uniform_real_distribution<double> everywhere(-745.5, 709.78), unit(-1, 1);
  std::vector<double> x;
  for (int i = 0; i < 400'000; ++i) x.push_back(everywhere(generator));
  for (int i = 0; i < 400'000; ++i) x.push_back(std::ldexp(unit(generator), -(i % 60)));
  std::vector<double> y;
  apply(x, y);
  double worst = 0, at = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double error = ulps(y[i], std::exp(static_cast<long double>(x[i])));
    if (!(error <= worst)) worst = error, at = x[i];
  }
  RecordProperty("worst_ulp", std::to_string(worst));
  EXPECT_TRUE(worst <= ulp_limit) << "at " << at << ": " << worst;
}

TEST_P(VectorExp, is_exactly_one_at_zero) {
  std::vector<float> y;
  apply(std::vector<float>(16, 0.0F), y);
  for (const float value : y) EXPECT_EQ(value, 1.0F);
}

TEST_P(VectorExp, is_zero_below_its_range_and_infinite_above) {
  const float huge = (std::numeric_limits<float>::max)();
  for (const float x : {-105.0F, -1000.0F, -1e30F, -huge}) {
    std::vector<float> y;
    apply(std::vector<float>(16, x), y);
    EXPECT_EQ(y[0], 0.0F) << x;
  }
  for (const double x : {-746.0, -1e4, -1e300}) {
    std::vector<double> y;
    apply(std::vector<double>(16, x), y);
    EXPECT_EQ(y[0], 0.0) << x;
  }
  for (const float x : {88.73F, 89.0F, 1000.0F, 1e30F, huge}) {
    std::vector<float> y;
    apply(std::vector<float>(16, x), y);
    EXPECT_EQ(std::bit_cast<std::uint32_t>(y[0]), 0x7F800000U) << x;
    std::vector<double> z;
    apply(std::vector<double>(16, double(x) + 640), z);
    EXPECT_EQ(std::bit_cast<std::uint64_t>(z[0]), 0x7FF0000000000000U) << x;
  }
}

#if !defined(__FAST_MATH__)
TEST_P(VectorExp, keeps_nan_and_takes_infinities) {
  const float infinity = std::numeric_limits<float>::infinity();
  std::vector<float> x(16, std::numeric_limits<float>::quiet_NaN()), y;
  x[1] = infinity;
  x[2] = -infinity;
  x[3] = 0;
  apply(x, y);
  EXPECT_TRUE(std::isnan(y[0]));
  EXPECT_EQ(y[1], infinity);
  EXPECT_EQ(y[2], 0.0F);
  EXPECT_EQ(y[3], 1.0F);
  std::vector<double> wide(x.begin(), x.end()), z;
  apply(wide, z);
  EXPECT_TRUE(std::isnan(z[0]));
  EXPECT_EQ(z[1], double(infinity));
  EXPECT_EQ(z[2], 0.0);
}
#endif

namespace {

/// Worst error in ulp of 2^lift e^x, x <= 0, and by how much of an ulp of x it may be more.
template <class T>
double worst_lifted(InstructionSet set, Operation operation, double of_argument) {
  const double smallest = sizeof(T) == 4 ? -125.9 : -759.0;
  const double lift = sizeof(T) == 4 ? 64 : 128;
  const auto lanes = static_cast<std::size_t>(ef::kernels::probe_lanes<T>(set));
  std::mt19937_64 generator(5);
  std::uniform_real_distribution<double> everywhere(smallest, 0);
  double worst = 0;
  for (int round = 0; round < 100'000; ++round) {
    std::vector<T> x(lanes), ones(lanes, T(1)), zeros(lanes, T(0)), y(lanes);
    for (T& one : x) one = T(std::ldexp(everywhere(generator), -(round % 4) * (round % 7)));
    ef::kernels::probe<T>(set, operation, x.data(), ones.data(), zeros.data(), y.data());
    for (std::size_t i = 0; i < lanes; ++i) {
      using Exact = long double;
      const Exact exact = std::exp(Exact(x[i]) + std::log(Exact(2)) * Exact(lift));
      const double allowed = of_argument * std::abs(static_cast<double>(x[i]));
      worst = (std::max)(worst, ulps(y[i], exact) - allowed);
    }
  }
  return worst;
}

}  // namespace

TEST_P(VectorExp, of_negative_numbers_is_nearly_as_exact_from_steps) {
  for (const Operation operation : {Operation::exp_lifted_exactly, Operation::exp_lifted_product}) {
    EXPECT_LE(worst_lifted<float>(GetParam(), operation, 0), ulp_limit + 0.5);
    EXPECT_LE(worst_lifted<double>(GetParam(), operation, 0), ulp_limit + 0.5);
  }
  EXPECT_LE(worst_lifted<float>(GetParam(), Operation::exp_lifted, 0.15), ulp_limit + 0.5);
  EXPECT_LE(worst_lifted<double>(GetParam(), Operation::exp_lifted, 0), ulp_limit + 0.5);
}

TEST_P(VectorExp, of_a_product_does_not_see_its_rounding) {
  const auto lanes = static_cast<std::size_t>(ef::kernels::probe_lanes<float>(GetParam()));
  int cases = 0;
  for (float a = 0.001F; a < 14.7F; a += 0.00171F) {
    const double exact = std::exp(-0.5 * double(a) * double(a) + 64 * std::log(2.0));
    const std::vector<float> x(lanes, a), half(lanes, -0.5F * a), zero(lanes, 0.0F);
    std::vector<float> y(lanes);
    ef::kernels::probe<float>(GetParam(), Operation::exp_lifted_product, x.data(), half.data(), zero.data(), y.data());
    EXPECT_LE(ulps(y[0], exact), ulp_limit + 0.5) << a;
    ef::kernels::probe<float>(GetParam(), Operation::exp_lifted_bell, x.data(), x.data(), x.data(), y.data());
    EXPECT_LE(ulps(y[0], exact), ulp_limit + 0.5) << a;
    ++cases;
  }
  EXPECT_GT(cases, 8000);
}

TEST_P(VectorExp, lifted_is_positive_however_negative_the_argument) {
  for (const float x : {-126.0F, -1e3F, -1e30F, -(std::numeric_limits<float>::max)()}) {
    const std::vector<float> all(16, x);
    std::vector<float> y(16);
    ef::kernels::probe<float>(GetParam(), Operation::exp_lifted, all.data(), all.data(), all.data(), y.data());
    EXPECT_GT(y[0], 0.0F);
    EXPECT_LT(y[0], 0x1p-117F);
  }
}

INSTANTIATE_TEST_SUITE_P(EveryInstructionSet, VectorExp, testing::ValuesIn(ef::all_instruction_sets),
                         [](const auto& tested) { return std::string(ef::name(tested.param)); });
