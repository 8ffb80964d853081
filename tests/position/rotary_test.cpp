// SPDX-License-Identifier: MIT

#include <eigenformer/position/rotary.hpp>

#include <gtest/gtest.h>

#include <type_traits>

#include "reference/rotary.hpp"
#include "support/alignment.hpp"
#include "support/allocation.hpp"
#include "support/compare.hpp"
#include "support/golden.hpp"
#include "support/inputs.hpp"
#include "support/tolerances.hpp"

namespace ef = eigenformer;
namespace tolerance = support::tolerance;
using ef::Index;

namespace {

template <class Pairing>
constexpr reference::RotaryPairs reference_pairs =
    std::is_same_v<Pairing, ef::Interleaved> ? reference::RotaryPairs::interleaved : reference::RotaryPairs::half_split;

/// The table's cosine and sine are rounded to T, then come a product and a fused product and sum (or two of each): each
/// of the two terms carries at most 2.5 half-ulps of |x| <= sqrt(a^2 + b^2) <= largest. Double adds the error of the
/// frequency, 1 ulp of pow, times the position, and of the addition of angles.
template <class T>
double rotation_tolerance(double largest, double position) {
  return (4 * tolerance::epsilon<T> + (2 * position + 4) * tolerance::epsilon<double>)*largest;
}

template <class T>
ef::Tensor<T, 4> random_heads(std::array<Index, 4> dimensions, std::uint64_t salt) {
  support::Generator random(salt);
  ef::Tensor<T, 4> x(dimensions);
  support::fill(x, support::Distribution::uniform, random);
  return x;
}

template <class T>
reference::Array<long double> wide(const ef::Tensor<T, 4>& x) {
  return reference::widened<long double>(x.data(), {x.dimension(0), x.dimension(1), x.dimension(2), x.dimension(3)});
}

template <class Case>
class RotaryOf : public testing::Test {};
template <class T, class P>
struct Of {
  using Scalar = T;
  using Pairing = P;
};
using Cases = testing::Types<Of<float, ef::Interleaved>, Of<float, ef::HalfSplit>, Of<double, ef::Interleaved>,
                             Of<double, ef::HalfSplit>>;
TYPED_TEST_SUITE(RotaryOf, Cases);

}  // namespace

TYPED_TEST(RotaryOf, equals_reference_for_every_rotary_dim_and_start) {
  using T = typename TypeParam::Scalar;
  using Pairing = typename TypeParam::Pairing;
  constexpr Index head_dim = 22;
  int cases = 0;
  for (Index rotary_dim = 2; rotary_dim <= head_dim; rotary_dim += 2) {
    for (const Index start : {Index(0), Index(1), Index(31), Index(997), Index(1000000)}) {
      const ef::Rotary<Pairing> rotary({.head_dim = head_dim, .rotary_dim = rotary_dim, .base = 500});
      ef::Tensor<T, 4> x = random_heads<T>({2, 37, 3, head_dim}, 1);
      const reference::RotaryOptions options{rotary_dim, reference_pairs<Pairing>, start, 500};
      ef::Context context;
      ef::Tensor<T, 4> forward = x;
      rotary.apply(ef::HeadsView<T>(forward), start, context);
      const double limit = rotation_tolerance<T>(std::sqrt(2.0), static_cast<double>(start + 37));
      EXPECT_TRUE(within(support::max_error(forward, reference::rotary(wide(x), options)), limit));
      ef::Tensor<T, 4> backward = x;
      rotary.apply_backward(ef::HeadsView<T>(backward), start, context);
      EXPECT_TRUE(within(support::max_error(backward, reference::rotary_backward(wide(x), options)), limit));
      ++cases;
    }
  }
  EXPECT_EQ(cases, 55);
}

TYPED_TEST(RotaryOf, matches_published_vectors) {
  using T = typename TypeParam::Scalar;
  using Pairing = typename TypeParam::Pairing;
  const bool interleaved = std::is_same_v<Pairing, ef::Interleaved>;
  const support::Golden golden(interleaved ? "rope_interleaved_b10000" : "rope_half_b10000_start5");
  const ef::Rotary<Pairing> rotary({.head_dim = golden.parameter<std::int64_t>("head_dim"),
                                    .rotary_dim = golden.parameter<std::int64_t>("rotary_dim"),
                                    .base = golden.parameter<double>("base")});
  const Index start = golden.parameter<std::int64_t>("start_pos");
  ef::Context context;
  auto y = golden.tensor<T, 4>("x");
  rotary.apply(ef::HeadsView<T>(y), start, context);
  const double limit = rotation_tolerance<T>(4, 20);
  EXPECT_TRUE(within(support::max_error(y, golden.values<double>("y")), limit));
  auto dx = golden.tensor<T, 4>("d_y");
  rotary.apply_backward(ef::HeadsView<T>(dx), start, context);
  EXPECT_TRUE(within(support::max_error(dx, golden.values<double>("grad.x")), limit + 4 * tolerance::epsilon<float>));
}

