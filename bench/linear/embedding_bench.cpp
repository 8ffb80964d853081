// SPDX-License-Identifier: MIT
// Embedding lookup and its gradient; bytes are rows read and written.

#include <eigenformer/linear/embedding.hpp>

#include <benchmark/benchmark.h>

namespace ef = eigenformer;
using ef::Index;

namespace {

struct Setup {
  explicit Setup(const benchmark::State& state)
      : tokens(state.range(0)),
        dim(state.range(2)),
        embedding({.vocabulary = state.range(1), .dim = dim}, ef::Random(1)),
        ids(static_cast<std::size_t>(tokens)),
        y(tokens, dim),
        context({.threads = static_cast<int>(state.range(3))}) {
    ef::Random random(2);
    for (auto& id : ids) id = static_cast<ef::TokensView::Token>(random.index(state.range(1)));
    embedding.forward(ids, y, context, &cache);
  }
  bool right() const { return y.row(tokens - 1) == embedding.weight.value.row(ids.back()); }

  Index tokens;
  Index dim;
  ef::Embedding<float> embedding;
  std::vector<ef::TokensView::Token> ids;
  ef::Matrix<float> y;
  ef::Context context;
  ef::Embedding<float>::Cache cache;
};

void forward(benchmark::State& state) {
  Setup setup(state);
  if (!setup.right()) return state.SkipWithError("wrong result");
  for (auto _ : state) {
    setup.embedding.forward(setup.ids, setup.y, setup.context);
    benchmark::DoNotOptimize(setup.y.data());
  }
  state.SetBytesProcessed(state.iterations() * 2 * setup.tokens * setup.dim * Index(sizeof(float)));
}

void backward(benchmark::State& state) {
  Setup setup(state);
  if (!setup.right()) return state.SkipWithError("wrong result");
  for (auto _ : state) {
    setup.embedding.backward(setup.y, setup.cache, setup.context);
    benchmark::DoNotOptimize(setup.embedding.weight.gradient.data());
  }
  state.SetBytesProcessed(state.iterations() * 3 * setup.tokens * setup.dim * Index(sizeof(float)));
}

void sizes(benchmark::internal::Benchmark* bench) {
  bench->ArgNames({"tokens", "vocabulary", "dim", "threads"});
  for (const Index threads : {1, 2}) {
    bench->Args({4096, 256, 512, threads})->Args({4096, 32000, 512, threads})->Args({1, 32000, 512, threads});
  }
  bench->UseRealTime()->Unit(benchmark::kMicrosecond);
}

BENCHMARK(forward)->Apply(sizes);
BENCHMARK(backward)->Apply(sizes);

}  // namespace
