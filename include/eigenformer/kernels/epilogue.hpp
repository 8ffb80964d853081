#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/kernels/product.hpp>
#include <eigenformer/kernels/simd/target.hpp>

#define EIGENFORMER_KERNEL <eigenformer/kernels/epilogue.inl>
#include <eigenformer/kernels/simd/for_each_target.hpp>
