// SPDX-License-Identifier: MIT

#include "reference/optimizers.hpp"
#include "support/compare.hpp"
#include "support/inputs.hpp"

#include <eigenformer/ops/descent.hpp>

#include <gtest/gtest.h>

namespace {

namespace ef = eigenformer;

TEST(AdamWUpdate, equals_reference_over_many_steps_of_chunks) {
  constexpr std::ptrdiff_t size = 20011;  // more than two chunks
  support::Generator random(51);
  std::vector<double> p = support::normal<double>(size, random);
  std::vector<double> m(p.size());
  std::vector<double> v(p.size());
  std::vector<double> expected = p;
  reference::AdamW reference{
      {.learning_rate = 0.01, .beta1 = 0.8, .beta2 = 0.95, .epsilon = 1e-6, .weight_decay = 0.1}};
  ef::Context context({.threads = 2});
  for (int t = 1; t <= 5; ++t) {
    const std::vector<double> g = support::normal<double>(size, random);
    ef::adamw_update<double>(p, g, m, v, {0.01, 0.8, 0.95, 1e-6, 0.1, static_cast<double>(t)}, context);
    reference.step(expected, g);
  }
  // Five steps of a handful of roundings each, of numbers below 10.
  EXPECT_TRUE(support::within(support::max_error(p, expected), 1e-14));
  EXPECT_TRUE(support::within(support::max_error(m, reference.m), 1e-14));
  EXPECT_TRUE(support::within(support::max_error(v, reference.v), 1e-13));
}

TEST(SgdUpdate, equals_reference_for_each_kind_of_momentum) {
  constexpr std::ptrdiff_t size = 20011;
  for (const double momentum : {0.0, 0.9}) {
    for (const ef::Momentum kind : {ef::Momentum::classical, ef::Momentum::nesterov}) {
      const bool nesterov = kind == ef::Momentum::nesterov;
      support::Generator random(52);
      std::vector<double> p = support::normal<double>(size, random);
      std::vector<double> u(momentum > 0 ? p.size() : 0);
      std::vector<double> expected = p;
      reference::Sgd reference{
          {.learning_rate = 0.05, .momentum = momentum, .weight_decay = 0.1, .nesterov = nesterov}};
      ef::Context context({.threads = 2});
      for (int t = 1; t <= 5; ++t) {
        const std::vector<double> g = support::normal<double>(size, random);
        ef::sgd_update<double>(p, g, u, {0.05, momentum, 0, 0.1, kind}, context);
        reference.step(expected, g);
      }
      EXPECT_TRUE(support::within(support::max_error(p, expected), 1e-14)) << momentum << nesterov;
    }
  }
}

}  // namespace
