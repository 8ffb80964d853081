#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/linear/linear.hpp>

namespace eigenformer::inline EIGENFORMER_ABI {

/// What the cells of recurrent nets multiply by: W_ih of what comes in and W_hh of the step before, with the gates one
/// below the other and under the names of PyTorch's checkpoints. All start uniform in +-1/sqrt(hidden), as there.
///   weight_ih [gates hidden, in]    weight_hh [gates hidden, hidden]    bias_ih, bias_hh [gates hidden], or none
template <class T>
struct RecurrentWeights {
  /// With random numbers, for `block`. Throws OptionError for features below 1.
  RecurrentWeights(const LinearOptions& of_input, Index features, std::string_view block, Random& random)
      : input(checked(of_input, features, block), random.split()),
        hidden({features, of_input.out_features, of_input.bias}, random.split()) {
    // Linear draws from +-1/sqrt(in).
    const double factor = std::sqrt(static_cast<double>(of_input.in_features) / static_cast<double>(features));
    input.weight.value *= static_cast<T>(factor);
    if (input.bias) input.bias->value *= static_cast<T>(factor);
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
  static const LinearOptions& checked(const LinearOptions& of_input, Index features, std::string_view block) {
    require_positive(of_input.in_features, block, "in_features");
    require_positive(features, block, "hidden");
    return of_input;
  }
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
