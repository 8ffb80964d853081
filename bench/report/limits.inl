// SPDX-License-Identifier: MIT
// Body for limits.cpp, compiled for each instruction set.

namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET {
using namespace simd::EIGENFORMER_TARGET;

/// The sum of `count` numbers, a multiple of 64 vectors, read in four streams with prefetch: one stream alone does not
/// saturate memory.
inline float read_in_streams(const float* numbers, Index count) {
  constexpr Index lanes = Vec<float>::lanes;
  constexpr int streams = 4;
  constexpr Index ahead = 4096 / sizeof(float);
  const Index length = count / streams;
  Vec<float> sums[2 * streams];
  for (int i = 0; i < 2 * streams; ++i) sums[i] = Vec<float>::zero();
  for (Index at = 0; at < length; at += 2 * lanes) {
#pragma GCC unroll 4
    for (int stream = 0; stream < streams; ++stream) {
      const float* const from = numbers + stream * length + at;
      __builtin_prefetch(from + ahead);
      sums[2 * stream] = sums[2 * stream] + Vec<float>::load(from);
      sums[2 * stream + 1] = sums[2 * stream + 1] + Vec<float>::load(from + lanes);
    }
  }
  Vec<float> sum = Vec<float>::zero();
  for (int i = 0; i < 2 * streams; ++i) sum = sum + sums[i];
  return reduce_add(sum);
}

/// The same in one stream, which is faster where a cache holds all.
inline float read_in_order(const float* numbers, Index count) {
  constexpr Index lanes = Vec<float>::lanes;
  constexpr int unroll = 8;
  Vec<float> sums[unroll];
  for (int i = 0; i < unroll; ++i) sums[i] = Vec<float>::zero();
  for (Index at = 0; at < count; at += unroll * lanes) {
#pragma GCC unroll 8
    for (int i = 0; i < unroll; ++i) sums[i] = sums[i] + Vec<float>::load(numbers + at + i * lanes);
  }
  Vec<float> sum = Vec<float>::zero();
  for (int i = 0; i < unroll; ++i) sum = sum + sums[i];
  return reduce_add(sum);
}

inline void copy_in_order(const float* from, float* to, Index count) {
  constexpr Index lanes = Vec<float>::lanes;
  for (Index at = 0; at < count; at += 4 * lanes) {
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) Vec<float>::load(from + at + i * lanes).store(to + at + i * lanes);
  }
}

}  // namespace eigenformer::inline EIGENFORMER_ABI::kernels::EIGENFORMER_TARGET
