#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/kernels/rows.hpp>

#define EIGENFORMER_KERNEL <kernels/rows_probe.inl>
#include <eigenformer/kernels/simd/for_each_target.hpp>

namespace eigenformer::inline EIGENFORMER_ABI::kernels {

template <class T>
void probe_in_slots(const T* x, T* y, Index count, InstructionSet instruction_set) {
  EIGENFORMER_DISPATCH(instruction_set, probe_in_slots<T>(x, y, count));
}
template <class T>
void probe_on_lines(const T* x, T* y, Index count, InstructionSet instruction_set) {
  EIGENFORMER_DISPATCH(instruction_set, probe_on_lines<T>(x, y, count));
}
/// results: sum, dot product, largest magnitude, maximum
template <class T>
void probe_reductions(const T* x, const T* y, Index count, T* results, InstructionSet instruction_set) {
  EIGENFORMER_DISPATCH(instruction_set, probe_reductions<T>(x, y, count, results));
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels
