// SPDX-License-Identifier: MIT

#include "reference/cross_entropy.hpp"
#include "support/allocation.hpp"
#include "support/compare.hpp"
#include "support/golden.hpp"
#include "support/inputs.hpp"
#include "support/tolerances.hpp"

#include <eigenformer/train/cross_entropy.hpp>

#include <gtest/gtest.h>

namespace {

namespace ef = eigenformer;
using ef::Index;

template <class T>
class CrossEntropy : public testing::Test {};
using Scalars = testing::Types<float, double>;
TYPED_TEST_SUITE(CrossEntropy, Scalars);

/// What `call` threw; empty if it did not.
template <class Failure, class Call>
std::string message_of(const Call& call) {
  try {
    call();
  } catch (const Failure& failure) {
    return failure.what();
  }
  return {};
}

TYPED_TEST(CrossEntropy, equals_pytorch_with_smoothing_and_ignored_targets) {
  using T = TypeParam;
  const support::Golden golden("cross_entropy_smooth_ignore");
  const ef::Tensor<T, 2> logits = golden.tensor<T, 2>("logits");
  const auto targets = golden.values<std::int32_t>("target");
  ef::Tensor<T, 2> dlogits(logits.dimensions());
  ef::Context context;
  const auto loss =
      ef::cross_entropy<T>(logits, targets, dlogits, context,
                           {.ignore_index = static_cast<std::int32_t>(golden.parameter<std::int64_t>("ignore_index")),
                            .label_smoothing = golden.parameter<double>("label_smoothing")});
  EXPECT_NEAR(loss.mean, golden.scalar<double>("mean"), support::tolerance::pytorch_abs<T>);
  EXPECT_NEAR(loss.mean * loss.weight, golden.scalar<double>("sum"), 17 * support::tolerance::pytorch_abs<T>);
  EXPECT_TRUE(
      support::within(support::mixed_error(dlogits, golden.values<double>("grad.logits.mean"),
                                           support::tolerance::softmax_abs<T>, support::tolerance::pytorch_rel<T>),
                      1));
}

TYPED_TEST(CrossEntropy, equals_pytorch_with_class_weights) {
  using T = TypeParam;
  const support::Golden golden("cross_entropy_weighted");
  const ef::Tensor<T, 2> logits = golden.tensor<T, 2>("logits");
  const auto targets = golden.values<std::int32_t>("target");
  const auto weights = golden.values<T>("class_weight");
  ef::Tensor<T, 2> dlogits(logits.dimensions());
  ef::Context context;
  const auto loss = ef::cross_entropy<T>(logits, targets, dlogits, context, {.class_weights = weights});
  EXPECT_NEAR(loss.mean, golden.scalar<double>("mean"), support::tolerance::pytorch_abs<T>);
  EXPECT_NEAR(loss.mean * loss.weight, golden.scalar<double>("sum"), 12 * support::tolerance::pytorch_abs<T>);
  EXPECT_TRUE(
      support::within(support::mixed_error(dlogits, golden.values<double>("grad.logits.mean"),
                                           support::tolerance::softmax_abs<T>, support::tolerance::pytorch_rel<T>),
                      1));
}

TEST(CrossEntropyGradient, agrees_with_differences_under_smoothing_and_weights) {
  constexpr Index rows = 5;
  constexpr Index classes = 7;
  support::Generator random(61);
  ef::Matrix<double> logits(rows, classes);
  support::fill(logits, support::Distribution::normal, random);
  std::vector<double> weights = support::normal<double>(classes, random);
  for (double& w : weights) w = std::abs(w);
  const std::vector<std::int32_t> targets = {6, 0, -1, 3, 3};
  const ef::CrossEntropyOptions<double> options{.ignore_index = -1, .label_smoothing = 0.2, .class_weights = weights};
  ef::Context context;
  ef::Matrix<double> dlogits(rows, classes);
  ef::cross_entropy<double>(logits, targets, dlogits, context, options);
  const double h = support::tolerance::difference_step;
  for (Index n = 0; n < rows; ++n) {
    for (Index c = 0; c < classes; ++c) {
      const double before = logits(n, c);
      logits(n, c) = before + h;
      const double above = ef::cross_entropy<double>(logits, targets, context, options).mean;
      logits(n, c) = before - h;
      const double below = ef::cross_entropy<double>(logits, targets, context, options).mean;
      logits(n, c) = before;
      const double slope = (above - below) / (2 * h);
      EXPECT_NEAR(dlogits(n, c), slope,
                  support::tolerance::difference_abs + support::tolerance::difference_rel * std::abs(slope));
    }
  }
}

TYPED_TEST(CrossEntropy, writes_the_gradient_over_the_logits_with_the_same_bits) {
  using T = TypeParam;
  support::Generator random(62);
  ef::Matrix<T> logits(11, 37);
  support::fill(logits, support::Distribution::normal, random);
  std::vector<std::int32_t> targets(11);
  for (std::int32_t& target : targets) target = static_cast<std::int32_t>(random.integer(37));
  ef::Matrix<T> apart(11, 37);
  ef::Context context;
  const auto loss = ef::cross_entropy<T>(logits, targets, context);
  const auto with_gradient = ef::cross_entropy<T>(logits, targets, apart, context);
  const auto in_place = ef::cross_entropy<T>(logits, targets, logits, context);
  EXPECT_EQ(loss.mean, with_gradient.mean);
  EXPECT_EQ(loss.mean, in_place.mean);
  EXPECT_TRUE(support::bit_equal(logits, apart));
}

TYPED_TEST(CrossEntropy, stays_finite_for_huge_logits_and_is_right_about_certainty) {
  using T = TypeParam;
  ef::Matrix<T> logits(3, 3);
  logits << T(1e4), T(-1e4), T(0), T(1e30), T(-1e30), T(0), T(0), T(0), T(0);
  ef::Context context;
  ef::Matrix<T> dlogits(3, 3);
  const auto loss = ef::cross_entropy<T>(logits, std::vector<std::int32_t>{1, 0, 2}, dlogits, context);
  EXPECT_NEAR(loss.mean, (2e4 + 0 + std::log(3.0)) / 3, 2e4 * support::tolerance::epsilon<T>);
  EXPECT_TRUE(support::all_finite(dlogits));
  EXPECT_NEAR(static_cast<double>(dlogits(0, 0)), 1.0 / 3, 1e-6);
  EXPECT_EQ(dlogits(1, 0), T(0));
}

TYPED_TEST(CrossEntropy, nothing_counted_is_zero_and_leaves_no_gradient) {
  using T = TypeParam;
  ef::Matrix<T> logits = ef::Matrix<T>::Ones(2, 5);
  ef::Matrix<T> dlogits = ef::Matrix<T>::Ones(2, 5);
  ef::Context context;
  const auto ignored = ef::cross_entropy<T>(logits, std::vector<std::int32_t>{-100, -100}, dlogits, context);
  EXPECT_EQ(ignored.mean, 0);
  EXPECT_EQ(ignored.weight, 0);
  EXPECT_TRUE(support::bit_equal(dlogits, ef::Matrix<T>::Zero(2, 5).eval()));
  const std::vector<T> weightless = {0, 1, 1, 1, 1};
  dlogits.setOnes();
  EXPECT_EQ(
      ef::cross_entropy<T>(logits, std::vector<std::int32_t>{0, 0}, dlogits, context, {.class_weights = weightless})
          .mean,
      0);
  EXPECT_TRUE(support::bit_equal(dlogits, ef::Matrix<T>::Zero(2, 5).eval()));
  ef::Matrix<T> none(0, 5);
  EXPECT_EQ(ef::cross_entropy<T>(none, std::vector<std::int32_t>(), none, context).mean, 0);
}

TYPED_TEST(CrossEntropy, rejects_bad_input_by_name_and_writes_nothing) {
  using T = TypeParam;
  const ef::Matrix<T> logits = ef::Matrix<T>::Ones(2, 5);
  ef::Matrix<T> dlogits = ef::Matrix<T>::Constant(2, 5, T(7));
  const ef::Matrix<T> before = dlogits;
  ef::Context context;
  const auto call = [&](std::vector<std::int32_t> targets, ef::CrossEntropyOptions<T> options = {}) {
    ef::cross_entropy<T>(logits, targets, dlogits, context, options);
  };
  EXPECT_EQ(message_of<ef::ValueError>([&] {
              call({4, 5});
            }),
            "cross_entropy: expected targets in 0 .. 4 or -100, got 5 at position 1");
  EXPECT_EQ(message_of<ef::ValueError>([&] {
              call({-1, 0});
            }),
            "cross_entropy: expected targets in 0 .. 4 or -100, got -1 at position 0");
  EXPECT_EQ(message_of<ef::ShapeError>([&] { call({1}); }),
            "cross_entropy: expected 2 targets for logits of shape [2, 5], got 1");
  EXPECT_EQ(message_of<ef::OptionError>([&] {
              call({1, 2}, {.label_smoothing = 1.5});
            }),
            "cross_entropy: expected label_smoothing in 0 .. 1, got 1.5");
  const std::vector<T> weights = {1, 1, T(-2), 1, 1};
  EXPECT_EQ(message_of<ef::OptionError>([&] {
              call({1, 2}, {.class_weights = weights});
            }),
            "cross_entropy: expected class_weights of at least 0, got -2 at position 2");
  EXPECT_EQ(message_of<ef::ShapeError>([&] {
              call({1, 2}, {.class_weights = std::span(weights).first(4)});
            }),
            "cross_entropy: expected 5 class_weights for logits of shape [2, 5], got 4");
  ef::Matrix<T> narrow(2, 4);
  EXPECT_EQ(message_of<ef::ShapeError>([&] {
              ef::cross_entropy<T>(logits, std::vector<std::int32_t>{1, 2}, narrow, context);
            }),
            "cross_entropy: expected last dimension 5, got dlogits of shape [2, 4]");
  EXPECT_TRUE(support::bit_equal(dlogits, before));
}

TYPED_TEST(CrossEntropy, allocates_nothing_after_the_first_call) {
  using T = TypeParam;
  if (!support::AllocationCounter::available()) GTEST_SKIP() << support::AllocationCounter::why_not();
  for (const int threads : {1, 2}) {
    ef::Context context({.threads = threads});
    ef::Matrix<T> logits = ef::Matrix<T>::Ones(331, 257);
    const std::vector<std::int32_t> targets(331, 5);
    ef::cross_entropy<T>(logits, targets, logits, context);
    EXPECT_EQ(support::allocations_during([&] { ef::cross_entropy<T>(logits, targets, logits, context); }), 0u);
  }
}

}  // namespace
