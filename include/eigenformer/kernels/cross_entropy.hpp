#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/shape.hpp>
#include <eigenformer/kernels/rows.hpp>
#include <eigenformer/kernels/simd/math.hpp>

namespace eigenformer::inline EIGENFORMER_ABI::kernels {

/// What cross entropy needs to know of a row of logits x: maximum = max_c x_c, sum = sum_c exp(x_c - maximum), and
/// spread = sum_c w_c (maximum - x_c) with the class weights w.
template <class T>
struct RowOfLogits {
  T maximum;  ///< largest logit
  T sum;      ///< of exp(x_c - maximum)
  T spread;   ///< of w_c (maximum - x_c)
};

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels

#define EIGENFORMER_KERNEL <eigenformer/kernels/cross_entropy.inl>
#include <eigenformer/kernels/simd/for_each_target.hpp>

namespace eigenformer::inline EIGENFORMER_ABI::kernels {

/// Reads a row of `count` logits. `class_weights` may be null, which means ones. Where `exponentials` is not null it
/// gets exp(x_c - maximum); it may be x itself.
template <class T>
RowOfLogits<T> read_logits(const T* x, Index count, const T* class_weights, T* exponentials,
                           InstructionSet instruction_set) {
  EIGENFORMER_DISPATCH(instruction_set, read_logits<T>(x, count, class_weights, exponentials));
}

/// exponentials_c = scale exponentials_c - uniform w_c, in place: the gradient of a row apart from the target's own
/// term.
template <class T>
void finish_gradient(T* exponentials, Index count, const T* class_weights, T scale, T uniform,
                     InstructionSet instruction_set) {
  EIGENFORMER_DISPATCH(instruction_set, finish_gradient<T>(exponentials, count, class_weights, scale, uniform));
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels
