// SPDX-License-Identifier: MIT

#include <eigenformer/kernels/turns.hpp>

#include <gtest/gtest.h>

#include <math.h>  // ::sinl and ::cosl, which <cmath> need not declare

#include <cmath>
#include <string>
#include <vector>

#include "support/alignment.hpp"
#include "support/compare.hpp"
#include "support/inputs.hpp"
#include "support/tolerances.hpp"

namespace ef = eigenformer;
using ef::Index;
using ef::InstructionSet;
using support::GuardedBuffer;

namespace {

// Called by address: -ffast-math puts the processor's own fsincos in place of a call, whose pi has 66 bits.
long double (*volatile exact_cosine)(long double) = ::cosl;
long double (*volatile exact_sine)(long double) = ::sinl;

class EveryInstructionSet : public testing::TestWithParam<InstructionSet> {
 protected:
  void SetUp() override {
    if (!ef::available(GetParam())) GTEST_SKIP();
  }
};
using Turns = EveryInstructionSet;

/// Half a unit of a result in 0.5 .. 1, of the remainder, and of the last product and sum of a series.
constexpr double turn_limit = 1.5 * support::tolerance::epsilon<double>;

}  // namespace

TEST_P(Turns, are_cosine_and_sine_of_angles_of_any_size) {
  support::Generator random(31);
  int cases = 0;
  for (const double size : {1e-300, 1e-9, 0.7, 7.0, 1e3, 1e6, 1e9, 1e12, 1e15, 9e15}) {
    for (Index count = 0; count <= 41; ++count) {
      GuardedBuffer<double> frequencies(count, count % 8);
      for (double& frequency : frequencies) frequency = random.uniform(-size, size);
      GuardedBuffer<double> cosine(count, (count + 1) % 8);
      GuardedBuffer<double> sine(count, (count + 2) % 8);
      ef::kernels::turns<float>(1, frequencies.data(), count, cosine.data(), sine.data(), GetParam());
      for (Index i = 0; i < count; ++i) {
        const auto angle = static_cast<long double>(frequencies[i]);
        ASSERT_NEAR(cosine[i], static_cast<double>(exact_cosine(angle)), turn_limit) << frequencies[i];
        ASSERT_NEAR(sine[i], static_cast<double>(exact_sine(angle)), turn_limit) << frequencies[i];
      }
      ASSERT_TRUE(cosine.untouched_outside() && sine.untouched_outside());
      ++cases;
    }
  }
  EXPECT_EQ(cases, 420);
}

TEST_P(Turns, of_an_angle_and_its_opposite_differ_in_the_sign_of_the_sine) {
  const std::vector<double> frequencies = {0.3, -0.3, 1.7, -1.7, 2.9, -2.9, 4.1, -4.1, 5.3, -5.3};
  std::vector<double> cosine(10);
  std::vector<double> sine(10);
  ef::kernels::turns<double>(997, frequencies.data(), 10, cosine.data(), sine.data(), GetParam());
  for (std::size_t i = 0; i < 10; i += 2) {
    EXPECT_EQ(cosine[i], cosine[i + 1]);
    EXPECT_EQ(sine[i], -sine[i + 1]);
  }
}

TEST_P(Turns, add_up_at_any_length) {
  support::Generator random(32);
  for (Index count = 0; count <= 41; ++count) {
    const auto size = static_cast<std::size_t>(count);
    std::vector<double> parts[4] = {std::vector<double>(size), std::vector<double>(size), std::vector<double>(size),
                                    std::vector<double>(size)};
    GuardedBuffer<double> expected_cosine(count, 0);
    GuardedBuffer<double> expected_sine(count, 0);
    for (std::size_t i = 0; i < size; ++i) {
      const double a = random.uniform(-4, 4);
      const double b = random.uniform(-4, 4);
      parts[0][i] = std::cos(a);
      parts[1][i] = std::sin(a);
      parts[2][i] = std::cos(b);
      parts[3][i] = std::sin(b);
      expected_cosine[static_cast<Index>(i)] = std::cos(a + b);
      expected_sine[static_cast<Index>(i)] = std::sin(a + b);
    }
    GuardedBuffer<float> cosine(count, count % 16);
    GuardedBuffer<float> sine(count, (count + 3) % 16);
    ef::kernels::add_turns<float>({parts[0].data(), parts[1].data()}, {parts[2].data(), parts[3].data()}, count,
                                  cosine.data(), sine.data(), GetParam());
    for (Index i = 0; i < count; ++i) {
      // Rounded once to float, by half a unit; what is rounded in double is far less.
      ASSERT_NEAR(cosine[i], expected_cosine[i], 0.51 * support::tolerance::epsilon<float>);
      ASSERT_NEAR(sine[i], expected_sine[i], 0.51 * support::tolerance::epsilon<float>);
    }
    ASSERT_TRUE(cosine.untouched_outside() && sine.untouched_outside());
  }
}

INSTANTIATE_TEST_SUITE_P(EveryInstructionSet, Turns, testing::ValuesIn(ef::all_instruction_sets),
                         [](const auto& named) { return std::string(ef::name(named.param)); });
