// SPDX-License-Identifier: MIT
// Body for dropout.hpp.

namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET {
using namespace simd::EIGENFORMER_TARGET;

/// A vector of streams, one for each lane, with draws of 32 bits whatever T is, so that float and double drop the same.
template <class T>
struct DropoutDraws {
  using Word = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
  typedef std::uint32_t Draws __attribute__((vector_size(4 * Vec<T>::lanes)));
  typedef Word Words __attribute__((vector_size(sizeof(Vec<T>))));
  Draws start;
  Draws key;
  Vec<T> limit;

  EIGENFORMER_INLINE static Draws load(const std::uint32_t* p) {
    Draws result;
    __builtin_memcpy(&result, p, sizeof(result));
    return result;
  }

  /// x where a draw keeps it, else 0; `count` is that of the draw times DropoutStream::step.
  EIGENFORMER_INLINE Vec<T> kept(Vec<T> x, std::uint32_t count) const {
    Draws draw = start + count;
    draw ^= draw >> 16;
    draw = draw * 0x7FEB352DU + key;
    draw ^= draw >> 15;
    draw *= 0x846CA68BU;
    draw >>= 9;
    // The bits become the digits of a number in [1, 2).
    constexpr int digits = sizeof(T) == 4 ? 23 : 52;
    const Words one = (Words)Vec<T>::broadcast(T(1)).value;
    const Words number = (__builtin_convertvector(draw, Words) << (digits - 23)) | one;
    return select(limit <= Vec<T>{(decltype(x.value))number}, x, Vec<T>::zero());
  }
};

/// Streams of many columns.
struct DropoutColumns {
  const std::uint32_t* start;
  const std::uint32_t* key;
};

/// Drops of x [rows, one vector], `stride` from row to row: row r is draw first + r of each column's stream.
template <class T>
void drop_rows(T* x, Index rows, Index stride, DropoutColumns columns, Index first, T limit) {
  using Draws = DropoutDraws<T>;
  const Draws draws{Draws::load(columns.start), Draws::load(columns.key), Vec<T>::broadcast(limit)};
  std::uint32_t count = static_cast<std::uint32_t>(first) * DropoutStream::step;
  for (Index row = 0; row < rows; ++row, x += stride, count += DropoutStream::step) {
    draws.kept(Vec<T>::load(x), count).store(x);
  }
}

template <class T>
void drop(const T* x, T* y, Index count, const DropoutStream& stream, Index first, const DropoutRule<T>& rule) {
  using Draws = DropoutDraws<T>;
  constexpr Index lanes = Vec<T>::lanes;
  std::uint32_t start[lanes];
  std::uint32_t key[lanes];
  for (Index i = 0; i < lanes; ++i) {
    start[i] = stream.start + static_cast<std::uint32_t>(first + i) * DropoutStream::step;
    key[i] = stream.key;
  }
  const Draws draws{Draws::load(start), Draws::load(key), Vec<T>::broadcast(rule.limit)};
  const Vec<T> factor = Vec<T>::broadcast(rule.factor);
  std::uint32_t at = 0;
  Index i = 0;
  for (; i + lanes <= count; i += lanes, at += static_cast<std::uint32_t>(lanes) * DropoutStream::step) {
    draws.kept(Vec<T>::load(x + i) * factor, at).store(y + i);
  }
  if (i == count) return;
  const Mask<T> rest = first_lanes<T>(count - i);
  draws.kept(Vec<T>::load(x + i, rest) * factor, at).store(y + i, rest);
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET
