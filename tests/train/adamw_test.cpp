// SPDX-License-Identifier: MIT

#include "parameters.hpp"
#include "reference/optimizers.hpp"
#include "support/allocation.hpp"
#include "support/compare.hpp"
#include "support/golden.hpp"
#include "support/inputs.hpp"
#include "support/tolerances.hpp"

#include <eigenformer/train/adamw.hpp>

#include <gtest/gtest.h>

namespace {

namespace ef = eigenformer;

template <class T>
class AdamW : public testing::Test {};
using Scalars = testing::Types<float, double>;
TYPED_TEST_SUITE(AdamW, Scalars);

/// f(p) = p^T A p / 2 - b^T p, whose gradient is A p - b.
template <class T>
struct Quadratic : ef::Block<Quadratic<T>> {
  explicit Quadratic(const support::Golden& golden)
      : matrix(golden.matrix<T>("A")), offset(golden.vector<T>("b")), p(golden.vector<T>("p0")) {}
  void differentiate() {
    ef::zero_gradients(*this);
    p.accumulated_gradient() += matrix * p.value - offset;
  }
  static void members(auto& self, auto&& visit) { visit("p", self.p); }

  ef::Matrix<T> matrix;
  ef::Vector<T> offset;
  ef::Parameter<T> p;
};

TYPED_TEST(AdamW, walks_as_pytorch_does) {
  using T = TypeParam;
  const support::Golden golden("optim_adamw");
  Quadratic<T> problem(golden);
  const auto betas = golden.parameter<std::vector<double>>("betas");
  ef::AdamW<T> optimizer({.learning_rate = golden.parameter<double>("lr"),
                          .beta1 = betas.at(0),
                          .beta2 = betas.at(1),
                          .epsilon = golden.parameter<double>("eps"),
                          .weight_decay = golden.parameter<double>("weight_decay")});
  const auto expected = golden.values<double>("p_after_step");
  for (std::size_t step = 0; step < 10; ++step) {
    problem.differentiate();
    optimizer.step(problem);
    const std::vector<double> now(expected.begin() + static_cast<std::ptrdiff_t>(step * 7),
                                  expected.begin() + static_cast<std::ptrdiff_t>(step * 7 + 7));
    EXPECT_TRUE(support::within(support::mixed_error(problem.p.value, now, support::tolerance::pytorch_abs<T>,
                                                     support::tolerance::pytorch_rel<T>),
                                1))
        << "step " << step;
  }
  optimizer.visit_state(problem, [&](const ef::Name& name, const ef::Parameter<T>& state) {
    if (name.str() == "p.first_moment") {
      EXPECT_TRUE(support::within(support::max_error(state.value, golden.values<double>("state.exp_avg")),
                                  support::tolerance::pytorch_abs<T>));
    } else if (name.str() == "p.second_moment") {
      EXPECT_TRUE(support::within(support::max_error(state.value, golden.values<double>("state.exp_avg_sq")),
                                  support::tolerance::pytorch_abs<T>));
    } else {
      EXPECT_EQ(name.str(), "p.steps");
      EXPECT_EQ(state.value[0], T(10));
    }
  });
}

TYPED_TEST(AdamW, counts_steps_of_each_parameter_so_that_a_late_one_starts_with_its_own_correction) {
  using T = TypeParam;
  MatrixAndVector<T> model(2, 3, 5);
  ef::AdamW<T> optimizer({.learning_rate = 0.5, .weight_decay = 0});
  model.matrix.accumulated_gradient().setOnes();
  for (int step = 0; step < 3; ++step) optimizer.step(model);
  EXPECT_TRUE((model.vector.value.array() == T(1)).all()) << "no gradient, no step";
  model.vector.accumulated_gradient().setOnes();
  optimizer.step(model);
  // The first step of Adam is the learning rate times the sign of the gradient, but for epsilon.
  EXPECT_NEAR(static_cast<double>(model.vector.value[0]), 0.5, 1e-6);
}

TYPED_TEST(AdamW, decays_matrices_alone_where_asked) {
  using T = TypeParam;
  MatrixAndVector<T> model(2, 3, 5);
  model.matrix.accumulated_gradient();
  model.vector.accumulated_gradient();
  ef::AdamW<T> optimizer({.learning_rate = 0.5, .weight_decay = 0.5, .decay = ef::WeightDecay::matrices});
  optimizer.step(model);
  EXPECT_TRUE((model.matrix.value.array() == T(0.75)).all());
  EXPECT_TRUE((model.vector.value.array() == T(1)).all());
  optimizer.options.decay = ef::WeightDecay::all;
  optimizer.step(model);
  EXPECT_TRUE((model.vector.value.array() == T(0.75)).all());
}

TYPED_TEST(AdamW, leaves_frozen_parameters_alone) {
  using T = TypeParam;
  MatrixAndVector<T> model(2, 3, 5);
  model.matrix.accumulated_gradient().setOnes();
  model.vector.accumulated_gradient().setOnes();
  model.matrix.trainable = false;
  ef::AdamW<T> optimizer({.learning_rate = 0.5});
  optimizer.step(model);
  EXPECT_TRUE((model.matrix.value.array() == T(1)).all());
  EXPECT_TRUE((model.vector.value.array() < T(1)).all());
}

TYPED_TEST(AdamW, goes_on_from_saved_state_with_the_same_bits) {
  using T = TypeParam;
  support::Generator random(71);
  std::vector<std::vector<T>> gradients;
  for (int step = 0; step < 6; ++step) gradients.push_back(support::normal<T>(35 + 13, random));
  const auto run = [&](ef::AdamW<T>& optimizer, MatrixAndVector<T>& model, std::size_t first, std::size_t last) {
    for (std::size_t step = first; step < last; ++step) {
      std::copy_n(gradients[step].data(), 35, model.matrix.accumulated_gradient().data());
      std::copy_n(gradients[step].data() + 35, 13, model.vector.accumulated_gradient().data());
      optimizer.step(model);
    }
  };
  MatrixAndVector<T> whole(5, 7, 13);
  ef::AdamW<T> uninterrupted;
  run(uninterrupted, whole, 0, 6);

  MatrixAndVector<T> model(5, 7, 13);
  ef::AdamW<T> before;
  run(before, model, 0, 3);
  std::vector<std::pair<std::string, std::vector<T>>> saved;
  before.visit_state(model, [&](const ef::Name& name, ef::Parameter<T>& state) {
    saved.emplace_back(name.str(), std::vector<T>(state.values().begin(), state.values().end()));
  });
  EXPECT_EQ(saved.size(), 6u);
  ef::AdamW<T> after;
  std::size_t at = 0;
  after.visit_state(model, [&](const ef::Name& name, ef::Parameter<T>& state) {
    ASSERT_EQ(saved[at].first, name.str());
    std::copy(saved[at].second.begin(), saved[at].second.end(), state.values().begin());
    ++at;
  });
  run(after, model, 3, 6);
  EXPECT_TRUE(support::bit_equal(model.matrix.value, whole.matrix.value));
  EXPECT_TRUE(support::bit_equal(model.vector.value, whole.vector.value));
}

TYPED_TEST(AdamW, same_bits_for_any_thread_count_and_no_allocation_after_the_first_step) {
  using T = TypeParam;
  support::Generator random(72);
  const std::vector<T> gradient = support::normal<T>(307 * 211, random);
  std::vector<ef::Matrix<T>> results;
  for (int threads = 1; threads <= 3; ++threads) {
    MatrixAndVector<T> model(307, 211, 2);
    std::copy(gradient.begin(), gradient.end(), model.matrix.accumulated_gradient().data());
    ef::AdamW<T> optimizer;
    ef::Context context({.threads = threads});
    optimizer.step(model, context);
    if (support::AllocationCounter::available()) {
      EXPECT_EQ(support::allocations_during([&] { optimizer.step(model, context); }), 0u);
    } else {
      optimizer.step(model, context);
    }
    results.push_back(model.matrix.value);
  }
  EXPECT_TRUE(support::bit_equal(results[1], results[0]) && support::bit_equal(results[2], results[0]));
}

TYPED_TEST(AdamW, rejects_options_out_of_range_and_another_model) {
  using T = TypeParam;
  EXPECT_THROW(ef::AdamW<T>({.learning_rate = -1}), ef::OptionError);
  EXPECT_THROW(ef::AdamW<T>({.beta1 = 1}), ef::OptionError);
  EXPECT_THROW(ef::AdamW<T>({.beta2 = -0.5}), ef::OptionError);
  EXPECT_THROW(ef::AdamW<T>({.epsilon = 0}), ef::OptionError);
  EXPECT_THROW(ef::AdamW<T>({.weight_decay = -1}), ef::OptionError);
  ef::AdamW<T> optimizer;
  MatrixAndVector<T> model(2, 3, 5);
  optimizer.step(model);
  MatrixAndVector<T> other(2, 3, 7);
  other.matrix.accumulated_gradient().setOnes();
  EXPECT_THROW(optimizer.step(other), ef::ShapeError);
  EXPECT_TRUE((other.matrix.value.array() == T(1)).all()) << "nothing is written before the check";
  optimizer.options.learning_rate = -1;
  EXPECT_THROW(optimizer.step(model), ef::OptionError);
}

}  // namespace
