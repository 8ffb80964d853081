#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/kernels/rows.hpp>
#include <eigenformer/kernels/simd/math.hpp>

#include <cmath>

namespace eigenformer::inline EIGENFORMER_ABI::kernels {

/// Rows of logits and what becomes of them. y may be x itself, but may not overlap it otherwise.
template <class T>
struct SoftmaxRows {
  const T* x;  ///< [rows, features]
  Index x_stride;
  T* y;  ///< [rows, features]
  Index y_stride;
  Index rows;
  Index features;
  Home home = Home::cache;
};

/// The same rows backward. The gradients' x is dy and their y is dx, which may be the forward's y as well.
template <class T>
struct SoftmaxBackwardRows {
  const T* y;  ///< [rows, features]
  Index y_stride;
  SoftmaxRows<T> gradients;
};

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels

#define EIGENFORMER_KERNEL <eigenformer/kernels/softmax.inl>
#include <eigenformer/kernels/simd/for_each_target.hpp>

namespace eigenformer::inline EIGENFORMER_ABI::kernels {

/// y_j = exp(x_j) / sum_i exp(x_i), row by row; zeros if every x_j is -infinity.
template <class T>
void softmax(const SoftmaxRows<T>& work, InstructionSet instruction_set) {
  EIGENFORMER_DISPATCH(instruction_set, softmax<T>(work));
}

/// dx_j = y_j (dy_j - sum_i y_i dy_i).
template <class T>
void softmax_backward(const SoftmaxBackwardRows<T>& work, InstructionSet instruction_set) {
  EIGENFORMER_DISPATCH(instruction_set, softmax_backward<T>(work));
}

/// y_j = x_j - log sum_i exp(x_i).
template <class T>
void log_softmax(const SoftmaxRows<T>& work, InstructionSet instruction_set) {
  EIGENFORMER_DISPATCH(instruction_set, log_softmax<T>(work));
}

/// dx_j = dy_j - exp(y_j) sum_i dy_i.
template <class T>
void log_softmax_backward(const SoftmaxBackwardRows<T>& work, InstructionSet instruction_set) {
  EIGENFORMER_DISPATCH(instruction_set, log_softmax_backward<T>(work));
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels
