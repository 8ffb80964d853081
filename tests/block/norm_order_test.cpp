// SPDX-License-Identifier: MIT

#include <eigenformer/block/norm_order.hpp>
#include <eigenformer/norm/layer_norm.hpp>

#include <gtest/gtest.h>

#include "reference/central_difference.hpp"
#include "support/compare.hpp"
#include "support/inputs.hpp"
#include "support/tolerances.hpp"

namespace {

namespace ef = eigenformer;
namespace tolerance = support::tolerance;
using Sequence = ef::Tensor<double, 3>;

Sequence normal(std::uint64_t salt) {
  support::Generator random(salt);
  Sequence x(2, 3, 7);
  support::fill(x, support::Distribution::normal, random);
  return x;
}

/// f(x) = 3 x, whose gradient is 3 times what comes in.
void threefold(ef::ConstTensorView<double, 3> from, ef::TensorView<double, 3> to) { to = from * 3.0; }

template <class Order>
void expect_formula(const auto& formula) {
  ef::LayerNorm<double> norm({.dim = 7});
  norm.weight.value.setLinSpaced(0.5, 2);
  norm.bias->value.setLinSpaced(-1, 1);
  const Sequence x = normal(1), expected = formula(norm, x);
  Sequence y(2, 3, 7), in_place = x;
  ef::Context context;
  Order::template forward<double>(norm, x, y, context, nullptr, threefold);
  EXPECT_TRUE(support::bit_equal(y, expected));
  Order::template forward<double>(norm, in_place, in_place, context, nullptr, threefold);
  EXPECT_TRUE(support::bit_equal(in_place, expected));
}

TEST(NormOrder, stands_behind_the_sum_or_before_the_branch) {
  expect_formula<ef::NormAfter>([](const auto& norm, const Sequence& x) {
    const Sequence sum = x + x * 3.0;
    return Sequence(norm(sum));
  });
  expect_formula<ef::NormBefore>([](const auto& norm, const Sequence& x) { return Sequence(x + norm(x) * 3.0); });
}

template <class Order>
void expect_gradient_of_differences() {
  ef::LayerNorm<double> norm({.dim = 7});
  Sequence x = normal(1), y(2, 3, 7), dx(2, 3, 7);
  const Sequence dy = normal(2);
  ef::Context context;
  ef::LayerNorm<double>::Cache cache;
  const auto loss = [&] {
    Order::template forward<double>(norm, x, y, context, &cache, threefold);
    double sum = 0;
    for (ef::Index i = 0; i < y.size(); ++i) sum += y.data()[i] * dy.data()[i];
    return sum;
  };
  loss();
  Order::template backward<double>(norm, dy, dx, context, cache, threefold);
  Sequence in_place = dy;
  Order::template backward<double>(norm, in_place, in_place, context, cache, threefold);
  EXPECT_TRUE(support::bit_equal(in_place, dx));
  for (ef::Index i = 0; i < x.size(); ++i) {
    const double difference =
        reference::central_difference(x.data()[i], tolerance::difference_step, [&] { return loss(); });
    EXPECT_NEAR(dx.data()[i], difference, tolerance::difference_abs + tolerance::difference_rel * std::abs(difference))
        << i;
  }
}

TEST(NormOrder, gradients_match_differences_and_work_in_place) {
  expect_gradient_of_differences<ef::NormAfter>();
  expect_gradient_of_differences<ef::NormBefore>();
}

}  // namespace
