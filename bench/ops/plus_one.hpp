#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/core/tensor.hpp>

#include <benchmark/benchmark.h>

// The practical floor of elementwise work, "C": y = x + 1 over 4096 x 768, measured in the same run as what is compared
// with it, because memory is as fast as the machine's other guests let it be.
namespace bench {

namespace ef = eigenformer;
using ef::Index;

inline constexpr Index rows = 4096;
inline constexpr Index features = 768;

inline ef::Matrix<float> normal_rows() {
  ef::Matrix<float> x(rows, features);
  std::srand(1);  // what Eigen draws from
  x.setRandom();
  return 3 * x;
}

/// Bytes that must move if each array is read or written once.
inline void count_bytes(benchmark::State& state, int arrays) {
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations()) * arrays * rows * features *
                          static_cast<std::int64_t>(sizeof(float)));
}

inline void plus_one(benchmark::State& state) {
  const ef::Matrix<float> x = normal_rows();
  ef::Matrix<float> y(rows, features);
  for (auto _ : state) {
    y.array() = x.array() + 1.0F;
    benchmark::ClobberMemory();
  }
  count_bytes(state, 2);
}

}  // namespace bench
