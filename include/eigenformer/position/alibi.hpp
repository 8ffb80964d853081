#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/check.hpp>
#include <eigenformer/core/tensor.hpp>
#include <eigenformer/kernels/seeded_bug.hpp>
#include <eigenformer/position/no_position.hpp>

#include <cmath>
#include <cstdlib>
#include <vector>

namespace eigenformer::inline EIGENFORMER_ABI {

struct AlibiOptions {
  Index heads = 0;
};

/// Attention with linear biases (Press, Smith & Lewis 2022, "Train Short, Test Long"): the score of a query and a key that
/// are r positions apart gets -slope |r|. Of H heads, H a power of two, head h has the slope 2^(-8 (h + 1) / H); of other
/// numbers the first ones are those of the next lower power of two, the others every second one of the next higher. Keys
/// behind the query, which a causal mask hides, get as much as those before it (as flash-attention's alibi_slopes).
///   throws OptionError for heads below 1
class Alibi : public NoPosition {
 public:
  using Options = AlibiOptions;
  explicit Alibi(const AlibiOptions& options) : slopes(slopes_of(options)) {}

  Index heads() const { return static_cast<Index>(slopes.size()); }
  /// biases[h][i] is what scores of keys at the distance first + i from the query get.   biases: [heads, count]
  template <class T>
  void distance_biases(Index first, Index count, T* biases) const {
    for (const double slope : slopes) {
      for (Index i = 0; i < count; ++i) *biases++ = static_cast<T>(-slope * static_cast<double>(std::abs(first + i)));
    }
  }

  std::vector<double> slopes;  ///< of each head

 private:
  static std::vector<double> slopes_of(const AlibiOptions& options) {
    require_positive(options.heads, "Alibi", "heads");
    Index lower = 1;
    while (2 * lower <= options.heads) lower *= 2;
    std::vector<double> result;
    for (Index h = 0; h < lower; ++h) result.push_back(slope(h + (kernels::seeded_bug == 10 ? 0 : 1), lower));
    for (Index h = 0; h < options.heads - lower; ++h) result.push_back(slope(2 * h + 1, 2 * lower));
    return result;
  }
  static double slope(Index step, Index heads) {
    return std::exp2(-8 * static_cast<double>(step) / static_cast<double>(heads));
  }
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
