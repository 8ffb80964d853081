#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/kernels/activation_types.hpp>
#include <eigenformer/kernels/simd/math.hpp>

namespace eigenformer::inline EIGENFORMER_ABI::simd {

/// Where the activations' arguments are cut: each has a negative tail that falls like an exponential, and here it has
/// become zero. It is computed 2^exp_lift times too large, so that only its last step rounds to a denormal number.
template <class T>
struct ActivationLimits;

template <>
struct ActivationLimits<float> {
  static constexpr float sigmoid = 126;
  static constexpr float tanh = 20;
  static constexpr float gelu = 14.75F;
  static constexpr float gelu_tanh = 11;
};
template <>
struct ActivationLimits<double> {
  static constexpr double sigmoid = 760;
  static constexpr double tanh = 40;
  static constexpr double gelu = 39;
  static constexpr double gelu_tanh = 21.75;
};

/// 2 sqrt(2 / pi) and 0.044715 times that, each in two parts whose sum has twice the digits. The first part of the
/// former ends where the last place of linear + cubic a^2 is at the largest a, so that their difference is exact.
template <class T>
struct GeluTanhConstants;

template <>
struct GeluTanhConstants<float> {
  static constexpr float linear = 0x1.98845p+0F;
  static constexpr float linear_low = 0x1.9ea1b2p-23F;
  static constexpr float cubic = 0x1.2444f2p-4F;
  static constexpr float cubic_low = 0x1.49b16ap-29F;
};
template <>
struct GeluTanhConstants<double> {
  static constexpr double linear = 0x1.9884533d4366p+0;
  static constexpr double linear_low = -0x1.ee5e069875fe9p-49;
  static constexpr double cubic = 0x1.2444f2a4d8b4bp-4;
  static constexpr double cubic_low = -0x1.6c843a29d1c70p-61;
};

}  // namespace eigenformer::inline EIGENFORMER_ABI::simd

#define EIGENFORMER_KERNEL <eigenformer/kernels/simd/activation.inl>
#include <eigenformer/kernels/simd/for_each_target.hpp>
