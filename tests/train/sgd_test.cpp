// SPDX-License-Identifier: MIT

#include "parameters.hpp"
#include "support/allocation.hpp"
#include "support/compare.hpp"
#include "support/golden.hpp"
#include "support/inputs.hpp"
#include "support/tolerances.hpp"

#include <eigenformer/train/sgd.hpp>

#include <gtest/gtest.h>

namespace {

namespace ef = eigenformer;

template <class T>
class Sgd : public testing::Test {};
using Scalars = testing::Types<float, double>;
TYPED_TEST_SUITE(Sgd, Scalars);

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

TYPED_TEST(Sgd, walks_as_pytorch_does) {
  using T = TypeParam;
  const support::Golden golden("optim_sgd_momentum");
  Quadratic<T> problem(golden);
  ef::Sgd<T> optimizer({.learning_rate = golden.parameter<double>("lr"),
                        .momentum = golden.parameter<double>("momentum"),
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
    if (name.str() != "p.velocity") return;
    EXPECT_TRUE(support::within(support::max_error(state.value, golden.values<double>("state.momentum_buffer")),
                                10 * support::tolerance::pytorch_abs<T>));
  });
}

TYPED_TEST(Sgd, takes_the_first_gradient_undampened_and_looks_ahead_with_nesterov) {
  using T = TypeParam;
  MatrixAndVector<T> model(1, 1, 1);
  model.vector.accumulated_gradient().setOnes();
  ef::Sgd<T> dampened({.learning_rate = 0.5, .momentum = 0.5, .dampening = 0.5});
  dampened.step(model);  // u = 1
  EXPECT_EQ(model.vector.value[0], T(0.5));
  dampened.step(model);  // u = 0.5 + 0.5
  EXPECT_EQ(model.vector.value[0], T(0));
  MatrixAndVector<T> other(1, 1, 1);
  other.vector.accumulated_gradient().setOnes();
  ef::Sgd<T> nesterov({.learning_rate = 0.5, .momentum = 0.5, .kind = ef::Momentum::nesterov});
  nesterov.step(other);  // u = 1, direction 1 + 0.5
  EXPECT_EQ(other.vector.value[0], T(0.25));
}

TYPED_TEST(Sgd, decays_matrices_alone_where_asked_and_leaves_frozen_ones) {
  using T = TypeParam;
  MatrixAndVector<T> model(2, 3, 5);
  model.matrix.accumulated_gradient();
  model.vector.accumulated_gradient();
  ef::Sgd<T> optimizer({.learning_rate = 0.5, .weight_decay = 0.5, .decay = ef::WeightDecay::matrices});
  optimizer.step(model);
  EXPECT_TRUE((model.matrix.value.array() == T(0.75)).all());
  EXPECT_TRUE((model.vector.value.array() == T(1)).all());
  model.matrix.trainable = false;
  optimizer.step(model);
  EXPECT_TRUE((model.matrix.value.array() == T(0.75)).all());
}

TYPED_TEST(Sgd, same_bits_for_any_thread_count_and_no_allocation_after_the_first_step) {
  using T = TypeParam;
  support::Generator random(73);
  const std::vector<T> gradient = support::normal<T>(307 * 211, random);
  std::vector<ef::Matrix<T>> results;
  for (int threads = 1; threads <= 3; ++threads) {
    MatrixAndVector<T> model(307, 211, 2);
    std::copy(gradient.begin(), gradient.end(), model.matrix.accumulated_gradient().data());
    ef::Sgd<T> optimizer({.momentum = 0.9});
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

TYPED_TEST(Sgd, rejects_options_out_of_range) {
  using T = TypeParam;
  EXPECT_THROW(ef::Sgd<T>({.learning_rate = -1}), ef::OptionError);
  EXPECT_THROW(ef::Sgd<T>({.momentum = 1}), ef::OptionError);
  EXPECT_THROW(ef::Sgd<T>({.dampening = 2}), ef::OptionError);
  EXPECT_THROW(ef::Sgd<T>({.weight_decay = -1}), ef::OptionError);
  EXPECT_THROW(ef::Sgd<T>({.kind = ef::Momentum::nesterov}), ef::OptionError);
  EXPECT_THROW(ef::Sgd<T>({.momentum = 0.5, .dampening = 0.5, .kind = ef::Momentum::nesterov}), ef::OptionError);
}

}  // namespace
