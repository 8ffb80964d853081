#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/context.hpp>
#include <eigenformer/kernels/bit_weights.hpp>
#include <eigenformer/kernels/product.hpp>
#include <eigenformer/kernels/simd/bytes.hpp>

#include <cstring>
#include <limits>

namespace eigenformer::inline EIGENFORMER_ABI::kernels {

/// Sums s[m, n] = sum_k a[m, k] w[n, k], exact for any codes a in -128 .. 127.
template <class Weights>
struct BitProduct {
  BitMatrix<Weights> weights;  ///< [out_features, in_features]
  const std::int8_t* codes;    ///< [rows, in_features], rows `stride` apart; unsigned ones 0 .. 127 are among them
  Index rows;
  Index stride;
};

/// Keeps the sums.
template <class T>
struct BitSums {
  std::int32_t* sums;  ///< [rows, out_features], rows `stride` apart
  Index stride;
};

/// Makes numbers of the sums: y[m, n] = s[m, n] activation_scale[m] weight_scale[n / outputs_per_scale] + bias[n], computed in
/// double and rounded once. Each group of outputs may have a scale of its own, as in group quantisation.
template <class T>
struct ScaledSums {
  T* y;  ///< [rows, out_features], rows `stride` apart
  Index stride;
  const T* activation_scale;    ///< [rows], `activation_stride` apart; NaN makes its row NaN
  const T* weight_scale;        ///< [out_features / outputs_per_scale, rounded up]
  const T* bias = nullptr;      ///< [out_features], or nothing
  Index activation_stride = 1;  ///< more where a row has a scale for each group of inputs
  Index outputs_per_scale = (std::numeric_limits<Index>::max)();  ///< as many as there are is one scale for all
  Destination destination = Destination::overwrite;               ///< whether y is written or added to
};

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels

#define EIGENFORMER_KERNEL <eigenformer/kernels/bit_product.inl>
#include <eigenformer/kernels/simd/for_each_target.hpp>

namespace eigenformer::inline EIGENFORMER_ABI::kernels {

/// The sums of a product of packed weights. The bits are those of the formula on every machine, for any number of
/// threads. Allocates nothing after the first call with a shape.
template <class Weights, class T>
void bit_product(const BitProduct<Weights>& product, const BitSums<T>& to, Context& context) {
  EIGENFORMER_DISPATCH(context.instruction_set(), bit_product<T>(product, to, context));
}

/// The same with the sums made numbers before they are stored.
template <class Weights, class T>
void bit_product(const BitProduct<Weights>& product, const ScaledSums<T>& to, Context& context) {
  EIGENFORMER_DISPATCH(context.instruction_set(), bit_product<T>(product, to, context));
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels
