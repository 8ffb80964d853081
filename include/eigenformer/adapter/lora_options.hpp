#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/check.hpp>
#include <eigenformer/core/dropout.hpp>
#include <eigenformer/kernels/norm.hpp>

#include <cmath>
#include <limits>
#include <optional>
#include <variant>

namespace eigenformer::inline EIGENFORMER_ABI {

/// alpha / rank (Hu et al. 2021, "LoRA", section 4.1).
struct AlphaOverRank {};
/// alpha / sqrt(rank), with which the gain of an adapter does not depend on its rank (Kalajdzievski 2023, "A Rank
/// Stabilization Scaling Factor for Fine-Tuning with LoRA").
struct AlphaOverRootRank {};
/// The factor of an adapter's product.
using LoraScaling = std::variant<AlphaOverRank, AlphaOverRootRank>;

/// Lengths of the weight's rows that are learned apart from their directions (Liu et al. 2024, "DoRA").
struct LearnedMagnitude {};

/// What one adapter is made from.
struct LoraOptions {
  Index rank = 8;                               ///< of the product B A
  double alpha = 8;                             ///< the factor is alpha / rank, or as scaling says
  LoraScaling scaling = AlphaOverRank{};        ///< how rank and alpha make the factor
  double dropout = 0;                           ///< rate at which the adapter's inputs are dropped in training
  std::optional<LearnedMagnitude> magnitude{};  ///< with it the adapter is DoRA
};

/// The factor of an adapter's product.
inline double lora_scale(const LoraOptions& options) {
  const auto rank = static_cast<double>(options.rank);
  return options.alpha / (std::holds_alternative<AlphaOverRank>(options.scaling) ? rank : std::sqrt(rank));
}

/// Throws OptionError unless these are options of an adapter of a map from `in` to `out` features. A rank above
/// min(in, out) adds nothing, but published adapters of narrow layers have one; a rank above both is a mistake. The
/// factor must be a number that float holds.
inline void require_lora_options(const LoraOptions& options, Index in, Index out, std::string_view block) {
  const Index most = (std::max)(in, out);
  require<OptionError>(options.rank >= 1 && options.rank <= most, block, "expected rank in 1 .. ", most,
                       " for a map of ", in, " to ", out, " features, got ", options.rank);
  const bool representable = kernels::is_finite(options.alpha) && options.alpha > 0 &&
                             lora_scale(options) <= static_cast<double>((std::numeric_limits<float>::max)());
  require<OptionError>(representable, block, "expected alpha above 0 whose scale is a number of float, got alpha ",
                       options.alpha, " with rank ", options.rank);
  require_dropout(options.dropout, block);
}

}  // namespace eigenformer::inline EIGENFORMER_ABI
