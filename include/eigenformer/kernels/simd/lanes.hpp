#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/kernels/simd/target.hpp>

#include <cstdint>

#define EIGENFORMER_KERNEL <eigenformer/kernels/simd/lanes.inl>
#include <eigenformer/kernels/simd/for_each_target.hpp>
