// SPDX-License-Identifier: MIT

#include <eigenformer/kernels/activation_types.hpp>

#include <gtest/gtest.h>

namespace ef = eigenformer;

TEST(ActivationTypes, are_empty_and_told_from_other_types) {
  static_assert(ef::Activation<ef::Relu> && ef::Activation<ef::SquaredRelu> && ef::Activation<ef::Identity>);
  static_assert(ef::Activation<ef::Gelu> && ef::Activation<ef::GeluTanh> && ef::Activation<ef::Silu>);
  static_assert(ef::Activation<ef::Sigmoid> && ef::Activation<ef::Tanh> && ef::Activation<ef::HardSwish>);
  static_assert(!ef::Activation<int> && !ef::Activation<ef::Relu*>);
  static_assert(std::is_empty_v<ef::Gelu>);
}
