#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/kernels/simd/target.hpp>

#if defined(__x86_64__)

// EIGENFORMER_X86(intrinsic, builtin) is one instruction, spelled as <immintrin.h> and as g++'s built-in function that
// this header calls for it. Parsing <immintrin.h> takes a third of what Eigen's tensors take, in every file that
// includes any block, for some seventy instructions; everything else is written in vector types. So the built-in functions are
// called by the versions of g++ where their names and operands were looked up, and every other compiler, newer versions
// of g++ among them, gets the intrinsics. EIGENFORMER_IMMINTRIN asks for the intrinsics.
#if defined(__GNUC__) && __GNUC__ >= 12 && __GNUC__ <= 16 && !defined(__clang__) && !defined(__EDG__) && \
    !defined(EIGENFORMER_IMMINTRIN)
#define EIGENFORMER_X86(intrinsic, builtin) builtin
#else
#include <immintrin.h>
#define EIGENFORMER_X86(intrinsic, builtin) intrinsic
#endif

namespace eigenformer::inline EIGENFORMER_ABI::simd {

// Operands of instructions, as the processor knows them.
inline constexpr int equal = 0x00;  ///< ordered, without an exception for NaN, like the next two
inline constexpr int less = 0x11;
inline constexpr int less_equal = 0x12;
inline constexpr int to_nearest = 0x08;  ///< without an exception for what is not whole, like the next
inline constexpr int downwards = 0x09;
inline constexpr int current_rounding = 0x04;

}  // namespace eigenformer::inline EIGENFORMER_ABI::simd

#endif
