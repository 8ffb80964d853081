// SPDX-License-Identifier: MIT

#include <eigenformer/position/no_position.hpp>

#include <gtest/gtest.h>

#include <array>
#include <limits>
#include <type_traits>
#include <vector>

#include "support/allocation.hpp"
#include "support/compare.hpp"
#include "support/inputs.hpp"

namespace ef = eigenformer;
using ef::Index;

namespace {

// It takes no room in an attention and no options to be made.
static_assert(std::is_empty_v<ef::NoPosition> && std::is_default_constructible_v<ef::NoPosition>);
static_assert(std::is_trivially_copyable_v<ef::NoPosition>);

constexpr std::array<Index, 5> starts = {0, 1, 1000003, -1, (std::numeric_limits<Index>::max)()};

/// Ordinary numbers, and those that any arithmetic would change or lose: NaN, infinities, -0 and denormal ones.
template <class T>
ef::Tensor<T, 4> heads(Index batch, Index length) {
  support::Generator random(1);
  ef::Tensor<T, 4> x(batch, length, 3, 5);
  support::fill(x, support::Distribution::normal, random);
  std::vector<T> odd = {T(-0.0), support::denormal<T>(random)};
  for (const T poison : support::poisons<T>()) odd.push_back(poison);
  for (std::size_t i = 0; i < odd.size() && static_cast<Index>(i) < x.size(); ++i) x.data()[i] = odd[i];
  return x;
}

template <class T>
class NoPositionOf : public testing::Test {};
using Scalars = testing::Types<float, double>;
TYPED_TEST_SUITE(NoPositionOf, Scalars);

}  // namespace

TYPED_TEST(NoPositionOf, leaves_every_bit_at_any_start) {
  const ef::NoPosition position;
  ef::Context context;
  const auto x = heads<TypeParam>(2, 7);
  for (const Index start : starts) {
    auto y = x;
    position.apply(ef::HeadsView<TypeParam>(y), start, context);
    EXPECT_TRUE(support::bit_equal(y, x)) << start;
    position.apply_backward(ef::HeadsView<TypeParam>(y), start, context);
    EXPECT_TRUE(support::bit_equal(y, x)) << start;
  }
}

TYPED_TEST(NoPositionOf, takes_no_heads_at_all) {
  ef::Context context;
  ef::NoPosition().apply(ef::HeadsView<TypeParam>(), 0, context);
  ef::NoPosition().apply_backward(ef::HeadsView<TypeParam>(), 0, context);
  auto empty = heads<TypeParam>(2, 0);
  ef::NoPosition().apply(ef::HeadsView<TypeParam>(empty), 3, context);
}

TYPED_TEST(NoPositionOf, takes_no_memory) {
  if (!support::AllocationCounter::available()) GTEST_SKIP() << support::AllocationCounter::why_not();
  ef::Context context;
  auto x = heads<TypeParam>(2, 7);
  EXPECT_EQ(support::allocations_during([&] { ef::NoPosition().apply(ef::HeadsView<TypeParam>(x), 0, context); }), 0U);
  EXPECT_EQ(context.scratch().capacity(), 0U);
}
