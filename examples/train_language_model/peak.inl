// SPDX-License-Identifier: MIT
// Body for peak.cpp, compiled for each instruction set.

namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET {
using namespace simd::EIGENFORMER_TARGET;

inline constexpr int fma_chains = 12;  // enough to hide four cycles of latency at two or three a cycle

/// Runs `rounds` multiply-adds in each of independent chains and returns their sum, so that none can be left out.
inline float multiply_add_rounds(Index rounds) {
  Vec<float> chains[fma_chains];
  for (int i = 0; i < fma_chains; ++i) chains[i] = Vec<float>::broadcast(static_cast<float>(i));
  const Vec<float> factor = opaque(Vec<float>::broadcast(0.5F));
  const Vec<float> term = opaque(Vec<float>::broadcast(1.0F));
  for (Index round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
    for (int i = 0; i < fma_chains; ++i) chains[i] = fma(chains[i], factor, term);
  }
  Vec<float> sum = Vec<float>::zero();
  for (int i = 0; i < fma_chains; ++i) sum = sum + chains[i];
  return reduce_add(sum);
}

inline Index operations_of_round() { return Index(2) * fma_chains * Vec<float>::lanes; }

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET
