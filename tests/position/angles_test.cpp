// SPDX-License-Identifier: MIT

#include <eigenformer/position/angles.hpp>

#include <gtest/gtest.h>

#include <math.h>  // ::sinl and ::cosl, which <cmath> need not declare

#include <cmath>
#include <limits>
#include <vector>

#include "support/compare.hpp"

namespace ef = eigenformer;
using ef::Index;

namespace {

constexpr double epsilon = std::numeric_limits<double>::epsilon();

// Called by address: -ffast-math puts the processor's own fsincos in place of a call, whose pi has 66 bits, so that it
// is off by 1e-15 at a million radians.
long double (*volatile exact_cosine)(long double) = ::cosl;
long double (*volatile exact_sine)(long double) = ::sinl;

struct Angle {
  Index position;
  double cosine, sine;
};

/// All positions of one frequency, in the order of the blocks; scratch memory never written is NaN.
std::vector<Angle> angles_of(const std::vector<double>& frequencies, Index start, Index length, Index wanted = 0,
                             ef::InstructionSet set = ef::best_instruction_set()) {
  ef::ScratchArena arena;
  arena.take(1);
  arena.release({});
  arena.poison();
  ef::ScratchScope scope(arena);
  const ef::PositionAngles<double> angles(scope, frequencies, start, length, set);
  const auto count = static_cast<Index>(frequencies.size());
  EXPECT_EQ(angles.count(), count);
  std::vector<double> coarse(2 * frequencies.size() + 1);
  std::vector<double> turns(2 * frequencies.size() + 1);
  std::vector<Angle> result;
  for (Index block = 0; block < angles.blocks(); ++block) {
    angles.coarse(block, coarse.data(), coarse.data() + count);
    for (Index position = angles.first(block); position <= angles.last(block) && wanted < count; ++position) {
      angles.at(position, coarse.data(), coarse.data() + count, turns.data(), turns.data() + count);
      const double* const cosine = turns.data() + wanted;
      result.push_back({position, cosine[0], cosine[count]});
    }
  }
  return result;
}

/// One frequency at every position, beside cosine and sine of the angle in long double.
void expect_angles(const std::vector<double>& frequencies, Index start, Index length, Index i,
                   ef::InstructionSet set = ef::best_instruction_set()) {
  const std::vector<Angle> angles = angles_of(frequencies, start, length, i, set);
  ASSERT_EQ(static_cast<Index>(angles.size()), length);
  for (Index n = 0; n < length; ++n) {
    const Angle& angle = angles[static_cast<std::size_t>(n)];
    ASSERT_EQ(angle.position, start + n);
    const long double exact =
        static_cast<long double>(start + n) * static_cast<long double>(frequencies[static_cast<std::size_t>(i)]);
    // The angle is rounded by half an eps of it, unless the frequency is a power of two; then come the roundings of two
    // functions, of products and of a sum.
    int exponent = 0;
    const bool power = std::frexp(frequencies[static_cast<std::size_t>(i)], &exponent) == 0.5;
    const double limit = epsilon * (4 + (power ? 0 : static_cast<double>(exact) / 2));
    EXPECT_NEAR(angle.cosine, static_cast<double>(exact_cosine(exact)), limit) << start << " + " << n;
    EXPECT_NEAR(angle.sine, static_cast<double>(exact_sine(exact)), limit) << start << " + " << n;
  }
}

}  // namespace

TEST(GeometricFrequencies, are_powers_of_the_base) {
  for (const double base : {1.0, 500.0, 10000.0}) {
    for (const Index dim : {2, 4, 22, 128}) {
      const std::vector<double> frequencies = ef::geometric_frequencies(dim, base);
      ASSERT_EQ(static_cast<Index>(frequencies.size()), dim / 2);
      EXPECT_EQ(frequencies[0], 1);
      for (Index i = 0; i < dim / 2; ++i) {
        const long double exact = std::pow(static_cast<long double>(base), -2 * static_cast<long double>(i) / dim);
        // The exponent, rounded by half an eps, is multiplied by log(base) < 10; pow adds a rounding.
        EXPECT_NEAR(frequencies[static_cast<std::size_t>(i)] / static_cast<double>(exact), 1, 8 * epsilon);
      }
    }
  }
}

TEST(GeometricFrequencies, are_one_for_each_whole_pair) {
  EXPECT_TRUE(ef::geometric_frequencies(0, 10000).empty());
  EXPECT_TRUE(ef::geometric_frequencies(1, 10000).empty());
  EXPECT_EQ(ef::geometric_frequencies(7, 10000).size(), 3U);
}

TEST(PositionAngles, equal_cosine_and_sine_at_every_position_once) {
  const std::vector<double> frequencies = {1, 0.3, 0.015625, 0};
  int cases = 0;
  for (const Index start : {0, 1, 31, 32, 33, 997, 1000000}) {
    for (const Index length : {0, 1, 2, 31, 32, 33, 101}) {
      for (const Index i : {0, 1, 2, 3}) {
        expect_angles(frequencies, start, length, i);
        ++cases;
      }
    }
  }
  EXPECT_EQ(cases, 7 * 7 * 4);
}

TEST(PositionAngles, count_exactly_up_to_the_last_position) {
  int sets = 0;
  for (const ef::InstructionSet set : ef::all_instruction_sets) {
    if (!ef::available(set)) continue;
    expect_angles({1, 0.5}, ef::max_position - 37, 37, 0, set);
    expect_angles({1, 0.5}, ef::max_position - 37, 37, 1, set);
    ++sets;
  }
  EXPECT_GE(sets, 1);
}

TEST(PositionAngles, depend_on_their_position_alone) {
  const std::vector<double> frequencies = ef::geometric_frequencies(6, 10000);
  const std::vector<Angle> whole = angles_of(frequencies, 29, 70, 1);
  ASSERT_EQ(whole.size(), 70U);
  for (const Angle& expected : whole) {
    const std::vector<Angle> one = angles_of(frequencies, expected.position, 1, 1);
    ASSERT_EQ(one.size(), 1U);
    EXPECT_TRUE(
        support::bit_equal(std::vector{one[0].cosine, one[0].sine}, std::vector{expected.cosine, expected.sine}));
  }
}

TEST(PositionAngles, of_no_positions_have_no_blocks_and_of_no_frequencies_store_nothing) {
  ef::ScratchArena arena;
  ef::ScratchScope scope(arena);
  const std::vector<double> one = {1};
  for (const Index start : {0, 5, 32}) {
    EXPECT_EQ(ef::PositionAngles<float>(scope, one, start, 0, ef::best_instruction_set()).blocks(), 0);
  }
  EXPECT_TRUE(angles_of({}, 3, 40).empty());
}
