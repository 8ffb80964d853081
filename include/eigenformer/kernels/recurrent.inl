// SPDX-License-Identifier: MIT
// Body for recurrent.hpp. Products that are factors again are opaque, so that -ffast-math multiplies in the same order
// in whole vectors and at the end of a row.

namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET {
using namespace simd::EIGENFORMER_TARGET;

template <class T>
EIGENFORMER_INLINE Vec<T> sigmoid_of(Vec<T> x) {
  return opaque(evaluate(Sigmoid(), x).value.whole());
}
/// s (1 - s), the slope of the sigmoid from its value; 1 - t^2, that of tanh.
template <class T>
EIGENFORMER_INLINE Vec<T> sigmoid_slope(Vec<T> s) {
  return opaque(fnma(s, s, s));
}
template <class T>
EIGENFORMER_INLINE Vec<T> tanh_slope(Vec<T> t) {
  return opaque(fnma(t, t, Vec<T>::broadcast(T(1))));
}

template <class T>
struct LstmStep {
  CellRow<T> row;
  template <class Lanes, class S>
  EIGENFORMER_INLINE void operator()(Lanes lanes, Index j, S) const {
    T* const gates = row.gates + j;
    const T* const recurrent = row.recurrent + j;
    const Index n = row.hidden;
    const Vec<T> i = sigmoid_of(lanes.load(gates) + lanes.load(recurrent));
    const Vec<T> f = sigmoid_of(lanes.load(gates + n) + lanes.load(recurrent + n));
    const Vec<T> g = opaque(tanh(lanes.load(gates + 2 * n) + lanes.load(recurrent + 2 * n)));
    const Vec<T> o = sigmoid_of(lanes.load(gates + 3 * n) + lanes.load(recurrent + 3 * n));
    lanes.store(i, gates);
    lanes.store(f, gates + n);
    lanes.store(g, gates + 2 * n);
    lanes.store(o, gates + 3 * n);
    lanes.store(fma(f, lanes.load(row.before + j), opaque(i * g)), row.state + j);
  }
};
template <class T>
void lstm_cell(const CellRow<T>& row) {
  LstmStep<T> step{row};
  for_each_vector<T>(row.hidden, step);
}

template <class T>
struct LstmBackwardStep {
  CellBackwardRow<T> row;
  template <class Lanes, class S>
  EIGENFORMER_INLINE void operator()(Lanes lanes, Index j, S) const {
    const Index n = row.hidden;
    const Vec<T> i = lanes.load(row.gates + j);
    const Vec<T> f = lanes.load(row.gates + n + j);
    const Vec<T> g = lanes.load(row.gates + 2 * n + j);
    const Vec<T> o = lanes.load(row.gates + 3 * n + j);
    const Vec<T> dc = lanes.load(row.dstate + j);
    const Vec<T> doutput = lanes.load(row.doutput + j);
    const Vec<T> before = lanes.load(row.before + j);
    T* const dgates = row.dgates + j;
    lanes.store(opaque(dc * g) * sigmoid_slope(i), dgates);
    lanes.store(opaque(dc * before) * sigmoid_slope(f), dgates + n);
    lanes.store(opaque(dc * i) * tanh_slope(g), dgates + 2 * n);
    lanes.store(doutput * sigmoid_slope(o), dgates + 3 * n);
    lanes.store(dc * f, row.dbefore + j);
  }
};
template <class T>
void lstm_cell_backward(const CellBackwardRow<T>& row) {
  LstmBackwardStep<T> step{row};
  for_each_vector<T>(row.hidden, step);
}

template <class T>
struct GruStep {
  CellRow<T> row;
  template <class Lanes, class S>
  EIGENFORMER_INLINE void operator()(Lanes lanes, Index j, S) const {
    T* const gates = row.gates + j;
    const T* const recurrent = row.recurrent + j;
    const Index n = row.hidden;
    const Vec<T> r = sigmoid_of(lanes.load(gates) + lanes.load(recurrent));
    const Vec<T> z = sigmoid_of(lanes.load(gates + n) + lanes.load(recurrent + n));
    const Vec<T> candidate = opaque(tanh(opaque(fma(r, lanes.load(recurrent + 2 * n), lanes.load(gates + 2 * n)))));
    lanes.store(r, gates);
    lanes.store(z, gates + n);
    lanes.store(candidate, gates + 2 * n);
    lanes.store(fma(z, opaque(lanes.load(row.before + j) - candidate), candidate), row.state + j);
  }
};
template <class T>
void gru_cell(const CellRow<T>& row) {
  GruStep<T> step{row};
  for_each_vector<T>(row.hidden, step);
}

template <class T>
struct GruBackwardStep {
  CellBackwardRow<T> row;
  template <class Lanes, class S>
  EIGENFORMER_INLINE void operator()(Lanes lanes, Index j, S) const {
    const Index n = row.hidden;
    const Vec<T> r = lanes.load(row.gates + j);
    const Vec<T> z = lanes.load(row.gates + n + j);
    const Vec<T> candidate = lanes.load(row.gates + 2 * n + j);
    const Vec<T> share = lanes.load(row.recurrent + j);
    const Vec<T> dh = lanes.load(row.dstate + j);
    const Vec<T> dz = opaque(dh * opaque(lanes.load(row.before + j) - candidate)) * sigmoid_slope(z);
    const Vec<T> dcandidate = opaque(opaque(fnma(dh, z, dh)) * tanh_slope(candidate));
    const Vec<T> dr = opaque(dcandidate * share) * sigmoid_slope(r);
    T* const dgates = row.dgates + j;
    T* const drecurrent = row.drecurrent + j;
    lanes.store(dr, dgates);
    lanes.store(dz, dgates + n);
    lanes.store(dcandidate, dgates + 2 * n);
    lanes.store(dr, drecurrent);
    lanes.store(dz, drecurrent + n);
    lanes.store(dcandidate * r, drecurrent + 2 * n);
    lanes.store(dh * z, row.dbefore + j);
  }
};
template <class T>
void gru_cell_backward(const CellBackwardRow<T>& row) {
  GruBackwardStep<T> step{row};
  for_each_vector<T>(row.hidden, step);
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET
