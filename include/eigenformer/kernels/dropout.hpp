#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/kernels/dropout_rule.hpp>
#include <eigenformer/kernels/simd/math.hpp>

#include <type_traits>

#define EIGENFORMER_KERNEL <eigenformer/kernels/dropout.inl>
#include <eigenformer/kernels/simd/for_each_target.hpp>

namespace eigenformer::inline EIGENFORMER_ABI::kernels {

/// y_i = x_i times the rule's factor, or 0 where draw `first + i` of the stream drops it. y may be x itself.
///   x, y: [count]
template <class T>
void drop(const T* x, T* y, Index count, const DropoutStream& stream, Index first, const DropoutRule<T>& rule,
          InstructionSet instruction_set) {
  EIGENFORMER_DISPATCH(instruction_set, drop<T>(x, y, count, stream, first, rule));
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels
