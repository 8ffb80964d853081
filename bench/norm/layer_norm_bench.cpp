// SPDX-License-Identifier: MIT

#include <eigenformer/norm/layer_norm.hpp>

#include <benchmark/benchmark.h>

#include <cmath>

#include "ops/plus_one.hpp"

namespace {

namespace ef = eigenformer;

void layer_norm(benchmark::State& state) {
  const ef::Matrix<float> x = bench::normal_rows();
  ef::Matrix<float> y(bench::rows, bench::features);
  const ef::LayerNorm<float> norm({.dim = bench::features});
  ef::Context context({.threads = static_cast<int>(state.range(0))});
  norm.forward(x, y, context);
  if (std::abs(y.row(7).cast<double>().squaredNorm() / bench::features - 1) > 1e-4) state.SkipWithError("wrong answer");
  for (auto _ : state) {
    norm.forward(x, y, context);
    benchmark::ClobberMemory();
  }
  bench::count_bytes(state, 2);
}

void layer_norm_and_backward(benchmark::State& state) {
  const ef::Matrix<float> x = bench::normal_rows();
  const ef::Matrix<float> dy = x;
  ef::Matrix<float> y(bench::rows, bench::features);
  ef::Matrix<float> dx(bench::rows, bench::features);
  ef::LayerNorm<float> norm({.dim = bench::features});
  ef::LayerNorm<float>::Cache cache;
  ef::Context context({.threads = static_cast<int>(state.range(0))});
  for (auto _ : state) {
    norm.forward(x, y, context, &cache);
    norm.backward(dy, cache, dx, context);
    benchmark::ClobberMemory();
  }
  bench::count_bytes(state, 6);
}

/// What one writes with Eigen alone.
void eigen_layer_norm(benchmark::State& state) {
  const ef::Matrix<float> x = bench::normal_rows();
  ef::Matrix<float> y(bench::rows, bench::features);
  const Eigen::RowVectorXf weight = Eigen::RowVectorXf::Ones(bench::features);
  const Eigen::RowVectorXf bias = Eigen::RowVectorXf::Zero(bench::features);
  for (auto _ : state) {
    for (ef::Index n = 0; n < bench::rows; ++n) {
      const float mean = x.row(n).mean();
      const float variance = (x.row(n).array() - mean).square().mean();
      y.row(n) = (x.row(n).array() - mean) / std::sqrt(variance + 1e-5F) * weight.array() + bias.array();
    }
    benchmark::ClobberMemory();
  }
  bench::count_bytes(state, 2);
}

}  // namespace

BENCHMARK(bench::plus_one)->UseRealTime()->Unit(benchmark::kMicrosecond);
BENCHMARK(eigen_layer_norm)->UseRealTime()->Unit(benchmark::kMicrosecond);
BENCHMARK(layer_norm)->Arg(1)->Arg(2)->UseRealTime()->Unit(benchmark::kMicrosecond);
BENCHMARK(layer_norm_and_backward)->Arg(1)->Arg(2)->UseRealTime()->Unit(benchmark::kMicrosecond);
