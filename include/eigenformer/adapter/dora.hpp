#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/adapter/low_rank.hpp>

#include <algorithm>
#include <cmath>
#include <span>

namespace eigenformer::inline EIGENFORMER_ABI {

// The weight taken apart into lengths and directions of its rows (Liu et al. 2024, "DoRA: Weight-Decomposed Low-Rank
// Adaptation", equation 5):  W' = m V / |V|,  V = W + scale B A,  |V| the length of each row.

/// norm_o = |W_o + scale B_o A|, the length of each row of the adapted weight, some rows at a time.
///   weight: [out, in]    norms: [out]
template <class T, class Storage>
void adapted_row_norms(ConstRowsView<Storage> weight, ConstRowsView<T> a, ConstRowsView<T> b, T scale, T* norms,
                       Context& context) {
  constexpr Index together = 64;
  const Index in = weight.features();
  for (Index first = 0; first < weight.rows(); first += together) {
    const Index rows = (std::min)(together, weight.rows() - first);
    ScratchScope scope(context.scratch());
    RowsView<T> adapted = scope.rows<T>(rows, in);
    RowsView<T> scaled = scope.rows<T>(rows, b.features());
    scaled = scale * b.middleRows(first, rows);
    for (Index row = 0; row < rows; ++row) {
      const Storage* const from = weight.data() + (first + row) * weight.stride();
      for (Index i = 0; i < in; ++i) adapted.data()[row * in + i] = widened<T>(from[i]);
    }
    add_product<T>(scaled, a, adapted, context);
    context.parallel_for(rows, 2 * static_cast<double>(adapted.size()), [&](Index row) {
      double squares = 0;
      for (Index i = 0; i < in; ++i) {
        const auto value = static_cast<double>(adapted.data()[row * in + i]);
        squares += value * value;
      }
      norms[first + row] = static_cast<T>(std::sqrt(squares));
    });
  }
}

/// factor_o = weight m_o / |V_o|, or 0 for a row of zeros, which has no direction.   magnitude, norms, factors: [out]
template <class T>
void row_factors(std::span<const T> magnitude, const T* norms, T weight, T* factors) {
  for (std::size_t o = 0; o < magnitude.size(); ++o) {
    factors[o] = norms[o] > T(0) ? weight * magnitude[o] / norms[o] : T(0);
  }
}

/// y_no += factor_o v_no.   v, y: [N, out]    factors: [out]
template <class T>
void add_scaled(ConstRowsView<T> v, const T* factors, RowsView<T> y, Context& context) {
  context.parallel_for(v.rows(), 2 * static_cast<double>(v.size()), [&](Index n) {
    const T* const from = v.data() + n * v.stride();
    T* const to = y.data() + n * y.stride();
    for (Index o = 0; o < v.features(); ++o) to[o] += factors[o] * from[o];
  });
}

/// sum += weight (W' - W), for merging.   original, sum: [out, in]
template <class T, class Storage>
void add_decomposed(const Matrix<Storage>& original, const Matrix<T>& a, const Matrix<T>& b, T scale,
                    std::span<const T> magnitude, T weight, Matrix<T>& sum, Context& context) {
  Matrix<T> adapted(sum.rows(), sum.cols());
  std::transform(original.data(), original.data() + original.size(), adapted.data(),
                 [](Storage value) { return widened<T>(value); });
  sum -= weight * adapted;
  const Matrix<T> scaled = scale * b;
  add_product<T>(scaled, a, adapted, context);
  Vector<T> norms(sum.rows());
  Vector<T> factors(sum.rows());
  adapted_row_norms<T, Storage>(original, a, b, scale, norms.data(), context);
  row_factors<T>(magnitude, norms.data(), weight, factors.data());
  sum += factors.asDiagonal() * adapted;
}

/// dm_o += weight / |V_o| sum_n dy_no v_no, with v = x V^T and |V| a constant.   dy, v: [N, out]    dmagnitude: [out]
template <class T>
void dora_backward_magnitude(ConstRowsView<T> dy, ConstRowsView<T> v, const T* norms, T weight, std::span<T> dmagnitude,
                             Context& context) {
  ScratchScope scope(context.scratch());
  RowsView<T> products = scope.rows<T>(dy.rows(), dy.features());
  context.parallel_for(dy.rows(), static_cast<double>(dy.size()), [&](Index n) {
    for (Index o = 0; o < dy.features(); ++o) {
      products.data()[n * dy.features() + o] = dy.data()[n * dy.stride() + o] * v.data()[n * v.stride() + o];
    }
  });
  const std::span<T> sums(scope.take<T>(dy.features()), dmagnitude.size());
  std::fill(sums.begin(), sums.end(), T(0));
  linear_backward_bias<T>(products, sums, context);
  for (std::size_t o = 0; o < sums.size(); ++o) dmagnitude[o] += norms[o] > T(0) ? weight * sums[o] / norms[o] : T(0);
}

}  // namespace eigenformer::inline EIGENFORMER_ABI
