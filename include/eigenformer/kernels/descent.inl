// SPDX-License-Identifier: MIT
// Body for descent.hpp: the updates of the optimisers, element by element.

namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET {
using namespace simd::EIGENFORMER_TARGET;

/// The coefficients of AdamWUpdate in vectors.
template <class T>
struct AdamWVectors {
  Vec<T> keep, beta1, rest1, beta2, rest2, correction, epsilon, rate;

  EIGENFORMER_INLINE explicit AdamWVectors(const AdamWUpdate<T>& update)
      : keep(Vec<T>::broadcast(update.keep)),
        beta1(Vec<T>::broadcast(update.beta1)),
        rest1(Vec<T>::broadcast(update.one_minus_beta1)),
        beta2(Vec<T>::broadcast(update.beta2)),
        rest2(Vec<T>::broadcast(update.one_minus_beta2)),
        correction(Vec<T>::broadcast(update.second_correction)),
        epsilon(Vec<T>::broadcast(update.epsilon)),
        rate(Vec<T>::broadcast(update.rate)) {}

  EIGENFORMER_INLINE void apply(Vec<T>& p, Vec<T> g, Vec<T>& m, Vec<T>& v) const {
    m = fma(beta1, m, rest1 * g);
    v = fma(beta2, v, rest2 * g * g);
    p = fnma(rate, m / fma(sqrt(v), correction, epsilon), keep * p);
  }
};

template <class T>
struct AdamWVectorsStep {
  T* p;
  const T* g;
  T* m;
  T* v;
  AdamWVectors<T> coefficients;
  template <class Lanes, class S>
  EIGENFORMER_INLINE void operator()(Lanes lanes, Index i, S) const {
    Vec<T> parameter = lanes.load(p + i);
    Vec<T> first = lanes.load(m + i);
    Vec<T> second = lanes.load(v + i);
    coefficients.apply(parameter, lanes.load(g + i), first, second);
    lanes.store(parameter, p + i);
    lanes.store(first, m + i);
    lanes.store(second, v + i);
  }
};
template <class T>
void adamw_update(T* p, const T* g, T* m, T* v, Index count, const AdamWUpdate<T>& update) {
  AdamWVectorsStep<T> step{p, g, m, v, AdamWVectors<T>(update)};
  for_each_vector_on_lines<T>(count, p, step);
}

/// The coefficients of SgdUpdate in vectors.
template <class T>
struct SgdVectors {
  Vec<T> decay, momentum, fresh, from_gradient, from_velocity, rate;

  EIGENFORMER_INLINE explicit SgdVectors(const SgdUpdate<T>& update)
      : decay(Vec<T>::broadcast(update.weight_decay)),
        momentum(Vec<T>::broadcast(update.momentum)),
        fresh(Vec<T>::broadcast(update.fresh)),
        from_gradient(Vec<T>::broadcast(update.from_gradient)),
        from_velocity(Vec<T>::broadcast(update.from_velocity)),
        rate(Vec<T>::broadcast(update.rate)) {}

  EIGENFORMER_INLINE void apply(Vec<T>& p, Vec<T> g, Vec<T>& velocity) const {
    const Vec<T> decayed = fma(decay, p, g);
    velocity = fma(momentum, velocity, fresh * decayed);
    p = fnma(rate, fma(from_velocity, velocity, from_gradient * decayed), p);
  }
};

template <class T>
void sgd_update(T* p, const T* g, T* velocity, Index count, const SgdUpdate<T>& update) {
  constexpr Index lanes = Vec<T>::lanes;
  const SgdVectors<T> coefficients(update);
  Index i = 0;
  for (; i < count; i += lanes) {
    const Mask<T> live = first_lanes<T>(count - i < lanes ? count - i : lanes);
    Vec<T> parameter = Vec<T>::load(p + i, live);
    Vec<T> speed = velocity == nullptr ? Vec<T>::zero() : Vec<T>::load(velocity + i, live);
    coefficients.apply(parameter, Vec<T>::load(g + i, live), speed);
    parameter.store(p + i, live);
    if (velocity != nullptr) speed.store(velocity + i, live);
  }
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET
