#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/abi.hpp>
#include <eigenformer/core/half.hpp>
#include <eigenformer/core/instruction_set.hpp>
#include <eigenformer/core/int8.hpp>

#if defined(__x86_64__)
#include <emmintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

// Before every function of a kernel body. Nothing may be left to the compiler's own judgement of size: a vector that
// crosses a call goes through memory, and a function that is not inlined at -O2 costs more than the arithmetic.
#define EIGENFORMER_INLINE [[gnu::always_inline]] inline

namespace eigenformer::inline EIGENFORMER_ABI::simd {

/// 2^-n for n >= 0.
template <class T>
constexpr T inverse_power_of_two(int n) {
  T result = 1;
  for (int i = 0; i < n; ++i) result /= 2;
  return result;
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::simd

// EIGENFORMER_DISPATCH(instruction_set, gemm<T>(c, a, b)); returns what kernels::<that target>::gemm<T>(c, a, b)
// returns, so it is the last statement of a function. An instruction set that this architecture does not know runs
// `portable`.
#if defined(__x86_64__)
#define EIGENFORMER_DISPATCH(instruction_set, ...)                                   \
  switch (instruction_set) {                                                         \
    case ::eigenformer::InstructionSet::avx512: return kernels::avx512::__VA_ARGS__; \
    case ::eigenformer::InstructionSet::avx2: return kernels::avx2::__VA_ARGS__;     \
    default: return kernels::portable::__VA_ARGS__;                                  \
  }                                                                                  \
  static_assert(true)
#elif defined(__aarch64__)
#define EIGENFORMER_DISPATCH(instruction_set, ...)                               \
  switch (instruction_set) {                                                     \
    case ::eigenformer::InstructionSet::neon: return kernels::neon::__VA_ARGS__; \
    default: return kernels::portable::__VA_ARGS__;                              \
  }                                                                              \
  static_assert(true)
#else
#define EIGENFORMER_DISPATCH(instruction_set, ...) return kernels::portable::__VA_ARGS__
#endif
