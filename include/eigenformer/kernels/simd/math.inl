// SPDX-License-Identifier: MIT
// Body for math.hpp: elementary functions of vectors, one set for each target, in simd::<target>.

namespace eigenformer::inline EIGENFORMER_ABI::simd::EIGENFORMER_TARGET {

// exp(x) = 2^n exp(r) with n = round(x / ln 2) and r = x - n ln 2, |r| <= ln 2 / 2. ln 2 is the sum of two parts, the
// first with so few bits that n times it is exact. exp(r) = 1 + r + r^2 q(r), where q minimises the largest relative
// error of the whole (fitted by us: Remez exchange in 60 digits; 3.1e-9 in float, 3.6e-18 in double).
// Largest error 1 ulp in float, 1 ulp in double, denormal results included. Above the range the result is infinite,
// below it 0, and NaN stays NaN; the clamps only keep n where ldexp takes it.

EIGENFORMER_INLINE Vec<float> exp(Vec<float> x) {
  using V = Vec<float>;
  x = maximum(V::broadcast(-104.0F), minimum(V::broadcast(89.0F), x));
  const V n = round(x * V::broadcast(0x1.715476p+0F));
  const V r = fnma(n, V::broadcast(0x1.7f7d1cp-20F), fnma(n, V::broadcast(0x1.62e4p-1F), x));
  V q = V::broadcast(0x1.6a2434p-10F);
  q = fma(q, r, V::broadcast(0x1.1239e2p-7F));
  q = fma(q, r, V::broadcast(0x1.5558f2p-5F));
  q = fma(q, r, V::broadcast(0x1.555492p-3F));
  q = fma(q, r, V::broadcast(0x1.fffffcp-2F));
  return ldexp(opaque(fma(q, r * r, r)) + V::broadcast(1.0F), n);
}

EIGENFORMER_INLINE Vec<double> exp(Vec<double> x) {
  using V = Vec<double>;
  x = maximum(V::broadcast(-746.0), minimum(V::broadcast(710.0), x));
  const V n = round(x * V::broadcast(0x1.71547652b82fep+0));
  const V r = fnma(n, V::broadcast(-0x1.8432a1b0e2634p-43), fnma(n, V::broadcast(0x1.62e42fefa4p-1), x));
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
  return ldexp(opaque(fma(q, r * r, r)) + V::broadcast(1.0), n);
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::simd::EIGENFORMER_TARGET
