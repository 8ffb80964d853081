// SPDX-License-Identifier: MIT

#include <eigenformer/ops/log_softmax.hpp>
#include <eigenformer/ops/softmax.hpp>

#include <benchmark/benchmark.h>

#include <cmath>

#include "ops/plus_one.hpp"

namespace {

namespace ef = eigenformer;

void softmax(benchmark::State& state) {
  const ef::Matrix<float> x = bench::normal_rows();
  ef::Matrix<float> y(bench::rows, bench::features);
  ef::Context context({.threads = static_cast<int>(state.range(0))});
  ef::softmax<float>(x, y, context);
  if (std::abs(y.row(7).cast<double>().sum() - 1) > 1e-6) state.SkipWithError("wrong answer");
  for (auto _ : state) {
    ef::softmax<float>(x, y, context);
    benchmark::ClobberMemory();
  }
  bench::count_bytes(state, 2);
}

void softmax_backward(benchmark::State& state) {
  const ef::Matrix<float> y = bench::normal_rows();
  const ef::Matrix<float> dy = y;
  ef::Matrix<float> dx(bench::rows, bench::features);
  ef::Context context({.threads = static_cast<int>(state.range(0))});
  for (auto _ : state) {
    ef::softmax_backward<float>(y, dy, dx, context);
    benchmark::ClobberMemory();
  }
  bench::count_bytes(state, 3);
}

void log_softmax(benchmark::State& state) {
  const ef::Matrix<float> x = bench::normal_rows();
  ef::Matrix<float> y(bench::rows, bench::features);
  ef::Context context({.threads = static_cast<int>(state.range(0))});
  for (auto _ : state) {
    ef::log_softmax<float>(x, y, context);
    benchmark::ClobberMemory();
  }
  bench::count_bytes(state, 2);
}

/// What one writes with Eigen alone.
void eigen_softmax(benchmark::State& state) {
  const ef::Matrix<float> x = bench::normal_rows();
  ef::Matrix<float> y(bench::rows, bench::features);
  for (auto _ : state) {
    for (ef::Index n = 0; n < bench::rows; ++n) {
      y.row(n) = (x.row(n).array() - x.row(n).maxCoeff()).exp();
      y.row(n) /= y.row(n).sum();
    }
    benchmark::ClobberMemory();
  }
  bench::count_bytes(state, 2);
}

}  // namespace

BENCHMARK(softmax)->Arg(1)->Arg(2)->UseRealTime()->Unit(benchmark::kMicrosecond);
BENCHMARK(eigen_softmax)->UseRealTime()->Unit(benchmark::kMicrosecond);
BENCHMARK(softmax_backward)->Arg(1)->Arg(2)->UseRealTime()->Unit(benchmark::kMicrosecond);
BENCHMARK(log_softmax)->Arg(1)->Arg(2)->UseRealTime()->Unit(benchmark::kMicrosecond);
