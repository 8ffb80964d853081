#pragma once
// SPDX-License-Identifier: MIT

#include "reference/activations.hpp"
#include "reference/array.hpp"
#include "reference/gemm.hpp"

#include <cmath>
#include <functional>
#include <vector>

namespace reference {

/// A norm of rows [N, D]; nothing where empty.
template <class T>
using RowNorm = std::function<Array<T>(const Array<T>&)>;

template <class T>
Array<T> normed(const RowNorm<T>& norm, const Array<T>& x) {
  return norm ? norm(x) : x;
}

/// Weights as PyTorch's: the gates one below the other.
template <class T>
struct RecurrentWeights {
  Array<T> weight_ih;  ///< [gates H, I]
  Array<T> weight_hh;  ///< [gates H, H]
  Array<T> bias_ih;    ///< [gates H], or empty
  Array<T> bias_hh;    ///< [gates H], or empty
};

template <class T>
struct RecurrentResult {
  Array<T> y;  ///< [L, H]
  Array<T> h;  ///< [1, H], after the last step
  Array<T> c;  ///< [1, H]
};

template <class T>
Array<T> row_of(const Array<T>& x, long row) {
  Array<T> result({1, x.row_length()});
  for (long j = 0; j < x.row_length(); ++j) result(0, j) = x(row, j);
  return result;
}

template <class T>
struct LstmNorms {
  RowNorm<T> input = {}, hidden = {}, cell = {};
  bool in_state = false;  ///< whether the cells themselves are normalised, as in PyTorch's benchmark
};

/// One sequence. (i, f, g, o) = norm_i(W_ih x + b_ih) + norm_h(W_hh h + b_hh);  c~ = s(f) c + s(i) tanh(g);
/// Ba et al. 2016, supplement, equations 20 to 22: c = c~, h = s(o) tanh(norm_c(c~)).   x: [L, I]   h, c: [1, H]
template <class T>
RecurrentResult<T> lstm(const Array<T>& x, const RecurrentWeights<T>& w, const LstmNorms<T>& norms, Array<T> h,
                        Array<T> c) {
  const long size = h.row_length();
  Array<T> y({x.dimension(0), size});
  for (long t = 0; t < x.dimension(0); ++t) {
    const Array<T> a = normed(norms.input, linear(row_of(x, t), w.weight_ih, w.bias_ih).value);
    const Array<T> b = normed(norms.hidden, linear(h, w.weight_hh, w.bias_hh).value);
    const auto gate = [&](long number, long j) { return a(0, number * size + j) + b(0, number * size + j); };
    for (long j = 0; j < size; ++j)
      c(0, j) = sigmoid(gate(1, j)) * c(0, j) + sigmoid(gate(0, j)) * std::tanh(gate(2, j));
    const Array<T> seen = normed(norms.cell, c);
    if (norms.in_state) c = seen;
    for (long j = 0; j < size; ++j) y(t, j) = h(0, j) = sigmoid(gate(3, j)) * std::tanh(seen(0, j));
  }
  return {y, h, c};
}

template <class T>
struct GruNorms {
  RowNorm<T> input = {}, hidden = {}, input_candidate = {}, hidden_candidate = {};
};

/// Columns first .. first + count - 1.
template <class T>
Array<T> columns(const Array<T>& x, long first, long count) {
  Array<T> result({x.dimension(0), count});
  for (long i = 0; i < x.dimension(0); ++i) {
    for (long j = 0; j < count; ++j) result(i, j) = x(i, first + j);
  }
  return result;
}

/// One sequence. r, z = s(norm(W_ih x + b_ih) + norm(W_hh h + b_hh)) of the first two thirds of the rows,
/// n = tanh(norm(W_in x + b_in) + r norm(W_hn h + b_hn)),  h = (1 - z) n + z h  (PyTorch's nn.GRU).
template <class T>
RecurrentResult<T> gru(const Array<T>& x, const RecurrentWeights<T>& w, const GruNorms<T>& norms, Array<T> h) {
  const long size = h.row_length();
  Array<T> y({x.dimension(0), size});
  for (long t = 0; t < x.dimension(0); ++t) {
    const Array<T> from_x = linear(row_of(x, t), w.weight_ih, w.bias_ih).value;
    const Array<T> from_h = linear(h, w.weight_hh, w.bias_hh).value;
    const Array<T> a = normed(norms.input, columns(from_x, 0, 2 * size));
    const Array<T> b = normed(norms.hidden, columns(from_h, 0, 2 * size));
    const Array<T> m = normed(norms.input_candidate, columns(from_x, 2 * size, size));
    const Array<T> k = normed(norms.hidden_candidate, columns(from_h, 2 * size, size));
    for (long j = 0; j < size; ++j) {
      const T r = sigmoid(a(0, j) + b(0, j));
      const T z = sigmoid(a(0, size + j) + b(0, size + j));
      const T n = std::tanh(m(0, j) + r * k(0, j));
      y(t, j) = (1 - z) * n + z * h(0, j);
    }
    h = row_of(y, t);
  }
  return {y, h, {}};
}

}  // namespace reference
