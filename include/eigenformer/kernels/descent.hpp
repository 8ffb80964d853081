#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/shape.hpp>
#include <eigenformer/kernels/simd/lanes.hpp>

#include <cmath>
#include <limits>

namespace eigenformer::inline EIGENFORMER_ABI::kernels {

/// One step of AdamW in the coefficients of that step:
///   m = beta1 m + one_minus_beta1 g,   v = beta2 v + one_minus_beta2 g^2,
///   p = keep p - rate m / (second_correction sqrt(v) + epsilon)
template <class T>
struct AdamWUpdate {
  T keep;  ///< 1 - learning rate x weight decay
  T beta1;
  T one_minus_beta1;  ///< taken in double
  T beta2;
  T one_minus_beta2;    ///< taken in double
  T second_correction;  ///< 1 / sqrt(1 - beta2^t)
  T epsilon;
  T rate;  ///< learning rate / (1 - beta1^t)
};

/// One step of gradient descent:
///   d = g + weight_decay p,   u = momentum u + fresh d,   p -= rate (from_gradient d + from_velocity u)
template <class T>
struct SgdUpdate {
  T weight_decay;
  T momentum;
  T fresh;          ///< 1 - dampening
  T from_gradient;  ///< how much of d is stepped by
  T from_velocity;  ///< how much of u is stepped by
  T rate;           ///< learning rate
};

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels

#define EIGENFORMER_KERNEL <eigenformer/kernels/descent.inl>
#include <eigenformer/kernels/simd/for_each_target.hpp>

namespace eigenformer::inline EIGENFORMER_ABI::kernels {

/// Updates p, m and v, all of `count` elements, from the gradient g.
template <class T>
void adamw_update(T* p, const T* g, T* m, T* v, Index count, const AdamWUpdate<T>& update,
                  InstructionSet instruction_set) {
  EIGENFORMER_DISPATCH(instruction_set, adamw_update<T>(p, g, m, v, count, update));
}

/// Updates p, and the velocity u where there is one (it may be null), from the gradient g.
template <class T>
void sgd_update(T* p, const T* g, T* velocity, Index count, const SgdUpdate<T>& update,
                InstructionSet instruction_set) {
  EIGENFORMER_DISPATCH(instruction_set, sgd_update<T>(p, g, velocity, count, update));
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels
