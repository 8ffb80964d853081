// SPDX-License-Identifier: MIT

#include "reference/cross_entropy.hpp"
#include "support/compare.hpp"
#include "support/inputs.hpp"
#include "support/tolerances.hpp"

#include <eigenformer/ops/cross_entropy_rows.hpp>

#include <gtest/gtest.h>

namespace {

namespace ef = eigenformer;
using ef::Index;

template <class T>
class CrossEntropyRows : public testing::Test {};
using Scalars = testing::Types<float, double>;
TYPED_TEST_SUITE(CrossEntropyRows, Scalars);

TYPED_TEST(CrossEntropyRows, equals_reference_over_strided_rows_of_every_distribution) {
  using T = TypeParam;
  constexpr Index rows = 7;
  constexpr Index classes = 53;
  int cases = 0;
  for (const support::Distribution distribution : support::distributions) {
    support::Generator random(31 + static_cast<std::uint64_t>(distribution));
    const std::vector<T> x = support::sample<T>(distribution, rows * (classes + 5), random);
    const std::vector<std::int32_t> targets = {3, 52, 0, -100, 17, 29, 52};
    std::vector<double> losses(rows);
    std::vector<T> gradient(rows * (classes + 3));
    ef::RowsView<T> dx(gradient.data(), rows, classes, classes + 3);
    ef::Context context;
    const ef::CrossEntropyTerms<T> terms{-100, 0.125, nullptr, classes, 6};
    ef::cross_entropy_rows<T>(ef::ConstRowsView<T>(x.data(), rows, classes, classes + 5), targets.data(), terms,
                              losses.data(), &dx, context);
    reference::Array<long double> wide({rows, classes});
    for (Index n = 0; n < rows; ++n) {
      for (Index c = 0; c < classes; ++c)
        wide(n, c) = static_cast<long double>(x[static_cast<std::size_t>(n * (classes + 5) + c)]);
    }
    const auto expected = reference::cross_entropy(wide, {3, 52, 0, -100, 17, 29, 52}, {.label_smoothing = 0.125});
    for (Index n = 0; n < rows; ++n) {
      double largest = 1;
      for (Index c = 0; c < classes; ++c) largest = std::max(largest, static_cast<double>(std::abs(wide(n, c))));
      // x - max is rounded before anything else; its size is at most twice the largest logit.
      const double eps = support::tolerance::epsilon<T>;
      EXPECT_NEAR(losses[static_cast<std::size_t>(n)], static_cast<double>(expected.per_row(n)),
                  (classes + 2) * eps * 2 * largest)
          << name(distribution);
      for (Index c = 0; c < classes; ++c) {
        EXPECT_NEAR(static_cast<double>(dx(n, c)), static_cast<double>(expected.dlogits(n, c)),
                    support::tolerance::softmax_abs<T> * (1 + (largest < 100 ? largest : 0)))
            << name(distribution);
      }
    }
    ++cases;
  }
  EXPECT_EQ(cases, 9);
}

TYPED_TEST(CrossEntropyRows, same_bits_for_any_thread_count) {
  using T = TypeParam;
  constexpr Index rows = 211;
  constexpr Index classes = 257;
  support::Generator random(41);
  const std::vector<T> x = support::normal<T>(rows * classes, random);
  std::vector<std::int32_t> targets(rows);
  for (std::int32_t& target : targets) target = static_cast<std::int32_t>(random.integer(classes));
  const ef::CrossEntropyTerms<T> terms{-100, 0.1, nullptr, classes, rows};
  std::vector<double> losses[3];
  std::vector<T> gradients[3];
  for (int threads = 1; threads <= 3; ++threads) {
    const auto at = static_cast<std::size_t>(threads - 1);
    losses[at].resize(rows);
    gradients[at].resize(x.size());
    ef::Context context({.threads = threads});
    ef::RowsView<T> dx(gradients[at].data(), rows, classes, classes);
    ef::cross_entropy_rows<T>(ef::ConstRowsView<T>(x.data(), rows, classes, classes), targets.data(), terms,
                              losses[at].data(), &dx, context);
  }
  EXPECT_TRUE(support::bit_equal(losses[1], losses[0]) && support::bit_equal(losses[2], losses[0]));
  EXPECT_TRUE(support::bit_equal(gradients[1], gradients[0]) && support::bit_equal(gradients[2], gradients[0]));
}

}  // namespace
