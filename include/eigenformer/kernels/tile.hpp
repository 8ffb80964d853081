#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/shape.hpp>
#include <eigenformer/kernels/simd/target.hpp>

#define EIGENFORMER_KERNEL <eigenformer/kernels/tile.inl>
#include <eigenformer/kernels/simd/for_each_target.hpp>
