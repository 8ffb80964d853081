#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/kernels/simd/math.hpp>

#include <cstddef>

namespace eigenformer::inline EIGENFORMER_ABI::kernels {

enum class Operation {
  add,
  subtract,
  multiply,
  divide,
  negate,
  fma,
  fnma,
  minimum,
  maximum,
  abs,
  copysign,
  sqrt,
  round,
  floor,
  ldexp,
  less,
  less_equal,
  greater,
  greater_equal,
  equal,
  both,
  either,
  neither,
  any_less,
  all_less,
  swap_pairs,
  reduce_add,
  reduce_max,
  exp,
  exp_lifted,
  exp_lifted_exactly,
  exp_lifted_product,
  exp_lifted_bell,
  shrink
};

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels

#define EIGENFORMER_KERNEL <kernels/simd/vec_probe.inl>
#include <eigenformer/kernels/simd/for_each_target.hpp>

namespace eigenformer::inline EIGENFORMER_ABI::kernels {

template <class T>
int probe_lanes(InstructionSet set) {
  EIGENFORMER_DISPATCH(set, probe_lanes<T>());
}
template <class T>
void probe(InstructionSet set, Operation operation, const T* x, const T* y, const T* z, T* out) {
  EIGENFORMER_DISPATCH(set, probe<T>(operation, x, y, z, out));
}
template <class T>
void probe_partial(InstructionSet set, const T* x, T* out, std::ptrdiff_t n) {
  EIGENFORMER_DISPATCH(set, probe_partial<T>(x, out, n));
}
template <class T>
void probe_partial_store(InstructionSet set, const T* x, T* out, std::ptrdiff_t n) {
  EIGENFORMER_DISPATCH(set, probe_partial_store<T>(x, out, n));
}
template <class T>
void probe_transpose(InstructionSet set, const T* x, T* out) {
  EIGENFORMER_DISPATCH(set, probe_transpose<T>(x, out));
}
template <class T>
void probe_reduce_rows(InstructionSet set, const T* x, T* out) {
  EIGENFORMER_DISPATCH(set, probe_reduce_rows<T>(x, out));
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels
