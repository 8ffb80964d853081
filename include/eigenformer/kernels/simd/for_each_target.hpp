// SPDX-License-Identifier: MIT
// Without #pragma once: it is included once for every kernel.
//
// Includes the file that EIGENFORMER_KERNEL names once for each instruction set of the architecture, as code for that
// instruction set whatever the compiler's flags are, with EIGENFORMER_TARGET being its name: portable, avx2, avx512 or
// neon. To write a kernel `scale`:
//
//   kernels/scale.inl, the body, which includes nothing and has no #pragma once:
//     namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET {
//     using namespace simd::EIGENFORMER_TARGET;
//     template <class T>
//     void scale(T* x, Index count, T factor) {
//       constexpr Index lanes = Vec<T>::lanes;
//       const Vec<T> factors = Vec<T>::broadcast(factor);
//       Index i = 0;
//       for (; i + lanes <= count; i += lanes) (Vec<T>::load(x + i) * factors).store(x + i);
//       const Mask<T> rest = first_lanes<T>(count - i);
//       (Vec<T>::load(x + i, rest) * factors).store(x + i, rest);
//     }
//     }
//
//   kernels/scale.hpp, the header, which includes whatever the body needs before the body, then chooses when it runs:
//     #pragma once
//     #include <eigenformer/kernels/simd/math.hpp>   // only for exp and its like
//     #define EIGENFORMER_KERNEL <eigenformer/kernels/scale.inl>
//     #include <eigenformer/kernels/simd/for_each_target.hpp>
//     template <class T>
//     void scale(T* x, Index count, T factor, InstructionSet instruction_set) {
//       EIGENFORMER_DISPATCH(instruction_set, scale<T>(x, count, factor));
//     }
//
// Rules for bodies. Every standard or project header is included before the region, never inside it. Functions that
// take or return a Vec are EIGENFORMER_INLINE; the outermost one is a plain (template) function. No lambdas: the target
// does not reach them; a struct with operator() does the same. No Vec in std:: containers or algorithms: their
// functions are not compiled for the target; C arrays are. Loops over registers are unrolled by `#pragma GCC unroll`.

#include <eigenformer/kernels/simd/avx2.hpp>
#include <eigenformer/kernels/simd/avx512.hpp>
#include <eigenformer/kernels/simd/neon.hpp>
#include <eigenformer/kernels/simd/portable.hpp>

#if defined(EIGENFORMER_KERNEL)

#define EIGENFORMER_TARGET portable
#include EIGENFORMER_KERNEL
#undef EIGENFORMER_TARGET

#if defined(__x86_64__)

#define EIGENFORMER_TARGET avx2
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c")
#endif
#include EIGENFORMER_KERNEL
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#undef EIGENFORMER_TARGET

#define EIGENFORMER_TARGET avx512
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c"))), \
                             apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c,prefer-vector-width=512")
#endif
#include EIGENFORMER_KERNEL
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#undef EIGENFORMER_TARGET

#elif defined(__aarch64__)

#define EIGENFORMER_TARGET neon
#include EIGENFORMER_KERNEL
#undef EIGENFORMER_TARGET

#endif

#undef EIGENFORMER_KERNEL
#endif
