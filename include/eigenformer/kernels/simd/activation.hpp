#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/kernels/activation_types.hpp>
#include <eigenformer/kernels/simd/math.hpp>

namespace eigenformer::inline EIGENFORMER_ABI::simd {

/// Where the activations' arguments are cut: each has a negative tail that falls like an exponential, and here it has
/// become zero. It is computed 2^exp_lift times too large, so that only its last step rounds to a denormal number. The last
/// arguments for which the tail, or its slope, is a normal number (found with 60 digits) differ from the next ones by more
/// than the error of either, so that it is clear at which of them a computed one is denormal.
template <class T>
struct ActivationLimits;

template <>
struct ActivationLimits<float> {
  static constexpr float sigmoid = 126;
  static constexpr float tanh = 20;
  static constexpr float gelu = 14.75F;
  static constexpr float gelu_tanh = 11;

  static constexpr float sigmoid_normal = 0x1.5d589ep+6F;
  static constexpr float silu_normal = 0x1.6f6d56p+6F;
  static constexpr float silu_slope_normal = 0x1.6f62p+6F;
  static constexpr float gelu_normal = 0x1.a4ae0cp+3F;
  static constexpr float gelu_slope_normal = 0x1.aaf0b2p+3F;
  static constexpr float gelu_tanh_normal = 0x1.43386ap+3F;
  static constexpr float gelu_tanh_slope_normal = 0x1.47851ep+3F;
};
template <>
struct ActivationLimits<double> {
  static constexpr double sigmoid = 760;
  static constexpr double tanh = 40;
  static constexpr double gelu = 39;
  static constexpr double gelu_tanh = 21.75;

  static constexpr double sigmoid_normal = 0x1.6232bdd7abcd2p+9;
  static constexpr double silu_normal = 0x1.657bfcf5db0ccp+9;
  static constexpr double silu_slope_normal = 0x1.657bcf0857817p+9;
  static constexpr double gelu_normal = 0x1.2ced4c5dd8ab4p+5;
  static constexpr double gelu_slope_normal = 0x1.2db2ae357ee16p+5;
  static constexpr double gelu_tanh_normal = 0x1.52d480630b9ccp+4;
  static constexpr double gelu_tanh_slope_normal = 0x1.539497992a40cp+4;
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
