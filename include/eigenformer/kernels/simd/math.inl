// SPDX-License-Identifier: MIT
// Body for math.hpp: elementary functions of vectors, one set for each target, in simd::<target>.

namespace eigenformer::inline EIGENFORMER_ABI::simd::EIGENFORMER_TARGET {

// exp(x) = 2^n exp(r) with n = round(x / ln 2) and r = x - n ln 2, |r| <= ln 2 / 2. ln 2 is the sum of two parts, the
// first with so few bits that n times it is exact. exp(r) = 1 + r + r^2 q(r), where q minimises the largest relative
// error of the whole (fitted by us: Remez exchange in 60 digits; 3.1e-9 in float, 3.6e-18 in double).

/// e^x = 2^power (1 + fraction), with fraction in about [-0.3, 0.42].
template <class T>
struct Exponential {
  Vec<T> fraction;
  Vec<T> power;
};

/// e^r - 1 for |r| a little over ln 2 / 2.
EIGENFORMER_INLINE Vec<float> exp_fraction(Vec<float> r) {
  using V = Vec<float>;
  V q = V::broadcast(0x1.6a2434p-10F);
  q = fma(q, r, V::broadcast(0x1.1239e2p-7F));
  q = fma(q, r, V::broadcast(0x1.5558f2p-5F));
  q = fma(q, r, V::broadcast(0x1.555492p-3F));
  q = fma(q, r, V::broadcast(0x1.fffffcp-2F));
  return opaque(fma(q, r * r, r));
}
EIGENFORMER_INLINE Vec<double> exp_fraction(Vec<double> r) {
  using V = Vec<double>;
  V q = V::broadcast(0x1.ad7f6f0799ee2p-26);
  q = fma(q, r, V::broadcast(0x1.28ad72cc30daap-22));
  q = fma(q, r, V::broadcast(0x1.71df2552390c2p-19));
  q = fma(q, r, V::broadcast(0x1.a0199a0c677acp-16));
  q = fma(q, r, V::broadcast(0x1.a01a012a57b51p-13));
  q = fma(q, r, V::broadcast(0x1.6c16c1842a11dp-10));
  q = fma(q, r, V::broadcast(0x1.1111111127be5p-7));
  q = fma(q, r, V::broadcast(0x1.555555555087cp-5));
  q = fma(q, r, V::broadcast(0x1.55555555554fap-3));
  q = fma(q, r, V::broadcast(0x1.000000000000ap-1));
  return opaque(fma(q, r * r, r));
}

/// x - n ln 2.
EIGENFORMER_INLINE Vec<float> exp_remainder(Vec<float> x, Vec<float> n) {
  using V = Vec<float>;
  return fnma(n, V::broadcast(0x1.7f7d1cp-20F), fnma(n, V::broadcast(0x1.62e4p-1F), x));
}
EIGENFORMER_INLINE Vec<double> exp_remainder(Vec<double> x, Vec<double> n) {
  using V = Vec<double>;
  return fnma(n, V::broadcast(-0x1.8432a1b0e2634p-43), fnma(n, V::broadcast(0x1.62e42fefa4p-1), x));
}

/// The parts of e^x, x in the range where ldexp takes its power: about 180 either way in float, 1400 in double.
template <class T>
EIGENFORMER_INLINE Exponential<T> exp_parts(Vec<T> x) {
  const Vec<T> n = round(x * Vec<T>::broadcast(T(1.442695040888963407)));
  return {exp_fraction(exp_remainder(x, n)), n};
}
/// Largest error 1 ulp in float, 1 ulp in double, denormal results included. Above the range the result is infinite,
/// below it 0, and NaN stays NaN; the clamps only keep n where ldexp takes it.
template <class T>
EIGENFORMER_INLINE Vec<T> exp(Vec<T> x) {
  constexpr T smallest = sizeof(T) == 4 ? T(-104) : T(-746);
  constexpr T largest = sizeof(T) == 4 ? T(89) : T(710);
  const Exponential<T> e = exp_parts(maximum(Vec<T>::broadcast(smallest), minimum(Vec<T>::broadcast(largest), x)));
  return ldexp(e.fraction + Vec<T>::broadcast(T(1)), e.power);
}

/// tanh(x) = -m / (2 + m) with m = e^(-2|x|) - 1 = 2^n f + (2^n - 1), which does not cancel near 0. Largest error 3
/// ulp.
template <class T>
EIGENFORMER_INLINE Vec<T> tanh(Vec<T> x) {
  constexpr T saturated = sizeof(T) == 4 ? T(20) : T(40);
  const Vec<T> one = Vec<T>::broadcast(T(1));
  const Vec<T> a = minimum(Vec<T>::broadcast(saturated), abs(x));
  const Exponential<T> e = exp_parts(Vec<T>::broadcast(T(-2)) * a);
  const Vec<T> scale = ldexp_normal(one, e.power);
  const Vec<T> m = opaque(fma(e.fraction, scale, opaque(scale - one)));
  return copysign(m / (Vec<T>::broadcast(T(2)) + m), x);
}

/// a without the lower half of its digits: products of such numbers are exact.
template <class T>
EIGENFORMER_INLINE Vec<T> upper_digits(Vec<T> a) {
  using Bits = typename Mask<T>::Bits;
  constexpr Bits lower = (Bits{1} << (sizeof(T) == 4 ? 12 : 27)) - 1;
  return from_bits<T>(bits(a) & ~lower);
}

/// a b - rounded, where rounded = a b as a vector holds it: the digits that were lost. |a|, |b| below 2^60.
template <class T>
EIGENFORMER_INLINE Vec<T> product_error(Vec<T> a, Vec<T> b, Vec<T> rounded) {
  if constexpr (std::is_same_v<Vec<T>, simd::portable::Vec<T>>) {
    // No fused multiplication: each factor is cut into halves whose products are exact (Dekker 1971).
    const Vec<T> a_high = upper_digits(a);
    const Vec<T> b_high = upper_digits(b);
    const Vec<T> a_low = a - a_high;
    const Vec<T> b_low = b - b_high;
    const Vec<T> crossed = opaque(opaque(a_high * b_high) - rounded) + opaque(a_high * b_low);
    return opaque(opaque(crossed) + opaque(a_low * b_high)) + a_low * b_low;
  } else {
    return fma(a, b, -rounded);
  }
}

// Where only the lower half of the range is wanted, x <= 0, there is a cheaper way: n counts steps of ln 2 / steps, and
// a register that serves as a table holds the powers 2^(n / steps) between two whole ones. n is rounded by adding it to
// a number so large that no fraction has room, and so made that the low bits of the sum are those of the power's
// exponent.

/// How far exponentials of negative numbers are lifted so that none of them is denormal where its double or float is
/// not 0.
template <class T>
inline constexpr T exp_lift = sizeof(T) == 4 ? T(64) : T(128);
template <class T>
inline constexpr T exp_lifted_one = sizeof(T) == 4 ? T(0x1p64) : T(0x1p128);  ///< 2^exp_lift
template <class T>
inline constexpr T exp_lowering = sizeof(T) == 4 ? T(0x1p-64) : T(0x1p-128);  ///< 2^-exp_lift

/// Whether fma rounds once.
template <class T>
inline constexpr bool fused = !std::is_same_v<Vec<T>, simd::portable::Vec<T>>;

/// x without the lift.
template <class T>
EIGENFORMER_INLINE Vec<T> lowered(Vec<T> x) {
  return shrink<static_cast<int>(exp_lift<T>)>(x);
}
/// The same where nothing is denormal that the caller does not look after.
template <class T>
EIGENFORMER_INLINE Vec<T> lowered_normal(Vec<T> x) {
  return opaque(product(x, Vec<T>::broadcast(exp_lowering<T>)));
}
/// 1 + x without the lift, for x that is not negative; NaN stays. Apart from fma, what is too small to count beside 1 is
/// raised, so that its product is not denormal.
template <class T>
EIGENFORMER_INLINE Vec<T> one_plus_lowered(Vec<T> x) {
  const Vec<T> one = Vec<T>::broadcast(T(1));
  const Vec<T> counts = fused<T> ? x : maximum(one, x);
  return fma(counts, Vec<T>::broadcast(exp_lowering<T>), one);
}

/// x to the nearest step, in the low bits of the result, which exp2_of_low_bits makes 2^exp_lift e^x of.
template <class T>
inline constexpr T exp_steps_origin = T(1.5) / std::numeric_limits<T>::epsilon() +
                                      exp2_steps<T>*(T(std::numeric_limits<T>::max_exponent - 1) + exp_lift<T>);
template <class T>
EIGENFORMER_INLINE Vec<T> exp_steps(Vec<T> x) {
  const Vec<T> per_step = Vec<T>::broadcast(T(1.442695040888963407) * exp2_steps<T>);
  return opaque(fma(x, per_step, Vec<T>::broadcast(exp_steps_origin<T>)));
}
template <class T>
EIGENFORMER_INLINE Vec<T> steps_counted(Vec<T> steps) {
  return opaque(steps - Vec<T>::broadcast(exp_steps_origin<T>));
}

/// e^r - 1 for |r| a little over half a step. Relative to e^r within 2.6e-8 for 8 steps, 1.6e-9 for 16 (fitted by us:
/// Remez exchange in 50 digits).
template <class T>
EIGENFORMER_INLINE Vec<T> exp_step_fraction(Vec<T> r) {
  if constexpr (exp2_steps<T> == 1) {
    return exp_fraction(r);
  } else {
    const Vec<T> square = Vec<T>::broadcast(T(exp2_steps<T> == 8 ? 0x1.000878p-1F : 0x1.00022p-1F));
    const Vec<T> cube = Vec<T>::broadcast(T(exp2_steps<T> == 8 ? 0x1.555658p-3F : 0x1.55559ap-3F));
    return opaque(fma(fma(cube, r, square), r * r, r));
  }
}

/// 2^exp_lift e^(steps' x + r).
template <class T>
EIGENFORMER_INLINE Vec<T> exp_of_steps(Vec<T> steps, Vec<T> r) {
  const Vec<T> scale = exp2_of_low_bits(steps);
  const Vec<T> fraction = exp_step_fraction(r);
  if constexpr (exp2_steps<T> == 1) {
    return opaque(fraction + Vec<T>::broadcast(T(1))) * scale;  // exact; scale x fraction alone may be denormal
  } else {
    return fma(scale, fraction, scale);
  }
}

/// 2^exp_lift e^x for x <= 0, at least e^-126 (float) or e^-760 (double) times the lift, so a sum of them is never 0.
/// NaN stays. Largest error 1.5 ulp, and in float what 0.15 ulp more or less of x makes.
template <class T>
EIGENFORMER_INLINE Vec<T> exp_lifted(Vec<T> x) {
  constexpr T smallest = sizeof(T) == 4 ? T(-126) : T(-760);
  constexpr T step = T(0.693147180559945309) / exp2_steps<T>;
  const Vec<T> above = maximum(Vec<T>::broadcast(smallest), x);
  const Vec<T> steps = exp_steps(above);
  const Vec<T> n = steps_counted(steps);
  return exp_of_steps(steps,
                      fused<T> && sizeof(T) == 4 ? fnma(n, Vec<T>::broadcast(step), above) : exp_remainder(above, n));
}

/// The same without the limit below, which is the caller's care, and with x taken for exact: largest error 1.5 ulp.
template <class T>
EIGENFORMER_INLINE Vec<T> exp_lifted_exactly(Vec<T> x) {
  const Vec<T> steps = exp_steps(x);
  const Vec<T> n = steps_counted(steps);
  if constexpr (exp2_steps<T> == 1) {
    return exp_of_steps(steps, exp_remainder(x, n));
  } else {
    const Vec<T> high = Vec<T>::broadcast(T(0x1.62e43p-1F) / exp2_steps<T>);
    const Vec<T> rest = Vec<T>::broadcast(T(-0x1.05c61p-29F) / exp2_steps<T>);
    return exp_of_steps(steps, fnma(n, rest, fnma(n, high, x)));
  }
}

/// e^(a b + low) in that way, as if the product were not rounded; low, below 1/64, holds the digits that a and b have
/// no room for.
template <class T>
EIGENFORMER_INLINE Vec<T> exp_lifted_product(Vec<T> a, Vec<T> b, Vec<T> low) {
  const Vec<T> product = opaque(a * b);
  const Vec<T> steps = exp_steps(product);
  const Vec<T> n = steps_counted(steps);
  if constexpr (fused<T>) {
    // ln 2 in two parts, of which the first has so few bits that n times it is exact.
    constexpr T high = sizeof(T) == 4 ? T(0x1.62ep-1) : T(0x1.62e42fefa4p-1);
    constexpr T rest = sizeof(T) == 4 ? T(0x1.0bfbe8p-15) : T(-0x1.8432a1b0e2634p-43);
    const Vec<T> whole = opaque(n * Vec<T>::broadcast(high / exp2_steps<T>));
    const Vec<T> r = fnma(n, Vec<T>::broadcast(rest / exp2_steps<T>), fma(a, b, -whole)) + low;
    return exp_of_steps(steps, r);
  } else {
    return exp_of_steps(steps, exp_remainder(product, n) + (low + product_error(a, b, product)));
  }
}

/// e^(-a^2 / 2) in that way, as if the square were not rounded.
template <class T>
EIGENFORMER_INLINE Vec<T> exp_lifted_bell(Vec<T> a) {
  if constexpr (fused<T>) {
    return exp_lifted_product(a, a * Vec<T>::broadcast(T(-0.5)), Vec<T>::zero());
  } else {
    // a^2 = high^2 + (a + high)(a - high), and the first square is exact.
    const Vec<T> high = upper_digits(a);
    const Vec<T> steps =
        opaque(a * a * Vec<T>::broadcast(T(-0.7213475204444817037)) + Vec<T>::broadcast(exp_steps_origin<T>));
    const Vec<T> n = steps_counted(steps);
    const Vec<T> rest = (a + high) * (a - high);
    const Vec<T> r = exp_remainder(opaque(high * high) * Vec<T>::broadcast(T(-0.5)), n);
    return exp_of_steps(steps, opaque(r) - rest * Vec<T>::broadcast(T(0.5)));
  }
}

/// c_0 + c_1 x + c_2 x^2 + ...
template <class T>
EIGENFORMER_INLINE Vec<T> polynomial(Vec<T>, T last) {
  return Vec<T>::broadcast(last);
}
template <class T, class... More>
EIGENFORMER_INLINE Vec<T> polynomial(Vec<T> x, T first, More... more) {
  return fma(polynomial(x, more...), x, Vec<T>::broadcast(first));
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::simd::EIGENFORMER_TARGET
