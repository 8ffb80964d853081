// SPDX-License-Identifier: MIT

#include "parameters.hpp"

#include <eigenformer/train/clip.hpp>
#include <eigenformer/train/optimizer_state.hpp>

#include <gtest/gtest.h>

namespace {

namespace ef = eigenformer;
using State = ef::OptimizerState<float, 2>;

struct Shorter : ef::Block<Shorter> {
  ef::Parameter<float, 2> matrix{ef::Matrix<float>::Ones(3, 5)};
  static void members(auto& self, auto&& visit) { visit("matrix", self.matrix); }
};

struct Longer : ef::Block<Longer> {
  MatrixAndVector<float> both{3, 5, 7};
  ef::Parameter<float> more{ef::Vector<float>::Ones(1)};
  static void members(auto& self, auto&& visit) {
    visit("both", self.both);
    visit("more", self.more);
  }
};

void touch(State& state, MatrixAndVector<float>& model) {
  state.for_trainable(model, "Test", [](const ef::Name&, auto&, State::Slot&) {});
}

TEST(OptimizerState, starts_at_zero_and_keeps_what_it_is_given) {
  State state;
  MatrixAndVector<float> model(3, 5, 7);
  state.for_trainable(model, "Test", [](const ef::Name&, auto& parameter, State::Slot& slot) {
    EXPECT_EQ(slot.buffers[0].size(), parameter.size());
    EXPECT_TRUE(slot.buffers[1].value.isZero(0));
    EXPECT_EQ(slot.steps.value[0], 0);
    slot.steps.value[0] = static_cast<float>(parameter.size());
  });
  state.for_trainable(model, "Test", [](const ef::Name&, auto& parameter, State::Slot& slot) {
    EXPECT_EQ(slot.steps.value[0], static_cast<float>(parameter.size()));
  });
}

TEST(OptimizerState, frozen_parameters_cost_no_memory_until_they_thaw) {
  State state;
  MatrixAndVector<float> model(3, 5, 7);
  model.matrix.trainable = false;
  std::vector<std::string> names;
  const auto collect = [&](const ef::Name& name, auto&, State::Slot&) { names.push_back(name.str()); };
  state.for_trainable(model, "Test", collect);
  model.matrix.trainable = true;
  state.for_trainable(model, "Test", collect);
  EXPECT_EQ(names, (std::vector<std::string>{"vector", "matrix", "vector"}));
}

struct Mixed : ef::Block<Mixed> {
  ef::Parameter<ef::Bfloat16, 2> stored{ef::Matrix<ef::Bfloat16>(3, 5)};
  MatrixAndVector<float> learnt{2, 2, 3};
  static void members(auto& self, auto&& visit) {
    visit("stored", self.stored);
    visit("learnt", self.learnt);
  }
};

TEST(OptimizerState, passes_by_what_is_stored_in_half_precision) {
  State state;
  Mixed model;
  for (int step = 0; step < 2; ++step) {
    std::vector<std::string> names;
    state.for_trainable(model, "Test", [&](const ef::Name& name, auto&, State::Slot&) { names.push_back(name.str()); });
    EXPECT_EQ(names, (std::vector<std::string>{"learnt.matrix", "learnt.vector"}));
  }
  model.learnt.matrix.accumulated_gradient() << 1.0F, 1.0F, 1.0F, 1.0F;
  EXPECT_EQ(ef::clip_gradient_norm(model, 1), 2);
  EXPECT_EQ(model.learnt.matrix.gradient(1, 1), 0.5F);
}

TEST(OptimizerState, notices_another_model) {
  State state;
  MatrixAndVector<float> model(3, 5, 7);
  touch(state, model);
  MatrixAndVector<float> other(3, 5, 11);
  try {
    touch(state, other);
    FAIL() << "another size went unnoticed";
  } catch (const ef::ShapeError& error) {
    EXPECT_STREQ(error.what(),
                 "Test: expected 7 values in parameter 1, as in the first step, got vector of shape [11]");
  }
  const Shorter shorter;
  EXPECT_THROW(state.require_same_model(shorter, "Test"), ef::ShapeError);
  const Longer longer;
  EXPECT_THROW(state.require_same_model(longer, "Test"), ef::ShapeError);
  EXPECT_NO_THROW(touch(state, model));
}

}  // namespace
