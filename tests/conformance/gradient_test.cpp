// SPDX-License-Identifier: MIT

#include "conformance/property.hpp"
#include "reference/central_difference.hpp"
#include "support/allocation.hpp"
#include "support/tolerances.hpp"

namespace {

using conformance::Extent;
using conformance::Index;
using conformance::small;
using conformance::Start;
using conformance::Step;
namespace ef = eigenformer;
namespace tolerance = support::tolerance;

CONFORMANCE_SUITE(Gradient);

struct Differences : testing::TestWithParam<conformance::Row<double>> {};
INSTANTIATE_TEST_SUITE_P(Every, Differences, testing::ValuesIn(conformance::rows<double>()),
                         [](const auto& tested) { return tested.param.name; });

TEST_P(Differences, of_inputs_and_parameters_equal_gradients) {
  constexpr Extent extent = {2, 3};
  Start<double> start(GetParam(), extent);
  if (!start.subject->derives()) GTEST_SKIP() << "gradients go straight through a quantiser";
  const Step<double> step = step_of(*start.subject, start.x, start.dy, extent, start.context);
  std::vector<double> y(step.y.size());
  const auto loss = [&] {
    start.subject->forward(start.x.data(), y.data(), extent, start.context);
    double sum = 0;
    for (std::size_t i = 0; i < y.size(); ++i) sum += start.dy[i] * y[i];
    return sum;
  };
  const auto check = [&](std::span<double> values, const std::vector<double>& gradient, const std::string& name) {
    ASSERT_EQ(values.size(), gradient.size()) << name;
    const std::size_t stride = values.size() > 600 ? 7 : 1;  // 7 divides none of the widths
    for (std::size_t i = 0; i < values.size(); i += stride) {
      const double expected = reference::central_difference(values[i], tolerance::difference_step, loss);
      ASSERT_NEAR(gradient[i], expected, tolerance::difference_abs + tolerance::difference_rel * std::abs(expected))
          << name << " at " << i;
    }
  };
  if (start.subject->differentiable()) check(start.x, step.dx, "x");
  std::size_t i = 0;
  for (const auto& parameter : start.subject->parameters()) {
    check(parameter.values, step.gradients[i], parameter.name);
    ++i;
  }
}

CONFORMANCE(Gradient, backward_adds_to_gradients_and_overwrites_dx) {
  Start<T> start(row);
  const Step<T> once = step_of(*start.subject, start.x, start.dy, small, start.context);
  std::vector<T> dx = conformance::nothing<T>(static_cast<Index>(once.dx.size()));
  start.subject->backward(start.dy.data(), dx.data(), small, start.context);
  if (start.subject->differentiable()) {
    EXPECT_TRUE(support::bit_equal(dx, once.dx));
  }
  std::size_t i = 0;
  for (const auto& parameter : start.subject->parameters()) {
    std::vector<T> twice = once.gradients[i++];
    for (T& value : twice) value *= T(2);
    EXPECT_TRUE(within(support::worst_row_nmse(parameter.gradients, twice, static_cast<Index>(twice.size())),
                       tolerance::backward_row_nmse<T>))
        << parameter.name;
  }
}

CONFORMANCE(Gradient, frozen_block_gets_no_gradient_and_gives_the_same_dx) {
  Start<T> start(row);
  const Step<T> trained = step_of(*start.subject, start.x, start.dy, small, start.context);
  const auto fresh = start.subject->copy();
  std::size_t gradient_values = 0;
  for (const auto& parameter : fresh->parameters()) gradient_values += parameter.gradients.size();
  EXPECT_TRUE(fresh->parameters().empty() || gradient_values > 0);

  Start<T> frozen(row);
  for (const auto& parameter : frozen.subject->parameters()) *parameter.trainable = false;
  const Step<T> step = step_of(*frozen.subject, start.x, start.dy, small, frozen.context);
  EXPECT_TRUE(support::bit_equal(step.y, trained.y));
  EXPECT_TRUE(support::bit_equal(step.dx, trained.dx));
  for (const auto& gradient : step.gradients) EXPECT_TRUE(gradient.empty());
}

CONFORMANCE(Gradient, frozen_block_takes_less_memory) {
  if (!support::AllocationCounter::available()) GTEST_SKIP() << support::AllocationCounter::why_not();
  const auto bytes = [&](bool trainable) {
    Start<T> start(row);
    for (const auto& parameter : start.subject->parameters()) *parameter.trainable = trainable;
    std::vector<T> y(start.dy.size());
    std::vector<T> dx(start.x.size());
    const support::AllocationCounter counter;
    start.subject->forward_with_cache(start.x.data(), y.data(), small, start.context);
    start.subject->backward(start.dy.data(), dx.data(), small, start.context);
    return counter.bytes();
  };
  if (row.make()->parameters().empty()) {
    EXPECT_EQ(bytes(false), bytes(true));
  } else {
    EXPECT_LT(bytes(false), bytes(true));
  }
}

CONFORMANCE(Gradient, freezing_one_parameter_changes_no_other_gradient) {
  Start<T> start(row);
  const Step<T> trained = step_of(*start.subject, start.x, start.dy, small, start.context);
  const std::size_t count = start.subject->parameters().size();
  for (std::size_t frozen = 0; frozen < count; ++frozen) {
    Start<T> other(row);
    *other.subject->parameters()[frozen].trainable = false;
    const Step<T> step = step_of(*other.subject, start.x, start.dy, small, other.context);
    EXPECT_TRUE(support::bit_equal(step.dx, trained.dx));
    for (std::size_t i = 0; i < count; ++i) {
      if (i == frozen) {
        EXPECT_TRUE(step.gradients[i].empty()) << i;
      } else {
        EXPECT_TRUE(support::bit_equal(step.gradients[i], trained.gradients[i]))
            << i << " with " << frozen << " frozen";
      }
    }
  }
}

}  // namespace
