#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/abi.hpp>

namespace eigenformer::inline EIGENFORMER_ABI::kernels {

// A build with -DEIGENFORMER_SEEDED_BUG=n has one of twenty known mistakes in attention; the tests must fail for each.
// n may be an expression, such as a call that chooses when the program starts. Without it the mistakes cost nothing: they
// are conditions that the compiler knows to be false.
//    1  the last query's last key is lost           11  the cap comes after the bias
//    2  every query's last key is lost              12  sinks take no part of the weights
//    3  seven padded keys at score 0                13  a window begins one key late
//    4  the scale is that of one feature more       14  heads that share keys lie kv_heads apart
//    5  weights below 1e-4 vanish                   15  a sequence reads its neighbour's segments
//    6  weights of eight bits                       16  a packed sequence sees the next one's first key
//    7  a quadratic exponential                     17  a bias's gradient lacks the first batch
//    8  a causal mask shows the next key            18  what dropout keeps is not multiplied
//    9  every task has the first heads' biases      19  backward drops by another seed
//   10  ALiBi's slopes begin at 1                   20  what was summed before a higher maximum does not shrink
#if defined(EIGENFORMER_SEEDED_BUG)
inline const int seeded_bug = EIGENFORMER_SEEDED_BUG;
#else
inline constexpr int seeded_bug = 0;
#endif

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels
