#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/kernels/rows.hpp>
#include <eigenformer/kernels/simd/math.hpp>

#include <cmath>

#define EIGENFORMER_KERNEL <eigenformer/kernels/softmax.inl>
#include <eigenformer/kernels/simd/for_each_target.hpp>

namespace eigenformer::inline EIGENFORMER_ABI::kernels {

// Softmax of one row of `count` adjacent numbers. An output may be one of the inputs, but may not overlap it otherwise.

/// y_j = exp(x_j) / sum_i exp(x_i); zeros if every x_j is -infinity.
template <class T>
void softmax(const T* x, T* y, Index count, InstructionSet instruction_set) {
  EIGENFORMER_DISPATCH(instruction_set, softmax<T>(x, y, count));
}

/// dx_j = y_j (dy_j - sum_i y_i dy_i).
template <class T>
void softmax_backward(const T* y, const T* dy, T* dx, Index count, InstructionSet instruction_set) {
  EIGENFORMER_DISPATCH(instruction_set, softmax_backward<T>(y, dy, dx, count));
}

/// y_j = x_j - log sum_i exp(x_i).
template <class T>
void log_softmax(const T* x, T* y, Index count, InstructionSet instruction_set) {
  EIGENFORMER_DISPATCH(instruction_set, log_softmax<T>(x, y, count));
}

/// dx_j = dy_j - exp(y_j) sum_i dy_i.
template <class T>
void log_softmax_backward(const T* y, const T* dy, T* dx, Index count, InstructionSet instruction_set) {
  EIGENFORMER_DISPATCH(instruction_set, log_softmax_backward<T>(y, dy, dx, count));
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels
