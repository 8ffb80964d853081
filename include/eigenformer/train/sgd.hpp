#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/ops/descent.hpp>
#include <eigenformer/train/optimizer_state.hpp>

namespace eigenformer::inline EIGENFORMER_ABI {

struct SgdOptions {
  double learning_rate = 1e-3;
  double momentum = 0;
  double dampening = 0;
  double weight_decay = 0;
  Momentum kind = Momentum::classical;
  WeightDecay decay = WeightDecay::all;
};

/// Stochastic gradient descent with momentum, as PyTorch's SGD (the formula is with sgd_update); the first step takes
/// the gradient as the velocity, undampened. Each step moves the trainable parameters that have a gradient; gradients
/// stay as they are.
///   throws OptionError for an option out of range, ShapeError if the model is not the one of the first step
template <class T>
class Sgd {
 public:
  explicit Sgd(const SgdOptions& chosen = {}) : options(chosen) { check(); }

  /// Allocates in the first step only.
  template <class Model>
  void step(Model& model, Context& context) {
    check();
    ProfileScope profile(context, "Sgd");
    state_.for_trainable(model, "Sgd", [&]<class P>(const Name&, P& parameter, auto& slot) {
      if (parameter.gradient.size() == 0) return;
      const bool decays = options.decay == WeightDecay::all || P::rank >= 2;
      const bool first = slot.steps.value[0] == T(0);
      slot.steps.value[0] += T(1);
      sgd_update<T>(parameter.values(), parameter.gradients(),
                    options.momentum > 0 ? slot.buffers[0].values() : std::span<T>(),
                    {options.learning_rate, options.momentum, first ? 0.0 : options.dampening,
                     decays ? options.weight_decay : 0.0, options.kind},
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
  /// trainable parameter of the model its `velocity` and number of `steps`. Before the first step they are zeros.
  template <class Model, class Visitor>
  void visit_state(Model& model, Visitor&& visitor) {
    state_.for_trainable(model, "Sgd", [&](const Name& name, auto&, auto& slot) {
      visitor(Name(name, "velocity"), slot.buffers[0]);
      visitor(Name(name, "steps"), slot.steps);
    });
  }

  SgdOptions options;  ///< may change between steps, as the learning rate does

 private:
  void check() const {
    constexpr std::string_view block = "Sgd";
    require<OptionError>(options.learning_rate >= 0, block, "expected learning_rate of at least 0, got ",
                         options.learning_rate);
    require<OptionError>(options.momentum >= 0 && options.momentum < 1, block, "expected momentum in [0, 1), got ",
                         options.momentum);
    require<OptionError>(options.dampening >= 0 && options.dampening <= 1, block, "expected dampening in 0 .. 1, got ",
                         options.dampening);
    require<OptionError>(options.weight_decay >= 0, block, "expected weight_decay of at least 0, got ",
                         options.weight_decay);
    require<OptionError>(options.kind == Momentum::classical || (options.momentum > 0 && options.dampening == 0), block,
                         "Momentum::nesterov needs a momentum above 0 and no dampening, got momentum ",
                         options.momentum, " and dampening ", options.dampening);
  }

  OptimizerState<T, 1> state_;
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
