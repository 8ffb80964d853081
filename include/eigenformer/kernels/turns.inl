// SPDX-License-Identifier: MIT
// Body for turns.hpp.

namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET {
using namespace simd::EIGENFORMER_TARGET;

/// angle - n pi / 2
template <class T>
EIGENFORMER_INLINE Vec<T> less_quarters(Vec<T> angle, Vec<T> n) {
  const Vec<T> high = Vec<T>::broadcast(T(0x1.921fb54442d18p+0));
  const Vec<T> low = Vec<T>::broadcast(T(0x1.1a62633145c07p-54));
  if constexpr (fused<T>) {
    return fnma(n, low, fnma(n, high, angle));
  } else {
    const Vec<T> product = opaque(n * high);
    return fnma(n, low, opaque(opaque(angle - product) - product_error(n, high, product)));
  }
}

/// The cosine and sine of each lane. An angle is n quarter turns and r, |r| <= pi / 4, of which Taylor's series to r^18
/// leaves out less than 1e-17. Pi / 2 is the sum of two doubles, whose products with n are not rounded.
struct TurnStep {
  using V = Vec<double>;
  V position;
  const double* frequencies;
  double* cosine;
  double* sine;

  template <class Lanes, class S>
  EIGENFORMER_INLINE void operator()(Lanes lanes, Index i, S) const {
    const V angle = opaque(position * lanes.load(frequencies + i));
    const V most = round(angle * V::broadcast(0.636619772367581343));
    const V close = less_quarters(angle, most);
    const V missed = round(close * V::broadcast(0.636619772367581343));  // by 1, where a double ends
    const V r = less_quarters(close, missed);
    const V n = most + missed;
    const V square = r * r;
    const V s = fma(r * square,
                    polynomial(square, -1.0 / 6, 1.0 / 120, -1.0 / 5040, 1.0 / 362880, -1.0 / 39916800,
                               1.0 / 6227020800, -1.0 / 1307674368000, 1.0 / 355687428096000),
                    r);
    const V c = polynomial(square, 1.0, -0.5, 1.0 / 24, -1.0 / 720, 1.0 / 40320, -1.0 / 3628800, 1.0 / 479001600,
                           -1.0 / 87178291200, 1.0 / 20922789888000, -1.0 / 6402373705728000);
    const V turns = floor(n * V::broadcast(0.25));
    const V quarter = fnma(turns, V::broadcast(4), n);
    const Mask<double> first = quarter == V::broadcast(1);
    const Mask<double> third = quarter == V::broadcast(3);
    const Mask<double> swapped = first | third;
    const Mask<double> low = quarter >= V::broadcast(2);
    const Mask<double> left = first | (quarter == V::broadcast(2));
    const V cosines = select(swapped, s, c);
    const V sines = select(swapped, c, s);
    lanes.store(select(left, -cosines, cosines), cosine + i);
    lanes.store(select(low, -sines, sines), sine + i);
  }
};
template <class T>
// NOLINTNEXTLINE(readability-non-const-parameter): written through the step
void turns(double position, const double* frequencies, Index count, double* cosine, double* sine) {
  TurnStep step{Vec<double>::broadcast(position), frequencies, cosine, sine};
  for_each_vector<double>(count, step);
}

/// As many doubles as lanes, rounded to T.
template <class T>
EIGENFORMER_INLINE void store_rounded(Vec<double> x, T* p) {
  typedef T Rounded __attribute__((vector_size(sizeof(T) * Vec<double>::lanes)));
  const Rounded rounded = __builtin_convertvector(x.value, Rounded);
  __builtin_memcpy(p, &rounded, sizeof(rounded));
}

// cos(a + b) = cos a cos b - sin a sin b,  sin(a + b) = sin a cos b + cos a sin b
template <class T>
void add_turns(const double* cosine_a, const double* sine_a, const double* cosine_b, const double* sine_b, Index count,
               T* cosine, T* sine) {
  using V = Vec<double>;
  Index i = 0;
  for (; i + V::lanes <= count; i += V::lanes) {
    const V c = V::load(cosine_a + i);
    const V s = V::load(sine_a + i);
    const V other_c = V::load(cosine_b + i);
    const V other_s = V::load(sine_b + i);
    store_rounded(fnma(s, other_s, c * other_c), cosine + i);
    store_rounded(fma(s, other_c, c * other_s), sine + i);
  }
  if (i == count) return;
  const Mask<double> rest = first_lanes<double>(count - i);
  const V c = V::load(cosine_a + i, rest);
  const V s = V::load(sine_a + i, rest);
  const V other_c = V::load(cosine_b + i, rest);
  const V other_s = V::load(sine_b + i, rest);
  T kept[2][V::lanes];
  store_rounded(fnma(s, other_s, c * other_c), kept[0]);
  store_rounded(fma(s, other_c, c * other_s), kept[1]);
  for (Index j = i; j < count; ++j) {
    cosine[j] = kept[0][j - i];
    sine[j] = kept[1][j - i];
  }
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET
