#pragma once
// SPDX-License-Identifier: MIT

#include <Eigen/Core>

// The name of the inline namespace that holds everything. It carries the version, Eigen's alignment and the instruction
// set that the compiler's flags allow, because inline functions and types of translation units built with different
// flags would otherwise share their symbols, and the linker would keep whichever it sees first: wrong layouts, or AVX
// code on a machine without it. With the flags in the name such units live side by side, and passing an object from one
// to the other is an error of the linker instead of a wrong number.
#if defined(__AVX512F__)
#define EIGENFORMER_ABI_FLAGS avx512
#elif defined(__AVX2__) && defined(__FMA__)
#define EIGENFORMER_ABI_FLAGS avx2_fma
#elif defined(__AVX2__)
#define EIGENFORMER_ABI_FLAGS avx2
#elif defined(__AVX__)
#define EIGENFORMER_ABI_FLAGS avx
#elif defined(__SSE4_2__)
#define EIGENFORMER_ABI_FLAGS sse42
#elif defined(__SSE3__)
#define EIGENFORMER_ABI_FLAGS sse3
#elif defined(__aarch64__)
#define EIGENFORMER_ABI_FLAGS aarch64
#else
#define EIGENFORMER_ABI_FLAGS base
#endif

// The same function throws in one unit and ends the program in another (core/error.hpp).
#if defined(__cpp_exceptions)
#define EIGENFORMER_ABI_FAILURE throws
#else
#define EIGENFORMER_ABI_FAILURE ends
#endif

#define EIGENFORMER_ABI_JOIN(version, alignment, flags, failure) version##_align##alignment##_##flags##_##failure
#define EIGENFORMER_ABI_NAME(version, alignment, flags, failure) \
  EIGENFORMER_ABI_JOIN(version, alignment, flags, failure)
#define EIGENFORMER_ABI \
  EIGENFORMER_ABI_NAME(v0_1, EIGEN_MAX_ALIGN_BYTES, EIGENFORMER_ABI_FLAGS, EIGENFORMER_ABI_FAILURE)
