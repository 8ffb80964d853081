// SPDX-License-Identifier: MIT

#include "support/compare.hpp"

#include <eigenformer/train/gradient_check.hpp>

#include <gtest/gtest.h>

namespace {

namespace ef = eigenformer;
using ef::ConstRowsView;
using ef::RowsView;

/// y = gain x^2 + shift, whose gradients can be spoilt one at a time.
struct Square : ef::Block<Square> {
  enum class Fault { none, gain, shift, input, not_a_number };
  struct Cache {
    ef::Matrix<double> x;
  };
  explicit Square(Fault chosen)
      : gain(ef::Vector<double>::Constant(3, 1.5)), shift(ef::Vector<double>::Ones(3)), fault(chosen) {}

  void forward(ConstRowsView<double> x, RowsView<double> y, ef::Context&, Cache* cache = nullptr) const {
    y = ((x.array().square().rowwise() * gain.value.transpose().array()).rowwise() + shift.value.transpose().array())
            .matrix();
    if (cache) cache->x = x;
  }
  void backward(ConstRowsView<double> dy, const Cache& cache, RowsView<double> dx, ef::Context&) {
    dx = (2 * cache.x.array() * dy.array()).rowwise() * gain.value.transpose().array();
    gain.accumulated_gradient() += (dy.array() * cache.x.array().square()).colwise().sum().transpose().matrix();
    if (shift.trainable) shift.accumulated_gradient() += dy.colwise().sum().transpose();
    if (fault == Fault::gain) gain.gradient[2] *= 1.01;
    if (fault == Fault::shift) shift.gradient[1] += 0.01;
    if (fault == Fault::input) dx(1, 0) = 0;
    if (fault == Fault::not_a_number) gain.gradient[0] = std::numeric_limits<double>::quiet_NaN();
  }
  static void members(auto& self, auto&& visit) {
    visit("gain", self.gain);
    visit("shift", self.shift);
  }
  ef::Parameter<double> gain;
  ef::Parameter<double> shift;
  Fault fault;
};

const ef::Matrix<double> x = (ef::Matrix<double>(2, 3) << 0.5, -1, 2, 0.25, 3, -0.75).finished();

TEST(GradientCheck, passes_what_is_right_after_looking_at_everything) {
  const ef::GradientCheck check = ef::check_gradients(Square(Square::Fault::none), x);
  EXPECT_TRUE(check.passed()) << check;
  EXPECT_EQ(check.compared, 3 + 3 + 6);
}

TEST(GradientCheck, names_the_parameter_and_the_place_that_are_wrong) {
  const ef::GradientCheck gain = ef::check_gradients(Square(Square::Fault::gain), x);
  EXPECT_FALSE(gain.passed());
  EXPECT_EQ(gain.name, "gain");
  EXPECT_EQ(gain.position, 2);
  const ef::GradientCheck shift = ef::check_gradients(Square(Square::Fault::shift), x);
  EXPECT_FALSE(shift.passed());
  EXPECT_EQ(shift.name, "shift");
  EXPECT_EQ(shift.position, 1);
  const ef::GradientCheck input = ef::check_gradients(Square(Square::Fault::input), x);
  EXPECT_FALSE(input.passed());
  EXPECT_EQ(input.name, "x");
  EXPECT_EQ(input.position, 3);
}

TEST(GradientCheck, a_gradient_that_is_not_a_number_fails) {
  EXPECT_FALSE(ef::check_gradients(Square(Square::Fault::not_a_number), x).passed());
}

TEST(GradientCheck, leaves_out_frozen_parameters_and_tries_as_many_values_as_asked) {
  Square block(Square::Fault::none);
  block.shift.trainable = false;
  EXPECT_EQ(ef::check_gradients(block, x).compared, 3 + 6);
  EXPECT_EQ(ef::check_gradients(block, x, {.values_each = 2}).compared, 2 + 2);
}

TEST(GradientCheck, nothing_compared_is_not_passed) {
  Square block(Square::Fault::none);
  EXPECT_FALSE(ef::check_parameter_gradients(block, [] { return 0.0; }).passed());
  EXPECT_THROW(ef::check_parameter_gradients(block, [] { return 0.0; }, {.step = 0}), ef::OptionError);
}

}  // namespace
