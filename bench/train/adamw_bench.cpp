// SPDX-License-Identifier: MIT

#include <eigenformer/train/adamw.hpp>

#include <benchmark/benchmark.h>

#include <cmath>

namespace {

namespace ef = eigenformer;

struct Weights : ef::Block<Weights> {
  explicit Weights(ef::Index size) : weight(ef::Vector<float>::Ones(size)) {}
  static void members(auto& self, auto&& visit) { visit("weight", self.weight); }
  ef::Parameter<float> weight;
};

/// A step over a million parameters, which is bound by memory: reads the parameter, the gradient and both moments, and
/// writes all but the gradient.
void adamw_step(benchmark::State& state) {
  constexpr ef::Index size = 1 << 20;
  Weights model(size);
  model.weight.accumulated_gradient().setConstant(0.5F);
  ef::Context context({.threads = static_cast<int>(state.range(0))});
  ef::AdamW<float> optimizer({.learning_rate = 0.25, .weight_decay = 0});
  optimizer.step(model, context);
  if (std::fabs(model.weight.value[size - 1] - 0.75F) > 1e-6F) state.SkipWithError("the first step is wrong");
  for (auto _ : state) optimizer.step(model, context);
  state.SetBytesProcessed(state.iterations() * size * 7 * static_cast<std::int64_t>(sizeof(float)));
}
BENCHMARK(adamw_step)->ArgName("threads")->Arg(1)->Arg(2)->UseRealTime();

}  // namespace
