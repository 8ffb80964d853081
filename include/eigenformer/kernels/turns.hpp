#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/shape.hpp>
#include <eigenformer/kernels/simd/lanes.hpp>
#include <eigenformer/kernels/simd/math.hpp>

#include <cmath>

#define EIGENFORMER_KERNEL <eigenformer/kernels/turns.inl>
#include <eigenformer/kernels/simd/for_each_target.hpp>

namespace eigenformer::inline EIGENFORMER_ABI::kernels {

// Cosines and sines of many angles, in double, for tables of T.

/// cosine_i + i sine_i = e^(i a), a = position frequency_i as a double holds it, below 2^53: within 2.5e-16 either.
template <class T>
void turns(double position, const double* frequencies, Index count, double* cosine, double* sine,
           InstructionSet instruction_set) {
  EIGENFORMER_DISPATCH(instruction_set, turns<T>(position, frequencies, count, cosine, sine));
}

/// The cosines and sines of many angles.
struct Turns {
  const double* cosine;
  const double* sine;
};

/// The sums of the angles of a and b, rounded to T.
template <class T>
void add_turns(const Turns& a, const Turns& b, Index count, T* cosine, T* sine, InstructionSet instruction_set) {
  EIGENFORMER_DISPATCH(instruction_set, add_turns<T>(a.cosine, a.sine, b.cosine, b.sine, count, cosine, sine));
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels
