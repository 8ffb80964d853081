#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/shape.hpp>
#include <eigenformer/kernels/simd/activation.hpp>
#include <eigenformer/kernels/simd/lanes.hpp>

#define EIGENFORMER_KERNEL <eigenformer/kernels/activation.inl>
#include <eigenformer/kernels/simd/for_each_target.hpp>

namespace eigenformer::inline EIGENFORMER_ABI::kernels {

// Activations over `count` adjacent numbers. An output may be one of the inputs, but may not overlap it otherwise.

/// y = A(x).
template <Activation A, class T>
void activate(const T* x, T* y, Index count, InstructionSet instruction_set) {
  EIGENFORMER_DISPATCH(instruction_set, activate<A, T>(x, y, count));
}

/// dx = dy A'(x).
template <Activation A, class T>
void activate_backward(const T* x, const T* dy, T* dx, Index count, InstructionSet instruction_set) {
  EIGENFORMER_DISPATCH(instruction_set, activate_backward<A, T>(x, dy, dx, count));
}

/// y = A(gate) up.
template <Activation A, class T>
void gated(const T* gate, const T* up, T* y, Index count, InstructionSet instruction_set) {
  EIGENFORMER_DISPATCH(instruction_set, gated<A, T>(gate, up, y, count));
}

/// dgate = dy up A'(gate),  dup = dy A(gate).
template <Activation A, class T>
void gated_backward(const T* gate, const T* up, const T* dy, T* dgate, T* dup, Index count,
                    InstructionSet instruction_set) {
  EIGENFORMER_DISPATCH(instruction_set, gated_backward<A, T>(gate, up, dy, dgate, dup, count));
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels
