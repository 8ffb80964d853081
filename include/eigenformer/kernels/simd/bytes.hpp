#pragma once
// SPDX-License-Identifier: MIT

// Registers of bytes, for the kernels that look up in tables of 16. Apart from the vector types, so that other kernels do not
// parse them.

#include <eigenformer/kernels/simd/bytes_avx2.hpp>
#include <eigenformer/kernels/simd/bytes_avx512.hpp>
#include <eigenformer/kernels/simd/bytes_neon.hpp>
#include <eigenformer/kernels/simd/bytes_portable.hpp>
