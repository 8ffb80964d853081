// SPDX-License-Identifier: MIT

#include "support/alignment.hpp"
#include "support/compare.hpp"
#include "support/inputs.hpp"
#include "support/tolerances.hpp"

#include <eigenformer/kernels/descent.hpp>

#include <gtest/gtest.h>

namespace {

namespace ef = eigenformer;
namespace kernels = eigenformer::kernels;

template <class T>
class DescentKernel : public testing::Test {};
using Scalars = testing::Types<float, double>;
TYPED_TEST_SUITE(DescentKernel, Scalars);

template <class T>
support::GuardedBuffer<T> guarded(const std::vector<T>& values, std::ptrdiff_t offset) {
  support::GuardedBuffer<T> buffer(static_cast<std::ptrdiff_t>(values.size()), offset);
  std::copy(values.begin(), values.end(), buffer.begin());
  return buffer;
}

TYPED_TEST(DescentKernel, adamw_follows_its_formula_for_every_length_and_instruction_set) {
  using T = TypeParam;
  const kernels::AdamWUpdate<T> update{T(0.75), T(0.5), T(0.5), T(0.875), T(0.125), T(1.5), T(0.0625), T(0.25)};
  support::Generator random(21);
  int cases = 0;
  for (const ef::InstructionSet set : ef::all_instruction_sets) {
    if (!ef::available(set)) continue;
    for (std::ptrdiff_t length = 0; length <= 35; ++length) {
      const std::vector<T> p = support::normal<T>(length, random);
      const std::vector<T> g = support::normal<T>(length, random);
      const std::vector<T> m = support::normal<T>(length, random);
      std::vector<T> v = support::normal<T>(length, random);
      for (T& x : v) x = std::abs(x);
      auto new_p = guarded(p, length % 16);
      auto new_m = guarded(m, (length + 5) % 16);
      auto new_v = guarded(v, (length + 11) % 16);
      kernels::adamw_update<T>(new_p.data(), g.data(), new_m.data(), new_v.data(), length, update, set);
      for (std::size_t i = 0; i < p.size(); ++i) {
        const double gradient = static_cast<double>(g[i]);
        const double first = 0.5 * static_cast<double>(m[i]) + 0.5 * gradient;
        const double second = 0.875 * static_cast<double>(v[i]) + 0.125 * gradient * gradient;
        const double move = 0.25 * first / (1.5 * std::sqrt(second) + 0.0625);
        const double eps = support::tolerance::epsilon<T>;
        const double first_size = 0.5 * std::abs(static_cast<double>(m[i])) + 0.5 * std::abs(gradient);
        EXPECT_NEAR(static_cast<double>(new_m.data()[i]), first, 2 * eps * first_size);
        EXPECT_NEAR(static_cast<double>(new_v.data()[i]), second, 3 * eps * second);
        EXPECT_NEAR(
            static_cast<double>(new_p.data()[i]), 0.75 * static_cast<double>(p[i]) - move,
            8 * eps * (std::abs(static_cast<double>(p[i])) + std::abs(move) * (1 + first_size / std::abs(first))))
            << name(set);
      }
      EXPECT_TRUE(new_p.untouched_outside() && new_m.untouched_outside() && new_v.untouched_outside());
      ++cases;
    }
  }
  EXPECT_GE(cases, 36);
}

TYPED_TEST(DescentKernel, gradient_descent_follows_its_formula_with_and_without_velocity) {
  using T = TypeParam;
  const kernels::SgdUpdate<T> update{T(0.125), T(0.75), T(0.5), T(0.375), T(0.875), T(0.25)};
  support::Generator random(22);
  int cases = 0;
  for (const ef::InstructionSet set : ef::all_instruction_sets) {
    if (!ef::available(set)) continue;
    for (std::ptrdiff_t length = 0; length <= 35; ++length) {
      const std::vector<T> p = support::normal<T>(length, random);
      const std::vector<T> g = support::normal<T>(length, random);
      const std::vector<T> u = length % 2 == 0 ? support::normal<T>(length, random) : std::vector<T>(p.size());
      auto new_p = guarded(p, length % 16);
      auto new_u = guarded(u, (length + 5) % 16);
      kernels::sgd_update<T>(new_p.data(), g.data(), length % 2 == 0 ? new_u.data() : nullptr, length, update, set);
      for (std::size_t i = 0; i < p.size(); ++i) {
        const double gradient = static_cast<double>(g[i]) + 0.125 * static_cast<double>(p[i]);
        const double velocity = 0.75 * static_cast<double>(u[i]) + 0.5 * gradient;
        const double size = std::abs(static_cast<double>(g[i])) + std::abs(static_cast<double>(p[i])) +
                            std::abs(static_cast<double>(u[i]));
        const double tolerance = 4 * support::tolerance::epsilon<T> * size;
        const double kept = length % 2 == 0 ? velocity : static_cast<double>(u[i]);
        EXPECT_NEAR(static_cast<double>(new_u.data()[i]), kept, tolerance);
        EXPECT_NEAR(static_cast<double>(new_p.data()[i]),
                    static_cast<double>(p[i]) - 0.25 * (0.375 * gradient + 0.875 * velocity), tolerance)
            << name(set);
      }
      EXPECT_TRUE(new_p.untouched_outside() && new_u.untouched_outside());
      ++cases;
    }
  }
  EXPECT_GE(cases, 36);
}

}  // namespace
