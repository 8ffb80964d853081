// SPDX-License-Identifier: MIT
// Body for vec_test.cpp: every operation of the vector type on arrays of one vector's length.

namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET {
using namespace simd::EIGENFORMER_TARGET;

template <class T>
int probe_lanes() {
  return Vec<T>::lanes;
}

template <class T>
void probe(Operation operation, const T* x, const T* y, const T* z, T* out) {
  const Vec<T> a = Vec<T>::load(x);
  const Vec<T> b = Vec<T>::load(y);
  const Vec<T> c = Vec<T>::load(z);
  const Vec<T> one = Vec<T>::broadcast(T(1));
  Vec<T> result = Vec<T>::zero();
  switch (operation) {
    case Operation::add: result = a + b; break;
    case Operation::subtract: result = a - b; break;
    case Operation::multiply: result = a * b; break;
    case Operation::divide: result = a / b; break;
    case Operation::negate: result = -a; break;
    case Operation::fma: result = fma(a, b, c); break;
    case Operation::fnma: result = fnma(a, b, c); break;
    case Operation::minimum: result = minimum(a, b); break;
    case Operation::maximum: result = maximum(a, b); break;
    case Operation::abs: result = abs(a); break;
    case Operation::copysign: result = copysign(a, b); break;
    case Operation::sqrt: result = sqrt(abs(a)); break;
    case Operation::round: result = round(a); break;
    case Operation::floor: result = floor(a); break;
    case Operation::ldexp: result = ldexp(a, b); break;
    case Operation::less: result = select(a < b, one, result); break;
    case Operation::less_equal: result = select(a <= b, one, result); break;
    case Operation::greater: result = select(a > b, one, result); break;
    case Operation::greater_equal: result = select(a >= b, one, result); break;
    case Operation::equal: result = select(a == b, one, result); break;
    case Operation::both: result = select((a < b) & (b < c), one, result); break;
    case Operation::either: result = select((a < b) | (b < c), one, result); break;
    case Operation::neither: result = select(!((a < b) | (b < c)), one, result); break;
    case Operation::any_less: result = any(a < b) ? one : result; break;
    case Operation::all_less: result = all(a < b) ? one : result; break;
    case Operation::swap_pairs: result = swap_pairs(a); break;
    case Operation::reduce_add: result = Vec<T>::broadcast(reduce_add(a)); break;
    case Operation::reduce_max: result = Vec<T>::broadcast(reduce_max(a)); break;
    case Operation::shrink: result = shrink<64>(a); break;
    case Operation::exp: result = exp(a); break;
    case Operation::exp_lifted: result = exp_lifted(a); break;
    case Operation::exp_lifted_exactly: result = exp_lifted_exactly(a); break;
    case Operation::exp_lifted_product: result = exp_lifted_product(a, b, c); break;
    case Operation::exp_lifted_bell: result = exp_lifted_bell(a); break;
  }
  result.store(out);
}

template <class T>
void probe_partial(const T* x, T* out, std::ptrdiff_t n) {
  Vec<T>::load(x, first_lanes<T>(n)).store(out);
}

template <class T>
void probe_partial_store(const T* x, T* out, std::ptrdiff_t n) {
  Vec<T>::load(x).store(out, first_lanes<T>(n));
}

template <class T>
void probe_transpose(const T* x, T* out) {
  Vec<T> rows[Vec<T>::lanes];
  for (int i = 0; i < Vec<T>::lanes; ++i) rows[i] = Vec<T>::load(x + i * Vec<T>::lanes);
  transpose(rows);
  for (int i = 0; i < Vec<T>::lanes; ++i) rows[i].store(out + i * Vec<T>::lanes);
}

template <class T>
void probe_reduce_rows(const T* x, T* out) {
  Vec<T> rows[Vec<T>::lanes];
  for (int i = 0; i < Vec<T>::lanes; ++i) rows[i] = Vec<T>::load(x + i * Vec<T>::lanes);
  reduce_add(rows).store(out);
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET
