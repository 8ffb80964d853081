#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/linear/linear.hpp>

namespace eigenformer::inline EIGENFORMER_ABI {

/// What the cells of recurrent nets multiply by: W_ih of what comes in and W_hh of the step before, with the gates one
/// below the other and under the names of PyTorch's checkpoints. All start uniform in +-1/sqrt(hidden), as there.
///   weight_ih [gates hidden, in]    weight_hh [gates hidden, hidden]    bias_ih, bias_hh [gates hidden], or none
template <class T>
struct RecurrentWeights {
  RecurrentWeights(Linear<T> of_input, Linear<T> of_hidden)
      : input(std::move(of_input)), hidden(std::move(of_hidden)) {}

  /// With random numbers. Throws OptionError for features below 1.
  static RecurrentWeights start(const LinearOptions& of_input, Index hidden, std::string_view block, Random& random) {
    require_positive(of_input.in_features, block, "in_features");
    require_positive(hidden, block, "hidden");
    Linear<T> input = drawn(of_input.in_features, of_input.out_features, of_input.bias, hidden, random);
    return {std::move(input), drawn(hidden, of_input.out_features, of_input.bias, hidden, random)};
  }

  static void members(auto& self, auto&& visit) {
    visit("weight_ih", self.input.weight);
    visit("weight_hh", self.hidden.weight);
    visit("bias_ih", self.input.bias);
    visit("bias_hh", self.hidden.bias);
  }

  Linear<T> input;   ///< weight_ih, bias_ih
  Linear<T> hidden;  ///< weight_hh, bias_hh

 private:
  static Linear<T> drawn(Index in, Index out, bool bias, Index hidden, Random& random) {
    Linear<T> linear({.in_features = in, .out_features = out, .bias = bias}, random.split());
    // Linear draws from +-1/sqrt(in).
    const double factor = std::sqrt(static_cast<double>(in) / static_cast<double>(hidden));
    linear.weight.value *= static_cast<T>(factor);
    if (linear.bias) linear.bias->value *= static_cast<T>(factor);
    return linear;
  }
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
