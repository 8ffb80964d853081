#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/abi.hpp>

namespace eigenformer::inline EIGENFORMER_ABI::kernels {

// A build with -DEIGENFORMER_SEEDED_BUG=n has one of twenty known mistakes in attention; the tests must fail for each.
// n may be an expression, such as a call that chooses when the program starts. Without it the mistakes cost nothing: they
// are conditions that the compiler knows to be false.
#if defined(EIGENFORMER_SEEDED_BUG)
inline const int seeded_bug = EIGENFORMER_SEEDED_BUG;
#else
inline constexpr int seeded_bug = 0;
#endif

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels
