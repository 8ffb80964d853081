// SPDX-License-Identifier: MIT

#include <eigenformer/train/cross_entropy.hpp>

#include <benchmark/benchmark.h>

#include <cmath>

namespace {

namespace ef = eigenformer;

/// Loss and gradient of rows of logits, the gradient over the logits; bytes are one read and one write of each.
void cross_entropy_with_gradient(benchmark::State& state) {
  const ef::Index rows = state.range(0);
  const ef::Index classes = state.range(1);
  ef::Context context({.threads = static_cast<int>(state.range(2))});
  ef::Matrix<float> logits = ef::Matrix<float>::Zero(rows, classes);
  const std::vector<std::int32_t> targets(static_cast<std::size_t>(rows), 3);
  const double loss = ef::cross_entropy<float>(logits, targets, logits, context).mean;
  if (std::fabs(loss - std::log(static_cast<double>(classes))) > 1e-5) state.SkipWithError("the loss is wrong");
  for (auto _ : state) {
    benchmark::DoNotOptimize(ef::cross_entropy<float>(logits, targets, logits, context).mean);
  }
  state.SetBytesProcessed(state.iterations() * rows * classes * 2 * static_cast<std::int64_t>(sizeof(float)));
}
BENCHMARK(cross_entropy_with_gradient)
    ->ArgNames({"rows", "classes", "threads"})
    ->ArgsProduct({{1024}, {256, 32000}, {1, 2}})
    ->UseRealTime();

}  // namespace
