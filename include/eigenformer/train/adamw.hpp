#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/ops/descent.hpp>
#include <eigenformer/train/optimizer_state.hpp>

namespace eigenformer::inline EIGENFORMER_ABI {

struct AdamWOptions {
  double learning_rate = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0.01;
  WeightDecay decay = WeightDecay::all;
};

/// Adam with decoupled weight decay (Loshchilov & Hutter 2019, algorithm 2; defaults and arithmetic as PyTorch's AdamW;
/// the formula is with adamw_update). Each step moves the trainable parameters that have a gradient. Gradients stay as
/// they are: `zero_gradients(model)` before the next backward.
///   throws OptionError for an option out of range, ShapeError if the model is not the one of the first step
/// @code
/// ef::Linear<float> model({.in_features = 3, .out_features = 2}, ef::Random(42));
/// ef::AdamW<float> optimizer({.learning_rate = 1e-3f});
/// ef::Context context;
/// ef::Linear<float>::Cache cache;
/// ef::Matrix<float> x = ef::Matrix<float>::Ones(5, 3), y(5, 2), dx(5, 3);
/// model.forward(x, y, context, &cache);
/// model.backward(y, cache, dx, context);  // of the loss |y|^2 / 2
/// optimizer.step(model, context);
/// ef::zero_gradients(model);
/// @endcode
template <class T>
class AdamW {
 public:
  explicit AdamW(const AdamWOptions& chosen = {}) : options(chosen) { check(); }

  /// Allocates in the first step only.
  template <class Model>
  void step(Model& model, Context& context) {
    check();
    ProfileScope profile(context, "AdamW");
    state_.for_trainable(model, "AdamW", [&]<class P>(const Name&, P& parameter, auto& slot) {
      if (parameter.gradient.size() == 0) return;
      const bool decays = options.decay == WeightDecay::all || P::rank >= 2;
      slot.steps.value[0] += T(1);
      adamw_update<T>(parameter.values(), parameter.gradients(), slot.buffers[0].values(), slot.buffers[1].values(),
                      {options.learning_rate, options.beta1, options.beta2, options.epsilon,
                       decays ? options.weight_decay : 0.0, static_cast<double>(slot.steps.value[0])},
                      context);
    });
  }
  /// The same on the calling thread alone.
  template <class Model>
  void step(Model& model) {
    Context context;
    step(model, context);
  }

  /// Calls visitor(name, parameter) for all that must be saved to go on later as if nothing had happened: for each
  /// trainable parameter of the model its `first_moment`, `second_moment` and number of `steps`. Before the first step
  /// they are zeros.
  template <class Model, class Visitor>
  void visit_state(Model& model, Visitor&& visitor) {
    state_.for_trainable(model, "AdamW", [&](const Name& name, auto&, auto& slot) {
      visitor(Name(name, "first_moment"), slot.buffers[0]);
      visitor(Name(name, "second_moment"), slot.buffers[1]);
      visitor(Name(name, "steps"), slot.steps);
    });
  }

  AdamWOptions options;  ///< may change between steps, as the learning rate does

 private:
  void check() const {
    constexpr std::string_view block = "AdamW";
    require<OptionError>(options.learning_rate >= 0, block, "expected learning_rate of at least 0, got ",
                         options.learning_rate);
    require<OptionError>(options.beta1 >= 0 && options.beta1 < 1, block, "expected beta1 in [0, 1), got ",
                         options.beta1);
    require<OptionError>(options.beta2 >= 0 && options.beta2 < 1, block, "expected beta2 in [0, 1), got ",
                         options.beta2);
    require<OptionError>(options.epsilon > 0, block, "expected epsilon above 0, got ", options.epsilon);
    require<OptionError>(options.weight_decay >= 0, block, "expected weight_decay of at least 0, got ",
                         options.weight_decay);
  }

  OptimizerState<T, 2> state_;
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
