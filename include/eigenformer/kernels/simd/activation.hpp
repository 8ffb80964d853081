#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/kernels/activation_types.hpp>
#include <eigenformer/kernels/simd/math.hpp>

namespace eigenformer::inline EIGENFORMER_ABI::simd {

/// What the activations need to know of a type. Each has a negative tail that falls like an exponential; it is computed
/// 2^lift times too large, so that only its last step rounds to a denormal number, and the argument is cut where the
/// tail has become zero.
template <class T>
struct ActivationLimits;

template <>
struct ActivationLimits<float> {
  static constexpr float lift = 64;
  static constexpr float lifted = 0x1p64F;
  static constexpr float lowered = 0x1p-64F;
  static constexpr float sigmoid = 126;
  static constexpr float tanh = 20;
  static constexpr float gelu = 14.75F;
  static constexpr float gelu_tanh = 11;
};
template <>
struct ActivationLimits<double> {
  static constexpr double lift = 128;
  static constexpr double lifted = 0x1p128;
  static constexpr double lowered = 0x1p-128;
  static constexpr double sigmoid = 760;
  static constexpr double tanh = 40;
  static constexpr double gelu = 39;
  static constexpr double gelu_tanh = 21.75;
};

/// 2 sqrt(2 / pi) and 0.044715 times that, each in two parts whose sum has twice the digits.
template <class T>
struct GeluTanhConstants;

template <>
struct GeluTanhConstants<float> {
  static constexpr float linear = 0x1.988454p+0F;
  static constexpr float linear_low = -0x1.857936p-25F;
  static constexpr float cubic = 0x1.2444f2p-4F;
  static constexpr float cubic_low = 0x1.49b16ap-29F;
};
template <>
struct GeluTanhConstants<double> {
  static constexpr double linear = 0x1.9884533d43651p+0;
  static constexpr double linear_low = -0x1.cbc0d30ebfd15p-54;
  static constexpr double cubic = 0x1.2444f2a4d8b4bp-4;
  static constexpr double cubic_low = -0x1.6c843a29d1c70p-61;
};

}  // namespace eigenformer::inline EIGENFORMER_ABI::simd

#define EIGENFORMER_KERNEL <eigenformer/kernels/simd/activation.inl>
#include <eigenformer/kernels/simd/for_each_target.hpp>
