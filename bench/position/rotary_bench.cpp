// SPDX-License-Identifier: MIT
// Rotary positions in place; bytes are the heads read and written. The second is a copy of the same size, the floor.

#include <eigenformer/position/rotary.hpp>

#include <benchmark/benchmark.h>

#include <cmath>
#include <cstring>

namespace ef = eigenformer;
using ef::Index;

namespace {

ef::Tensor<float, 4> heads(const benchmark::State& state) {
  ef::Tensor<float, 4> x(state.range(0), state.range(1), state.range(2), state.range(3));
  x.setConstant(1);
  return x;
}

template <class Pairing>
void rotary(benchmark::State& state) {
  ef::Tensor<float, 4> x = heads(state);
  const ef::Rotary<Pairing> position({.head_dim = state.range(3)});
  ef::Context context({.threads = static_cast<int>(state.range(4))});
  const Index start = 1000;
  position.apply(ef::HeadsView<float>(x), start, context);
  if (std::abs(static_cast<double>(x(0, 0, 0, 0)) - (std::cos(1000.0) - std::sin(1000.0))) > 1e-6) {
    return state.SkipWithError("wrong result");
  }
  for (auto _ : state) {
    position.apply(ef::HeadsView<float>(x), start, context);
    benchmark::DoNotOptimize(x.data());
  }
  state.SetBytesProcessed(state.iterations() * 2 * x.size() * Index(sizeof(float)));
}

void copy(benchmark::State& state) {
  const ef::Tensor<float, 4> x = heads(state);
  ef::Tensor<float, 4> y = x;
  for (auto _ : state) {
    std::memcpy(y.data(), x.data(), static_cast<std::size_t>(x.size()) * sizeof(float));
    benchmark::DoNotOptimize(y.data());
  }
  state.SetBytesProcessed(state.iterations() * 2 * x.size() * Index(sizeof(float)));
}

void sizes(benchmark::internal::Benchmark* bench) {
  bench->ArgNames({"batch", "length", "heads", "head_dim", "threads"});
  bench->Args({1, 512, 12, 64, 1})->Args({1, 512, 12, 64, 2})->Args({1, 2048, 32, 128, 1})->Args({1, 1, 32, 128, 1});
  bench->UseRealTime()->Unit(benchmark::kMicrosecond);
}

BENCHMARK(rotary<ef::Interleaved>)->Apply(sizes);
BENCHMARK(rotary<ef::HalfSplit>)->Apply(sizes);
BENCHMARK(copy)->Apply(sizes);

}  // namespace
