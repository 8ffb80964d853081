// SPDX-License-Identifier: MIT
// Linear at the sizes of PEERS' comparison: flops are counted as 2 per product and sum, bytes as the weight read once.

#include <eigenformer/linear/linear.hpp>

#include <benchmark/benchmark.h>

#include <cmath>

namespace ef = eigenformer;
using ef::Index;

namespace {

struct Setup {
  explicit Setup(const benchmark::State& state)
      : rows(state.range(0)),
        in(state.range(1)),
        out(state.range(2)),
        linear({.in_features = in, .out_features = out}, ef::Random(1)),
        x(ef::Matrix<float>::Random(rows, in)),
        y(rows, out),
        dx(rows, in),
        context({.threads = static_cast<int>(state.range(3))}) {}

  /// One number of the result against a sum in double: a benchmark of a wrong answer is worth nothing.
  bool right() {
    linear.forward(x, y, context, &cache);
    const double expected = x.row(rows - 1).cast<double>().dot(linear.weight.value.row(out - 1).cast<double>()) +
                            static_cast<double>(linear.bias->value[out - 1]);
    return std::abs(static_cast<double>(y(rows - 1, out - 1)) - expected) < 1e-4;
  }
  void count(benchmark::State& state, double products) const {
    const double flops = 2 * products * static_cast<double>(rows) * static_cast<double>(in) * static_cast<double>(out);
    state.counters["flops"] = benchmark::Counter(flops, benchmark::Counter::kIsIterationInvariantRate);
    state.SetBytesProcessed(state.iterations() * in * out * Index(sizeof(float)));
  }

  Index rows;
  Index in;
  Index out;
  ef::Linear<float> linear;
  ef::Matrix<float> x;
  ef::Matrix<float> y;
  ef::Matrix<float> dx;
  ef::Context context;
  ef::Linear<float>::Cache cache;
};

void forward(benchmark::State& state) {
  Setup setup(state);
  if (!setup.right()) return state.SkipWithError("wrong result");
  for (auto _ : state) {
    setup.linear.forward(setup.x, setup.y, setup.context);
    benchmark::DoNotOptimize(setup.y.data());
  }
  setup.count(state, 1);
}

void backward(benchmark::State& state) {
  Setup setup(state);
  if (!setup.right()) return state.SkipWithError("wrong result");
  for (auto _ : state) {
    setup.linear.backward(setup.y, setup.cache, setup.dx, setup.context);
    benchmark::DoNotOptimize(setup.dx.data());
  }
  setup.count(state, 2);
}

/// The same forward by Eigen's own product, to compare with in the same run.
void eigen_forward(benchmark::State& state) {
  Setup setup(state);
  for (auto _ : state) {
    setup.y.noalias() = setup.x * setup.linear.weight.value.transpose();
    setup.y.rowwise() += setup.linear.bias->value.transpose();
    benchmark::DoNotOptimize(setup.y.data());
  }
  setup.count(state, 1);
}

void sizes(benchmark::internal::Benchmark* bench) {
  bench->ArgNames({"rows", "in", "out", "threads"});
  for (const Index threads : {1, 2}) {
    bench->Args({128, 768, 3072, threads})->Args({1, 4096, 4096, threads})->Args({8, 4096, 4096, threads});
  }
  bench->UseRealTime()->Unit(benchmark::kMicrosecond);
}

BENCHMARK(forward)->Apply(sizes);
BENCHMARK(backward)->Apply(sizes);
BENCHMARK(eigen_forward)
    ->ArgNames({"rows", "in", "out", "threads"})
    ->Args({128, 768, 3072, 1})
    ->Args({1, 4096, 4096, 1})
    ->UseRealTime()
    ->Unit(benchmark::kMicrosecond);

}  // namespace
