// SPDX-License-Identifier: MIT
// A step of AdamW over a million parameters, which is bound by memory.

#include <eigenformer/train/adamw.hpp>

#include <grid.hpp>
#include <report/answer.hpp>

#include <cmath>

namespace {

using namespace bench;

struct Weights : ef::Block<Weights> {
  explicit Weights(Index size) : weight(ef::Vector<float>(size)) { fill(weight.value, 1); }
  static void members(auto& self, auto&& visit) { visit("weight", self.weight); }
  ef::Parameter<float> weight;
};

class Step {
 public:
  explicit Step(Index size) : model_(size), original_(model_.weight.value) {
    fill(model_.weight.accumulated_gradient(), 2);
  }

  void start() {
    model_.weight.value = original_;
    optimizer_ = ef::AdamW<float>();
    first_moment_.setZero(original_.size());
    second_moment_.setZero(original_.size());
    steps_ = 0;
  }
  void step(ef::Context& context) { optimizer_.step(model_, context); }
  void step_by_eigen() {
    const ef::AdamWOptions options;
    const auto beta1 = static_cast<float>(options.beta1);
    const auto beta2 = static_cast<float>(options.beta2);
    ++steps_;
    const auto rate = static_cast<float>(options.learning_rate / (1 - std::pow(options.beta1, steps_)));
    const auto root = static_cast<float>(1 / std::sqrt(1 - std::pow(options.beta2, steps_)));
    const auto epsilon_of_step = static_cast<float>(options.epsilon);
    const auto kept = static_cast<float>(1 - options.learning_rate * options.weight_decay);
    const auto gradient = model_.weight.gradient.array();
    first_moment_ = beta1 * first_moment_ + (1 - beta1) * gradient;
    second_moment_ = beta2 * second_moment_ + (1 - beta2) * gradient.square();
    model_.weight.value.array() =
        kept * model_.weight.value.array() - rate * first_moment_ / (root * second_moment_.sqrt() + epsilon_of_step);
  }

  /// Of the first step, in which the moments are the gradient and its square: four roundings of the weight.
  Error error() const {
    const ef::AdamWOptions options;
    const Eigen::ArrayXd gradient = model_.weight.gradient.cast<double>().array();
    const Eigen::ArrayXd before = original_.cast<double>().array();
    const Eigen::VectorXd expected = before * (1 - options.learning_rate * options.weight_decay) -
                                     options.learning_rate * gradient / (gradient.abs() + options.epsilon);
    return compare(model_.weight.value, expected, 4 * epsilon * expected.cwiseAbs().maxCoeff());
  }

 private:
  Weights model_;
  ef::Vector<float> original_;
  ef::AdamW<float> optimizer_;
  Eigen::ArrayXf first_moment_, second_moment_;
  int steps_ = 0;
};

const bool planned = [] {
  const Index size = grid::optimised_parameters;
  Entry<Step>({.name = "AdamW step",
               .shape = std::to_string(size) + " parameters",
               .cost = {0, bytes(4 * size), bytes(3 * size)},
               .dimensions = {size}},
              size)
      .ours(&Step::step, one_and_two_threads())
      .eigen(&Step::step_by_eigen);
  return true;
}();

}  // namespace
