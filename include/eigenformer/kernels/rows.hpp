#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/shape.hpp>
#include <eigenformer/kernels/simd/lanes.hpp>

#include <limits>

// Sums and maxima of a row of adjacent numbers, for the bodies of other kernels: row_sum, row_dot, row_magnitude and
// row_maximum in kernels::<target>. Their order is fixed by the length alone, so that neither the alignment of the row
// nor the number of threads can change a bit of the result.
namespace eigenformer::inline EIGENFORMER_ABI::kernels {

/// Where most of a kernel's arrays lie: in memory if the processor's cache does not keep them until they are needed. The
/// bits of the results are the same.
enum class Home { cache, memory };

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels

#define EIGENFORMER_KERNEL <eigenformer/kernels/rows.inl>
#include <eigenformer/kernels/simd/for_each_target.hpp>
