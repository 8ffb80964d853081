// SPDX-License-Identifier: MIT
// Body for activation.hpp: `evaluate(Relu(), x)` and its like, the value and the derivative of an activation at each
// lane. Whoever needs only one of the two pays for that one, as the other is dropped when the call is inlined.
//
// With a = |x| the curves that resemble ReLU are max(x, 0) - w(a) with the same tail w on both sides: a s(-a) for SiLU,
// a Phi(-a) for GELU. Nothing cancels in that form, neither near 0 nor far out on the negative side, where x Phi(x)
// computed by 1 + erf would have no digit left.

namespace eigenformer::inline EIGENFORMER_ABI::simd::EIGENFORMER_TARGET {

/// What a curve is asked for, as `Use`. A factor's lanes count as far before they are denormal, as its products may be.
struct Alone {
  template <class T>
  static constexpr T last(T normal) {
    return normal;
  }
};
struct Factor {
  template <class T>
  static constexpr T last(T normal) {
    return normal * T(0.875);
  }
};

/// The lanes in which a tail is denormal or has vanished. Portable code has a way of its own for them, if there are any.
template <class T>
struct FarTail {
  Mask<T> lanes;
  bool taken;
};
template <class T>
EIGENFORMER_INLINE FarTail<T> far_tail(Mask<T> lanes) {
  return {lanes, !fused<T> && any(lanes)};
}

/// Numbers of a curve that has such a tail. In its lanes they are zero in `body`, and 2^exp_lift times themselves in
/// `lifted`.
template <class T>
struct Tailed {
  Vec<T> body;
  Vec<T> lifted;
  FarTail<T> beyond;

  EIGENFORMER_INLINE Tailed(Vec<T> whole) : body(whole), lifted(whole), beyond{whole < whole, false} {}
  EIGENFORMER_INLINE Tailed(Vec<T> body_, Vec<T> lifted_, FarTail<T> beyond_)
      : body(body_), lifted(lifted_), beyond(beyond_) {}

  /// The numbers, of a curve that was asked for Alone: in its far lanes all are denormal or zero.
  EIGENFORMER_INLINE Vec<T> whole() const {
    if constexpr (!fused<T>) {
      if (beyond.taken) return either(body, shrink_to_denormal<static_cast<int>(exp_lift<T>)>(tail()));
    }
    return body;
  }
  /// The product, in an order that -ffast-math does not change.
  EIGENFORMER_INLINE Vec<T> times(Vec<T> y) const {
    const Vec<T> most = opaque(product(opaque(body), y));
    if constexpr (!fused<T>) {
      if (beyond.taken) return either(most, shrink_in_steps<static_cast<int>(exp_lift<T>)>(opaque(opaque(tail()) * y)));
    }
    return most;
  }