TYPED_TEST(RotaryOf, backward_is_the_inverse) {
  using T = typename TypeParam::Scalar;
  const ef::Rotary<typename TypeParam::Pairing> rotary({.head_dim = 10});
  const ef::Tensor<T, 4> x = random_heads<T>({2, 5, 3, 10}, 2);
  ef::Tensor<T, 4> y = x;
  ef::Context context;
  rotary.apply(ef::HeadsView<T>(y), 7, context);
  EXPECT_FALSE(support::bit_equal(x, y));
  rotary.apply_backward(ef::HeadsView<T>(y), 7, context);
  EXPECT_TRUE(within(support::max_error(y, x), 2 * rotation_tolerance<T>(std::sqrt(2.0), 12)));
}

TYPED_TEST(RotaryOf, is_the_same_one_position_at_a_time) {
  using T = typename TypeParam::Scalar;
  const ef::Rotary<typename TypeParam::Pairing> rotary({.head_dim = 14, .rotary_dim = 6});
  ef::Tensor<T, 4> whole = random_heads<T>({2, 67, 3, 14}, 3);
  ef::Tensor<T, 4> stepwise = whole;
  ef::Context context;
  rotary.apply(ef::HeadsView<T>(whole), 29, context);
  for (Index l = 0; l < 67; ++l) rotary.apply(ef::HeadsView<T>(stepwise).positions(l, 1), 29 + l, context);
  EXPECT_TRUE(support::bit_equal(whole, stepwise));
}

TYPED_TEST(RotaryOf, turns_heads_inside_packed_projections_and_nothing_else) {
  using T = typename TypeParam::Scalar;
  const ef::Rotary<typename TypeParam::Pairing> rotary({.head_dim = 6});
  constexpr Index row = 3 * 2 * 6 + 5;  // queries, keys, values and a gap
  const ef::Tensor<T, 4> x = random_heads<T>({2, 11, 2, 6}, 4);
  ef::Tensor<T, 4> expected = x;
  ef::Context context;
  rotary.apply(ef::HeadsView<T>(expected), 3, context);
  for (Index offset = 0; offset < support::alignment_offsets; ++offset) {
    support::GuardedRows<T> packed(2 * 11 * 2, 6, row, offset);
    const ef::HeadsView<T> view(packed.data(), 2, 11, 2, 6, 11 * 2 * row, 2 * row, row);
    for (Index n = 0; n < packed.rows(); ++n) std::copy_n(x.data() + n * 6, 6, &packed(n, 0));
    rotary.apply(view, 3, context);
    ef::Tensor<T, 4> y(2, 11, 2, 6);
    for (Index n = 0; n < packed.rows(); ++n) std::copy_n(&packed(n, 0), 6, y.data() + n * 6);
    EXPECT_TRUE(support::bit_equal(y, expected)) << "offset " << offset;
    EXPECT_TRUE(packed.untouched_outside());
  }
}

TYPED_TEST(RotaryOf, is_the_same_for_any_thread_count_and_close_for_any_instruction_set) {
  using T = typename TypeParam::Scalar;
  const ef::Rotary<typename TypeParam::Pairing> rotary({.head_dim = 34});
  const ef::Tensor<T, 4> x = random_heads<T>({3, 101, 5, 34}, 5);
  ef::Tensor<T, 4> expected = x;
  ef::Context context;
  rotary.apply(ef::HeadsView<T>(expected), 13, context);
  for (const int threads : {2, 3}) {
    ef::Context several({.threads = threads});
    ef::Tensor<T, 4> y = x;
    rotary.apply(ef::HeadsView<T>(y), 13, several);
    EXPECT_TRUE(support::bit_equal(y, expected)) << threads << " threads";
  }
  int sets = 0;
  for (const ef::InstructionSet instruction_set : ef::all_instruction_sets) {
    if (!ef::available(instruction_set)) continue;
    ef::Context other({.instruction_set = instruction_set});
    ef::Tensor<T, 4> y = x;
    rotary.apply(ef::HeadsView<T>(y), 13, other);
    EXPECT_TRUE(within(support::max_error(y, expected), 2 * tolerance::epsilon<T>)) << name(instruction_set);
    ++sets;
  }
  EXPECT_GE(sets, 1);
}

TYPED_TEST(RotaryOf, allocates_nothing_after_the_first_call) {
  using T = typename TypeParam::Scalar;
  if (!support::AllocationCounter::available()) GTEST_SKIP() << support::AllocationCounter::why_not();
  const ef::Rotary<typename TypeParam::Pairing> rotary({.head_dim = 34});
  ef::Tensor<T, 4> x = random_heads<T>({3, 101, 5, 34}, 6);
  for (const int threads : {1, 2}) {
    ef::Context context({.threads = threads});
    rotary.apply(ef::HeadsView<T>(x), 0, context);
    EXPECT_EQ(support::allocations_during([&] {
                rotary.apply(ef::HeadsView<T>(x), 999, context);
                rotary.apply_backward(ef::HeadsView<T>(x), 999, context);
              }),
              0U);
  }
}

