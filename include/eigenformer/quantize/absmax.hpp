#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/context.hpp>
#include <eigenformer/core/rows.hpp>

#include <bit>
#include <cmath>
#include <cstdint>
#include <type_traits>

namespace eigenformer::inline EIGENFORMER_ABI {

/// Codes -(2^(b-1) - 1) .. 2^(b-1) - 1 for b bits; the largest magnitude, or 1e-5 if that is more, becomes the largest code
/// (Ma et al. 2024, "The Era of 1-bit LLMs", BitNet b1.58).
struct SymmetricRange {
  static constexpr double least_maximum = 1e-5;     ///< what gamma is not below
  static constexpr bool subtracts_minimum = false;  ///< whether the row's minimum becomes the code 0
  static constexpr bool adds_minimum = false;       ///< whether the minimum comes back behind the product
  /// What gamma stands for, in codes.
  static constexpr int levels(int bits) { return (1 << (bits - 1)) - 1; }
  static constexpr int smallest(int bits) { return -levels(bits); }  ///< code
  static constexpr int largest(int bits) { return levels(bits); }    ///< code
};

/// The largest magnitude becomes 2^(b-1), which no code reaches: they are clipped to -(2^(b-1) - 1) .. 2^(b-1) - 1 (Wang
/// et al. 2023, "BitNet", equations 4 and 5).
struct SignedRange {
  static constexpr double least_maximum = 0;
  static constexpr bool subtracts_minimum = false;
  static constexpr bool adds_minimum = false;
  static constexpr int levels(int bits) { return 1 << (bits - 1); }
  static constexpr int smallest(int bits) { return 1 - levels(bits); }
  static constexpr int largest(int bits) { return levels(bits) - 1; }
};

/// Codes 0 .. 2^(b-1) - 1 of what is left when the row's minimum is subtracted, for what a non-linear function reads next
/// (Wang et al. 2023, equation 6). As the paper has it, gamma is the largest magnitude before, and the minimum does not
/// come back behind the product.
struct UnsignedRange : SignedRange {
  static constexpr bool subtracts_minimum = true;
  static constexpr int smallest(int) { return 0; }
};

/// The same with the minimum added again behind the product, which makes it a product with x and not with x - min x.
struct ShiftedUnsignedRange : UnsignedRange {
  static constexpr bool adds_minimum = true;
};

/// Codes are whole numbers: the nearest, ties to even, as torch.round.
struct NearestEven {
  template <class T>
  using Code = std::int8_t;
  template <class T>
  static std::int8_t code(T scaled, T smallest, T largest) {
    return static_cast<std::int8_t>((std::min)((std::max)(std::nearbyint(scaled), smallest), largest));
  }
};

/// The formula as it stands in Wang et al. 2023, equation 5, which rounds nothing and clips just inside the range: for
/// comparison with the paper, not for packed products.
struct LiteralClip {
  static constexpr double inside = 1e-5;  ///< the paper's epsilon
  template <class T>
  using Code = T;
  template <class T>
  static T code(T scaled, T smallest, T largest) {
    // The range without its last step, at whose end the paper clips.
    const T low = smallest < 0 ? smallest - 1 : smallest;
    return (std::min)((std::max)(scaled, low + T(inside)), largest + 1 - T(inside));
  }
};

struct PerToken {};   ///< gamma of each row
struct PerTensor {};  ///< one gamma of all rows of a call

/// How activations become codes: x~ = clip(round(x levels / gamma)), gamma = max |x|.
template <class Range_ = SignedRange, class Rounding_ = NearestEven, class Scope_ = PerToken>
struct Absmax {
  using Range = Range_;        ///< which codes there are
  using Rounding = Rounding_;  ///< NearestEven or LiteralClip
  using Scope = Scope_;        ///< what gamma is the largest of
};

/// The activations of BitNet b1.58.
using Absmax158 = Absmax<SymmetricRange>;

/// Rows of codes: x is about (code gamma / levels), and min more where the range subtracts it.
template <class T, class Code = std::int8_t>
struct QuantizedRows {
  Code* codes = nullptr;  ///< [N, D]
  T* gamma = nullptr;     ///< [N], largest magnitudes; NaN for a row that is not finite, whose codes are 0
  T* minimum = nullptr;   ///< [N], of ranges that subtract it
};

namespace detail {

/// Magnitude and minimum of a row. Bits of magnitudes are in the order of the magnitudes, with infinity and NaN on top,
/// whatever the compiler believes of NaN.
template <class T>
struct RowRange {
  using Bits = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
  Bits magnitude = 0;
  T minimum = 0;

  RowRange() = default;
  RowRange(const T* x, Index count) : minimum(x[0]) {
    for (Index i = 0; i < count; ++i) {
      magnitude = (std::max)(magnitude, std::bit_cast<Bits>(x[i]) << 1);
      minimum = (std::min)(minimum, x[i]);
    }
  }
  void add(const RowRange& other) {
    magnitude = (std::max)(magnitude, other.magnitude);
    minimum = (std::min)(minimum, other.minimum);
  }
  /// The largest magnitude, at least `least`; NaN if a number is not finite.
  T gamma(T least) const {
    constexpr Bits infinity = std::bit_cast<Bits>(std::numeric_limits<T>::infinity());
    if (magnitude >= infinity << 1) return std::bit_cast<T>(infinity | infinity >> 1);
    return std::bit_cast<T>((std::max)(magnitude >> 1, std::bit_cast<Bits>(least)));
  }
};

/// The codes of one row; zeros if gamma is zero or no number.
template <class Range, class Rounding, class T, class Code>
void quantize_row(const T* x, Index count, int bits, T gamma, T minimum, Code* codes) {
  using Bits = typename RowRange<T>::Bits;
  if (!(std::bit_cast<Bits>(gamma) < std::bit_cast<Bits>(std::numeric_limits<T>::infinity())) || gamma == 0) {
    std::fill_n(codes, count, Code(0));
    return;
  }
  // levels / gamma must be finite: rows of less than that are lifted first, which is exact.
  const T lift = gamma < T(1e-30) ? T(0x1p96) : T(1);
  const T factor = static_cast<T>(Range::levels(bits)) / (gamma * lift);
  const auto smallest = static_cast<T>(Range::smallest(bits));
  const auto largest = static_cast<T>(Range::largest(bits));
  const T origin = Range::subtracts_minimum ? minimum : T(0);
  for (Index i = 0; i < count; ++i) {
    codes[i] = Rounding::template code<T>((x[i] - origin) * lift * factor, smallest, largest);
  }
}

}  // namespace detail

/// Codes of rows by absmax.   x: [N, D]    bits: 2 .. 8
/// Rows i, i + period, i + 2 period, ... are one tensor where the scope is PerTensor.
///   throws OptionError for other bits
template <class Activations, class T, class Code>
void quantize_rows(ConstRowsView<T> x, int bits, const QuantizedRows<T, Code>& to, Context& context, Index period = 1) {
  using Range = typename Activations::Range;
  require<OptionError>(bits >= 2 && bits <= 8, "quantize_rows", "expected 2 .. 8 bits, got ", bits);
  const Index features = x.features();
  const double operations = 8 * static_cast<double>(x.size());
  const auto finish = [&](Index n, const detail::RowRange<T>& range) {
    to.gamma[n] = range.gamma(static_cast<T>(Range::least_maximum));
    if (to.minimum) to.minimum[n] = range.minimum;
    detail::quantize_row<Range, typename Activations::Rounding>(x.data() + n * x.stride(), features, bits, to.gamma[n],
                                                                range.minimum, to.codes + n * features);
  };
  if constexpr (std::is_same_v<typename Activations::Scope, PerTensor>) {
    for (Index first = 0; first < (std::min)(period, x.rows()); ++first) {
      detail::RowRange<T> range(x.data() + first * x.stride(), features);
      for (Index n = first + period; n < x.rows(); n += period) range.add({x.data() + n * x.stride(), features});
      for (Index n = first; n < x.rows(); n += period) finish(n, range);
    }
  } else {
    context.parallel_for(x.rows(), operations,
                         [&](Index n) { finish(n, detail::RowRange<T>(x.data() + n * x.stride(), features)); });
  }
}

}  // namespace eigenformer::inline EIGENFORMER_ABI
