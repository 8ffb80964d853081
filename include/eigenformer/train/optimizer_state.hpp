#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/block.hpp>
#include <eigenformer/core/check.hpp>

namespace eigenformer::inline EIGENFORMER_ABI {

/// Which parameters decay towards zero: all, or those of rank two and more, which leaves gains and biases alone.
enum class WeightDecay { all, matrices };

/// What an optimiser remembers between steps: for every learnable parameter of a model, in the order in which the model
/// visits them, `Buffers` arrays of the parameter's size and the number of steps it has seen. Memory is taken at the first
/// step that trains a parameter; frozen ones cost none. One state serves one model.
template <class T, int Buffers>
class OptimizerState {
 public:
  /// What is kept for one parameter.
  struct Slot {
    /// running means, of the size of the parameter
    std::array<Parameter<T>, static_cast<std::size_t>(Buffers)> buffers;
    Parameter<T> steps;  ///< one number; a parameter, so that it is saved like the rest
    Index size = 0;      ///< of the model's parameter
  };

  /// Throws ShapeError, before anything is written, if a model was seen before and this is not the same: another number
  /// of parameters, or another size at one position. `optimizer` is named in the message.
  template <class Model>
  void require_same_model(const Model& model, std::string_view optimizer) const {
    if (slots_.empty()) return;
    std::size_t position = 0;
    visit_learnable(model, [&](const Name& name, const auto& parameter) {
      require(position < slots_.size(), optimizer, "expected the ", slots_.size(),
              " parameters of the model of the first step, got one more: ", name);
      require(parameter.size() == slots_[position].size, optimizer, "expected ", slots_[position].size,
              " values in parameter ", position, ", as in the first step, got ", name, " of shape ", parameter.shape());
      ++position;
    });
    require(position == slots_.size(), optimizer, "expected the ", slots_.size(),
            " parameters of the model of the first step, got ", position);
  }

  /// Calls update(name, parameter, slot) for every trainable parameter, in the model's order, the slot filled with
  /// zeros if it is new.
  template <class Model, class Update>
  void for_trainable(Model& model, std::string_view optimizer, const Update& update) {
    require_same_model(model, optimizer);
    const bool first = slots_.empty();
    std::size_t position = 0;
    visit_learnable(model, [&]<class P>(const Name& name, P& parameter) {
      static_assert(std::is_same_v<typename P::Scalar, T>, "the optimiser and the model have different scalars");
      if (first) slots_.emplace_back().size = parameter.size();
      Slot& slot = slots_[position++];
      if (!parameter.trainable) return;
      if (slot.steps.size() == 0) prepare(slot);
      update(name, parameter, slot);
    });
  }

 private:
  static void prepare(Slot& slot) {
    for (Parameter<T>& buffer : slot.buffers) buffer = zeros(slot.size);
    slot.steps = zeros(1);
  }
  static Parameter<T> zeros(Index size) {
    Parameter<T> result(Vector<T>::Zero(size));
    result.trainable = false;
    return result;
  }

  std::vector<Slot> slots_;
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
