#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/check.hpp>

#include <cstdint>

namespace eigenformer::inline EIGENFORMER_ABI {

/// Which numbers are dropped (Srivastava et al. 2014, "Dropout"): each with probability `rate`, those kept are multiplied
/// by 1 / (1 - rate), so that the mean over all seeds is what there was without. What is dropped is a function of seed and
/// position alone. So backward, given the same seed, drops the same without anything having been stored.
struct Dropout {
  double rate = 0;         ///< in [0, 1), counted in steps of 2^-23; 0 drops nothing
  std::uint64_t seed = 0;  ///< another one for every call, such as `context.random().bits()`
};

/// Throws OptionError unless the rate is one.
inline void require_dropout(double rate, std::string_view block) {
  require<OptionError>(rate >= 0 && rate < 1, block, "expected dropout of at least 0 and below 1, got ", rate);
}

}  // namespace eigenformer::inline EIGENFORMER_ABI
