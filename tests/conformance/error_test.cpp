// SPDX-License-Identifier: MIT

#include "conformance/property.hpp"

namespace {

using conformance::small;
using conformance::Start;
namespace ef = eigenformer;

CONFORMANCE_SUITE(Mistake);

/// What must be thrown: a ShapeError that begins with the name of a block and says both shapes.
template <class Call>
void expect_shape_error(const Call& call, const char* what) {
  try {
    call();
    ADD_FAILURE() << what << ": expected ShapeError";
  } catch (const ef::ShapeError& error) {
    const std::string message = error.what();
    const auto colon = message.find(": expected ");
    EXPECT_TRUE(colon != message.npos && colon > 2 && message.find(' ') > colon) << message;
    EXPECT_NE(message.find("got "), message.npos) << message;
  }
}

CONFORMANCE(Mistake, of_widths_is_named_and_nothing_is_written) {
  Start<T> start(row);
  const auto step = step_of(*start.subject, start.x, start.dy, small, start.context);
  std::vector<T> y(static_cast<std::size_t>(4 * (start.subject->out_features() + 1)), T(9));
  std::vector<T> dx(static_cast<std::size_t>(small.tokens() * (start.subject->in_features() + 1)), T(9));
  if (start.subject->differentiable()) {
    expect_shape_error([&] { start.subject->forward_wide_x(y.data(), start.context); }, "x");
    expect_shape_error([&] { start.subject->backward_wide_dx(dx.data(), small, start.context); }, "dx");
  }
  expect_shape_error([&] { start.subject->forward_wide_y(y.data(), start.context); }, "y");
  expect_shape_error([&] { start.subject->backward_wide_dy(dx.data(), small, start.context); }, "dy");
  for (const T value : y) ASSERT_EQ(value, T(9));
  for (const T value : dx) ASSERT_EQ(value, T(9));
  std::size_t i = 0;
  for (const auto& parameter : start.subject->parameters()) {
    EXPECT_TRUE(
        support::bit_equal(std::vector<T>(parameter.gradients.begin(), parameter.gradients.end()), step.gradients[i++]))
        << parameter.name;
  }
}

CONFORMANCE(Mistake, of_another_extent_in_backward_is_named_and_nothing_is_written) {
  Start<T> start(row);
  if (row.name.starts_with("SinusoidalPositions") || row.name == "LearnedPositions") {
    GTEST_SKIP() << "keeps nothing of x that could disagree";
  }
  step_of(*start.subject, start.x, start.dy, small, start.context);
  const conformance::Extent other = {small.batch, small.length - 1};
  std::vector<T> dx(start.x.size(), T(9));
  expect_shape_error([&] { start.subject->backward(start.dy.data(), dx.data(), other, start.context); }, "dy");
  for (const T value : dx) ASSERT_EQ(value, T(9));
}

}  // namespace