 private:
  EIGENFORMER_INLINE Vec<T> tail() const { return select(beyond.lanes, lifted, Vec<T>::zero()); }
  EIGENFORMER_INLINE Vec<T> either(Vec<T> a, Vec<T> b) const { return select(beyond.lanes, b, a); }
};

template <class T>
struct Curve {
  Tailed<T> value;
  Tailed<T> derivative;
};

/// e^-z for z >= 0 and what sigmoids are made of. `lifted` is 2^exp_lift e^-z, a normal number where e^-z is not.
template <class T>
struct Decay {
  Vec<T> lifted;
  Vec<T> one_more;  ///< 1 + e^-z
};
template <class T>
EIGENFORMER_INLINE Decay<T> decay(Vec<T> lifted) {
  return {lifted, one_plus_lowered(lifted)};
}

/// |x|, cut at `largest`; NaN stays.
template <class T>
EIGENFORMER_INLINE Vec<T> magnitude(Vec<T> x, T largest) {
  return minimum(Vec<T>::broadcast(largest), abs(x));
}
template <class T>
EIGENFORMER_INLINE Vec<T> positive_part(Vec<T> x) {
  return maximum(Vec<T>::zero(), x);
}

/// x without the lanes of the tail, if there are any.
template <class T>
EIGENFORMER_INLINE Vec<T> without(FarTail<T> beyond, Vec<T> x) {
  if (beyond.taken) return opaque(select(beyond.lanes, Vec<T>::zero(), x));
  return x;
}
/// What is lifted, without the lift.
template <class T>
EIGENFORMER_INLINE Tailed<T> lowered_tail(Vec<T> lifted, FarTail<T> beyond) {
  return {lowered_normal(without(beyond, lifted)), lifted, beyond};
}
/// max(x, 0) - tail, where `tail` is lifted and not negative.
template <class T>
EIGENFORMER_INLINE Tailed<T> part_less_tail(Vec<T> x, Vec<T> tail, FarTail<T> beyond) {
  const Vec<T> part = positive_part(x);
  if constexpr (fused<T>) {
    return fnma(tail, Vec<T>::broadcast(exp_lowering<T>), part);
  } else {
    // The difference of lifted numbers is lowered, as a sum with a denormal product is slow. Those too large to be lifted
    // have no digit of the tail: they get the bits added that they were cut by.
    const Vec<T> cut = minimum(Vec<T>::broadcast(T(1) / (exp_lowering<T> * 4)), part);
    const Vec<T> difference = opaque(cut * Vec<T>::broadcast(exp_lifted_one<T>)) - tail;
    const Vec<T> body = lowered_normal(without(beyond, difference));
    return {from_bits<T>(bits(body) + (bits(part) - bits(cut))), difference, beyond};
  }
}

template <class Use = Alone, class T>
EIGENFORMER_INLINE Curve<T> evaluate(Identity, Vec<T> x) {
  return {x, Vec<T>::broadcast(T(1))};
}

template <class Use = Alone, class T>
EIGENFORMER_INLINE Curve<T> evaluate(Relu, Vec<T> x) {
  const Vec<T> zero = Vec<T>::zero();
  return {positive_part(x), select(zero < x, Vec<T>::broadcast(T(1)), zero)};
}

template <class Use = Alone, class T>
EIGENFORMER_INLINE Curve<T> evaluate(SquaredRelu, Vec<T> x) {
  const Vec<T> p = positive_part(x);
  return {p * p, p + p};
}

/// On the negative side the numerator is e^x, on the positive side 1.  s' = e^-a / (1 + e^-a)^2
template <class Use = Alone, class T>
EIGENFORMER_INLINE Curve<T> evaluate(Sigmoid, Vec<T> x) {
  using Limits = ActivationLimits<T>;
  const Vec<T> a = magnitude(x, Limits::sigmoid);
  const Decay<T> e = decay(exp_lifted_exactly(-a));
  const Vec<T> numerator = select(x < Vec<T>::zero(), e.lifted, Vec<T>::broadcast(exp_lifted_one<T>));
  const Vec<T> inverse = Vec<T>::broadcast(T(1)) / e.one_more;
  const Vec<T> last = Vec<T>::broadcast(Use::last(Limits::sigmoid_normal));
  return {lowered_tail(opaque(numerator / e.one_more), far_tail(x < -last)),
          lowered_tail(opaque(e.lifted * inverse) * inverse, far_tail(last < a))};
}

/// tanh' = 4 e^-2a / (1 + e^-2a)^2
template <class Use = Alone, class T>
EIGENFORMER_INLINE Curve<T> evaluate(Tanh, Vec<T> x) {
  const Vec<T> twice = Vec<T>::broadcast(T(2)) * magnitude(x, ActivationLimits<T>::tanh);
  const Decay<T> e = decay(exp_lifted_exactly(-twice));
  const Vec<T> inverse = Vec<T>::broadcast(T(2)) / e.one_more;
  return {tanh(x), lowered_normal(opaque(e.lifted * inverse) * inverse)};
}

/// With s = 1 / (1 + e^-z) at the positive side, t = 1 - s, and z' = dz/da, the curve x s(sign(x) z(a)) has the slope
///   x >= 0: s (1 + a t z'),   x < 0: t (1 - a s z').
/// t stays lifted to the end: a denormal number that goes into another operation is slow on some processors.
template <class T>
EIGENFORMER_INLINE Tailed<T> gated_slope(Vec<T> x, T last, Vec<T> a, Vec<T> slope, Decay<T> e) {
  const Vec<T> one = Vec<T>::broadcast(T(1));
  const Vec<T> s = one / e.one_more;
  const Vec<T> t = e.lifted * s;
  const Vec<T> steep = a * slope;
  const Tailed<T> negative = lowered_tail(opaque(t * fnma(steep, s, one)), far_tail(x < Vec<T>::broadcast(-last)));
  const Vec<T> positive = s * one_plus_lowered(opaque(steep * t));
  return {select(x < Vec<T>::zero(), negative.body, positive), negative.lifted, negative.beyond};
}

template <class Use = Alone, class T>
EIGENFORMER_INLINE Curve<T> evaluate(Silu, Vec<T> x) {
  using Limits = ActivationLimits<T>;
  const Vec<T> a = magnitude(x, Limits::sigmoid);
  const Decay<T> e = decay(exp_lifted_exactly(-a));
  return {part_less_tail(x, opaque((a * e.lifted) / e.one_more),
                         far_tail(x < Vec<T>::broadcast(-Use::last(Limits::silu_normal)))),
          gated_slope(x, Use::last(Limits::silu_slope_normal), a, Vec<T>::broadcast(T(1)), e)};
}

/// x s(z) with z = 2 sqrt(2 / pi) (a + 0.044715 a^3) = a (c_0 + c_1 a^2). The tail e^-z has as many wrong digits as z
/// has before the point, so the sum is computed in two parts, the second being what rounding cut off.
template <class Use = Alone, class T>
EIGENFORMER_INLINE Curve<T> evaluate(GeluTanh, Vec<T> x) {
  using Limits = ActivationLimits<T>;
  using Constants = GeluTanhConstants<T>;
  const Vec<T> linear = Vec<T>::broadcast(Constants::linear);
  const Vec<T> linear_low = Vec<T>::broadcast(Constants::linear_low);
  const Vec<T> cubic = Vec<T>::broadcast(Constants::cubic);
  const Vec<T> a = magnitude(x, Limits::gelu_tanh);
  const Vec<T> square = opaque(a * a);
  const Vec<T> sum = opaque(fma(cubic, square, linear));
  const Vec<T> sum_error = product_error(cubic, square, opaque(sum - linear));
  const Vec<T> constants_error = fma(Vec<T>::broadcast(Constants::cubic_low), square, linear_low);
  const Vec<T> sum_low = sum_error + fma(cubic, product_error(a, a, square), constants_error);
  const Decay<T> e = decay(exp_lifted_product(a, -sum, -a * sum_low));
  const Vec<T> slope = fma(Vec<T>::broadcast(T(3)) * cubic, square, linear + linear_low);
  const FarTail<T> beyond = far_tail(x < Vec<T>::broadcast(-Use::last(Limits::gelu_tanh_normal)));
  return {part_less_tail(x, opaque((a * e.lifted) / e.one_more), beyond),
          gated_slope(x, Use::last(Limits::gelu_tanh_slope_normal), a, slope, e)};
}

/// The normal distribution's tail over its density, Phi(-a) e^(a^2 / 2) = P / (sqrt(2 pi) a P + Q): its asymptote for
/// large a is built in, so that roundings of P cancel and those of Q fade. P and Q have positive coefficients alone.
/// Fitted by us over the range of ActivationLimits::gelu (rational Remez exchange in 60 digits): largest relative
/// error 1.8e-8 in float, 4.0e-18 in double.
template <class T>
struct NormalTail {
  Vec<T> p;
  Vec<T> ap;
  Vec<T> denominator;
};
EIGENFORMER_INLINE NormalTail<float> normal_tail(Vec<float> a) {
  const Vec<float> p = polynomial(a, 1.0F, 0x1.d3e81ep-1F, 0x1.93e7fap-2F, 0x1.73da08p-4F, 0x1.3cbe16p-7F);
  const Vec<float> q = polynomial(a, 2.0F, 0x1.d5744ep-1F, 0x1.d664dap-3F, 0x1.8b2e68p-6F, 0x1.41c286p-19F);
  const Vec<float> ap = a * p;
  return {p, ap, fma(Vec<float>::broadcast(0x1.40d932p+1F), ap, q)};
}
EIGENFORMER_INLINE NormalTail<double> normal_tail(Vec<double> a) {
  const Vec<double> p =
      polynomial(a, 1.0, 0x1.b1b752b0aa9fap+0, 0x1.6b6ea4782240ap+0, 0x1.860249a8fe126p-1, 0x1.2642387081346p-2,
                 0x1.44e6e7c3c3a1ap-4, 0x1.099a3dd3c4cd4p-6, 0x1.3e08dbe83e3afp-9, 0x1.0c206652bb4e9p-12,
                 0x1.21c962c6a643bp-16, 0x1.3552a5dac928bp-21);
  const Vec<double> q = polynomial(a, 2.0, 0x1.3d204a4fe9e21p+1, 0x1.91c26a35ee2f0p+0, 0x1.4a6a0bb1dd6e6p-1,
                                   0x1.7f2dc5473949ap-3, 0x1.42800cc5c144cp-5, 0x1.88ec208d1ca61p-8,
                                   0x1.4e884dec9af29p-11, 0x1.6b3197c8bcb0fp-15, 0x1.83adbec8f4483p-20);
  const Vec<double> ap = a * p;
  return {p, ap, fma(Vec<double>::broadcast(0x1.40d931ff62706p+1), ap, q)};
}

/// x Phi(x) = max(x, 0) - a Phi(-a). The square is taken in two parts, as its rounding would cost the tail a^2 / 4 ulp.
/// Slope: Phi(-a) - a density(a) for x < 0, and one minus that for x >= 0; density(a) = e^(-a^2 / 2) / sqrt(2 pi).
template <class Use = Alone, class T>
EIGENFORMER_INLINE Curve<T> evaluate(Gelu, Vec<T> x) {
  using Limits = ActivationLimits<T>;
  const Vec<T> a = magnitude(x, Limits::gelu);
  const Vec<T> bell = exp_lifted_bell(a);
  const NormalTail<T> r = normal_tail(a);
  const Vec<T> tail = opaque((bell * r.ap) / r.denominator);
  const Vec<T> density = Vec<T>::broadcast(T(0.39894228040143267794));
  const Vec<T> lifted = opaque(bell * (r.p / r.denominator - a * density));
  const Vec<T> slope = lowered_tail(lifted, far_tail(Vec<T>::broadcast(Use::last(Limits::gelu_slope_normal)) < a)).body;
  const Vec<T> one = Vec<T>::broadcast(T(1));
  return {part_less_tail(x, tail, far_tail(x < Vec<T>::broadcast(-Use::last(Limits::gelu_normal)))),
          Tailed<T>(select(x < Vec<T>::zero(), slope, one - slope), lifted,
                    far_tail(x < Vec<T>::broadcast(-Use::last(Limits::gelu_slope_normal))))};
}

/// x c with c = min(max(x + 3, 0), 6) / 6; x is cut at -3, where c is zero, so that -infinity gives 0 too.
template <class Use = Alone, class T>
EIGENFORMER_INLINE Curve<T> evaluate(HardSwish, Vec<T> x) {
  const Vec<T> zero = Vec<T>::zero();
  const Vec<T> one = Vec<T>::broadcast(T(1));
  const Vec<T> three = Vec<T>::broadcast(T(3));
  const Vec<T> sixth = Vec<T>::broadcast(T(1) / T(6));
  const Vec<T> gate = opaque(minimum(Vec<T>::broadcast(T(6)), maximum(zero, x + three)) * sixth);
  const Vec<T> between = fma(x, sixth + sixth, Vec<T>::broadcast(T(0.5)));
  return {maximum(-three, x) * gate, select(x <= -three, zero, select(x >= three, one, between))};
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::simd::EIGENFORMER_TARGET
