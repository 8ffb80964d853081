#pragma once
// SPDX-License-Identifier: MIT

#include <gtest/gtest.h>

#include "conformance/subject.hpp"
#include "support/alignment.hpp"
#include "support/compare.hpp"
#include "support/tolerances.hpp"

// CONFORMANCE(Suite, property) { … } defines a test of every row of the table, for float and for double. In its body, T
// is the number type and `row` the row. CONFORMANCE_SUITE(Suite) comes once before.
#define CONFORMANCE_SUITE(Suite)                                                                 \
  struct Suite##Float : testing::TestWithParam<conformance::Row<float>> {};                      \
  struct Suite##Double : testing::TestWithParam<conformance::Row<double>> {};                    \
  INSTANTIATE_TEST_SUITE_P(Every, Suite##Float, testing::ValuesIn(conformance::rows<float>()),   \
                           [](const auto& tested) { return tested.param.name; });                \
  INSTANTIATE_TEST_SUITE_P(Every, Suite##Double, testing::ValuesIn(conformance::rows<double>()), \
                           [](const auto& tested) { return tested.param.name; })

#define CONFORMANCE(Suite, property)                                  \
  template <class T>                                                  \
  void property(const conformance::Row<T>& row);                      \
  TEST_P(Suite##Float, property) { (property<float>)(GetParam()); }   \
  TEST_P(Suite##Double, property) { (property<double>)(GetParam()); } \
  template <class T>                                                  \
  void property(const conformance::Row<T>& row)

namespace conformance {

/// Sizes of most tests, and sizes at which several threads are worth their while.
inline constexpr Extent small = {3, 11};
inline constexpr Extent large = {101, 67};

template <class T>
std::vector<T> nothing(Index count) {
  return std::vector<T>(static_cast<std::size_t>(count), std::numeric_limits<T>::quiet_NaN());
}
template <class T>
std::vector<T> output_of(const Subject<T>& subject, const std::vector<T>& x, Extent extent, ef::Context& context) {
  std::vector<T> y = nothing<T>(extent.tokens() * subject.out_features());
  subject.forward(x.data(), y.data(), extent, context);
  return y;
}

/// Everything that one step of training writes.
template <class T>
struct Step {
  std::vector<T> y;
  std::vector<T> dx;
  std::vector<std::vector<T>> gradients;
};
template <class T>
void clear_gradients(Subject<T>& subject) {
  for (const Visited<T>& parameter : subject.parameters()) {
    std::fill(parameter.gradients.begin(), parameter.gradients.end(), T(0));
  }
}
/// Forward with the cache and backward, from gradients of zero.
template <class T>
Step<T> step_of(Subject<T>& subject, const std::vector<T>& x, const std::vector<T>& dy, Extent extent,
                ef::Context& context) {
  Step<T> step = {
      nothing<T>(extent.tokens() * subject.out_features()), nothing<T>(extent.tokens() * subject.in_features()), {}};
  clear_gradients(subject);
  subject.forward_with_cache(x.data(), step.y.data(), extent, context);
  subject.backward(dy.data(), step.dx.data(), extent, context);
  if (!subject.differentiable()) std::fill(step.dx.begin(), step.dx.end(), T(0));
  for (const Visited<T>& parameter : subject.parameters()) {
    step.gradients.emplace_back(parameter.gradients.begin(), parameter.gradients.end());
  }
  return step;
}
template <class T>
testing::AssertionResult same(const Step<T>& a, const Step<T>& b) {
  if (auto y = support::bit_equal(a.y, b.y); !y) return y << " in y";
  if (auto dx = support::bit_equal(a.dx, b.dx); !dx) return dx << " in dx";
  if (a.gradients.size() != b.gradients.size()) return testing::AssertionFailure() << "another number of gradients";
  for (std::size_t i = 0; i < a.gradients.size(); ++i) {
    if (auto g = support::bit_equal(a.gradients[i], b.gradients[i]); !g) return g << " in gradient " << i;
  }
  return testing::AssertionSuccess();
}

/// Whether two blocks hold the same halves.
template <class T>
testing::AssertionResult same_halves(Subject<T>& a, Subject<T>& b) {
  const std::vector<StoredHalf> ours = a.stored_halves(), theirs = b.stored_halves();
  if (ours.size() != theirs.size()) return testing::AssertionFailure() << "another number of parameters in halves";
  for (std::size_t i = 0; i < ours.size(); ++i) {
    if (!std::equal(ours[i].bits.begin(), ours[i].bits.end(), theirs[i].bits.begin(), theirs[i].bits.end())) {
      return testing::AssertionFailure() << ours[i].name << " has other bits";
    }
  }
  return testing::AssertionSuccess();
}

/// Holds a step against one that was computed otherwise, E being the type whose rounding may differ. A gradient that is
/// nothing but rounding beside the largest one, as that of a key's bias, to which softmax is blind, is judged by its
/// size.
template <class E, class T, class U>
void expect_close(const Step<T>& step, const Step<U>& expected, const Subject<T>& subject) {
  namespace tolerance = support::tolerance;
  const double limit = tolerance::backward_row_nmse<E>;
  EXPECT_TRUE(within(support::worst_row_nmse(step.y, expected.y, subject.out_features()), limit)) << "y";
  if (subject.differentiable()) {
    EXPECT_TRUE(within(support::worst_row_nmse(step.dx, expected.dx, subject.in_features()), limit)) << "dx";
  }
  const auto largest_of = [](const std::vector<U>& numbers) {
    double result = 0;
    for (const U value : numbers) result = (std::max)(result, std::abs(static_cast<double>(value)));
    return result;
  };
  double largest = 0;
  for (const auto& gradient : expected.gradients) largest = (std::max)(largest, largest_of(gradient));
  const auto parameters = subject.constant_parameters();
  ASSERT_EQ(step.gradients.size(), expected.gradients.size());
  for (std::size_t i = 0; i < step.gradients.size(); ++i) {
    const bool cancelled = largest_of(expected.gradients[i]) < 64 * tolerance::epsilon<E> * largest;
    const Index size = static_cast<Index>(step.gradients[i].size());
    if (cancelled) {
      EXPECT_TRUE(
          within(support::max_error(step.gradients[i], expected.gradients[i], largest), 64 * tolerance::epsilon<E>))
          << parameters[i].name;
    } else {
      EXPECT_TRUE(within(support::worst_row_nmse(step.gradients[i], expected.gradients[i], size), limit))
          << parameters[i].name;
    }
  }
}

/// What a test starts from: the block, x and dy.
template <class T>
struct Start {
  explicit Start(const Row<T>& row, Extent chosen = small, std::uint64_t salt = 1)
      : extent(chosen),
        subject(row.make()),
        random(salt),
        x(subject->input(extent, random)),
        dy(support::normal<T>(extent.tokens() * subject->out_features(), random)) {
    // Gains of one and biases of zero hide mistakes.
    for (const Visited<T>& parameter : subject->parameters()) {
      for (T& value : parameter.values) value += static_cast<T>(0.1 * random.normal());
    }
  }
  Extent extent;
  std::unique_ptr<Subject<T>> subject;
  support::Generator random;
  std::vector<T> x;
  std::vector<T> dy;
  ef::Context context;
};

}  // namespace conformance
