#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/shape.hpp>
#include <eigenformer/kernels/simd/lanes.hpp>

#include <bit>
#include <cstdint>
#include <limits>
#include <type_traits>

namespace eigenformer::inline EIGENFORMER_ABI::kernels {

/// How numbers become codes of 8 bits: round((x - origin) lift factor) to nearest, ties to even, cut to smallest .. largest,
/// which are whole numbers within -128 .. 127. Two factors, so that those of tiny rows stay finite: `lift` is a power of
/// two.
template <class T>
struct RowCode {
  T factor;      ///< levels / (largest magnitude lift)
  T smallest;    ///< code
  T largest;     ///< code
  T origin = 0;  ///< what becomes code 0
  T lift = 1;    ///< a power of two
};

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels

#define EIGENFORMER_KERNEL <eigenformer/kernels/quantize_row.inl>
#include <eigenformer/kernels/simd/for_each_target.hpp>

namespace eigenformer::inline EIGENFORMER_ABI::kernels {

/// The largest |x|, 0 of no numbers at all; NaN if one of them is not finite.
template <class T>
T largest_magnitude(const T* x, Index count, InstructionSet instruction_set) {
  EIGENFORMER_DISPATCH(instruction_set, largest_magnitude<T>(x, count));
}

/// The least of numbers that are finite, at least one.
template <class T>
T least_number(const T* x, Index count, InstructionSet instruction_set) {
  EIGENFORMER_DISPATCH(instruction_set, least_number<T>(x, count));
}

/// The codes of numbers that are finite, the same bits on every machine.
template <class T>
void quantize_row(const T* x, Index count, const RowCode<T>& code, std::int8_t* codes, InstructionSet instruction_set) {
  EIGENFORMER_DISPATCH(instruction_set, quantize_row<T>(x, count, code, codes));
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels
