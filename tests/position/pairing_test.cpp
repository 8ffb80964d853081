// SPDX-License-Identifier: MIT

#include <eigenformer/position/pairing.hpp>
#include <eigenformer/position/rotary.hpp>

#include <gtest/gtest.h>

#include <type_traits>
#include <vector>

namespace ef = eigenformer;
using ef::Index;

namespace {

// Tags: two of them, told apart by type alone.
static_assert(std::is_empty_v<ef::Interleaved> && std::is_empty_v<ef::HalfSplit>);
static_assert(std::is_default_constructible_v<ef::Interleaved> && std::is_default_constructible_v<ef::HalfSplit>);
static_assert(!std::is_convertible_v<ef::Interleaved, ef::HalfSplit>);
static_assert(!std::is_convertible_v<ef::HalfSplit, ef::Interleaved>);

/// The feature that shares a frequency with feature j of `dim`: the other one that is not zero when a head that is zero
/// but for feature j is turned.
template <class Pairing>
Index partner(Index j, Index dim) {
  const ef::Rotary<Pairing> rotary({.head_dim = dim});
  ef::Context context;
  ef::Tensor<double, 4> x(1, 1, 1, dim);
  x.setZero();
  x(0, 0, 0, j) = 1;
  rotary.apply(ef::HeadsView<double>(x), 1, context);
  std::vector<Index> others;
  for (Index i = 0; i < dim; ++i) {
    if (i != j && x(0, 0, 0, i) != 0) others.push_back(i);
  }
  EXPECT_EQ(others.size(), 1U) << "feature " << j << " of " << dim;
  return others.empty() ? -1 : others[0];
}

}  // namespace

TEST(Pairing, interleaved_joins_neighbours) {
  for (const Index dim : {2, 6, 22}) {
    for (Index i = 0; i < dim / 2; ++i) {
      EXPECT_EQ(partner<ef::Interleaved>(2 * i, dim), 2 * i + 1);
      EXPECT_EQ(partner<ef::Interleaved>(2 * i + 1, dim), 2 * i);
    }
  }
}

TEST(Pairing, half_split_joins_features_half_a_head_apart) {
  for (const Index dim : {2, 6, 22}) {
    for (Index i = 0; i < dim / 2; ++i) {
      EXPECT_EQ(partner<ef::HalfSplit>(i, dim), i + dim / 2);
      EXPECT_EQ(partner<ef::HalfSplit>(i + dim / 2, dim), i);
    }
  }
}
