// SPDX-License-Identifier: MIT

#include <eigenformer/core/scalar_of.hpp>

#include <gtest/gtest.h>

namespace ef = eigenformer;

namespace {

template <class T>
struct Norm {};
template <class B, class... Rest>
struct Wrapped {};
struct Named {
  using Scalar = double;
};
struct Nothing {};

template <class B>
concept HasScalar = requires {
  typename ef::scalar_of<B>;
};

static_assert(std::is_same_v<ef::scalar_of<Norm<float>>, float>);
static_assert(std::is_same_v<ef::scalar_of<Wrapped<Norm<double>, int>>, double>);
static_assert(std::is_same_v<ef::scalar_of<Wrapped<Wrapped<Norm<float>>>>, float>);
static_assert(std::is_same_v<ef::scalar_of<Named>, double>);
static_assert(std::is_same_v<ef::scalar_of<Wrapped<Named>>, double>);
static_assert(!HasScalar<Nothing> && !HasScalar<Wrapped<Nothing>>);
static_assert(ef::ComputesIn<Named, double> && !ef::ComputesIn<Named, float> && ef::ComputesIn<Nothing, float>);

}  // namespace

TEST(ScalarOf, is_known_when_compiling) { SUCCEED(); }
