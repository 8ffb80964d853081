#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/check.hpp>

#include <cmath>

namespace eigenformer::inline EIGENFORMER_ABI {

struct WarmupCosineOptions {
  Index warmup_steps = 0;  ///< steps of linear growth, from 0
  Index total_steps = 1;   ///< step from which the rate stays at `floor`
  double peak = 1e-3;      ///< rate at the end of the warm-up
  double floor = 0;        ///< rate at the end, and after it
};

/// The learning rate of step 0, 1, ...: linear from peak / warmup_steps up to peak, which the last step of the warm-up
/// has, then half a cosine (Loshchilov & Hutter 2017, equation 5) from peak at step warmup_steps down to floor at
/// total_steps and after:
///   floor + (peak - floor) (1 + cos(pi (step - warmup_steps) / (total_steps - warmup_steps))) / 2
///   throws OptionError unless 0 <= warmup_steps <= total_steps, total_steps >= 1 and 0 <= floor <= peak
/// @code
/// ef::WarmupCosine schedule({.warmup_steps = 100, .total_steps = 1000, .peak = 3e-4});
/// ef::AdamW<float> optimizer;
/// optimizer.options.learning_rate = schedule(0);  // before each step
/// @endcode
class WarmupCosine {
 public:
  explicit WarmupCosine(const WarmupCosineOptions& chosen) : options(chosen) {
    constexpr std::string_view block = "WarmupCosine";
    require_positive(options.total_steps, block, "total_steps");
    require<OptionError>(options.warmup_steps >= 0 && options.warmup_steps <= options.total_steps, block,
                         "expected warmup_steps in 0 .. total_steps ", options.total_steps, ", got ",
                         options.warmup_steps);
    require<OptionError>(options.floor >= 0 && options.floor <= options.peak, block, "expected floor in 0 .. peak ",
                         options.peak, ", got ", options.floor);
  }

  /// Throws OptionError for a negative step.
  double operator()(Index step) const {
    require<OptionError>(step >= 0, "WarmupCosine", "expected a step of at least 0, got ", step);
    if (step < options.warmup_steps) {
      return options.peak * static_cast<double>(step + 1) / static_cast<double>(options.warmup_steps);
    }
    if (step >= options.total_steps) return options.floor;
    const double progress = static_cast<double>(step - options.warmup_steps) /
                            static_cast<double>(options.total_steps - options.warmup_steps);
    return options.floor + (options.peak - options.floor) * (1 + std::cos(3.14159265358979323846 * progress)) / 2;
  }

  WarmupCosineOptions options;
};

}  // namespace eigenformer::inline EIGENFORMER_ABI
