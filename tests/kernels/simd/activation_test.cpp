// SPDX-License-Identifier: MIT

#include <eigenformer/kernels/activation.hpp>

#include <gtest/gtest.h>

#include <bit>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "reference/activations.hpp"
#include "support/compare.hpp"
#include "support/tolerances.hpp"

namespace ef = eigenformer;
using ef::InstructionSet;

namespace {

/// A type of the library and the two functions of the reference that it must equal.
template <class A, int place>
struct Subject {
  using Type = A;
  static constexpr int index = place;
};
using Subjects =
    testing::Types<Subject<ef::Relu, 0>, Subject<ef::SquaredRelu, 1>, Subject<ef::Sigmoid, 2>, Subject<ef::Tanh, 3>,
                   Subject<ef::Silu, 4>, Subject<ef::Gelu, 5>, Subject<ef::GeluTanh, 6>, Subject<ef::HardSwish, 7>>;

/// Every exponent of T with both signs, denormal ones included, and finer steps where the curves bend.
template <class T>
std::vector<T> arguments() {
  using Limits = std::numeric_limits<T>;
  std::vector<T> x = {T(0), -T(0)};
  const auto both = [&x](T one) {
    x.push_back(one);
    x.push_back(-one);
  };
#if defined(__FAST_MATH__)
  const int first = Limits::min_exponent;  // the program takes denormal numbers for zero
#else
  const int first = Limits::min_exponent - Limits::digits;
#endif
  for (int exponent = first; exponent < Limits::max_exponent; ++exponent) {
    for (int step = 0; step < 37; ++step) both(std::ldexp(T(1) + T(step) / T(37), exponent));
  }
  const T end = sizeof(T) == 4 ? T(16) : T(40);
  for (T one = 0; one < end; one += T(1) / T(sizeof(T) == 4 ? 8191 : 2039)) both(one);
  for (T one = end; one < T(sizeof(T) == 4 ? 130 : 770); one += T(1) / T(31)) both(one);
  return x;
}

/// Where the program flushes denormal numbers, which -ffast-math asks for, they count as zero.
template <class T>
std::vector<long double> flushed([[maybe_unused]] const std::vector<T>& y, std::vector<long double> exact) {
#if defined(__FAST_MATH__)
  for (std::size_t i = 0; i < y.size(); ++i) {
    const auto smallest = static_cast<long double>((std::numeric_limits<T>::min)());
    if (std::abs(exact[i]) < 4 * smallest && std::abs(y[i] - exact[i]) <= 2 * smallest) exact[i] = y[i];
  }
#endif
  return exact;
}

#if defined(__FAST_MATH__)
constexpr double ulp_limit = 8;  // divisions by an approximate reciprocal, sums in any order
#else
constexpr double ulp_limit = support::tolerance::elementwise_ulp;
#endif

template <class S>
class ActivationCurve : public testing::Test {
 protected:
  template <class T>
  static void expect_exact_values(InstructionSet set) {
    const auto reference = reference::activations<long double>()[static_cast<std::size_t>(S::index)];
    const std::vector<T> x = arguments<T>();
    std::vector<T> y(x.size());
    std::vector<long double> exact;
    for (const T one : x) exact.push_back(reference.value(one));
    ef::kernels::activate<typename S::Type>(x.data(), y.data(), static_cast<ef::Index>(x.size()), set);
    ASSERT_GT(x.size(), sizeof(T) == 4 ? 250'000U : 300'000U);
    const auto report = support::ulp_error(y, flushed(y, exact));
    EXPECT_TRUE(support::within(report, ulp_limit))
        << reference.name << " on " << ef::name(set) << " at x = " << x[static_cast<std::size_t>(report.index)];
  }

  /// The slope crosses zero, so it is judged against its largest term, which is of size 1 or of the slope itself.
  template <class T>
  static void expect_exact_slopes(InstructionSet set) {
    const auto reference = reference::activations<long double>()[static_cast<std::size_t>(S::index)];
    const std::vector<T> x = arguments<T>();
    const std::vector<T> one(x.size(), T(1));
    std::vector<T> slope(x.size());
    std::vector<long double> exact;
    for (const T at : x) exact.push_back(reference.derivative(at));
    ef::kernels::activate_backward<typename S::Type>(x.data(), one.data(), slope.data(),
                                                     static_cast<ef::Index>(x.size()), set);
    const double epsilon = support::tolerance::epsilon<T>;
    EXPECT_TRUE(support::within(support::mixed_error(slope, exact, ulp_limit * epsilon, ulp_limit * epsilon), 1))
        << reference.name << " on " << ef::name(set);
  }
};

}  // namespace

TYPED_TEST_SUITE(ActivationCurve, Subjects);

TYPED_TEST(ActivationCurve, is_within_four_ulp_at_every_exponent) {
  int sets = 0;
  for (const InstructionSet set : ef::all_instruction_sets) {
    if (!ef::available(set)) continue;
    ++sets;
    this->template expect_exact_values<float>(set);
    this->template expect_exact_values<double>(set);
  }
  EXPECT_GE(sets, 1);
}

TYPED_TEST(ActivationCurve, has_the_derivative_of_the_reference) {
  for (const InstructionSet set : ef::all_instruction_sets) {
    if (!ef::available(set)) continue;
    this->template expect_exact_slopes<float>(set);
    this->template expect_exact_slopes<double>(set);
  }
}

#if !defined(__FAST_MATH__)
TYPED_TEST(ActivationCurve, takes_infinity_to_its_limit_and_keeps_NaN) {
  using Limits = std::numeric_limits<float>;
  const auto reference = reference::activations<long double>()[static_cast<std::size_t>(TypeParam::index)];
  for (const InstructionSet set : ef::all_instruction_sets) {
    if (!ef::available(set)) continue;
    const float x[3] = {Limits::infinity(), -Limits::infinity(), Limits::quiet_NaN()};
    const float one[3] = {1, 1, 1};
    float y[3];
    float slope[3];
    ef::kernels::activate<typename TypeParam::Type>(x, y, 3, set);
    ef::kernels::activate_backward<typename TypeParam::Type>(x, one, slope, 3, set);
    const std::string name = reference.name;
    const bool bounded = name == "sigmoid" || name == "tanh";
    EXPECT_EQ(y[0], bounded ? 1.0F : Limits::infinity()) << name;
    EXPECT_EQ(y[1], name == "tanh" ? -1.0F : 0.0F) << name;
    EXPECT_TRUE(support::is_nan(static_cast<double>(y[2]))) << name;
    const float far_slope = name == "squared_relu" ? Limits::infinity() : (bounded ? 0.0F : 1.0F);
    EXPECT_LE(support::distance(slope[0], far_slope), 1e-9) << name;
    EXPECT_LE(support::distance(slope[1], 0.0F), 1e-9) << name;
  }
}
#endif

TEST(ActivationCurve, identity_gives_back_every_bit) {
  const std::vector<float> x = arguments<float>();
  std::vector<float> y(x.size());
  ef::kernels::activate<ef::Identity>(x.data(), y.data(), static_cast<ef::Index>(x.size()), ef::best_instruction_set());
  EXPECT_TRUE(support::bit_equal(x, y));
}
