// SPDX-License-Identifier: MIT

#include <eigenformer/norm/rms_norm.hpp>

#include <benchmark/benchmark.h>

#include <cmath>

#include "ops/plus_one.hpp"

namespace {

namespace ef = eigenformer;

void rms_norm(benchmark::State& state) {
  const ef::Matrix<float> x = bench::normal_rows();
  ef::Matrix<float> y(bench::rows, bench::features);
  const ef::RmsNorm<float> norm({.dim = bench::features});
  ef::Context context({.threads = static_cast<int>(state.range(0))});
  norm.forward(x, y, context);
  if (std::abs(y.row(7).cast<double>().squaredNorm() / bench::features - 1) > 1e-4) state.SkipWithError("wrong answer");
  for (auto _ : state) {
    norm.forward(x, y, context);
    benchmark::ClobberMemory();
  }
  bench::count_bytes(state, 2);
}

void rms_norm_and_backward(benchmark::State& state) {
  const ef::Matrix<float> x = bench::normal_rows();
  const ef::Matrix<float> dy = x;
  ef::Matrix<float> y(bench::rows, bench::features);
  ef::Matrix<float> dx(bench::rows, bench::features);
  ef::RmsNorm<float> norm({.dim = bench::features});
  ef::RmsNorm<float>::Cache cache;
  ef::Context context({.threads = static_cast<int>(state.range(0))});
  for (auto _ : state) {
    norm.forward(x, y, context, &cache);
    norm.backward(dy, cache, dx, context);
    benchmark::ClobberMemory();
  }
  bench::count_bytes(state, 6);
}

}  // namespace

BENCHMARK(rms_norm)->Arg(1)->Arg(2)->UseRealTime()->Unit(benchmark::kMicrosecond);
BENCHMARK(rms_norm_and_backward)->Arg(1)->Arg(2)->UseRealTime()->Unit(benchmark::kMicrosecond);
