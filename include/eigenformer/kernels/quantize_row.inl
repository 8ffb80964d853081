// SPDX-License-Identifier: MIT
// Body for quantize_row.hpp.

namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET {
using namespace simd::EIGENFORMER_TARGET;

/// Integers in the lanes of a register of T. Magnitudes have the order of their bits, with infinity and NaN on top,
/// whatever the compiler believes of those.
template <class T>
struct MagnitudeBits {
  using Bits = std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t>;
  typedef Bits Lanes __attribute__((vector_size(sizeof(Vec<T>))));
  static constexpr Bits without_sign = (std::numeric_limits<Bits>::max)();

  static constexpr int partials = 4;
  Lanes largest[partials] = {};

  EIGENFORMER_INLINE void add(Vec<T> x, int i) {
    const Lanes bits = (Lanes)x.value & without_sign;
    largest[i] = bits > largest[i] ? bits : largest[i];
  }
  EIGENFORMER_INLINE T result() const {
    Bits all = 0;
    for (const Lanes& some : largest) {
      for (int lane = 0; lane < Vec<T>::lanes; ++lane) all = all < some[lane] ? some[lane] : all;
    }
    constexpr Bits infinity = std::bit_cast<Bits>(std::numeric_limits<T>::infinity());
    return std::bit_cast<T>(all < infinity ? all : infinity | infinity >> 1);
  }
};

template <class T>
struct LargestStep {
  const T* x;
  MagnitudeBits<T> bits;
  template <class Lanes, int i>
  EIGENFORMER_INLINE void operator()(Lanes lanes, Index j, Slot<i>) {
    bits.add(lanes.load(x + j), i);
  }
};
template <class T>
T largest_magnitude(const T* x, Index count) {
  LargestStep<T> step{x, {}};
  for_each_vector<T>(count, step);
  return step.bits.result();
}

template <class T>
struct LeastStep {
  const T* x;
  Vec<T> least[4];
  template <class Lanes, int i>
  EIGENFORMER_INLINE void operator()(Lanes lanes, Index j, Slot<i>) {
    least[i] = minimum(least[i], lanes.keep(lanes.load(x + j), least[i]));
  }
};
template <class T>
T least_number(const T* x, Index count) {
  const Vec<T> first = Vec<T>::broadcast(x[0]);
  LeastStep<T> step{x, {first, first, first, first}};
  for_each_vector<T>(count, step);
  const Vec<T> least = minimum(minimum(step.least[0], step.least[1]), minimum(step.least[2], step.least[3]));
  return -reduce_max(-least);
}

template <int count>
struct CodesOf {
  typedef std::int32_t Words __attribute__((vector_size(4 * count)));
  typedef std::int8_t Codes __attribute__((vector_size(count)));
};

template <class T>
struct QuantizeStep {
  const T* x;
  std::int8_t* codes;
  Index count;
  Vec<T> origin, lift, factor, smallest, largest;
  template <class Lanes, class S>
  EIGENFORMER_INLINE void operator()(Lanes lanes, Index j, S) const {
    constexpr int width = Vec<T>::lanes;
    const Vec<T> scaled = opaque(opaque(lanes.load(x + j) - origin) * lift) * factor;
    const Vec<T> rounded = round(maximum(minimum(scaled, largest), smallest));
    const auto words = __builtin_convertvector(rounded.value, typename CodesOf<width>::Words);
    const auto code = __builtin_convertvector(words, typename CodesOf<width>::Codes);
    const Index rest = count - j;
    __builtin_memcpy(codes + j, &code, static_cast<std::size_t>(rest < width ? rest : width));
  }
};
template <class T>
// NOLINTNEXTLINE(readability-non-const-parameter): written through the step
void quantize_row(const T* x, Index count, const RowCode<T>& code, std::int8_t* codes) {
  const QuantizeStep<T> step{x,
                             codes,
                             count,
                             Vec<T>::broadcast(code.origin),
                             Vec<T>::broadcast(code.lift),
                             Vec<T>::broadcast(code.factor),
                             Vec<T>::broadcast(code.smallest),
                             Vec<T>::broadcast(code.largest)};
  for_each_vector<T>(count, step);
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET
