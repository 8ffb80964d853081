// SPDX-License-Identifier: MIT

#include <eigenformer/ops/gated.hpp>

#include <benchmark/benchmark.h>

#include <cmath>

#include "ops/plus_one.hpp"

namespace {

namespace ef = eigenformer;

template <class A>
void forward(benchmark::State& state) {
  const ef::Matrix<float> x = bench::normal_rows();
  ef::Matrix<float> y(bench::rows, bench::features);
  ef::Context context({.threads = static_cast<int>(state.range(0))});
  ef::activate<A, float>(x, y, context);
  const double at = static_cast<double>(x(1, 1));
  if (std::is_same_v<A, ef::Gelu> &&
      std::abs(static_cast<double>(y(1, 1)) - at * std::erfc(-at / std::sqrt(2.0)) / 2) > 1e-6) {
    state.SkipWithError("wrong answer");
  }
  for (auto _ : state) {
    ef::activate<A, float>(x, y, context);
    benchmark::ClobberMemory();
  }
  bench::count_bytes(state, 2);
}

template <class A>
void backward(benchmark::State& state) {
  const ef::Matrix<float> x = bench::normal_rows();
  const ef::Matrix<float> dy = x;
  ef::Matrix<float> dx(bench::rows, bench::features);
  ef::Context context({.threads = static_cast<int>(state.range(0))});
  for (auto _ : state) {
    ef::activate_backward<A, float>(x, dy, dx, context);
    benchmark::ClobberMemory();
  }
  bench::count_bytes(state, 3);
}

void swiglu(benchmark::State& state) {
  const ef::Matrix<float> gate = bench::normal_rows();
  const ef::Matrix<float> up = gate;
  ef::Matrix<float> y(bench::rows, bench::features);
  ef::Context context({.threads = static_cast<int>(state.range(0))});
  for (auto _ : state) {
    ef::gated<ef::Silu, float>(gate, up, y, context);
    benchmark::ClobberMemory();
  }
  bench::count_bytes(state, 3);
}

/// What one writes with Eigen alone.
void eigen_silu(benchmark::State& state) {
  const ef::Matrix<float> x = bench::normal_rows();
  ef::Matrix<float> y(bench::rows, bench::features);
  for (auto _ : state) {
    y.array() = x.array() / (1.0F + (-x.array()).exp());
    benchmark::ClobberMemory();
  }
  bench::count_bytes(state, 2);
}
void eigen_gelu_tanh(benchmark::State& state) {
  const ef::Matrix<float> x = bench::normal_rows();
  ef::Matrix<float> y(bench::rows, bench::features);
  for (auto _ : state) {
    y.array() = 0.5F * x.array() * (1.0F + (0.7978845608F * (x.array() + 0.044715F * x.array().cube())).tanh());
    benchmark::ClobberMemory();
  }
  bench::count_bytes(state, 2);
}

}  // namespace

BENCHMARK(bench::plus_one)->UseRealTime()->Unit(benchmark::kMicrosecond);
BENCHMARK(forward<ef::Relu>)->Arg(1)->Arg(2)->UseRealTime()->Unit(benchmark::kMicrosecond);
BENCHMARK(forward<ef::Gelu>)->Arg(1)->Arg(2)->UseRealTime()->Unit(benchmark::kMicrosecond);
BENCHMARK(forward<ef::GeluTanh>)->Arg(1)->Arg(2)->UseRealTime()->Unit(benchmark::kMicrosecond);
BENCHMARK(eigen_gelu_tanh)->UseRealTime()->Unit(benchmark::kMicrosecond);
BENCHMARK(forward<ef::Silu>)->Arg(1)->Arg(2)->UseRealTime()->Unit(benchmark::kMicrosecond);
BENCHMARK(eigen_silu)->UseRealTime()->Unit(benchmark::kMicrosecond);
BENCHMARK(swiglu)->Arg(1)->Arg(2)->UseRealTime()->Unit(benchmark::kMicrosecond);
BENCHMARK(backward<ef::Gelu>)->Arg(1)->Arg(2)->UseRealTime()->Unit(benchmark::kMicrosecond);
BENCHMARK(backward<ef::Silu>)->Arg(1)->Arg(2)->UseRealTime()->Unit(benchmark::kMicrosecond);