TEST(Rotary, products_depend_on_distance_alone) {
  const ef::Rotary<> rotary({.head_dim = 8});
  ef::Context context;
  const ef::Tensor<double, 4> x = random_heads<double>({2, 1, 1, 8}, 7);
  const auto product = [&](Index query, Index key) {
    ef::Tensor<double, 4> turned = x;
    const ef::HeadsView<double> view(turned);
    rotary.apply(ef::HeadsView<double>(view.at(0, 0, 0), 1, 1, 1, 8), query, context);
    rotary.apply(ef::HeadsView<double>(view.at(1, 0, 0), 1, 1, 1, 8), key, context);
    double sum = 0;
    for (Index i = 0; i < 8; ++i) sum += turned(0, 0, 0, i) * turned(1, 0, 0, i);
    return sum;
  };
  EXPECT_NEAR(product(11, 3), product(1008, 1000), 1e-12);
  EXPECT_GT(std::abs(product(11, 3) - product(11, 4)), 1e-3);
}

TEST(Rotary, position_zero_changes_nothing) {
  const ef::Rotary<ef::HalfSplit> rotary({.head_dim = 8});
  ef::Context context;
  const ef::Tensor<float, 4> x = random_heads<float>({3, 1, 2, 8}, 8);
  ef::Tensor<float, 4> y = x;
  rotary.apply(ef::HeadsView<float>(y), 0, context);
  EXPECT_TRUE(support::bit_equal(x, y));
}

TEST(Rotary, takes_replaced_frequencies) {
  ef::Rotary<> stretched({.head_dim = 4});
  for (double& frequency : stretched.frequencies) frequency /= 8;
  ef::Context context;
  ef::Tensor<double, 4> slow = random_heads<double>({1, 1, 1, 4}, 9);
  ef::Tensor<double, 4> plain = slow;
  stretched.apply(ef::HeadsView<double>(slow), 40, context);
  ef::Rotary<>({.head_dim = 4}).apply(ef::HeadsView<double>(plain), 5, context);
  EXPECT_TRUE(within(support::max_error(slow, plain), 1e-14));
}

TEST(Rotary, takes_empty_sequences) {
  const ef::Rotary<> rotary({.head_dim = 4});
  ef::Context context;
  for (const auto& shape : {std::array<Index, 4>{0, 3, 2, 4}, {2, 0, 2, 4}, {2, 3, 0, 4}}) {
    ef::Tensor<float, 4> x(shape);
    rotary.apply(ef::HeadsView<float>(x), 5, context);
  }
}

TEST(Rotary, rejects_bad_options) {
  EXPECT_THROW(ef::Rotary<>({.head_dim = 0}), ef::OptionError);
  EXPECT_THROW(ef::Rotary<>({.head_dim = -8}), ef::OptionError);
  EXPECT_THROW(ef::Rotary<>({.head_dim = 7}), ef::OptionError);
  EXPECT_THROW(ef::Rotary<>({.head_dim = 8, .rotary_dim = 3}), ef::OptionError);
  EXPECT_THROW(ef::Rotary<>({.head_dim = 8, .rotary_dim = 10}), ef::OptionError);
  EXPECT_THROW(ef::Rotary<>({.head_dim = 8, .rotary_dim = 0}), ef::OptionError);
  EXPECT_THROW(ef::Rotary<>({.head_dim = 8, .base = 0}), ef::OptionError);
  EXPECT_THROW(ef::Rotary<>({.head_dim = 8, .base = -1}), ef::OptionError);
}

TEST(Rotary, rejects_wrong_heads_and_positions_and_writes_nothing) {
  ef::Rotary<> rotary({.head_dim = 8});
  ef::Context context;
  const ef::Tensor<float, 4> x = random_heads<float>({1, 3, 2, 6}, 10);
  ef::Tensor<float, 4> y = x;
  try {
    rotary.apply(ef::HeadsView<float>(y), 0, context);
    ADD_FAILURE() << "expected ShapeError";
  } catch (const ef::ShapeError& error) {
    EXPECT_STREQ(error.what(), "Rotary: expected last dimension 8, got x of shape [1, 3, 2, 6]");
  }
  EXPECT_TRUE(support::bit_equal(x, y));
  ef::Tensor<float, 4> z = random_heads<float>({1, 3, 2, 8}, 11);
  EXPECT_THROW(rotary.apply(ef::HeadsView<float>(z), -1, context), ef::ValueError);
  EXPECT_THROW(rotary.apply_backward(ef::HeadsView<float>(z), (std::numeric_limits<Index>::max)(), context),
               ef::ValueError);
  rotary.frequencies.resize(5, 1.0);
  EXPECT_THROW(rotary.apply(ef::HeadsView<float>(z), 0, context), ef::OptionError);
}
