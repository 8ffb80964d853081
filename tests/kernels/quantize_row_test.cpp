// SPDX-License-Identifier: MIT

#include <eigenformer/kernels/quantize_row.hpp>

#include <support/alignment.hpp>
#include <support/compare.hpp>
#include <support/inputs.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

namespace ef = eigenformer;
namespace kernels = eigenformer::kernels;
using ef::Index;
using ef::InstructionSet;

namespace {

class QuantizeRow : public testing::TestWithParam<InstructionSet> {
 protected:
  void SetUp() override {
    if (!ef::available(GetParam())) GTEST_SKIP() << "this machine has no " << ef::name(GetParam());
  }
};

/// To the nearest whole number, ties to even, by remainders alone.
template <class T>
int nearest_even(T x) {
  const T low = std::floor(x);
  const T rest = x - low;
  const auto whole = static_cast<int>(low);
  if (rest == T(0.5)) return whole + (whole % 2 != 0 ? 1 : 0);
  return whole + (rest > T(0.5) ? 1 : 0);
}

/// What follows from the formula with every product rounded to T.
template <class T>
int expected_code(T x, const kernels::RowCode<T>& code) {
  const volatile T moved = x - code.origin;
  const volatile T lifted = moved * code.lift;
  const volatile T scaled = lifted * code.factor;
  const T cut = std::min(std::max(static_cast<T>(scaled), code.smallest), code.largest);
  return nearest_even<T>(cut);
}

template <class T>
Index wrong_codes(const std::vector<T>& x, const kernels::RowCode<T>& code, InstructionSet set) {
  const auto count = static_cast<Index>(x.size());
  support::GuardedBuffer<T> row(count, count % support::alignment_offsets);
  std::copy(x.begin(), x.end(), row.begin());
  support::GuardedBuffer<std::int8_t> codes(count, (count + 3) % support::alignment_offsets);
  kernels::quantize_row<T>(row.data(), count, code, codes.data(), set);
  EXPECT_TRUE(codes.untouched_outside());
  Index wrong = 0;
  for (Index i = 0; i < count; ++i) wrong += codes[i] != expected_code(x[static_cast<std::size_t>(i)], code);
  return wrong;
}

template <class T>
int expect_rows(InstructionSet set) {
  support::Generator random(1);
  int cases = 0;
  for (Index count = 1; count <= 131; ++count) {
    const std::vector<T> x = support::normal<T>(count, random);
    T largest = 0, least = x[0];
    for (const T each : x) {
      largest = std::max(largest, std::abs(each));
      least = std::min(least, each);
    }
    support::GuardedBuffer<T> row(count, count % support::alignment_offsets);
    std::copy(x.begin(), x.end(), row.begin());
    EXPECT_EQ(kernels::largest_magnitude<T>(row.data(), count, set), largest) << count;
    EXPECT_EQ(kernels::least_number<T>(row.data(), count, set), least) << count;
    EXPECT_EQ(wrong_codes<T>(x, {127 / largest, -127, 127}, set), 0) << count;
    EXPECT_EQ(wrong_codes<T>(x, {128 / largest, -127, 127}, set), 0) << count;
    EXPECT_EQ(wrong_codes<T>(x, {128 / largest, 0, 127, least}, set), 0) << count;
    ++cases;
  }
  return cases;
}

/// k / 2, and the numbers before and behind it.
template <class T>
std::vector<T> around_halves() {
  std::vector<T> x;
  for (int k = -260; k <= 260; ++k) {
    const T half = static_cast<T>(k) / 2;
    for (const T each : {std::nextafter(half, T(-1e9)), half, std::nextafter(half, T(1e9))}) x.push_back(each);
  }
  return x;
}

/// Numbers for which levels / largest is beyond T.
template <class T>
void expect_tiny_row(InstructionSet set) {
  const T unit = std::numeric_limits<T>::denorm_min();
  const std::vector<T> x = {5 * unit, -3 * unit, 0, 127 * unit, unit};
  const T lift = sizeof(T) == 4 ? T(0x1p96) : T(0x1p500);
  EXPECT_EQ(wrong_codes<T>(x, {127 / (127 * unit * lift), -127, 127, 0, lift}, set), 0);
}

template <class T>
void expect_not_finite_found(InstructionSet set) {
  for (Index count = 1; count <= 70; ++count) {
    for (const T bad : {std::numeric_limits<T>::infinity(), -std::numeric_limits<T>::infinity(),
                        std::numeric_limits<T>::quiet_NaN()}) {
      std::vector<T> x(static_cast<std::size_t>(count), (std::numeric_limits<T>::max)());
      EXPECT_EQ(kernels::largest_magnitude<T>(x.data(), count, set), (std::numeric_limits<T>::max)());
      x[static_cast<std::size_t>(count * 3 / 4)] = bad;
      EXPECT_TRUE(support::is_nan(static_cast<double>(kernels::largest_magnitude<T>(x.data(), count, set)))) << count;
    }
  }
}

}  // namespace

TEST_P(QuantizeRow, follows_the_formula_for_every_length) {
  EXPECT_EQ(expect_rows<float>(GetParam()), 131);
  EXPECT_EQ(expect_rows<double>(GetParam()), 131);
}

TEST_P(QuantizeRow, rounds_ties_to_even_and_cuts) {
  EXPECT_EQ(wrong_codes<float>(around_halves<float>(), {1, -127, 127}, GetParam()), 0);
  EXPECT_EQ(wrong_codes<double>(around_halves<double>(), {1, -127, 127}, GetParam()), 0);
  EXPECT_EQ(wrong_codes<float>(around_halves<float>(), {1, -128, 127}, GetParam()), 0);
}

TEST_P(QuantizeRow, lifts_rows_of_denormal_numbers) {
  expect_tiny_row<float>(GetParam());
  expect_tiny_row<double>(GetParam());
}

TEST_P(QuantizeRow, finds_what_is_not_finite) {
  expect_not_finite_found<float>(GetParam());
  expect_not_finite_found<double>(GetParam());
}

TEST_P(QuantizeRow, has_largest_magnitude_zero_of_zeros_and_of_nothing) {
  const std::vector<float> zeros(37, -0.0F);
  EXPECT_EQ(kernels::largest_magnitude<float>(zeros.data(), 37, GetParam()), 0);
  EXPECT_EQ(kernels::largest_magnitude<float>(zeros.data(), 0, GetParam()), 0);
}

INSTANTIATE_TEST_SUITE_P(EveryInstructionSet, QuantizeRow, testing::ValuesIn(ef::all_instruction_sets),
                         [](const auto& tested) { return std::string(ef::name(tested.param)); });
