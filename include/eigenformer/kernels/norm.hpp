#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/kernels/rows.hpp>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

namespace eigenformer::inline EIGENFORMER_ABI::kernels {

/// Rows to be normalised. y may be x itself; `bias` and `normalised` may be null, for zeros and for a z that nobody
/// needs.
template <class T>
struct NormRows {
  const T* x;  ///< [rows, features]
  Index x_stride;
  T* y;  ///< [rows, features]
  Index y_stride;
  const T* weight;  ///< [features]
  const T* bias;    ///< [features]
  T* normalised;    ///< z: [rows, features], without gaps
  T* inverse;       ///< 1 / deviation: [rows]
  Index rows;
  Index features;
  double epsilon;
  Home home = Home::cache;
};

/// The same rows backward. dx may be dy itself. `dweight` and `dbias` are added to, and null where nobody needs them.
template <class T>
struct NormBackwardRows {
  const T* dy;  ///< [rows, features]
  Index dy_stride;
  const T* normalised;  ///< [rows, features], without gaps
  const T* inverse;     ///< [rows]
  const T* weight;      ///< [features]
  T* dx;                ///< [rows, features]
  Index dx_stride;
  T* dweight;  ///< [features]
  T* dbias;    ///< [features]
  Index rows;
  Index features;
  Home home = Home::cache;
};

/// Which statistics: LayerNorm subtracts the mean, RmsNorm does not.
struct Centred {};
struct Uncentred {};

/// Told by its bits, because -ffast-math lets the compiler assume that every number is finite.
inline bool is_finite(float x) { return (std::bit_cast<std::uint32_t>(x) & 0x7f800000U) != 0x7f800000U; }
inline bool is_finite(double x) {
  return (std::bit_cast<std::uint64_t>(x) & 0x7ff0000000000000U) != 0x7ff0000000000000U;
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels

#define EIGENFORMER_KERNEL <eigenformer/kernels/norm.inl>
#include <eigenformer/kernels/simd/for_each_target.hpp>

namespace eigenformer::inline EIGENFORMER_ABI::kernels {

/// z = (x - mean) / sqrt(mean((x - mean)^2) + epsilon),  y = z weight + bias, row by row; the mean is zero if
/// Uncentred.
template <class Statistics, class T>
void normalise(const NormRows<T>& work, InstructionSet instruction_set) {
  EIGENFORMER_DISPATCH(instruction_set, normalise<Statistics>(work));
}

/// With g = dy weight:  dx = (g - mean(g) - z mean(g z)) / deviation,  dweight += sum dy z,  dbias += sum dy.
/// Without mean(g) if Uncentred.
template <class Statistics, class T>
void normalise_backward(const NormBackwardRows<T>& work, InstructionSet instruction_set) {
  EIGENFORMER_DISPATCH(instruction_set, normalise_backward<Statistics>(work));
}

/// total_j += sum_i parts_ij in the order of the rows.   parts: [rows, features] without gaps
template <class T>
void add_rows(const T* parts, Index rows, Index features, T* total, InstructionSet instruction_set) {
  EIGENFORMER_DISPATCH(instruction_set, add_rows<T>(parts, rows, features, total));
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels
