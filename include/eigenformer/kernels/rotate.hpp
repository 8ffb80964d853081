#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/tensor.hpp>
#include <eigenformer/kernels/simd/lanes.hpp>

#define EIGENFORMER_KERNEL <eigenformer/kernels/rotate.inl>
#include <eigenformer/kernels/simd/for_each_target.hpp>

namespace eigenformer::inline EIGENFORMER_ABI::kernels {

/// Turns the pairs (x[2i], x[2i + 1]) of each head, in place, by the angles whose cosine and sine the tables hold for
/// every feature: cosine[2i] = cosine[2i + 1] = cos a_i, sine[2i] = -sin a_i, sine[2i + 1] = sin a_i.
///   x: [heads, dim], rows head_stride apart    cosine, sine: [dim], dim even
template <class T>
void rotate_pairs(T* x, Index heads, Index head_stride, const T* cosine, const T* sine, Index dim,
                  InstructionSet instruction_set) {
  EIGENFORMER_DISPATCH(instruction_set, rotate_pairs<T>(x, heads, head_stride, cosine, sine, dim));
}

/// Turns the pairs (x[i], x[i + half]) of each head, in place, by the angles of which cosine[i] and sine[i] are given.
///   x: [heads, 2 half], rows head_stride apart    cosine, sine: [half]
template <class T>
void rotate_halves(T* x, Index heads, Index head_stride, const T* cosine, const T* sine, Index half,
                   InstructionSet instruction_set) {
  EIGENFORMER_DISPATCH(instruction_set, rotate_halves<T>(x, heads, head_stride, cosine, sine, half));
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels
