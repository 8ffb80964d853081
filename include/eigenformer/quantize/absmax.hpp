#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/context.hpp>
#include <eigenformer/core/rows.hpp>
#include <eigenformer/kernels/quantize_row.hpp>

#include <bit>
#include <cmath>
#include <cstdint>
#include <type_traits>

namespace eigenformer::inline EIGENFORMER_ABI {

/// Codes -(2^(b-1) - 1) .. 2^(b-1) - 1 for b bits; the largest magnitude, or 1e-5 if that is more, becomes the largest code
/// (Ma et al. 2024, "The Era of 1-bit LLMs", BitNet b1.58).
struct SymmetricRange {
  static constexpr double least_maximum = 1e-5;
  static constexpr bool subtracts_minimum = false;
  static constexpr bool adds_minimum = false;
  static constexpr int levels(int bits) { return (1 << (bits - 1)) - 1; }
  static constexpr int smallest(int bits) { return -levels(bits); }
  static constexpr int largest(int bits) { return levels(bits); }
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
  using Code = std::int8_t;  ///< what a code is kept as
  /// Writes the codes of numbers.
  template <class T>
  static void codes(const T* x, Index count, const kernels::RowCode<T>& code, std::int8_t* to, InstructionSet set) {
    kernels::quantize_row(x, count, code, to, set);
  }
};

/// The formula as it stands in Wang et al. 2023, equation 5, which rounds nothing and clips just inside the range: for
/// comparison with the paper, not for packed products.
struct LiteralClip {
  template <class T>
  using Code = T;                         ///< what a code is kept as
  static constexpr double inside = 1e-5;  ///< the paper's epsilon
  /// Writes the codes of numbers.
  template <class T>
  static void codes(const T* x, Index count, const kernels::RowCode<T>& code, T* to, InstructionSet) {
    // The range has one step less than the paper's at its lower end, unless that is 0.
    const T smallest = (code.smallest < 0 ? code.smallest - 1 : code.smallest) + T(inside);
    const T largest = code.largest + 1 - T(inside);
    for (Index i = 0; i < count; ++i) {
      to[i] = (std::min)((std::max)((x[i] - code.origin) * code.lift * code.factor, smallest), largest);
    }
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

template <class T>
bool is_number(T gamma) {
  using Bits = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
  return std::bit_cast<Bits>(gamma) < std::bit_cast<Bits>(std::numeric_limits<T>::infinity());
}
/// The larger, or NaN if one is.
template <class T>
T larger(T a, T b) {
  if (!is_number(a)) return a;
  return is_number(b) && a > b ? a : b;
}

/// The codes of one row; zeros if gamma is zero or no number.
template <class Range, class Rounding, class T, class Code>
void quantize_row(const T* x, Index count, int bits, T gamma, T minimum, Code* codes, InstructionSet set) {
  if (!is_number(gamma) || gamma == 0) {
    std::fill_n(codes, count, Code(0));
    return;
  }
  // levels / gamma must be finite: rows of less than that are lifted first, which is exact.
  const T lift = gamma < T(1e-30) ? T(0x1p96) : T(1);
  const kernels::RowCode<T> code = {.factor = static_cast<T>(Range::levels(bits)) / (gamma * lift),
                                    .smallest = static_cast<T>(Range::smallest(bits)),
                                    .largest = static_cast<T>(Range::largest(bits)),
                                    .origin = Range::subtracts_minimum ? minimum : T(0),
                                    .lift = lift};
  Rounding::codes(x, count, code, codes, set);
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
  const InstructionSet set = context.instruction_set();
  constexpr bool per_tensor = std::is_same_v<typename Activations::Scope, PerTensor>;
  ScratchScope scope(context.scratch());
  T* const minimum = to.minimum || !Range::subtracts_minimum ? to.minimum : scope.take<T>(x.rows());
  const auto measure = [&](Index n) {
    const T* const row = x.data() + n * x.stride();
    to.gamma[n] = detail::larger(kernels::largest_magnitude(row, features, set), static_cast<T>(Range::least_maximum));
    if (minimum) minimum[n] = kernels::least_number(row, features, set);
  };
  const auto code = [&](Index n) {
    detail::quantize_row<Range, typename Activations::Rounding>(x.data() + n * x.stride(), features, bits, to.gamma[n],
                                                                minimum ? minimum[n] : T(0), to.codes + n * features,
                                                                set);
  };
  context.parallel_for(x.rows(), operations, [&](Index n) {
    measure(n);
    if (!per_tensor) code(n);
  });
  if constexpr (per_tensor) {
    for (Index n = period; n < x.rows(); ++n) {
      to.gamma[n % period] = detail::larger(to.gamma[n % period], to.gamma[n]);
      if (minimum) minimum[n % period] = (std::min)(minimum[n % period], minimum[n]);
    }
    for (Index n = period; n < x.rows(); ++n) {
      to.gamma[n] = to.gamma[n % period];
      if (minimum) minimum[n] = minimum[n % period];
    }
    context.parallel_for(x.rows(), operations, code);
  }
}

}  // namespace eigenformer::inline EIGENFORMER_ABI
