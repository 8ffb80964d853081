#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/kernels/norm.hpp>
#include <eigenformer/kernels/rows.hpp>

namespace eigenformer::inline EIGENFORMER_ABI::kernels {

/// Rows to be scaled to one length. y may be x itself; `normalised` may be null, for a z that nobody needs.
template <class T>
struct ScaleNormRows {
  const T* x;  ///< [rows, features]
  Index x_stride;
  T* y;  ///< [rows, features]
  Index y_stride;
  T* normalised;  ///< z: [rows, features], without gaps
  T* inverse;     ///< 1 / max(||x||, epsilon): [rows]
  Index rows;
  Index features;
  double epsilon;
  T gain;
  Home home = Home::cache;
};

/// The same rows backward. dx may be dy itself.
template <class T>
struct ScaleNormBackwardRows {
  const T* dy;  ///< [rows, features]
  Index dy_stride;
  const T* normalised;  ///< [rows, features], without gaps
  const T* inverse;     ///< [rows]
  T* dx;                ///< [rows, features]
  Index dx_stride;
  Index rows;
  Index features;
  T gain;
  T clamped;  ///< the inverse of rows whose norm was clamped
  Home home = Home::cache;
};

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels

#define EIGENFORMER_KERNEL <eigenformer/kernels/scale_norm.inl>
#include <eigenformer/kernels/simd/for_each_target.hpp>

namespace eigenformer::inline EIGENFORMER_ABI::kernels {

/// z = x / max(||x||, epsilon),  y = gain z, row by row; a zero row stays zero.
template <class T>
void scale_norm(const ScaleNormRows<T>& work, InstructionSet instruction_set) {
  EIGENFORMER_DISPATCH(instruction_set, scale_norm<T>(work));
}

/// dx = gain / max(||x||, epsilon) (dy - z (z . dy)), without the projection where the norm was clamped. Returns the
/// gradient of the gain, sum z . dy.
template <class T>
double scale_norm_backward(const ScaleNormBackwardRows<T>& work, InstructionSet instruction_set) {
  EIGENFORMER_DISPATCH(instruction_set, scale_norm_backward<T>(work));
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels
